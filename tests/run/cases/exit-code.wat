;; The exit code is the guest's, as far as the system can carry it: its lowest byte.
;;! compile: --invoke exit_with
;;! run: 0
;;! run: 7
;;! exit: 7
;;! run: 255
;;! exit: 255
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $exit_with (export "exit_with") (param i32) (call $exit (local.get 0))))
