;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: init
;;! err: _start
;; A dropped segment has length 0.
(module
  (memory (export "memory") 1)
  (data $segment "abc")
  (func $init (param i32) (memory.init $segment (i32.const 0) (i32.const 0) (local.get 0)))
  (func $_start (export "_start")
    (call $init (i32.const 3))
    (data.drop $segment)
    (call $init (i32.const 0))
    (call $init (i32.const 1))))
