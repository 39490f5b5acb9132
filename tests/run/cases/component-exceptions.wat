;; Exceptions end where a component ends: another one, which would catch all of them, never sees one. What throws is
;; chosen by the first letter of the argument.
;;! compile:
;;! run: function
;;! exit: 134
;;! err: wasm trap: uncaught exception propagated out of component
;;! run: destructor
;;! exit: 134
;;! err: wasm trap: uncaught exception propagated out of component
;;! run: realloc-for-the-host
;;! exit: 134
;;! err: wasm trap: uncaught exception propagated out of component
;;! run: host-left-by-realloc
;;! exit: 134
;;! err: wasm trap: cannot leave component instance
;;! run: inside
(component $root
  (import "wasi:cli/environment@0.2.6" (instance $environment
    (export "get-arguments" (func (result (list string))))))
  (core module $memory
    (tag $tag (export "tag"))
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    (global $mode (export "mode") (mut i32) (i32.const 0))
    (table (export "table") 1 funcref)
    (type $call (func))
    (func (export "realloc") (param $old i32) (param $old-len i32) (param $align i32) (param $len i32) (result i32)
      (if (i32.eq (global.get $mode) (i32.const 0x72)) (then (throw $tag))) ;; r
      (if (i32.eq (global.get $mode) (i32.const 0x68)) (then (call_indirect (type $call) (i32.const 0)))) ;; h
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get $len)))))
  (component $provider
    (core module $destroyer (tag $tag) (func (export "throw") (param i32) (throw $tag)))
    (core instance $destroyer (instantiate $destroyer))
    (type $thing (resource (rep i32) (dtor (func $destroyer "throw"))))
    (core func $new (canon resource.new $thing))
    (core module $main
      (import "" "new" (func $new (param i32) (result i32)))
      (tag $tag)
      (func (export "make") (result i32) (call $new (i32.const 1)))
      (func (export "throw") (throw $tag))
      ;; What it catches itself is nobody else's.
      (func (export "catch") (block $caught (try_table (catch_all $caught) (throw $tag)))))
    (core instance $main (instantiate $main (with "" (instance (export "new" (func $new))))))
    (export $thing' "thing" (type $thing))
    (func (export "make") (result (own $thing')) (canon lift (core func $main "make")))
    (func (export "throw") (canon lift (core func $main "throw")))
    (func (export "catch") (canon lift (core func $main "catch"))))
  (instance $provider (instantiate $provider))
  (component $command
    (alias outer $root $memory (core module $memory))
    (core instance $memory (instantiate $memory))
    (import "arguments" (func $arguments (result (list string))))
    (import "thing" (type $thing (sub resource)))
    (import "make" (func $make (result (own $thing))))
    (import "throw" (func $throw))
    (import "catch" (func $catch))
    (core func $arguments (canon lower (func $arguments) (memory $memory "memory") (realloc (func $memory "realloc"))))
    (core func $make (canon lower (func $make)))
    (core func $throw (canon lower (func $throw)))
    (core func $catch (canon lower (func $catch)))
    (core func $drop (canon resource.drop $thing))
    (core module $main
      (import "memory" "memory" (memory 1))
      (import "memory" "mode" (global $mode (mut i32)))
      (import "memory" "table" (table 1 funcref))
      (import "" "arguments" (func $arguments (param i32)))
      (import "" "make" (func $make (result i32)))
      (import "" "throw" (func $throw))
      (import "" "catch" (func $catch))
      (import "" "drop" (func $drop (param i32)))
      (elem (i32.const 0) func $catch)
      (func $is (param $letter i32) (result i32) (i32.eq (global.get $mode) (local.get $letter)))
      (func (export "run") (result i32) (local $list i32)
        (call $arguments (i32.const 0))
        (local.set $list (i32.load (i32.const 0)))
        (if (i32.ge_u (i32.load (i32.const 4)) (i32.const 2))
          (then (global.set $mode (i32.load8_u (i32.load offset=8 (local.get $list))))))
        (block $caught
          (try_table (catch_all $caught)
            (if (call $is (i32.const 0x66)) (then (call $throw))) ;; f
            (if (call $is (i32.const 0x64)) (then (call $drop (call $make)))) ;; d
            (call $arguments (i32.const 0))
            (call $catch)
            (return (i32.const 0))))
        (i32.const 1)))
    (core instance $main (instantiate $main
      (with "memory" (instance $memory))
      (with "" (instance (export "arguments" (func $arguments)) (export "make" (func $make))
        (export "throw" (func $throw)) (export "catch" (func $catch)) (export "drop" (func $drop))))))
    (func (export "run") (result (result)) (canon lift (core func $main "run"))))
  (instance $command (instantiate $command
    (with "arguments" (func $environment "get-arguments"))
    (with "thing" (type $provider "thing")) (with "make" (func $provider "make"))
    (with "throw" (func $provider "throw")) (with "catch" (func $provider "catch"))))
  (instance $run (export "run" (func $command "run")))
  (export "wasi:cli/run@0.2.6" (instance $run)))
