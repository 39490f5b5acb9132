;; Loops that look at bytes go on at the start of memory where their index of 32 bits wraps around, and from a constant
;; offset on they leave memory instead.
;;! compile:
;;! run:
;;! exit: 134
;;! out: 9 8 7 7 t
;;! err: out of bounds memory access
;;! err: beyond
;;! compile: -C byte-scans=n
;;! run:
;;! exit: 134
;;! out: 9 8 7 7 t
;;! err: out of bounds memory access
;;! err: beyond
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 65536)
  (func $put (param i32)
    (i32.store8 (i32.const 1000) (local.get 0))
    (i32.store8 (i32.const 1001) (i32.const 32))
    (i32.store (i32.const 1008) (i32.const 1000))
    (i32.store (i32.const 1012) (i32.const 2))
    (drop (call $fd_write (i32.const 1) (i32.const 1008) (i32.const 1) (i32.const 1016))))

  ;; The last address before a byte that is zero.
  (func $length (param $at i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $at))
  ;; The same with a start and an index, whose sum wraps around.
  (func $length_of_sum (param $s i32) (result i32) (local $n i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u (i32.add (local.get $s) (local.get $n)))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (i32.add (local.get $s) (local.get $n)))
  ;; Two addresses, the second of which wraps around.
  (func $alike (param $a i32) (param $b i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.ne (i32.load8_u (local.get $a)) (i32.load8_u (local.get $b))))
        (local.set $a (i32.add (local.get $a) (i32.const 1)))
        (local.set $b (i32.add (local.get $b) (i32.const 1)))
        (br $next)))
    (local.get $b))
  ;; An offset, beyond which nothing wraps around.
  (func $beyond (param $at i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u offset=3 (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $at))

  (func (export "_start") (local $i i32)
    (memory.fill (i32.const -100) (i32.const 97) (i32.const 100))
    (memory.fill (i32.const 0) (i32.const 97) (i32.const 9))
    (memory.fill (i32.const 2000) (i32.const 97) (i32.const 300))
    (call $put (i32.add (i32.const 48) (call $length (i32.const -67))))
    (i32.store8 (i32.const 8) (i32.const 0))
    (call $put (i32.add (i32.const 48) (call $length_of_sum (i32.const -70))))
    (loop $each
      ;; The difference is the byte at 7, whatever the first address is.
      (i32.store8 (i32.const 7) (i32.const 98))
      (if (i32.ne (call $alike (i32.add (i32.const 2000) (local.get $i)) (i32.const -50)) (i32.const 7)) (then unreachable))
      (if (i32.ne (call $alike (i32.const -50) (i32.add (i32.const 2000) (local.get $i))) (i32.add (i32.const 2057) (local.get $i)))
        (then unreachable))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $i) (i32.const 17))))
    (call $put (i32.const 55))
    (call $put (i32.add (i32.const 48) (call $alike (i32.const 2003) (i32.const -49))))
    (i32.store8 (i32.const 7) (i32.const 0))
    (i32.store16 (i32.const 1000) (i32.const 0x0a74))
    (drop (call $fd_write (i32.const 1) (i32.const 1008) (i32.const 1) (i32.const 1016)))
    (drop (call $beyond (i32.const -80)))))
