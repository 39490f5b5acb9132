;; Loops that look at a byte in each round give what they give one byte at a time: from all starts within sixteen bytes, with
;; what they look for at each distance or missing, at the last bytes of memory, and with indices that wrap around. The
;; module compares each with a loop that is not recognised, because it calls a function.
;;! compile:
;;! run:
;;! out: ok
;;! compile: -C byte-scans=n
;;! run:
;;! out: ok
;;! compile: -C loops=n
;;! run:
;;! out: ok
;;! compile: --cpu baseline -C inlining=n
;;! run:
;;! out: ok
;;! compile: --bounds-checks explicit
;;! run:
;;! out: ok
;;! compile: --fuel 1000000000
;;! run:
;;! out: ok
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $calls (mut i32) (i32.const 0))
  (func $byte (param $at i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.load8_u (local.get $at)))
  (func $same (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then unreachable)))

  ;; strlen.
  (func $length (param $s i32) (result i32) (local $at i32)
    (local.set $at (local.get $s))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.sub (local.get $at) (local.get $s)))
  (func $slow_length (param $s i32) (result i32) (local $n i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (call $byte (i32.add (local.get $s) (local.get $n)))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $n))

  ;; memchr, with a mask; a counter goes down.
  (func $find (param $s i32) (param $byte i32) (param $n i32) (result i32)
    (block $none
      (br_if $none (i32.eqz (local.get $n)))
      (local.set $byte (i32.and (local.get $byte) (i32.const 255)))
      (loop $next
        (if (i32.eq (i32.load8_u (local.get $s)) (local.get $byte)) (then (return (local.get $s))))
        (local.set $s (i32.add (local.get $s) (i32.const 1)))
        (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (i32.const -1))
  (func $slow_find (param $s i32) (param $byte i32) (param $n i32) (result i32)
    (block $none
      (loop $next
        (br_if $none (i32.eqz (local.get $n)))
        (if (i32.eq (call $byte (local.get $s)) (i32.and (local.get $byte) (i32.const 255)))
          (then (return (local.get $s))))
        (local.set $s (i32.add (local.get $s) (i32.const 1)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (i32.const -1))

  ;; The same with a value that no byte has, or one, by its whole width; an index that goes up to a limit, tested first.
  (func $find_whole (param $at i32) (param $value i32) (param $end i32) (result i32)
    (loop $next
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const -1))))
      (if (i32.eq (i32.load8_u (local.get $at)) (local.get $value)) (then (return (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    unreachable)

  ;; memcmp, with offsets of its own.
  (func $compare (param $a i32) (param $b i32) (param $n i32) (result i32) (local $difference i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $difference
          (i32.sub (i32.load8_u offset=3 (local.get $a)) (i32.load8_u offset=1 (local.get $b))))
        (br_if $done (local.get $difference))
        (local.set $a (i32.add (local.get $a) (i32.const 1)))
        (local.set $b (i32.add (local.get $b) (i32.const 1)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $difference))
  (func $slow_compare (param $a i32) (param $b i32) (param $n i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (if (i32.ne (call $byte (i32.add (local.get $a) (i32.const 3))) (call $byte (i32.add (local.get $b) (i32.const 1))))
          (then
            (return (i32.sub
              (call $byte (i32.add (local.get $a) (i32.const 3)))
              (call $byte (i32.add (local.get $b) (i32.const 1)))))))
        (local.set $a (i32.add (local.get $a) (i32.const 1)))
        (local.set $b (i32.add (local.get $b) (i32.const 1)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; strcmp: how many bytes are equal and not the last ones.
  (func $alike (param $a i32) (param $b i32) (result i32) (local $n i32) (local $byte i32)
    (block $done
      (loop $next
        (local.set $byte (i32.load8_u (i32.add (local.get $a) (local.get $n))))
        (br_if $done (i32.ne (local.get $byte) (i32.load8_u (i32.add (local.get $b) (local.get $n)))))
        (br_if $done (i32.eqz (local.get $byte)))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $n))
  (func $slow_alike (param $a i32) (param $b i32) (result i32) (local $n i32)
    (block $done
      (loop $next
        (br_if $done
          (i32.ne
            (call $byte (i32.add (local.get $a) (local.get $n)))
            (call $byte (i32.add (local.get $b) (local.get $n)))))
        (br_if $done (i32.eqz (call $byte (i32.add (local.get $a) (local.get $n)))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $n))

  ;; How many bytes from $at on are ASCII, with a signed load and a signed limit.
  (func $ascii (param $at i32) (param $end i32) (result i32) (local $from i32)
    (local.set $from (local.get $at))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $at) (local.get $end)))
        (br_if $done (i32.lt_s (i32.load8_s (local.get $at)) (i32.const 0)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.sub (local.get $at) (local.get $from)))

  ;; How many bytes are neither a quote nor below 32 nor above 126; how many are blanks.
  (func $text (param $at i32) (result i32) (local $n i32) (local $byte i32)
    (block $done
      (loop $next
        (local.set $byte (i32.load8_u (i32.add (local.get $at) (local.get $n))))
        (br_if $done (i32.lt_u (local.get $byte) (i32.const 32)))
        (br_if $done (i32.gt_u (local.get $byte) (i32.const 126)))
        (br_if $done (i32.eq (local.get $byte) (i32.const 34)))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $n))
  (func $blanks (param $at i32) (result i32) (local $n i32)
    (loop $next
      (if (i32.eq (i32.load8_u (i32.add (local.get $at) (local.get $n))) (i32.const 32))
        (then
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br $next))))
    (local.get $n))

  ;; What is at $stop ends all of them, and nothing before.
  (func $check (param $from i32) (param $stop i32) (local $n i32)
    (local.set $n (i32.sub (local.get $stop) (local.get $from)))
    (memory.fill (local.get $from) (i32.const 97) (local.get $n))
    (i32.store8 (local.get $stop) (i32.const 0))
    (call $same (call $length (local.get $from)) (call $slow_length (local.get $from)))
    (call $same (call $length (local.get $from)) (local.get $n))
    (call $same (call $find (local.get $from) (i32.const 0x700) (i32.add (local.get $n) (i32.const 1))) (local.get $stop))
    (call $same (call $find (local.get $from) (i32.const 0) (local.get $n)) (i32.const -1))
    (call $same
      (call $find (local.get $from) (i32.const 0x161) (local.get $n))
      (call $slow_find (local.get $from) (i32.const 0x161) (local.get $n)))
    (call $same
      (call $find_whole (local.get $from) (i32.const 0) (i32.add (local.get $stop) (i32.const 1))) (local.get $stop))
    (call $same (call $find_whole (local.get $from) (i32.const 0) (local.get $stop)) (i32.const -1))
    (call $same
      (call $find_whole (local.get $from) (i32.const 0x161) (i32.add (local.get $stop) (i32.const 1))) (i32.const -1))
    (call $same (call $text (local.get $from)) (local.get $n))
    (i32.store8 (local.get $stop) (i32.const 127))
    (call $same (call $text (local.get $from)) (local.get $n))
    (i32.store8 (local.get $stop) (i32.const 34))
    (call $same (call $text (local.get $from)) (local.get $n))
    (i32.store8 (local.get $stop) (i32.const 200))
    (call $same (call $ascii (local.get $from) (i32.add (local.get $stop) (i32.const 1))) (local.get $n))
    (call $same (call $ascii (local.get $from) (local.get $stop)) (local.get $n))
    (if (local.get $n)
      (then
        (call $same
          (call $ascii (local.get $from) (i32.sub (local.get $stop) (i32.const 1)))
          (i32.sub (local.get $n) (i32.const 1)))))
    (call $same (call $ascii (local.get $from) (i32.const -1)) (i32.const 0))
    (memory.fill (local.get $from) (i32.const 32) (local.get $n))
    (call $same (call $blanks (local.get $from)) (local.get $n)))

  ;; Two stretches of $n bytes, which differ in the last one or not.
  (func $check_two (param $a i32) (param $b i32) (param $n i32) (local $i i32)
    (memory.fill (local.get $a) (i32.const 120) (local.get $n))
    (memory.fill (local.get $b) (i32.const 120) (local.get $n))
    (loop $last
      (call $same
        (call $compare (i32.sub (local.get $a) (i32.const 3)) (i32.sub (local.get $b) (i32.const 1)) (local.get $n))
        (call $slow_compare (i32.sub (local.get $a) (i32.const 3)) (i32.sub (local.get $b) (i32.const 1)) (local.get $n)))
      (if (local.get $n)
        (then
          (i32.store8 (i32.sub (i32.add (local.get $b) (local.get $n)) (i32.const 1)) (local.get $i))
          (call $same
            (call $alike (local.get $a) (local.get $b))
            (call $slow_alike (local.get $a) (local.get $b)))
          (i32.store8 (i32.sub (i32.add (local.get $a) (local.get $n)) (i32.const 1)) (i32.const 0))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $last (i32.lt_u (local.get $i) (i32.const 3)))))

  (func (export "_start") (local $i i32) (local $j i32)
    (loop $from
      (local.set $j (i32.const 0))
      (loop $to
        (call $check (i32.add (i32.const 4080) (local.get $i)) (i32.add (i32.add (i32.const 4080) (local.get $i)) (local.get $j)))
        ;; Up to the last byte of memory.
        (call $check (i32.sub (i32.const 131071) (local.get $j)) (i32.const 131071))
        (call $check_two
          (i32.add (i32.const 8170) (local.get $i))
          (i32.sub (i32.const 131072) (local.get $j))
          (local.get $j))
        (call $check_two
          (i32.sub (i32.const 131072) (local.get $j))
          (i32.add (i32.const 8170) (local.get $i))
          (local.get $j))
        (local.set $j (i32.add (local.get $j) (i32.const 1)))
        (br_if $to (i32.lt_u (local.get $j) (i32.const 70))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $from (i32.lt_u (local.get $i) (i32.const 33))))
    (i32.store (i32.const 0) (i32.const 0x0a6b6f))
    (i32.store (i32.const 16) (i32.const 0))
    (i32.store (i32.const 20) (i32.const 3))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))))
