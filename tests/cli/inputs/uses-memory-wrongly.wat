(module (import "math" "memory" (memory 3)) (func (export "_start")))
