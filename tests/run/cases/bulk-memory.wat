;; memory.copy between overlapping places in both directions, memory.fill.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; Ends with the number of a check that fails.
  (func $check (param $number i32) (param $holds i32)
    (if (i32.eqz (local.get $holds)) (then (call $exit (local.get $number)))))
  (data (i32.const 0) "0123456789")
  (func $_start (export "_start")
    (memory.copy (i32.const 2) (i32.const 0) (i32.const 8))
    (call $check (i32.const 1) (i64.eq (i64.load (i32.const 2)) (i64.const 0x3736353433323130)))
    (memory.copy (i32.const 0) (i32.const 2) (i32.const 8))
    (call $check (i32.const 2) (i64.eq (i64.load (i32.const 0)) (i64.const 0x3736353433323130)))
    (memory.fill (i32.const 3) (i32.const 0x1ff) (i32.const 2))
    (call $check (i32.const 3) (i64.eq (i64.load (i32.const 0)) (i64.const 0x373635ffff323130)))
    (memory.fill (i32.const 100) (i32.const 7) (i32.const 65436))
    (call $check (i32.const 4) (i32.eq (i32.load8_u (i32.const 65535)) (i32.const 7)))
    (call $check (i32.const 5) (i32.eqz (i32.load8_u (i32.const 99))))))
