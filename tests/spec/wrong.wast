;; Assertions for the test of the harness itself, see selftest.rs.

(module
  (global (export "global") i32 (i32.const 5))
  (global $state (mut i32) (i32.const 0))
  (func (export "i32") (result i32) (i32.const 5))
  (func (export "i64") (result i64) (i64.const -5))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "v128") (param v128) (result v128) (local.get 0))
  (func (export "two") (result i32 i64) (i32.const 1) (i64.const 2))
  (func (export "null") (result funcref) (ref.null func))
  (func $f (export "func") (result funcref) (ref.func $f))
  (func (export "nothing"))
  (func (export "next") (result i32)
    (global.set $state (i32.add (global.get $state) (i32.const 1)))
    (global.get $state))
  (func (export "unreachable") (unreachable))
  (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
)
(assert_return (get "global") (i32.const 5))
(assert_return (get "global") (i32.const 6)) ;; wrong
(assert_return (invoke "i32") (i32.const 5))
(assert_return (invoke "i32") (i32.const 4)) ;; wrong
(assert_return (invoke "i64") (i64.const 0xfffffffb)) ;; wrong
(assert_return (invoke "f32" (f32.const -0)) (f32.const -0))
(assert_return (invoke "f32" (f32.const -0)) (f32.const 0)) ;; wrong
(assert_return (invoke "f32" (f32.const -nan)) (f32.const nan:canonical))
(assert_return (invoke "f32" (f32.const nan:0x400001)) (f32.const nan:arithmetic))
(assert_return (invoke "f32" (f32.const nan:0x400001)) (f32.const nan:canonical)) ;; wrong
(assert_return (invoke "f32" (f32.const nan:0x200000)) (f32.const nan:arithmetic)) ;; wrong
(assert_return (invoke "f32" (f32.const inf)) (f32.const nan:arithmetic)) ;; wrong
(assert_return (invoke "f64" (f64.const nan:0x8000000000001)) (f64.const nan:arithmetic))
(assert_return (invoke "f64" (f64.const nan:0x8000000000001)) (f64.const nan:canonical)) ;; wrong
(assert_return (invoke "f64" (f64.const nan:0x4000000000000)) (f64.const nan:arithmetic)) ;; wrong
(assert_return (invoke "v128" (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)) (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15))
(assert_return (invoke "v128" (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)) (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 16)) ;; wrong
(assert_return (invoke "v128" (v128.const f32x4 0 nan -0 1)) (v128.const f32x4 0 nan:canonical -0 1))
(assert_return (invoke "v128" (v128.const f32x4 0 nan -0 1)) (v128.const f32x4 nan:canonical nan:canonical -0 1)) ;; wrong
(assert_return (invoke "v128" (v128.const f32x4 0 nan -0 1)) (v128.const f32x4 0 nan:canonical 0 1)) ;; wrong
(assert_return (invoke "two") (i32.const 1) (i64.const 2))
(assert_return (invoke "two") (i32.const 1) (i64.const 3)) ;; wrong
(assert_return (invoke "two") (i32.const 2) (i64.const 2)) ;; wrong
(assert_return (invoke "i32") (either (i32.const 4) (i32.const 5)))
(assert_return (invoke "i32") (either (i32.const 4) (i32.const 6))) ;; wrong
(assert_return (invoke "null") (ref.null func))
(assert_return (invoke "null") (ref.func)) ;; wrong
(assert_return (invoke "func") (ref.func))
(assert_return (invoke "func") (ref.null)) ;; wrong
(assert_return (invoke "next") (i32.const 1))
(invoke "next")
(assert_return (invoke "next") (i32.const 3))
(assert_return (invoke "next") (i32.const 3)) ;; wrong
(assert_return (invoke "next") (i32.const 5))
(assert_trap (invoke "unreachable") "unreachable")
(assert_trap (invoke "unreachable") "integer overflow") ;; wrong
(assert_trap (invoke "nothing") "unreachable") ;; wrong
(assert_trap (invoke "divide" (i32.const 0)) "integer divide by zero")
(assert_trap (invoke "divide" (i32.const 1)) "integer divide by zero") ;; wrong
(assert_exception (invoke "unreachable")) ;; wrong
(assert_exhaustion (invoke "unreachable") "call stack exhausted") ;; wrong

;; What traps and must not ends the steps of its module in an executable.
(module
  (func (export "one") (result i32) (i32.const 1))
  (func (export "unreachable") (unreachable)))
(assert_return (invoke "one") (i32.const 1))
(assert_return (invoke "one") (i32.const 2)) ;; wrong
(assert_trap (invoke "unreachable") "unreachable")
(assert_return (invoke "unreachable")) ;; wrong
(assert_return (invoke "one") (i32.const 1)) ;; executables: not run
(assert_trap (invoke "unreachable") "unreachable") ;; executables: not run

;; A module that cannot be instantiated.
(module (func $start (unreachable)) (start $start) (func (export "f"))) ;; wrong
(assert_return (invoke "f")) ;; not run

(assert_trap (module (func $start (unreachable)) (start $start)) "unreachable")
(assert_trap (module (func $start) (start $start)) "unreachable") ;; wrong
(assert_trap (module (memory 0) (data (i32.const 0) "a")) "out of bounds memory access")
(assert_trap (module (memory 1) (data (i32.const 0) "a")) "out of bounds memory access") ;; wrong

(assert_invalid (module (func (result i32))) "type mismatch")
(assert_invalid (module (func)) "type mismatch") ;; wrong
(assert_malformed (module quote "(module (func") "unexpected token")
(assert_malformed (module quote "(module (func))") "unexpected token") ;; wrong
(assert_malformed (module binary "\00asm") "unexpected end")
(assert_malformed (module binary "\00asm\01\00\00\00") "unexpected end") ;; wrong
(assert_unlinkable (module (import "nobody" "f" (func))) "unknown import")
(assert_unlinkable (module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))) "unknown import") ;; executables: wrong

;; What needs a host is not run as an executable, and seen as such.
(module (func (export "f") (param externref) (result externref) (local.get 0)))
(assert_return (invoke "f" (ref.null extern)) (ref.null extern))
(assert_return (invoke "f" (ref.extern 0)) (ref.extern 0)) ;; executables: not run
(assert_return (invoke "f" (ref.extern 1)) (ref.extern)) ;; executables: not run
(assert_return (invoke "f" (ref.extern 1)) (ref.extern 0)) ;; libraries: wrong; executables: not run
(assert_return (invoke "f" (ref.extern 0)) (ref.null)) ;; libraries: wrong; executables: not run
(assert_return (invoke "f" (ref.null extern)) (ref.extern)) ;; libraries: wrong; executables: not run
(module (tag $e) (func (export "throw") (throw $e)) (func (export "return")))
(assert_exception (invoke "throw"))
(assert_exception (invoke "return")) ;; wrong
(assert_return (invoke "throw")) ;; wrong
