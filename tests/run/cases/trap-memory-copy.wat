;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: move
;;! err: _start
;; The sum of address and length wraps around in 32 bits.
(module
  (memory (export "memory") 1)
  (func $move (param i32 i32) (memory.copy (local.get 0) (i32.const 0) (local.get 1)))
  (func $_start (export "_start") (call $move (i32.const 16) (i32.const -8))))
