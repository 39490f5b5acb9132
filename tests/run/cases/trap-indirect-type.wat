;;! exit: 134
;;! err: wasm trap: indirect call type mismatch
;;! err: dispatch
;;! err: _start
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $nothing $number)
  (func $nothing)
  (func $number (result i32) (i32.const 1))
  (func $dispatch (param i32) (call_indirect (local.get 0)))
  (func $_start (export "_start")
    (call $dispatch (i32.const 0))
    (call $dispatch (i32.const 1))))
