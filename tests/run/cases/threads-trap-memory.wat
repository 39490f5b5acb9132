;; Accesses outside a shared memory trap in a thread, plain and atomic ones, by guard pages and by comparison.
;;! compile:
;;! run:
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: wasi_thread_start
;;! compile: --bounds-checks explicit
;;! run:
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: wasi_thread_start
(module
  (import "env" "memory" (memory 1 4 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (func $wasi_thread_start (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (drop (i64.atomic.rmw.add (i32.const 65528) (i64.const 1)))
    (drop (i64.atomic.rmw.add (i32.const 65536) (i64.const 1))))
  (func (export "_start") (call $run (i32.const 0)) (call $sleep))
  (func $sleep (drop (memory.atomic.wait32 (i32.const 1024) (i32.const 0) (i64.const -1))))
  (func $run (param $arg i32)
    (if (i32.le_s (call $spawn (local.get $arg)) (i32.const 0)) (then (unreachable)))))
