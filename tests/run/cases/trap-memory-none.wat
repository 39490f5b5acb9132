;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: grow_and_peek
;;! err: _start
;; A memory without pages.
(module
  (memory (export "memory") 0)
  (func $grow_and_peek (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func $_start (export "_start") (drop (call $grow_and_peek (i32.const 0)))))
