;;! exit: 134
;;! err: wasm trap: out of bounds table access
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 1) $_start $_start)
  (func $_start (export "_start")))
