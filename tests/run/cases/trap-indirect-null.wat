;;! exit: 134
;;! err: wasm trap: uninitialized element
;;! err: dispatch
;;! err: _start
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $nothing)
  (func $nothing)
  (func $dispatch (param i32) (call_indirect (local.get 0)))
  (func $_start (export "_start")
    (call $dispatch (i32.const 0))
    (call $dispatch (i32.const 1))))
