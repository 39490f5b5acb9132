;; A trap of the first thread ends the process as well, and is judged by its own instance.
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: load
(module
  (import "env" "memory" (memory 1 4 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (i32.atomic.store (i32.const 0) (i32.const 1))
    (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))
    (call $sleep))
  (func $load (drop (i32.load (i32.const 65536))))
  (func (export "_start")
    (call $run (i32.const 0))
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
    (call $load))
  (func $sleep (drop (memory.atomic.wait32 (i32.const 1024) (i32.const 0) (i64.const -1))))
  (func $run (param $arg i32)
    (if (i32.le_s (call $spawn (local.get $arg)) (i32.const 0)) (then (unreachable)))))
