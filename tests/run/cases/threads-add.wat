;; 64 threads add to the same cell, each 1,000 times; the first thread waits for all of them.
;;! compile:
;;! run:
;;! compile: --bounds-checks explicit -O0
;;! run:
(module
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (local $i i32)
    (if (i32.le_s (local.get $tid) (i32.const 0)) (then (unreachable)))
    (loop $again
      (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))
    (drop (i32.atomic.rmw.add (i32.const 4) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 4) (i32.const -1))))
  (func (export "_start")
    (local $i i32) (local $done i32)
    (loop $again
      (if (i32.le_s (call $spawn (local.get $i)) (i32.const 0)) (then (unreachable)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 64))))
    (loop $wait
      (local.set $done (i32.atomic.load (i32.const 4)))
      (if (i32.ne (local.get $done) (i32.const 64)) (then
        (drop (memory.atomic.wait32 (i32.const 4) (local.get $done) (i64.const -1)))
        (br $wait))))
    (if (i32.ne (i32.atomic.load (i32.const 0)) (i32.const 64000)) (then (unreachable)))))
