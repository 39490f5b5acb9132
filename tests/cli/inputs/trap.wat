(module
  (memory (export "memory") 1)
  (func $later (export "_start") unreachable))
