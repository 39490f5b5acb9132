;; Works a little, then ends in the way that the first byte of standard input names: `e` by proc_exit, `u` by a trap of its
;; code, `m` by a trap of the runtime, `s` by a call stack without end, anything else by returning.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory 1)
  (table funcref (elem $even $odd))
  (type $step (func (param i32) (result i32)))

  ;; Executed 1000 times each way.
  (func $even (type $step) (i32.div_u (local.get 0) (i32.const 2)))
  (func $odd (type $step)
    (local i32)
    ;; Large enough to stay a call without a profile.
    (local.set 1 (i32.mul (local.get 0) (i32.const 3)))
    (if (i32.eqz (local.get 1)) (then (unreachable)))
    (local.set 1 (i32.xor (local.get 1) (i32.shr_u (local.get 1) (i32.const 7))))
    (local.set 1 (i32.add (local.get 1) (i32.rotl (local.get 0) (i32.const 5))))
    (local.set 1 (i32.xor (local.get 1) (i32.shr_u (local.get 1) (i32.const 3))))
    (i32.and (local.get 1) (i32.const 0xffff)))

  ;; A switch, two of whose four cases occur.
  (func $switch (param i32) (result i32)
    (block $d (block $c (block $b (block $a
      (br_table $a $b $c $d (local.get 0)))
      (return (i32.const 3)))
      (return (call $odd (i32.const 5))))
      (return (i32.const 10)))
    (i32.const 20))

  (func $work (result i32) (local $i i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum)
        (call $odd (i32.or (local.get $i) (i32.const 1)))))
      (local.set $sum (i32.add (local.get $sum)
        (call_indirect (type $step) (local.get $i) (i32.and (local.get $i) (i32.const 1)))))
      (local.set $sum (i32.add (local.get $sum)
        (call $switch (i32.shl (i32.and (local.get $i) (i32.const 1)) (i32.const 1)))))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 2000))))
    (local.get $sum))

  (func $recurse (param i32) (result i32) (i32.add (call $recurse (local.get 0)) (i32.const 1)))

  (func (export "_start") (local $sum i32) (local $digit i32)
    (local.set $sum (call $work))
    ;; Eight hexadecimal letters, `a` to `p`.
    (loop $digits
      (i32.store8 offset=64 (local.get $digit)
        (i32.add (i32.const 97) (i32.and (local.get $sum) (i32.const 15))))
      (local.set $sum (i32.shr_u (local.get $sum) (i32.const 4)))
      (br_if $digits (i32.lt_u (local.tee $digit (i32.add (local.get $digit) (i32.const 1))) (i32.const 8))))
    (i32.store8 (i32.const 72) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 9))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 0) (i32.const 32))
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (local.set $digit (i32.load8_u (i32.const 32)))
    (if (i32.eq (local.get $digit) (i32.const 101)) (then (call $proc_exit (i32.const 3))))
    (if (i32.eq (local.get $digit) (i32.const 117)) (then (unreachable)))
    (if (i32.eq (local.get $digit) (i32.const 109))
      (then (memory.fill (i32.const 65536) (i32.const 1) (i32.const 1))))
    (if (i32.eq (local.get $digit) (i32.const 115)) (then (drop (call $recurse (i32.const 1)))))))
