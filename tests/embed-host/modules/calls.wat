;; Calls of the host, which may call back.
(module
  (import "host" "f" (func $f (param i32) (result i32)))
  (func (export "once") (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0))))
  (func $down (export "down") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
      (else (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))))
  (func $deep (export "deep") (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0)))))
