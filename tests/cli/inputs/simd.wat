(module
  (memory (export "memory") 1)
  (func (export "_start") (drop (i8x16.splat (i32.const 1)))))
