;; A plugin that changes text: the host writes to `buffer`, and `upper` makes small letters of ASCII large ones.
(module
  (memory (export "memory") 1)
  (func (export "buffer") (result i32) (i32.const 1024))
  (func (export "upper") (param $length i32)
    (local $at i32) (local $byte i32)
    (local.set $at (i32.const 1024))
    (local.set $length (i32.add (local.get $length) (i32.const 1024)))
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $at) (local.get $length)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 26))
          (then (i32.store8 (local.get $at) (i32.sub (local.get $byte) (i32.const 32)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))))
