;; A memory that threads share: a counter, and waiting for each other.
(module
  (import "host" "memory" (memory 1 4 shared))
  (func (export "count") (param i32) (result i32)
    (loop $l (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (i32.atomic.load (i32.const 0)))
  (func (export "wait") (result i32)
    (loop $l (br_if $l (i32.eq (i32.const 2) (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const 1000000)))))
    (i32.atomic.load (i32.const 8)))
  (func (export "wake") (param i32) (result i32)
    (i32.atomic.store (i32.const 8) (local.get 0)) (memory.atomic.notify (i32.const 8) (i32.const -1)))
  (func (export "poke") (param i32) (i32.store (local.get 0) (i32.const 7))))
