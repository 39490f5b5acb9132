;; Adds to a word of the memory that all threads and modules share.
(module
  (import "env" "memory" (memory 1 1 shared))
  (global $own (mut i32) (i32.const 0))
  (func (export "add") (param i32)
    (global.set $own (i32.add (global.get $own) (local.get 0)))
    (drop (i32.atomic.rmw.add (i32.const 0) (local.get 0))))
  (func (export "own") (result i32) (global.get $own)))
