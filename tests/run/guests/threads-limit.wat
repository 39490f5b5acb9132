;; Starts threads that sleep until the system has no more, which must be the error `again`, negative; then goes on.
(module
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (data (i32.const 16) "\20\00\00\00\08\00\00\00")
  (data (i32.const 32) "refused\n")
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
  (func (export "_start")
    (local $tid i32)
    (loop $again
      (local.set $tid (call $spawn (i32.const 0)))
      (br_if $again (i32.gt_s (local.get $tid) (i32.const 0))))
    (if (i32.ne (local.get $tid) (i32.const -6)) (then (unreachable)))
    (if (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)) (then (unreachable)))))
