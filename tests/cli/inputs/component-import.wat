(component
  (import "wasi:cli/stdout@0.3.0" (instance $host (export "f" (func))))
  (core func $f (canon lower (func $host "f")))
  (core module $m
    (import "host" "f" (func))
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $m (instantiate $m (with "host" (instance (export "f" (func $f))))))
  (func $run (result (result)) (canon lift (core func $m "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.6" (instance $command)))
