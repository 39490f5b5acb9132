;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: peek
;;! err: _start
;; The last byte of the access is the first one behind the memory.
(module
  (memory (export "memory") 1)
  (func $peek (param i32) (result i32) (i32.load (local.get 0)))
  (func $_start (export "_start")
    (drop (call $peek (i32.const 65532)))
    (drop (call $peek (i32.const 65533)))))
