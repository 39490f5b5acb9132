;; Resources that components define, and what happens to those who break the rules of calls between components: what is
;; done is chosen by the first letter of the argument.
;;! compile:
;;! run: unknown-handle
;;! exit: 134
;;! err: wasm trap: unknown handle index 77
;;! run: dropped-twice
;;! exit: 134
;;! err: wasm trap: unknown handle index 1
;;! run: wrong-type
;;! exit: 134
;;! err: wasm trap: handle index 1 used with the wrong type
;;! run: host-handle-of-another-component
;;! exit: 134
;;! err: wasm trap: unknown handle index 1
;;! run: given-away-while-borrowed
;;! exit: 134
;;! err: wasm trap: cannot remove owned resource while borrowed
;;! run: kept-borrow
;;! exit: 134
;;! err: wasm trap: borrow handles still remain at the end of the call
;;! run: owned-out-of-a-borrow
;;! exit: 134
;;! err: wasm trap: cannot lift own resource from a borrow
;;! run: leaving-in-realloc
;;! exit: 134
;;! err: wasm trap: cannot leave component instance
;;! run: making-in-realloc
;;! exit: 134
;;! err: wasm trap: cannot leave component instance
;;! run: allocating-outside
;;! exit: 134
;;! err: wasm trap: string content out-of-bounds
;;! run: string-outside
;;! exit: 134
;;! err: wasm trap: string content out-of-bounds
;;! run: encoding-invalid
;;! exit: 134
;;! err: wasm trap: invalid utf8 encoding
;;! run: badly-aligned-list
;;! exit: 134
;;! err: wasm trap: unaligned pointer
;;! run: number-of-no-case
;;! exit: 134
;;! err: wasm trap: invalid variant discriminant
;;! run: character-invalid
;;! exit: 134
;;! err: wasm trap: invalid `char` bit pattern
;;! run: parent-calls-child
;;! exit: 134
;;! err: wasm trap: cannot enter component instance
;;! run: too-many
;;! exit: 134
;;! err: wasm trap: cannot allocate another handle: too many handles
;;! compile: --bounds-checks explicit --fuel 100000
(component $root
  (import "wasi:cli/environment@0.2.6" (instance $environment
    (export "get-arguments" (func (result (list string))))))
  (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
  (import "wasi:io/streams@0.2.6" (instance $streams (export "output-stream" (type (sub resource)))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.6" (instance $stdout
    (alias outer 1 $output (type $output))
    (export "output-stream" (type $stream (eq $output)))
    (export "get-stdout" (func (result (own $stream))))))

  (core module $memory
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    (global $mode (export "mode") (mut i32) (i32.const 0))
    (table (export "table") 2 funcref)
    (type $call (func (result i32)))
    (func (export "realloc") (param $old i32) (param $old-len i32) (param $align i32) (param $len i32) (result i32)
      (if (i32.eq (global.get $mode) (i32.const 0x61)) ;; a
        (then (return (i32.const 65535))))
      (if (i32.eq (global.get $mode) (i32.const 0x6c)) ;; l
        (then (drop (call_indirect (type $call) (i32.const 0)))))
      (if (i32.eq (global.get $mode) (i32.const 0x6d)) ;; m
        (then (drop (call_indirect (type $call) (i32.const 1)))))
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -8)))
      (memory.copy (global.get $next) (local.get $old) (local.get $old-len))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get $len)))))

  ;; It defines two types of resources, and counts what is destroyed.
  (component $provider
    (alias outer $root $memory (core module $memory))
    (core instance $memory (instantiate $memory))
    (core module $counter
      (global $destroyed (mut i32) (i32.const 0))
      (func (export "destroy") (param $rep i32)
        (global.set $destroyed (i32.add (global.get $destroyed) (local.get $rep))))
      (func (export "destroyed") (result i32) (global.get $destroyed)))
    (core instance $counter (instantiate $counter))
    (type $thing (resource (rep i32) (dtor (func $counter "destroy"))))
    (type $other (resource (rep i32)))
    (core func $new (canon resource.new $thing))
    (core func $rep (canon resource.rep $thing))
    (core func $drop (canon resource.drop $thing))
    (core func $new-other (canon resource.new $other))
    (core module $main
      (import "" "new" (func $new (param i32) (result i32)))
      (import "" "rep" (func $rep (param i32) (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (import "" "new-other" (func $new-other (param i32) (result i32)))
      (import "memory" "memory" (memory 1))
      (data (i32.const 64) "text")
      (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
      (func (export "make-other") (param i32) (result i32) (call $new-other (local.get 0)))
      ;; It gets the representation, not a handle.
      (func (export "double") (param $rep i32) (result i32) (i32.mul (local.get $rep) (i32.const 2)))
      (func (export "take") (param $handle i32) (result i32) (local $rep i32)
        (local.set $rep (call $rep (local.get $handle)))
        (call $drop (local.get $handle))
        (local.get $rep))
      (func (export "both") (param $rep i32) (param $handle i32) (call $drop (local.get $handle)))
      (func (export "text") (result i32)
        (i32.store (i32.const 8) (i32.const 64))
        (i32.store (i32.const 12) (i32.const 4))
        (i32.const 8))
      (func (export "read") (param i32 i32))
      (func (export "letter") (param i32))
      (func (export "case") (param i32)))
    (core instance $main (instantiate $main
      (with "" (instance (export "new" (func $new)) (export "rep" (func $rep)) (export "drop" (func $drop))
        (export "new-other" (func $new-other))))
      (with "memory" (instance $memory))))
    (export $thing' "thing" (type $thing))
    (export $other' "other" (type $other))
    (func (export "make") (param "value" u32) (result (own $thing')) (canon lift (core func $main "make")))
    (func (export "make-other") (param "value" u32) (result (own $other')) (canon lift (core func $main "make-other")))
    (func (export "double") (param "thing" (borrow $thing')) (result u32) (canon lift (core func $main "double")))
    (func (export "take") (param "thing" (own $thing')) (result u32) (canon lift (core func $main "take")))
    (func (export "both") (param "lent" (borrow $thing')) (param "given" (own $thing'))
      (canon lift (core func $main "both")))
    (func (export "destroyed") (result u32) (canon lift (core func $counter "destroyed")))
    (func (export "text") (result string) (canon lift (core func $main "text")
      (memory $memory "memory") (realloc (func $memory "realloc"))))
    (func (export "read") (param "text" string) (canon lift (core func $main "read")
      (memory $memory "memory") (realloc (func $memory "realloc"))))
    (func (export "read-list") (param "list" (list u32)) (canon lift (core func $main "read")
      (memory $memory "memory") (realloc (func $memory "realloc"))))
    (func (export "letter") (param "letter" char) (canon lift (core func $main "letter")))
    (type $case' (enum "one" "two"))
    (export $case "case-of" (type $case'))
    (func (export "case") (param "case" $case) (canon lift (core func $main "case"))))
  (instance $provider (instantiate $provider))
  (alias export $provider "thing" (type $thing))

  ;; It is lent things that it does not define.
  (component $middle
    (import "thing" (type $thing (sub resource)))
    (import "output-stream" (type $output (sub resource)))
    (import "double" (func $double (param "thing" (borrow $thing)) (result u32)))
    (import "take" (func $take (param "thing" (own $thing)) (result u32)))
    (core func $double (canon lower (func $double)))
    (core func $take (canon lower (func $take)))
    (core func $drop (canon resource.drop $thing))
    (core func $drop-output (canon resource.drop $output))
    (core module $main
      (import "" "double" (func $double (param i32) (result i32)))
      (import "" "take" (func $take (param i32) (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (import "" "drop-output" (func $drop-output (param i32)))
      (func (export "double") (param $handle i32) (result i32)
        (call $double (local.get $handle))
        (call $drop (local.get $handle)))
      (func (export "keep") (param i32))
      (func (export "take") (param $handle i32) (result i32) (call $take (local.get $handle)))
      (func (export "guess") (call $drop-output (i32.const 1)))
      (func (export "drop-output") (param i32) (call $drop-output (local.get 0))))
    (core instance $main (instantiate $main (with "" (instance (export "double" (func $double))
      (export "take" (func $take)) (export "drop" (func $drop)) (export "drop-output" (func $drop-output))))))
    (func (export "double") (param "thing" (borrow $thing)) (result u32) (canon lift (core func $main "double")))
    (func (export "keep") (param "thing" (borrow $thing)) (canon lift (core func $main "keep")))
    (func (export "take") (param "thing" (borrow $thing)) (result u32) (canon lift (core func $main "take")))
    (func (export "guess") (canon lift (core func $main "guess")))
    (func (export "close") (param "stream" (own $output)) (canon lift (core func $main "drop-output"))))
  (instance $middle (instantiate $middle (with "thing" (type $thing)) (with "output-stream" (type $output))
    (with "double" (func $provider "double")) (with "take" (func $provider "take"))))

  (component $command
    (alias outer $root $memory (core module $memory))
    (core instance $memory (instantiate $memory))
    (import "arguments" (func $arguments (result (list string))))
    (import "output-stream" (type $output (sub resource)))
    (import "stdout" (func $stdout (result (own $output))))
    (import "provider" (instance $provider
      (export "thing" (type $thing (sub resource)))
      (export "other" (type $other (sub resource)))
      (export "make" (func (param "value" u32) (result (own $thing))))
      (export "make-other" (func (param "value" u32) (result (own $other))))
      (export "double" (func (param "thing" (borrow $thing)) (result u32)))
      (export "take" (func (param "thing" (own $thing)) (result u32)))
      (export "both" (func (param "lent" (borrow $thing)) (param "given" (own $thing))))
      (export "destroyed" (func (result u32)))
      (export "text" (func (result string)))
      (export "read" (func (param "text" string)))
      (export "read-list" (func (param "list" (list u32))))
      (export "letter" (func (param "letter" char)))
      (type $case' (enum "one" "two"))
      (export "case-of" (type $case (eq $case')))
      (export "case" (func (param "case" $case)))))
    (alias export $provider "thing" (type $thing))
    (import "middle" (instance $middle
      (alias outer 1 $thing (type $thing))
      (alias outer 1 $output (type $output))
      (export "double" (func (param "thing" (borrow $thing)) (result u32)))
      (export "keep" (func (param "thing" (borrow $thing))))
      (export "take" (func (param "thing" (borrow $thing)) (result u32)))
      (export "guess" (func))
      (export "close" (func (param "stream" (own $output))))))

    ;; A child that calls what its parent has.
    (core module $answer (func (export "answer") (result i32) (i32.const 42)))
    (core instance $answer (instantiate $answer))
    (func $answer (result u32) (canon lift (core func $answer "answer")))
    (component $child
      (import "up" (func $up (result u32)))
      (core func $up (canon lower (func $up)))
      (core module $main (import "" "up" (func $up (result i32))) (func (export "go") (result i32) (call $up)))
      (core instance $main (instantiate $main (with "" (instance (export "up" (func $up))))))
      (func (export "go") (result u32) (canon lift (core func $main "go"))))
    (instance $child (instantiate $child (with "up" (func $answer))))

    (type $own (resource (rep i32)))
    (core func $make-own (canon resource.new $own))
    (core func $arguments (canon lower (func $arguments) (memory $memory "memory") (realloc (func $memory "realloc"))))
    (core func $stdout (canon lower (func $stdout)))
    (core func $make (canon lower (func $provider "make")))
    (core func $make-other (canon lower (func $provider "make-other")))
    (core func $double (canon lower (func $provider "double")))
    (core func $take (canon lower (func $provider "take")))
    (core func $both (canon lower (func $provider "both")))
    (core func $destroyed (canon lower (func $provider "destroyed")))
    (core func $text (canon lower (func $provider "text") (memory $memory "memory") (realloc (func $memory "realloc"))))
    (core func $read (canon lower (func $provider "read") (memory $memory "memory")))
    (core func $read-list (canon lower (func $provider "read-list") (memory $memory "memory")))
    (core func $letter (canon lower (func $provider "letter")))
    (core func $case (canon lower (func $provider "case")))
    (core func $middle-double (canon lower (func $middle "double")))
    (core func $keep (canon lower (func $middle "keep")))
    (core func $middle-take (canon lower (func $middle "take")))
    (core func $guess (canon lower (func $middle "guess")))
    (core func $close (canon lower (func $middle "close")))
    (core func $child (canon lower (func $child "go")))
    (core func $drop (canon resource.drop $thing))
    (core module $main
      (import "memory" "memory" (memory 1))
      (import "memory" "mode" (global $mode (mut i32)))
      (import "memory" "table" (table 2 funcref))
      (import "" "arguments" (func $arguments (param i32)))
      (import "" "stdout" (func $stdout (result i32)))
      (import "" "make" (func $make (param i32) (result i32)))
      (import "" "make-other" (func $make-other (param i32) (result i32)))
      (import "" "double" (func $double (param i32) (result i32)))
      (import "" "take" (func $take (param i32) (result i32)))
      (import "" "both" (func $both (param i32 i32)))
      (import "" "destroyed" (func $destroyed (result i32)))
      (import "" "text" (func $text (param i32)))
      (import "" "read" (func $read (param i32 i32)))
      (import "" "read-list" (func $read-list (param i32 i32)))
      (import "" "letter" (func $letter (param i32)))
      (import "" "case" (func $case (param i32)))
      (import "" "middle-double" (func $middle-double (param i32) (result i32)))
      (import "" "keep" (func $keep (param i32)))
      (import "" "middle-take" (func $middle-take (param i32) (result i32)))
      (import "" "guess" (func $guess))
      (import "" "close" (func $close (param i32)))
      (import "" "child" (func $child (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (import "" "make-own" (func $make-own (param i32) (result i32)))
      (func $make-in-realloc (result i32) (call $make-own (i32.const 1)))
      (elem (i32.const 0) func $destroyed $make-in-realloc)
      (data (i32.const 64) "\ff\fe")
      (func $is (param $letter i32) (result i32) (i32.eq (global.get $mode) (local.get $letter)))
      (func $read-mode (local $list i32)
        (call $arguments (i32.const 0))
        (local.set $list (i32.load (i32.const 0)))
        (if (i32.ge_u (i32.load (i32.const 4)) (i32.const 2))
          (then (global.set $mode (i32.load8_u (i32.load offset=8 (local.get $list)))))))
      (func $expect (param $found i32) (param $expected i32)
        (if (i32.ne (local.get $found) (local.get $expected)) (then unreachable)))
      (func (export "run") (result i32) (local $first i32) (local $second i32)
        (call $read-mode)
        (if (call $is (i32.const 0x75)) (then (drop (call $double (i32.const 77))))) ;; u
        (if (call $is (i32.const 0x77)) (then (drop (call $double (call $make-other (i32.const 1)))))) ;; w
        (if (call $is (i32.const 0x6c)) (then (call $text (i32.const 16)))) ;; l
        (if (call $is (i32.const 0x6d)) (then (call $text (i32.const 16)))) ;; m
        (if (call $is (i32.const 0x61)) (then (call $text (i32.const 16)))) ;; a
        (if (call $is (i32.const 0x73)) (then (call $read (i32.const 65530) (i32.const 7)))) ;; s
        (if (call $is (i32.const 0x65)) (then (call $read (i32.const 64) (i32.const 2)))) ;; e
        (if (call $is (i32.const 0x6e)) (then (call $case (i32.const 2)))) ;; n
        (if (call $is (i32.const 0x63)) (then (call $letter (i32.const 0xd800)))) ;; c
        (if (call $is (i32.const 0x70)) (then (drop (call $child)))) ;; p
        (if (call $is (i32.const 0x74)) (then (loop $more (drop (call $make (i32.const 0))) (br $more)))) ;; t

        (local.set $first (call $make (i32.const 21)))
        (local.set $second (call $make (i32.const 100)))
        (call $expect (local.get $second) (i32.add (local.get $first) (i32.const 1)))
        (call $expect (call $double (local.get $first)) (i32.const 42))
        (call $expect (call $middle-double (local.get $second)) (i32.const 200))
        (if (call $is (i32.const 0x67)) (then (call $both (local.get $first) (local.get $first)))) ;; g
        (if (call $is (i32.const 0x6b)) (then (call $keep (local.get $first)))) ;; k
        (if (call $is (i32.const 0x6f)) (then (drop (call $middle-take (local.get $first))))) ;; o
        (call $both (local.get $first) (local.get $second))
        (call $expect (call $destroyed) (i32.const 100))
        (call $drop (local.get $first))
        (call $expect (call $destroyed) (i32.const 121))
        (if (call $is (i32.const 0x64)) (then (call $drop (local.get $first)))) ;; d
        (call $expect (call $take (call $make (i32.const 9))) (i32.const 9))
        (call $expect (call $destroyed) (i32.const 130))
        ;; A resource of the host goes to another component, which closes it.
        (local.set $first (call $stdout))
        (if (call $is (i32.const 0x68)) (then (call $guess))) ;; h
        (call $close (local.get $first))
        (if (call $is (i32.const 0x62)) (then (call $read-list (i32.const 2) (i32.const 1)))) ;; b
        (call $text (i32.const 16))
        (call $expect (i32.load (i32.load (i32.const 16))) (i32.const 0x74786574))
        (call $expect (i32.load (i32.const 20)) (i32.const 4))
        (call $read-list (i32.const 32) (i32.const 3))
        (call $case (i32.const 1))
        (call $letter (i32.const 0x10ffff))
        (i32.const 0)))
    (core instance $main (instantiate $main
      (with "memory" (instance $memory))
      (with "" (instance (export "arguments" (func $arguments)) (export "stdout" (func $stdout))
        (export "make" (func $make)) (export "make-other" (func $make-other)) (export "double" (func $double))
        (export "take" (func $take)) (export "both" (func $both)) (export "destroyed" (func $destroyed))
        (export "text" (func $text)) (export "read" (func $read)) (export "read-list" (func $read-list))
        (export "letter" (func $letter)) (export "case" (func $case)) (export "middle-double" (func $middle-double))
        (export "keep" (func $keep)) (export "middle-take" (func $middle-take)) (export "guess" (func $guess))
        (export "close" (func $close)) (export "child" (func $child)) (export "drop" (func $drop))
        (export "make-own" (func $make-own))))))
    (func (export "run") (result (result)) (canon lift (core func $main "run"))))
  (instance $command (instantiate $command
    (with "arguments" (func $environment "get-arguments")) (with "output-stream" (type $output))
    (with "stdout" (func $stdout "get-stdout"))
    (with "provider" (instance $provider)) (with "middle" (instance $middle))))
  (instance $run (export "run" (func $command "run")))
  (export "wasi:cli/run@0.2.6" (instance $run)))
