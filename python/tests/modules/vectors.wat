;; Functions that take and return vectors.
(module
  (import "host" "swap" (func $swap (param v128 i32) (result i32 v128)))
  (func (export "add") (param v128 v128) (result v128) (i32x4.add (local.get 0) (local.get 1)))
  (func (export "swap") (param v128 i32) (result i32 v128) (call $swap (local.get 0) (local.get 1)))
  (func (export "both") (param v128 externref) (result v128) (local.get 0))
  (func (export "trap") (param v128) (result v128) (unreachable)))
