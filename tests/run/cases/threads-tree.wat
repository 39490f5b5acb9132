;; Threads start threads: a binary tree of 126 below the first one, which counts them.
(module
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (func $grow (param $depth i32)
    (if (local.get $depth) (then
      (if (i32.le_s (call $spawn (i32.sub (local.get $depth) (i32.const 1))) (i32.const 0)) (then (unreachable)))
      (if (i32.le_s (call $spawn (i32.sub (local.get $depth) (i32.const 1))) (i32.const 0)) (then (unreachable))))))
  (func (export "wasi_thread_start") (param $tid i32) (param $depth i32)
    (call $grow (local.get $depth))
    (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
  (func (export "_start")
    (local $done i32)
    (call $grow (i32.const 6))
    (loop $wait
      (local.set $done (i32.atomic.load (i32.const 0)))
      (if (i32.ne (local.get $done) (i32.const 126)) (then
        (drop (memory.atomic.wait32 (i32.const 0) (local.get $done) (i64.const -1)))
        (br $wait))))))
