;;! exit: 134
;;! err: wasm trap: invalid conversion to integer
;;! err: convert
;;! err: _start
(module
  (memory (export "memory") 1)
  (func $convert (param f32) (result i64) (i64.trunc_f32_u (local.get 0)))
  (func $_start (export "_start")
    (f32.store (i32.const 0) (f32.const nan))
    (drop (call $convert (f32.load (i32.const 0))))))
