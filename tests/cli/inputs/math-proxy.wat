(component
  (import "demo:math/base@1.0.0" (instance $base (export "add" (func (param "a" u32) (param "b" u32) (result u32)))))
  (core func $add (canon lower (func $base "add")))
  (core module $m
    (import "" "add" (func $add (param i32 i32) (result i32)))
    (func (export "add") (param i32 i32) (result i32) (call $add (local.get 0) (local.get 1))))
  (core instance $i (instantiate $m (with "" (instance (export "add" (func $add))))))
  (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
  (instance $ops (export "add" (func $add)))
  (export "demo:math/ops@1.0.0" (instance $ops)))
