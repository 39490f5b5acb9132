;; Exceptions that the host throws and catches.
(module
  (import "host" "throw" (func $throw (param i32)))
  (import "host" "other" (tag $other (param i32)))
  (tag $own (export "own") (param i32 f64 externref))
  (func (export "throws") (param i32 externref)
    (throw $own (local.get 0) (f64.const 0.5) (local.get 1)))
  (func (export "calls") (param i32) (call $throw (local.get 0)))
  (func (export "catches") (param i32) (result i32)
    (block $caught (result i32)
      (try_table (catch $other $caught) (call $throw (local.get 0)))
      (i32.const -1))))
