;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: clear
;;! err: _start
(module
  (memory (export "memory") 1)
  (func $clear (param i32 i32) (memory.fill (local.get 0) (i32.const 0) (local.get 1)))
  (func $_start (export "_start")
    (call $clear (i32.const 65536) (i32.const 0))
    (call $clear (i32.const 0) (i32.const 65536))
    (call $clear (i32.const 1) (i32.const 65536))))
