;; What a host function may touch grows with the memory, between one call and the next. The exit code is the first check
;; that fails.
;;! out: grown
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1 3)
  ;; A buffer of six bytes whose second half lies on the next page.
  (data (i32.const 0) "\fd\ff\00\00\06\00\00\00")
  (data (i32.const 65533) "gro")
  (func $check (param $step i32) (param $found i32) (param $expected i32)
    (if (i32.ne (local.get $found) (local.get $expected)) (then (call $exit (local.get $step)))))
  (func $line (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
  (func (export "_start")
    (call $check (i32.const 1) (call $line) (i32.const 21))
    (call $check (i32.const 2) (call $random (i32.const 65536) (i32.const 1)) (i32.const 21))
    (call $check (i32.const 3) (memory.grow (i32.const 1)) (i32.const 1))
    (i32.store16 (i32.const 65536) (i32.const 0x6e77))
    (i32.store8 (i32.const 65538) (i32.const 10))
    (call $check (i32.const 4) (call $line) (i32.const 0))
    (call $check (i32.const 5) (call $random (i32.const 131071) (i32.const 1)) (i32.const 0))
    (call $check (i32.const 6) (call $random (i32.const 131071) (i32.const 2)) (i32.const 21))))
