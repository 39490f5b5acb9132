;; The snapshot before preview 1: the order of `whence`, the layout of `filestat` and of subscriptions. The exit code is
;; the number of the first check that fails.
;;! in: 0123456789
;;! out: unstable
(module
  (import "wasi_unstable" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_filestat_get" (func $filestat (param i32 i32) (result i32)))
  (import "wasi_unstable" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\09\00\00\00")
  (data (i32.const 16) "unstable\0a")
  (global $step (mut i32) (i32.const 0))
  (func $check (param $holds i32)
    (global.set $step (i32.add (global.get $step) (i32.const 1)))
    (if (i32.eqz (local.get $holds)) (then (call $exit (global.get $step)))))
  (func (export "_start")
    (i64.store (i32.const 256) (i64.const -1))
    (i64.store (i32.const 304) (i64.const -1))
    (i64.store (i32.const 312) (i64.const -1))
    ;; 56 bytes and no more are written.
    (call $check (i32.eqz (call $filestat (i32.const 1) (i32.const 256))))
    (call $check (i64.eqz (i64.load (i32.const 304))))
    (call $check (i64.eq (i64.load (i32.const 312)) (i64.const -1)))
    ;; A stream has no position, whatever it is asked from.
    (call $check (i32.eq (call $seek (i32.const 0) (i64.const 0) (i32.const 2) (i32.const 400)) (i32.const 70)))
    (call $check (i32.eq (call $seek (i32.const 0) (i64.const 0) (i32.const 3) (i32.const 400)) (i32.const 28)))
    ;; A subscription of a clock: user data, tag, identifier, clock, time, precision, flags.
    (i64.store (i32.const 512) (i64.const 7))
    (i64.store (i32.const 528) (i64.const 99))
    (i32.store (i32.const 536) (i32.const 1))
    (i64.store (i32.const 544) (i64.const 1000))
    (call $check (i32.eqz (call $poll (i32.const 512) (i32.const 600) (i32.const 1) (i32.const 700))))
    (call $check (i32.eq (i32.load (i32.const 700)) (i32.const 1)))
    (call $check (i64.eq (i64.load (i32.const 600)) (i64.const 7)))
    (call $check (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 800))))))
