(module
  (func $f (import "" "f") (param i32 i64) (result i64 i32))
  (func (export "g") (param i32 i64) (result i64 i32) (call $f (local.get 0) (local.get 1)))
  (func (export "round trip")
    (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
    (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
    (local.get 5) (local.get 6) (local.get 7) (local.get 8) (local.get 9)))
