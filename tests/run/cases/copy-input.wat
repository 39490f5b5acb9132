;; Input is copied to output, piece by piece, until its end.
;;! in: one line
;;! in: and another
;;! out: one line
;;! out: and another
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\05\00\00\00")
  (func $_start (export "_start")
    (loop $more
      (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 12)) (then unreachable))
      (if (i32.load (i32.const 12))
        (then
          (i32.store (i32.const 24) (i32.load (i32.const 12)))
          (i32.store (i32.const 20) (i32.const 64))
          (if (call $fd_write (i32.const 1) (i32.const 20) (i32.const 1) (i32.const 32)) (then unreachable))
          (br $more))))))
