;; A guest that uses WASI, in steps that the host asks for. Each returns an error number.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "note")
  (data (i32.const 110) "../note")
  (data (i32.const 120) "/note")
  ;; Lists of one buffer: the arguments, what is read, and all of the memory and one byte more.
  (data (i32.const 0) "\00\04\00\00\05\00\00\00" "\00\08\00\00\05\00\00\00" "\00\00\00\00\01\00\01\00")
  ;; A subscription: the monotonic clock, one millisecond.
  (data (i32.const 216) "\01\00\00\00\00\00\00\00" "\40\42\0f\00\00\00\00\00")

  ;; The first five bytes of the arguments go to standard output.
  (func (export "say") (result i32)
    (drop (call $args_get (i32.const 512) (i32.const 1024)))
    (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))

  ;; Makes a file, writes the arguments to it, opens it anew and reads.
  (func (export "keep") (result i32)
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 4) (i32.const 9) (i64.const 64)
          (i64.const 64) (i32.const 0) (i32.const 72))
      (then (return (i32.const 1001))))
    (if (call $fd_write (i32.load (i32.const 72)) (i32.const 0) (i32.const 1) (i32.const 64))
      (then (return (i32.const 1002))))
    (if (call $fd_close (i32.load (i32.const 72))) (then (return (i32.const 1003))))
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 4) (i32.const 0) (i64.const 2)
          (i64.const 2) (i32.const 0) (i32.const 72))
      (then (return (i32.const 1004))))
    (if (call $fd_read (i32.load (i32.const 72)) (i32.const 8) (i32.const 1) (i32.const 64))
      (then (return (i32.const 1005))))
    (if (i64.ne (i64.load (i32.const 1024)) (i64.load (i32.const 2048))) (then (return (i32.const 1006))))
    (if (call $fd_close (i32.load (i32.const 72))) (then (return (i32.const 1007))))
    (call $unlink (i32.const 3) (i32.const 100) (i32.const 4)))

  ;; Paths that lead out of the directory.
  (func (export "up") (result i32)
    (call $path_open (i32.const 3) (i32.const 1) (i32.const 110) (i32.const 7) (i32.const 1) (i64.const 64)
      (i64.const 64) (i32.const 0) (i32.const 72)))
  (func (export "root") (result i32)
    (call $path_open (i32.const 3) (i32.const 1) (i32.const 120) (i32.const 5) (i32.const 1) (i64.const 64)
      (i64.const 64) (i32.const 0) (i32.const 72)))

  ;; A buffer that ends behind the memory.
  (func (export "beyond") (result i32)
    (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 64)))

  ;; Random bytes; 1 where eight of them are zeros.
  (func (export "random") (result i32)
    (if (call $random_get (i32.const 3000) (i32.const 8)) (then (return (i32.const 1000))))
    (i64.eqz (i64.load (i32.const 3000))))

  (func (export "sleep") (result i32)
    (call $poll (i32.const 200) (i32.const 300) (i32.const 1) (i32.const 64)))

  (func (export "exit") (param i32) (call $proc_exit (local.get 0))))
