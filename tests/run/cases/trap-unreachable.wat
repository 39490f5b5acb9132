;;! exit: 134
;;! err: wasm trap: unreachable
;;! err: inner
;;! err: outer
;;! err: _start
(module
  (memory (export "memory") 1)
  (func $inner unreachable)
  (func $outer (call $inner))
  (func $_start (export "_start") (call $outer)))
