;;! exit: 134
;;! err: wasm trap: integer overflow
;;! err: convert
;;! err: _start
(module
  (memory (export "memory") 1)
  (func $convert (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
  (func $_start (export "_start")
    (f64.store (i32.const 0) (f64.const 2147483648))
    (drop (call $convert (f64.load (i32.const 0))))))
