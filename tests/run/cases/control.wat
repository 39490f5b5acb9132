;; br_table with a default, nested loops, unreachable code behind branches, select.
;; Functions may start anywhere.
;;! compile:
;;! compile: -C placement=1
;;! compile: -C placement=2
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; Ends with the number of a check that fails.
  (func $check (param $number i32) (param $holds i32)
    (if (i32.eqz (local.get $holds)) (then (call $exit (local.get $number)))))
  (func $switch (param i32) (result i32)
    (block $c (block $b (block $a (br_table $a $b $c $b (local.get 0))) (return (i32.const 10))) (return (i32.const 20)))
    (i32.const 30))
  (func $dead (result i32)
    (block $out (result i32)
      (br $out (i32.const 5))
      (drop (i32.add))
      (loop (br 0))
      unreachable))
  (func $triangle (param i32) (result i32) (local $sum i32)
    (loop $outer
      (if (local.get 0)
        (then
          (local.set $sum (i32.add (local.get $sum) (local.get 0)))
          (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
          (br $outer))))
    (local.get $sum))
  (func $_start (export "_start")
    (call $check (i32.const 1) (i32.eq (call $switch (i32.const 0)) (i32.const 10)))
    (call $check (i32.const 2) (i32.eq (call $switch (i32.const 1)) (i32.const 20)))
    (call $check (i32.const 3) (i32.eq (call $switch (i32.const 2)) (i32.const 30)))
    (call $check (i32.const 4) (i32.eq (call $switch (i32.const 3)) (i32.const 20)))
    (call $check (i32.const 5) (i32.eq (call $switch (i32.const -1)) (i32.const 20)))
    (call $check (i32.const 6) (i32.eq (call $dead) (i32.const 5)))
    (call $check (i32.const 7) (i32.eq (call $triangle (i32.const 100)) (i32.const 5050)))
    (call $check (i32.const 8) (ref.is_null (select (result externref) (ref.null extern) (ref.null extern) (i32.const 1))))))
