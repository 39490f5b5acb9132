;; The smallest WASI program: writes a line to standard output and returns, which is exit code 0.
;;
;;   wasmelt compile hello.wat -o hello && ./hello
(module $hello
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $iovs i32) (param $iovs_len i32) (param $nwritten i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param $code i32)))

  (memory (export "memory") 1)
  ;; One iovec: address 8, length 14. The text follows it.
  (data (i32.const 0) "\08\00\00\00\0e\00\00\00Hello, world!\0a")

  (func $_start (export "_start")
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 24))
      (then (call $proc_exit (i32.const 1))))))
