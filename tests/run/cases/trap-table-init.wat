;;! exit: 134
;;! err: wasm trap: out of bounds table access
;;! err: init
;;! err: _start
(module
  (memory (export "memory") 1)
  (table $t 3 funcref)
  (elem $segment func $_start $_start)
  (func $init (param i32) (table.init $t $segment (local.get 0) (i32.const 0) (i32.const 2)))
  (func $_start (export "_start")
    (call $init (i32.const 1))
    (call $init (i32.const 2))))
