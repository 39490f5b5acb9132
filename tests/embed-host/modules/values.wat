;; Values of all types through all ways in and out.
(module
  (type $all (func (param i32 i64 f32 f64 v128 funcref externref)
    (result externref funcref v128 f64 f32 i64 i32 i32 i64 f64)))
  (type $many (func (param i32 i64 f32 f64 i32 i64 f32 f64 i32 i64 f32 f64 i32 i64 f32 f64 i32 i64 f32 f64)
    (result f64 f32 i64 i32 f64 f32 i64 i32 f64 f32 i64 i32 f64 f32 i64 i32 f64 f32 i64 i32)))
  (import "host" "turn" (func $turn (type $all)))
  (import "host" "many" (func $many (type $many)))
  (func (export "turn") (type $all)
    local.get 6 local.get 5 local.get 4 local.get 3 local.get 2 local.get 1 local.get 0
    (i32.add (local.get 0) (i32.const 1)) (i64.const 9) (f64.const 2.5))
  (func (export "through") (type $all)
    local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6 call $turn)
  (func (export "many") (type $many)
    local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6 local.get 7 local.get 8 local.get 9
    local.get 10 local.get 11 local.get 12 local.get 13 local.get 14 local.get 15 local.get 16 local.get 17 local.get 18
    local.get 19 call $many)
  (func (export "lanes") (param v128 v128) (result v128)
    (i32x4.add (i32x4.mul (local.get 0) (local.get 1)) (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11
      (local.get 0) (local.get 1))))
  (func (export "nothing")))
