;; Accepts one connection on descriptor 3, waits until there is something to read, sends back what comes until the other
;; side ends it, and shuts its own side down. The exit code is the first error.
(module
  (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv"
    (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown" (func $shutdown (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; A buffer of 4096 bytes at 8192 for receiving, at 0; for sending at 8; the connection at 16.
  (data (i32.const 0) "\00\20\00\00\00\10\00\00\00\20\00\00")
  (func $check (param $errno i32) (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func (export "_start")
    (local $connection i32)
    (call $check (call $accept (i32.const 3) (i32.const 0) (i32.const 16)))
    (local.set $connection (i32.load (i32.const 16)))
    ;; A subscription at 100: fd_read of the connection.
    (i32.store8 (i32.const 108) (i32.const 1))
    (i32.store (i32.const 116) (local.get $connection))
    (call $check (call $poll (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 24)))
    (block $end
      (loop $again
        (call $check
          (call $recv (local.get $connection) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 12) (i32.const 20)))
        (br_if $end (i32.eqz (i32.load (i32.const 12))))
        (call $check
          (call $send (local.get $connection) (i32.const 8) (i32.const 1) (i32.const 0) (i32.const 24)))
        (br $again)))
    (call $check (call $shutdown (local.get $connection) (i32.const 2)))
    (call $check (call $close (local.get $connection)))))
