;; Counts up to its argument.
(module
  (func (export "count") (param $limit i32) (result i32)
    (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (local.get $limit))))
    (local.get $i)))
