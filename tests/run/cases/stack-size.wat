;; The stack is as large as asked for: a million calls need more than 64 KiB and fit into 64 MiB.
;;! compile: --stack-size 64K
;;! exit: 134
;;! err: wasm trap: call stack exhausted
;;! compile: --stack-size 64M
;;! exit: 0
(module
  (memory (export "memory") 1)
  (func $depth (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.load (i32.const 0)))))
    (i32.add (i32.const 1) (call $depth (i32.sub (local.get 0) (i32.const 1)))))
  (func $_start (export "_start")
    (if (i32.ne (call $depth (i32.const 1000000)) (i32.const 1000000)) (then unreachable))))
