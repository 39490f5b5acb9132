;;! exit: 134
;;! err: wasm trap: indirect call type mismatch
;;! err: dispatch
;;! err: _start
;; As before, but the table can change at run time.
(module
  (memory (export "memory") 1)
  (table $t 2 funcref)
  (elem declare func $nothing $number)
  (func $nothing)
  (func $number (result i32) (i32.const 1))
  (func $dispatch (param i32) (call_indirect (local.get 0)))
  (func $_start (export "_start")
    (table.set $t (i32.const 0) (ref.func $nothing))
    (table.set $t (i32.const 1) (ref.func $number))
    (call $dispatch (i32.const 0))
    (call $dispatch (i32.const 1))))
