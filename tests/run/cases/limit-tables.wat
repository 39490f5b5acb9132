;; `--max-table-elements` limits each table; the program sees -1 and goes on. Whoever runs it may lower the limit.
;;! compile: --max-table-elements 100
;;! run:
;;! run:
;;! env: WASMELT_POLICY=max-table-elements=1000
;;! run:
;;! env: WASMELT_POLICY=max-table-elements=99
;;! exit: 1
;;! run:
;;! env: WASMELT_POLICY=max-table-elements=9
;;! exit: 69
;;! err: this program needs larger tables from the start than `max-table-elements` (see WASMELT_POLICY)
;;! compile: -W max-table-elements=100
;;! compile:
;;! run:
;;! exit: 2
;;! run:
;;! env: WASMELT_POLICY=max-table-elements=100
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (table $one 10 externref)
  (table $two 0 1000 funcref)
  ;; Ends with the number of a check that fails.
  (func $check (param $number i32) (param $holds i32)
    (if (i32.eqz (local.get $holds)) (then (call $exit (local.get $number)))))
  (func (export "_start")
    (call $check (i32.const 1) (i32.eq (table.grow $one (ref.null extern) (i32.const 90)) (i32.const 10)))
    (call $check (i32.const 2) (i32.eq (table.grow $one (ref.null extern) (i32.const 1)) (i32.const -1)))
    (call $check (i32.const 3) (i32.eq (table.size $one) (i32.const 100)))
    (call $check (i32.const 4) (i32.eq (table.grow $two (ref.null func) (i32.const 101)) (i32.const -1)))
    (call $check (i32.const 5) (i32.eq (table.grow $two (ref.null func) (i32.const 100)) (i32.const 0)))))
