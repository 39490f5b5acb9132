;; Removes `b.conf` in descriptor 3, makes a link to `secret` of that name, and opens `b.conf` in descriptor 4. The exit
;; code is the error of that.
(module
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "b.confsecret")
  (func (export "_start")
    (if (call $unlink (i32.const 3) (i32.const 16) (i32.const 6)) (then (call $exit (i32.const 101))))
    (if (call $symlink (i32.const 22) (i32.const 6) (i32.const 3) (i32.const 16) (i32.const 6))
      (then (call $exit (i32.const 102))))
    (call $exit
      (call $open (i32.const 4) (i32.const 1) (i32.const 16) (i32.const 6) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))))
