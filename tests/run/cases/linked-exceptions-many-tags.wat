;; The same in an instance that is not the program's first: each clause runs in the context of its own instance, whose
;; global says so.
;;! compile: --preload a={linked}/counter.wat --invoke f
;;! run: 0
;;! out: 1
;;! out: 100
;;! run: 1
;;! out: 1
;;! out: 101
;;! run: 2
;;! out: 1
;;! out: 102
;;! run: 3
;;! out: 1
;;! out: 103
;;! run: 4
;;! out: 1
;;! out: 104
;;! run: 5
;;! out: 1
;;! out: 105
;;! run: 6
;;! out: 1
;;! out: 106
;;! run: 7
;;! out: 1
;;! out: 107
;;! run: 8
;;! out: 1
;;! out: 108
;;! run: 9
;;! out: 1
;;! out: 109
;;! run: 10
;;! out: 1
;;! out: 210
;;! run: 11
;;! out: 1
;;! out: 211
;;! run: 12
;;! out: 1
;;! out: 412
;;! run: 13
;;! out: 1
;;! out: 999
;;! run: 14
;;! out: 1
;;! out: 7
(module
  (import "a" "next" (func $next (result i32)))
  (memory 1)
  (global $three (mut i32) (i32.const 0))
  (tag $t0 (param i32))
  (tag $t1 (param i32))
  (tag $t2 (param i32))
  (tag $t3 (param i32))
  (tag $t4 (param i32))
  (tag $t5 (param i32))
  (tag $t6 (param i32))
  (tag $t7 (param i32))
  (tag $t8 (param i32))
  (tag $t9 (param i32))
  (tag $t10 (param i32))
  (tag $t11 (param i32))
  (tag $t12 (param i32))
  (tag $t13 (param i32))
  ;; Throws its argument with the tag of that number, and returns where there is none.
  (func $throw (param i32)
    (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (br_table 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 (local.get 0)))
    (throw $t0 (local.get 0)))
    (throw $t1 (local.get 0)))
    (throw $t2 (local.get 0)))
    (throw $t3 (local.get 0)))
    (throw $t4 (local.get 0)))
    (throw $t5 (local.get 0)))
    (throw $t6 (local.get 0)))
    (throw $t7 (local.get 0)))
    (throw $t8 (local.get 0)))
    (throw $t9 (local.get 0)))
    (throw $t10 (local.get 0)))
    (throw $t11 (local.get 0)))
    (throw $t12 (local.get 0)))
    (throw $t13 (local.get 0)))
  )
  (func $g (param i32) (result i32)
    (block $i0 (result i32) (block $i1 (result i32) (block $i2 (result i32) (block $i3 (result i32) (block $i4 (result i32) (block $i5 (result i32) (block $i6 (result i32) (block $i7 (result i32) (block $i8 (result i32) (block $i9 (result i32) 
    (block $o5 (result i32) (block $o6 (result i32) (block $o7 (result i32) (block $o8 (result i32) (block $o9 (result i32) (block $o10 (result i32) (block $o11 (result i32) 
      (try_table (catch $t5 $o5) (catch $t6 $o6) (catch $t7 $o7) (catch $t8 $o8) (catch $t9 $o9) (catch $t10 $o10) (catch $t11 $o11) (catch $t5 $i0)
        (try_table (catch $t0 $i0) (catch $t1 $i1) (catch $t2 $i2) (catch $t3 $i3) (catch $t4 $i4) (catch $t5 $i5) (catch $t6 $i6) (catch $t7 $i7) (catch $t8 $i8) (catch $t9 $i9) (catch $t3 $o5)
          (drop (call $next))
          (global.set $three (i32.const 3))
          (call $throw (local.get 0))))
      (return (i32.const 7)))
    (return (i32.add (i32.add (i32.const 197) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 197) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 197) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 197) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 197) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 197) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 197) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three)))))
    (return (i32.add (i32.add (i32.const 97) (global.get $three))))
  )
  (func (export "f") (param i32) (result i32)
    (block $other
      (block $unreached (result i32)
        (block $twelve (result i32)
          (try_table (result i32) (catch $t12 $twelve) (catch_all $other) (catch $t13 $unreached)
            (call $g (local.get 0)))
          (return))
        (return (i32.add (i32.add (i32.const 397) (global.get $three)))))
      (return (i32.add (i32.const 500))))
    (i32.add (i32.const 996) (global.get $three))))
