;; `--max-memory` limits growth; the program sees -1 and goes on.
;;! compile: --max-memory 1M
;;! compile: -W max-memory-size=1048576
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; Ends with the number of a check that fails.
  (func $check (param $number i32) (param $holds i32)
    (if (i32.eqz (local.get $holds)) (then (call $exit (local.get $number)))))
  (func $_start (export "_start")
    (call $check (i32.const 1) (i32.eq (memory.grow (i32.const 15)) (i32.const 1)))
    (call $check (i32.const 2) (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
    (call $check (i32.const 3) (i32.eq (memory.size) (i32.const 16)))
    (i32.store8 (i32.const 0xfffff) (i32.const 1))))
