;;! exit: 134
;;! err: wasm trap: unreachable
;;! err: init
(module
  (memory (export "memory") 1)
  (func $init unreachable)
  (start $init)
  (func $_start (export "_start")))
