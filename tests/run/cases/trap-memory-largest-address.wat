;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: peek
;;! err: _start
;; The largest effective address there is: an index of 2^32-1 and an offset of 2^32-1, 16 bytes.
(module
  (memory (export "memory") 1)
  (func $peek (param i32) (result v128) (v128.load offset=0xffffffff (local.get 0)))
  (func $_start (export "_start") (drop (call $peek (i32.const -1)))))
