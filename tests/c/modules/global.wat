(module
  (global $const (import "global" "const") f32)
  (global $var (import "global" "var") (mut i64))
  (func (export "get const") (result f32) (global.get $const))
  (func (export "get var") (result i64) (global.get $var))
  (func (export "set var") (param i64) (global.set $var (local.get 0)))
  (global (export "own const") f32 (f32.const 5))
  (global (export "own var") (mut i64) (i64.const 6)))
