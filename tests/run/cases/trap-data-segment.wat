;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;; Instantiation traps before anything runs.
(module
  (memory (export "memory") 1)
  (data (i32.const 65530) "seven b")
  (func $_start (export "_start")))
