(module
  (func $good (result i32) (i32.const 1))
  (func $bad_sum (param $a i32) (result i32)
    (i32.add (local.get $a) (i64.const 1)))
  (func (export "_start") (drop (call $bad_sum (call $good)))))
