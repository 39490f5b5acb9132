;;! exit: 134
;;! err: wasm trap: uninitialized element
;;! err: dispatch
;;! err: _start
(module
  (memory (export "memory") 1)
  (table $t 1 funcref)
  (elem declare func $nothing)
  (func $nothing)
  (func $dispatch (call_indirect (i32.const 0)))
  (func $_start (export "_start")
    (table.set $t (i32.const 0) (ref.func $nothing))
    (call $dispatch)
    (table.set $t (i32.const 0) (ref.null func))
    (call $dispatch)))
