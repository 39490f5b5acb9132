(module
  (import "env" "a" (func $a (param i32) (result i32)))
  (import "odd\u{202e}" "b" (func $b))
  (table funcref (elem $a $b))
  (func (export "tail") (result i32)
    (return_call $a (i32.const 1)))
  (func (export "indirect")
    (call_indirect (i32.const 1))))
