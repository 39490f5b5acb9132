(module (import "math" "add" (func (param i64) (result i32))) (func (export "_start")))
