;; Assertions that are wrong, on lines that say so: a test of the harness.

(component
  (core module $m
    (memory (export "memory") 1)
    (global $end (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $end)
      (global.set $end (i32.and (i32.add (global.get $end) (i32.add (local.get 3) (i32.const 7))) (i32.const -8))))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "nan") (result f64) (f64.const nan:0x123))
    (func (export "trap") (unreachable)))
  (core instance $i (instantiate $m))
  (type $list (list string))
  (func (export "echo") (param "x" $list) (result $list)
    (canon lift (core func $i "echo") (memory $i "memory") (realloc (func $i "realloc"))))
  (func (export "add") (param "a" u8) (param "b" u8) (result u8) (canon lift (core func $i "add")))
  (func (export "nan") (result f64) (canon lift (core func $i "nan")))
  (func (export "trap") (canon lift (core func $i "trap"))))

(assert_return (invoke "add" (u8.const 1) (u8.const 2)) (u8.const 3))
(assert_return (invoke "add" (u8.const 1) (u8.const 2)) (u8.const 4)) ;; wrong
(assert_return (invoke "add" (u8.const 1)) (u8.const 1)) ;; wrong
(assert_return (invoke "add" (u8.const 1) (u16.const 2)) (u8.const 3)) ;; wrong
(assert_return (invoke "sub" (u8.const 1) (u8.const 2)) (u8.const 3)) ;; wrong
(assert_return (invoke "nan") (f64.const nan:canonical))
(assert_return (invoke "nan") (f64.const 1)) ;; wrong
(assert_return (invoke "echo" (list.const (str.const "ab") (str.const ""))) (list.const (str.const "ab") (str.const "")))
(assert_return (invoke "echo" (list.const (str.const "ab") (str.const ""))) (list.const (str.const "ac") (str.const ""))) ;; wrong
(assert_return (invoke "echo" (list.const (str.const "ab") (str.const ""))) (list.const (str.const "ab"))) ;; wrong
(assert_trap (invoke "trap") "unreachable")
(assert_trap (invoke "trap") "integer overflow") ;; wrong
(assert_trap (invoke "nan") "unreachable") ;; wrong
(assert_return (invoke "trap")) ;; wrong
;; What comes after a call that ended the program is not run.
(assert_return (invoke "add" (u8.const 1) (u8.const 2)) (u8.const 4))

(component ;; wrong
  (core module $m (func $start (unreachable)) (start $start))
  (core instance (instantiate $m)))

(assert_trap ;; wrong
  (component (core module $m) (core instance (instantiate $m)))
  "unreachable")

(assert_invalid (component (type $f (func (param "A B" u32)))) "not in kebab case")
(assert_invalid (component (type $f (func (param "a" u32)))) "not in kebab case") ;; wrong
(assert_invalid (component (type $f (func (param "a" 7)))) "not in kebab case") ;; wrong
