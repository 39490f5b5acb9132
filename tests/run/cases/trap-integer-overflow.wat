;;! exit: 134
;;! err: wasm trap: integer overflow
;;! err: divide
;;! err: _start
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\00\00\80\ff\ff\ff\ff")
  (func $divide (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func $_start (export "_start")
    (drop (call $divide (i32.load (i32.const 0)) (i32.load (i32.const 4))))))
