;; The start function runs before `_start`, after the data segments.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; Ends with the number of a check that fails.
  (func $check (param $number i32) (param $holds i32)
    (if (i32.eqz (local.get $holds)) (then (call $exit (local.get $number)))))
  (data (i32.const 0) "\05")
  (func $init (i32.store (i32.const 0) (i32.mul (i32.load (i32.const 0)) (i32.const 4))))
  (start $init)
  (func $_start (export "_start")
    (call $check (i32.const 1) (i32.eq (i32.load (i32.const 0)) (i32.const 20)))))
