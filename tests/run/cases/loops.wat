;; Loops whose indices are kept as 64 bits, and whose masks and offsets are computed in front of them, do what each round
;; by itself would do: 32-bit indices wrap around at both ends, arms of a branch hand on different ones, a loop in another
;; one starts anew, and what is computed in front of a loop that is never entered does no harm.
;;! compile:
;;! run:
;;! out: 2ac dbca 4 l xzy 0
;;! compile: -C loops=n
;;! run:
;;! out: 2ac dbca 4 l xzy 0
;;! compile: --bounds-checks explicit
;;! run:
;;! out: 2ac dbca 4 l xzy 0
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "abcd")
  (global $at (mut i32) (i32.const 100))
  (func $put (param i32)
    (i32.store8 (global.get $at) (local.get 0))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))

  ;; Counts the bytes below $limit that are equal to the low byte of $byte.
  (func $count (param $byte i32) (param $at i32) (param $limit i32) (result i32) (local $found i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $limit)))
        (local.set $found
          (i32.add
            (local.get $found)
            (i32.eq (i32.load8_u (local.get $at)) (i32.and (local.get $byte) (i32.const 255)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $found))

  ;; Writes each $step-th byte from $from on, in $rounds rounds; the index may wrap around.
  (func $walk (param $from i32) (param $step i32) (param $rounds i32)
    (loop $next
      (i32.store8 (global.get $at) (i32.load8_u (i32.and (local.get $from) (i32.const 0xffff))))
      (global.set $at (i32.add (global.get $at) (i32.const 1)))
      (local.set $from (i32.add (local.get $from) (local.get $step)))
      (br_if $next (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1))))))

  ;; Adds bytes at a sum of an index and 4, which wraps around in the second round.
  (func $wrap (result i32) (local $at i32) (local $rounds i32) (local $sum i32)
    (local.set $at (i32.const 0))
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (i32.load8_u (i32.add (local.get $at) (i32.const 4)))))
      (local.set $at (i32.sub (i32.const -4) (local.get $at)))
      (br_if $next (i32.lt_u (local.tee $rounds (i32.add (local.get $rounds) (i32.const 1))) (i32.const 2))))
    (local.get $sum))

  ;; The index comes from three branches to the loop's header. Two of them hand on the low half of 64 bits.
  (func $branches (param $at i32) (local $rounds i32)
    (loop $next
      (call $nothing)
      (if (i32.ge_u (local.get $rounds) (i32.const 3)) (then (return)))
      (local.set $rounds (i32.add (local.get $rounds) (i32.const 1)))
      (i32.store8 (global.get $at) (i32.load8_u (local.get $at)))
      (global.set $at (i32.add (global.get $at) (i32.const 1)))
      (if (i32.eq (local.get $rounds) (i32.const 1))
        (then (local.set $at (i32.wrap_i64 (i64.load (i32.const 64)))) (br $next)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br $next)))
  (func $nothing)

  (func (export "_start") (local $i i32)
    (i32.store (i32.const 40) (i32.const 0x6c6b6261))
    (i32.store (i32.const 50) (i32.const 0x007a7978))
    (i64.store (i32.const 64) (i64.const 0x7f00000000000034))
    (i64.store (i32.const 72) (i64.const 0x5500000000000032))
    (call $put (i32.add (i32.const 48)
      (i32.add (call $count (i32.const 0x7f61) (i32.const 0) (i32.const 4))
        (call $count (i32.const -159) (i32.const 40) (i32.const 42)))))
    (call $walk (i32.const 0) (i32.const 2) (i32.const 2))
    (call $put (i32.const 32))
    (call $walk (i32.const 3) (i32.const -2) (i32.const 2))
    (global.set $at (i32.sub (global.get $at) (i32.const 1)))
    (call $walk (i32.const 1) (i32.const 1) (i32.const 2))
    (global.set $at (i32.sub (global.get $at) (i32.const 1)))
    (call $walk (i32.const 2) (i32.const -2) (i32.const 2))
    (call $put (i32.const 32))
    (call $put (i32.sub (call $wrap) (i32.const 45)))
    (call $put (i32.const 32))
    (call $walk (i32.const 43) (i32.const 0xfffffff) (i32.const 1))
    (call $put (i32.const 32))
    (call $branches (i32.wrap_i64 (i64.load (i32.const 72))))
    (call $put (i32.const 32))
    (call $put (i32.add (i32.const 48) (call $count (i32.const 97) (i32.const 9) (i32.const 9))))
    (call $put (i32.const 10))
    (i32.store (i32.const 80) (i32.const 100))
    (i32.store (i32.const 84) (i32.sub (global.get $at) (i32.const 100)))
    (drop (call $fd_write (i32.const 1) (i32.const 80) (i32.const 1) (i32.const 88)))))
