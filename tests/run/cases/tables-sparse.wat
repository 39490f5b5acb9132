;; A large table with few elements, which never changes: it is made when the program starts.
;;! compile: --invoke f
;;! run: 0
;;! exit: 134
;;! err: uninitialized element
;;! run: 1
;;! out: 11
;;! run: 999999
;;! out: 12
;;! run: 500000
;;! exit: 134
;;! err: indirect call type mismatch
;;! run: 1000000
;;! exit: 134
;;! err: undefined element
;;! run: -1
;;! exit: 134
;;! err: undefined element
(module
  (type $number (func (result i32)))
  (table $sparse 1000000 funcref)
  ;; Each element is the same function.
  (table $filled 1000000 (ref $number) (ref.func $eleven))
  (elem (table $sparse) (i32.const 1) func $eleven)
  (elem (table $sparse) (i32.const 999999) func $eleven)
  (elem (table $sparse) (i32.const 999999) func $twelve)
  (elem (table $sparse) (i32.const 500000) func $other)
  (func $eleven (result i32) (i32.const 11))
  (func $twelve (result i32) (i32.const 12))
  (func $other)
  (func (export "f") (param i32) (result i32)
    (if (i32.ne (call_indirect $filled (type $number) (i32.const 123456)) (i32.const 11)) (then (unreachable)))
    (if (i32.eqz (ref.is_null (table.get $sparse (i32.const 2)))) (then (unreachable)))
    (call_indirect $sparse (type $number) (local.get 0))))
