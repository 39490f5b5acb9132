;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: poke
;;! err: _start
(module
  (memory (export "memory") 1)
  (func $poke (param i32) (i64.store offset=8 (local.get 0) (i64.const 1)))
  (func $_start (export "_start")
    (call $poke (i32.const 65520))
    (call $poke (i32.const 65521))))
