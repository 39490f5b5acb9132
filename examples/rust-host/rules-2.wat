;; The second version of `rules.wat`: 10 % off for who has a name. Its address and its length are the halves of a number.
(module
  (import "shop" "price" (func $price (param i32) (result f64)))
  (import "shop" "log" (func $log (param i32 i32)))
  (memory (export "memory") 1)
  (global $orders (export "orders") (mut i32) (i32.const 0))
  (global (export "version") i32 (i32.const 2))
  (func (export "total") (param $item i32) (param $count i32) (param $name i64) (result f64)
    (global.set $orders (i32.add (global.get $orders) (i32.const 1)))
    (call $log (i32.wrap_i64 (i64.shr_u (local.get $name) (i64.const 32))) (i32.wrap_i64 (local.get $name)))
    (f64.mul
      (select (f64.const 0.9) (f64.const 1) (i32.wrap_i64 (local.get $name)))
      (f64.mul (call $price (local.get $item)) (f64.convert_i32_u (local.get $count))))))
