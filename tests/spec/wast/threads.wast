;; Threads of a script: each has instances of its own and shares the memories that it is given.

(module $Mem (memory (export "shared") 1 4 shared))

(thread $T1 (shared (module $Mem))
  (register "mem" $Mem)
  (module
    (memory (import "mem" "shared") 1 10 shared)
    (func (export "answer") (result i32)
      ;; Until the other thread asks.
      (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 60_000_000_000)))
      (i32.atomic.store (i32.const 4) (i32.const 43))
      (memory.atomic.notify (i32.const 4) (i32.const 1))))
  (assert_return (invoke "answer") (either (i32.const 0) (i32.const 1)))
)

(thread $T2 (shared (module $Mem))
  (register "mem" $Mem)
  (module
    (memory (import "mem" "shared") 1 4 shared)
    (func (export "grow") (result i32) (memory.grow (i32.const 1))))
  (assert_return (invoke "grow") (i32.const 1))
  ;; The thread has no other memory of this kind.
  (assert_unlinkable (module (memory (import "mem" "other") 1 4 shared)) "unknown import")
  (assert_trap (module (func $start (unreachable)) (start $start)) "unreachable")
)

(register "mem" $Mem)
(module $Main
  (memory (import "mem" "shared") 1 4 shared)
  (func (export "ask") (result i32)
    (i32.atomic.store (i32.const 0) (i32.const 42))
    (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))
    ;; Woken, or the answer was there before.
    (memory.atomic.wait32 (i32.const 4) (i32.const 0) (i64.const 60_000_000_000)))
  (func (export "answer") (result i32) (i32.atomic.load (i32.const 4)))
  (func (export "size") (result i32) (memory.size)))

(assert_return (invoke $Main "ask") (either (i32.const 0) (i32.const 1)))
(wait $T1)
(assert_return (invoke $Main "answer") (i32.const 43))
(wait $T2)
(assert_return (invoke $Main "size") (i32.const 2))
