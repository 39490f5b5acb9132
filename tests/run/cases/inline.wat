;; What small functions refer to stays the same where their bodies take the place of calls: other tables, functions and
;; globals than those of the caller, which has some of each of its own.
;;! compile: -C inlining=y
;;! run:
;;! out: 1221 13 7
;;! compile: -C inlining=n
;;! run:
;;! out: 1221 13 7
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (type $t (func (result i32)))
  (memory (export "memory") 1)
  (table $a 2 2 funcref)
  (table $b 2 2 funcref)
  (table $c 2 2 funcref)
  (elem (table $a) (i32.const 0) func $one $two)
  (elem (table $b) (i32.const 0) func $two $one)
  (elem $passive func $one $two)
  (global $g (mut i32) (i32.const 5))
  (global $h (mut i32) (i32.const 8))
  (global $at (mut i32) (i32.const 100))
  (func $one (type $t) (i32.const 1))
  (func $two (type $t) (i32.const 2))
  (func $in_a (param i32) (result i32) (call_indirect $a (type $t) (local.get 0)))
  (func $in_b (param i32) (result i32) (call_indirect $b (type $t) (local.get 0)))
  (func $in_c (param i32) (result i32) (call_indirect $c (type $t) (local.get 0)))
  (func $get_g (result i32) (global.get $g))
  (func $get_h (result i32) (global.get $h))
  (func $put (param i32)
    (i32.store8 (global.get $at) (local.get 0))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))
  (func $digit (param i32) (call $put (i32.add (local.get 0) (i32.const 48))))
  (func $digits (param i32)
    (if (i32.ge_u (local.get 0) (i32.const 10)) (then (call $digits (i32.div_u (local.get 0) (i32.const 10)))))
    (call $digit (i32.rem_u (local.get 0) (i32.const 10))))
  (func (export "_start")
    ;; A table that can change, so that its calls go another way.
    (table.init $c $passive (i32.const 0) (i32.const 0) (i32.const 2))
    (call $digit (call_indirect $b (type $t) (i32.const 1)))
    (call $digit (call $in_a (i32.const 1)))
    (call $digit (call $in_b (i32.const 0)))
    (call $digit (call $in_c (i32.const 0)))
    (call $put (i32.const 32))
    (call $digits (i32.add (call $get_g) (call $get_h)))
    (call $put (i32.const 32))
    (global.set $g (i32.const 2))
    (call $digits (i32.add (call $get_g) (i32.const 5)))
    (call $put (i32.const 10))
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.sub (global.get $at) (i32.const 100)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
