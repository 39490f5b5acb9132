;; Opens a file of the first granted directory and writes a line, so that a start with a grant can be timed.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\0e\00\00\00")
  (data (i32.const 16) "Hello, world!\0ahostname")
  (func (export "_start")
    (drop
      (call $open (i32.const 3) (i32.const 0) (i32.const 30) (i32.const 8) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 100)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 104)))))
