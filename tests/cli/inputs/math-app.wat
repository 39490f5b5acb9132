(component
  (import "demo:math/ops@1.0.0" (instance $ops (export "add" (func (param "a" u32) (param "b" u32) (result u32)))))
  (core func $add (canon lower (func $ops "add")))
  (core module $m
    (import "" "add" (func $add (param i32 i32) (result i32)))
    (func (export "run") (result i32) (i32.ne (call $add (i32.const 2) (i32.const 3)) (i32.const 5))))
  (core instance $i (instantiate $m (with "" (instance (export "add" (func $add))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $run (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $run)))
