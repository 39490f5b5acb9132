;; Opens `file` of the first granted directory until it is refused, closes all, does both again. The exit code is the
;; error; 99 where the second round does not get as far as the first, 98 where a number is not closed.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "file")
  (global $count (mut i32) (i32.const 0))
  (global $error (mut i32) (i32.const 0))
  ;; Descriptors go to 64 and up, 16 bits each.
  (func $round
    (local $i i32)
    (global.set $count (i32.const 0))
    (block $refused
      (loop $again
        (global.set $error
          (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))
        (br_if $refused (global.get $error))
        (i32.store16 offset=64 (i32.shl (global.get $count) (i32.const 1)) (i32.load (i32.const 0)))
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (br_if $again (i32.lt_u (global.get $count) (i32.const 32000)))))
    (loop $close
      (if (i32.lt_u (local.get $i) (global.get $count))
        (then
          (if (call $fd_close (i32.load16_u offset=64 (i32.shl (local.get $i) (i32.const 1))))
            (then (call $proc_exit (i32.const 98))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $close)))))
  (func (export "_start")
    (local $first i32)
    (call $round)
    (local.set $first (global.get $count))
    (call $round)
    (if (i32.ne (local.get $first) (global.get $count)) (then (call $proc_exit (i32.const 99))))
    (call $proc_exit (global.get $error))))
