;; Eight threads append a line with their own digit to a file of their own, 1,000 times, and open and close it each time.
(module
  (import "env" "memory" (memory 2 2 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (local $i i32) (local $at i32)
    (local.set $at (i32.shl (local.get $arg) (i32.const 12)))
    ;; The name, the line, the list of one buffer.
    (i32.store8 (local.get $at) (i32.const 102))
    (i32.store8 offset=1 (local.get $at) (i32.add (i32.const 48) (local.get $arg)))
    (i32.store16 offset=4 (local.get $at) (i32.add (i32.const 0x0a30) (local.get $arg)))
    (i32.store offset=8 (local.get $at) (i32.add (local.get $at) (i32.const 4)))
    (i32.store offset=12 (local.get $at) (i32.const 2))
    (loop $again
      (if (call $path_open (i32.const 3) (i32.const 0) (local.get $at) (i32.const 2) (i32.const 1)
            (i64.const 64) (i64.const 0) (i32.const 1) (i32.add (local.get $at) (i32.const 16)))
        (then (unreachable)))
      (if (call $fd_write (i32.load offset=16 (local.get $at)) (i32.add (local.get $at) (i32.const 8)) (i32.const 1)
            (i32.add (local.get $at) (i32.const 20)))
        (then (unreachable)))
      (if (call $fd_close (i32.load offset=16 (local.get $at))) (then (unreachable)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))
    (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
  (func (export "_start")
    (local $i i32) (local $done i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (if (i32.le_s (call $spawn (local.get $i)) (i32.const 0)) (then (unreachable)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 8))))
    (loop $wait
      (local.set $done (i32.atomic.load (i32.const 0)))
      (if (i32.ne (local.get $done) (i32.const 8)) (then
        (drop (memory.atomic.wait32 (i32.const 0) (local.get $done) (i64.const -1)))
        (br $wait))))))
