(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func (param i32 i32 i32 i32) (result i32)))
  (func (export "_start") (call $exit (i32.const 300)))
  (func (export "spin") (loop (br 0)))
  (func (export "trap") (unreachable))
  (func (export "half") (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 2))))
