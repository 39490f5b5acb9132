(module
  (func $load (import "host" "load") (result i32))
  (memory (export "memory") 1)
  (data (i32.const 0) "\02")
  (func (export "call") (result i32) (call $load)))
