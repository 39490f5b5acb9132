;; Arguments from the command line, results on standard output, one a line.
;;! compile: --invoke add
;;! run: 2 3
;;! out: 5
;;! run: -1 0x10
;;! out: 15
;;! run: 2147483647 1
;;! out: -2147483648
;;! run: 1
;;! exit: 2
;;! err: add
;;! run: 1 two
;;! exit: 2
;;! err: two
;;! run: 1 4294967296
;;! exit: 2
;;! err: 4294967296
;;! compile: --invoke mix
;;! run: 1 -9223372036854775808 0.1 -1e300
;;! out: 1
;;! out: -9223372036854775808
;;! out: 0.1
;;! out: -1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
;;! run: 0 18446744073709551615 nan inf
;;! out: 0
;;! out: -1
;;! out: NaN
;;! out: inf
;;! compile: --invoke nothing
(module
  (memory (export "memory") 1)
  (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func $mix (export "mix") (param i32 i64 f32 f64) (result i32 i64 f32 f64)
    (local.get 0) (local.get 1) (local.get 2) (local.get 3))
  (func $nothing (export "nothing")))
