;; Prices of orders: 5 % off from ten items on. The host says what an item costs, and keeps a log.
(module
  (import "shop" "price" (func $price (param i32) (result f64)))
  (import "shop" "log" (func $log (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "a discount")
  (global $orders (export "orders") (mut i32) (i32.const 0))
  (global (export "version") i32 (i32.const 1))
  (func (export "total") (param $item i32) (param $count i32) (result f64)
    (global.set $orders (i32.add (global.get $orders) (i32.const 1)))
    (if (result f64) (i32.ge_u (local.get $count) (i32.const 10))
      (then
        (call $log (i32.const 16) (i32.const 10))
        (f64.mul (f64.const 0.95) (f64.mul (call $price (local.get $item)) (f64.convert_i32_u (local.get $count)))))
      (else (f64.mul (call $price (local.get $item)) (f64.convert_i32_u (local.get $count)))))))
