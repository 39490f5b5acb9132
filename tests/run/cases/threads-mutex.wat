;; A mutex of `wait` and `notify`, as C libraries make it, around plain accesses: no addition is lost.
(module
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (global $lock i32 (i32.const 0))    ;; 0 free, 1 taken, 2 taken and waited for
  (global $count i32 (i32.const 64))
  (global $done i32 (i32.const 128))
  (func $enter
    (if (i32.eqz (i32.atomic.rmw.cmpxchg (global.get $lock) (i32.const 0) (i32.const 1))) (then (return)))
    (loop $again
      (if (i32.eqz (i32.atomic.rmw.xchg (global.get $lock) (i32.const 2))) (then (return)))
      (drop (memory.atomic.wait32 (global.get $lock) (i32.const 2) (i64.const -1)))
      (br $again)))
  (func $leave
    (if (i32.eq (i32.atomic.rmw.xchg (global.get $lock) (i32.const 0)) (i32.const 2))
      (then (drop (memory.atomic.notify (global.get $lock) (i32.const 1))))))
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (local $i i32)
    (loop $again
      (call $enter)
      (i64.store (global.get $count) (i64.add (i64.load (global.get $count)) (i64.const 1)))
      (call $leave)
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 20000))))
    (drop (i64.atomic.rmw.add (global.get $done) (i64.const 1)))
    (drop (memory.atomic.notify (global.get $done) (i32.const 1))))
  (func (export "_start")
    (local $i i32) (local $now i64)
    (loop $again
      (if (i32.le_s (call $spawn (local.get $i)) (i32.const 0)) (then (unreachable)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 8))))
    (loop $wait
      (local.set $now (i64.atomic.load (global.get $done)))
      (if (i64.ne (local.get $now) (i64.const 8)) (then
        (drop (memory.atomic.wait64 (global.get $done) (local.get $now) (i64.const -1)))
        (br $wait))))
    (if (i64.ne (i64.load (global.get $count)) (i64.const 160000)) (then (unreachable)))))
