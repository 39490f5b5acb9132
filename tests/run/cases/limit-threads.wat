;; `--max-threads` limits those that run at once: starting one more fails, and works again when one has ended. Whoever runs
;; the program may lower the limit. The exit code is how many could be started.
;;! compile: --max-threads 5
;;! run:
;;! exit: 5
;;! run:
;;! env: WASMELT_POLICY=max-threads=2
;;! exit: 2
;;! run:
;;! env: WASMELT_POLICY=max-threads=1000
;;! exit: 5
;;! run:
;;! env: WASMELT_POLICY=max-threads=0
;;! exit: 0
;;! compile: --max-threads 0
;;! exit: 0
;;! compile:
;;! env: WASMELT_POLICY=max-threads=7
;;! exit: 7
(module
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "env" "memory" (memory 1 1 shared))
  (func $wait (param $address i32) (param $timeout_ns i64)
    (drop (memory.atomic.wait32 (local.get $address) (i32.const 0) (local.get $timeout_ns))))
  ;; Runs until the word at 0 is not zero.
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (call $wait (i32.const 0) (i64.const -1)))
  ;; Starts threads until that fails, at most 50: how many.
  (func $spawn_all (result i32)
    (local $count i32)
    (loop $again
      (if (i32.gt_s (call $spawn (i32.const 0)) (i32.const 0)) (then
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $count) (i32.const 50))))))
    (local.get $count))
  (func (export "_start")
    (local $count i32) (local $again i32) (local $tries i32)
    (local.set $count (call $spawn_all))
    ;; All of them end, and as many can be started as before, once the last has gone.
    (i32.atomic.store (i32.const 0) (i32.const 1))
    (drop (memory.atomic.notify (i32.const 0) (i32.const -1)))
    (loop $retry
      (call $wait (i32.const 64) (i64.const 2000000))
      (i32.atomic.store (i32.const 0) (i32.const 0))
      (local.set $again (call $spawn_all))
      (if (i32.eq (local.get $again) (local.get $count)) (then (call $exit (local.get $count))))
      (i32.atomic.store (i32.const 0) (i32.const 1))
      (drop (memory.atomic.notify (i32.const 0) (i32.const -1)))
      (br_if $retry (i32.lt_u (local.tee $tries (i32.add (local.get $tries) (i32.const 1))) (i32.const 5000))))
    (unreachable)))
