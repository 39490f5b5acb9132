;; A plugin that computes: it tells the host each prime below a limit, and returns how many there are.
(module
  (import "host" "found" (func $found (param i64)))
  (func (export "count-below") (param $limit i64) (result i64)
    (local $number i64) (local $divisor i64) (local $count i64)
    (local.set $number (i64.const 2))
    (block $end
      (loop $next
        (br_if $end (i64.ge_u (local.get $number) (local.get $limit)))
        (local.set $divisor (i64.const 2))
        (block $composite
          (loop $try
            (if (i64.le_u (i64.mul (local.get $divisor) (local.get $divisor)) (local.get $number))
              (then
                (br_if $composite (i64.eqz (i64.rem_u (local.get $number) (local.get $divisor))))
                (local.set $divisor (i64.add (local.get $divisor) (i64.const 1)))
                (br $try))))
          (call $found (local.get $number))
          (local.set $count (i64.add (local.get $count) (i64.const 1))))
        (local.set $number (i64.add (local.get $number) (i64.const 1)))
        (br $next)))
    (local.get $count)))
