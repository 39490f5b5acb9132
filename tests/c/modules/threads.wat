(module
  (func $message (import "test" "hello") (param i32))
  (global $id (import "test" "id") i32)
  (func (export "run") (call $message (global.get $id))))
