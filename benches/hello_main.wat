;; `examples/hello.wat` without what `hello_print.wat` does: `--preload print=hello_print.wat`.
(module
  (import "print" "print" (func $print (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (call $print) (then (call $proc_exit (i32.const 1))))))
