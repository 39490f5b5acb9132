;;! exit: 134
;;! err: wasm trap: call stack exhausted
;;! err: recurse
;;! err: recurse
(module
  (memory (export "memory") 1)
  (func $recurse (param i32) (result i32)
    (i32.add (local.get 0) (call $recurse (i32.add (local.get 0) (i32.const 1)))))
  (func $_start (export "_start") (drop (call $recurse (i32.const 0)))))
