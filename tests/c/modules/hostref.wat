(module
  (func $callback (import "host" "callback") (param externref) (result externref))
  (global $global (export "global") (mut externref) (ref.null extern))
  (table $table (export "table") 10 externref)
  (func (export "global.set") (param externref) (global.set $global (local.get 0)))
  (func (export "global.get") (result externref) (global.get $global))
  (func (export "table.set") (param i32 externref) (table.set $table (local.get 0) (local.get 1)))
  (func (export "table.get") (param i32) (result externref) (table.get $table (local.get 0)))
  (func (export "func.call") (param externref) (result externref) (call $callback (local.get 0))))
