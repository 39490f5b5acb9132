(module
  (func (import "env" "f") (param i32 f64) (result externref))
  (table (import "env" "t") 2 funcref)
  (func (export "func") (param i32 f64 f32) (result i32) (unreachable))
  (global (export "global") f64 (f64.const 0))
  (table (export "table") 0 50 externref)
  (memory (export "memory") 1)
  (tag (export "tag") (param i64)))
