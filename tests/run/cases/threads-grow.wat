;; A thread sees how far another one has grown the memory, without any other sign of it, and can use what is new; so
;; can host functions.
;;! compile:
;;! run:
;;! compile: --bounds-checks explicit
;;! run:
(module
  (import "env" "memory" (memory 1 4 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (loop $wait (br_if $wait (i32.eq (memory.size) (i32.const 1))))
    (if (i32.ne (memory.size) (i32.const 3)) (then (unreachable)))
    (i32.store (i32.const 196604) (i32.const 42))
    (if (i32.ne (memory.grow (i32.const 1)) (i32.const 3)) (then (unreachable)))
    (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
    (i32.atomic.store (i32.const 0) (i32.const 1))
    (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
  (func (export "_start")
    (call $run (i32.const 0))
    (if (i32.ne (memory.grow (i32.const 2)) (i32.const 1)) (then (unreachable)))
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
    (if (i32.ne (memory.size) (i32.const 4)) (then (unreachable)))
    (if (i32.ne (i32.load (i32.const 196604)) (i32.const 42)) (then (unreachable)))
    (if (call $random_get (i32.const 262136) (i32.const 8)) (then (unreachable)))
    (if (i32.ne (call $random_get (i32.const 262137) (i32.const 8)) (i32.const 21)) (then (unreachable))))
  (func $sleep (drop (memory.atomic.wait32 (i32.const 1024) (i32.const 0) (i64.const -1))))
  (func $run (param $arg i32)
    (if (i32.le_s (call $spawn (local.get $arg)) (i32.const 0)) (then (unreachable)))))
