;; Throws, for others to catch.
(module
  (tag $e (export "e") (param i32 i64)) (tag $other (export "other"))
  (func (export "throw") (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (throw $other)))
    (throw $e (local.get 0) (i64.const 1000))))
