;; Half of a mutual recursion by tail calls through a table that the other half fills.
(module
  (type $even (func (param i32) (result i32)))
  (table $table (export "table") 1 funcref)
  (global $steps (export "steps") (mut i32) (i32.const 0))
  (func (export "odd") (param i32) (result i32)
    (global.set $steps (i32.add (global.get $steps) (i32.const 1)))
    (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
    (return_call_indirect $table (type $even) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))))
