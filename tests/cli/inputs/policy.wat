(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2 100)
  (table 3 funcref)
  (global (mut i32) (i32.const 0))
  (data (i32.const 16) "some data")
  (elem (i32.const 1) $helper)
  (func $helper (result i32) (i32.const 7))
  (func $_start (export "_start") (call $exit (call_indirect (result i32) (i32.const 1)))))
