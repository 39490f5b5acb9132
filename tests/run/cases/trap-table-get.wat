;;! exit: 134
;;! err: wasm trap: out of bounds table access
;;! err: get
;;! err: _start
(module
  (memory (export "memory") 1)
  (table $t 3 externref)
  (func $get (param i32) (result externref) (table.get $t (local.get 0)))
  (func $_start (export "_start")
    (table.set $t (i32.const 2) (ref.null extern))
    (drop (call $get (i32.const 2)))
    (drop (call $get (i32.const 3)))))
