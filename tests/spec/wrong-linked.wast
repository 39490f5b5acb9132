;; Assertions for the test of the harness itself about modules that import from each other, see selftest.rs.

(module $exporter
  (global (export "g") (mut i32) (i32.const 1))
  (memory (export "m") 1)
  (table (export "t") 2 funcref)
  (func (export "f"))
  (func (export "loaded") (result i32) (i32.load8_u (i32.const 0))))
(assert_return (invoke $exporter "f"))
(register "exporter" $exporter)
(assert_return (get $exporter "g") (i32.const 1))
(assert_return (invoke $exporter "loaded") (i32.const 0))
(module
  (import "exporter" "g" (global $g (mut i32)))
  (memory (import "exporter" "m") 1)
  (data (i32.const 0) "a")
  (func (export "f") (global.set $g (i32.const 2)))
  (func (export "unreachable") (unreachable)))
(assert_return (invoke $exporter "loaded") (i32.const 97))
(assert_return (invoke $exporter "loaded") (i32.const 0)) ;; wrong
(assert_return (invoke "f"))
(assert_return (get $exporter "g") (i32.const 2))
(assert_return (get $exporter "g") (i32.const 1)) ;; wrong
(assert_trap (invoke "unreachable") "unreachable")
(assert_trap (invoke "unreachable") "integer overflow") ;; wrong
(assert_trap (invoke "f") "unreachable") ;; wrong
(assert_unlinkable (module (import "exporter" "g" (global i32))) "incompatible import type")
(assert_unlinkable (module (import "exporter" "g" (global i32))) "unknown import") ;; wrong
(assert_unlinkable (module (import "exporter" "g" (global (mut i32)))) "unknown import") ;; wrong
(assert_unlinkable (module (import "spectest" "print" (func (param i32)))) "incompatible import type")
(assert_unlinkable (module (import "exporter" "nothing" (func))) "unknown import")

;; Another instance of the same program shares nothing with those.
(module $other (memory (export "m") 1) (func (export "loaded") (result i32) (i32.load8_u (i32.const 0))))
(register "other" $other)

;; What a module leaves behind whose instantiation traps is not seen in an executable.
(assert_trap (module (memory (import "exporter" "m") 1) (data (i32.const 0) "b") (data (i32.const 65536) "b")) "out of bounds memory access")
(assert_trap (module (memory (import "other" "m") 1) (data (i32.const 0) "b")) "out of bounds memory access") ;; wrong
(assert_return (invoke $exporter "loaded") (i32.const 98)) ;; executables: not run
(assert_return (invoke $exporter "loaded") (i32.const 97)) ;; libraries: wrong; executables: not run
(assert_return (invoke $other "loaded") (i32.const 98)) ;; executables: not run
(module $third (func $f (export "f")) (start $f))
(assert_return (invoke "f"))
(register "third")
(module (import "third" "f" (func $f)) (func $start (call $f) (unreachable)) (start $start)) ;; wrong
(assert_return (invoke $third "f")) ;; executables: not run
