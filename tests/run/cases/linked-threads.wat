;; Each thread has instances of its own of all modules; the memory is one.
;;! compile: --preload worker={linked}/worker.wat
;;! exit: 50
(module
  (import "worker" "add" (func $add (param i32)))
  (import "worker" "own" (func $own (result i32)))
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (func (export "wasi_thread_start") (param i32 i32)
    (call $add (i32.const 10))
    ;; The library's global counts this thread's calls alone.
    (if (i32.ne (call $own) (i32.const 10)) (then (call $proc_exit (i32.const 1))))
    (drop (i32.atomic.rmw.add (i32.const 4) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 4) (i32.const 1))))
  (func (export "_start") (local $done i32)
    (call $add (i32.const 10))
    (drop (call $spawn (i32.const 0)))
    (drop (call $spawn (i32.const 0)))
    (drop (call $spawn (i32.const 0)))
    (drop (call $spawn (i32.const 0)))
    (loop $wait
      (local.set $done (i32.atomic.load (i32.const 4)))
      (if (i32.lt_u (local.get $done) (i32.const 4))
        (then
          (drop (memory.atomic.wait32 (i32.const 4) (local.get $done) (i64.const -1)))
          (br $wait))))
    (if (i32.ne (call $own) (i32.const 10)) (then (call $proc_exit (i32.const 2))))
    (call $proc_exit (i32.atomic.load (i32.const 0)))))
