;; The process ends when `_start` returns, although threads run and sleep.
;;! exit: 0
(module
  (import "env" "memory" (memory 1 4 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (if (local.get $arg) (then (call $sleep)))
    (loop $forever (br $forever)))
  (func (export "_start") (call $run (i32.const 0)) (call $run (i32.const 1)) (call $run (i32.const 0)))
  (func $sleep (drop (memory.atomic.wait32 (i32.const 1024) (i32.const 0) (i64.const -1))))
  (func $run (param $arg i32)
    (if (i32.le_s (call $spawn (local.get $arg)) (i32.const 0)) (then (unreachable)))))
