;; Segments at places that only an instance knows, where nothing else uses what they are written to.

(module
  (global $g (import "spectest" "global_i32") i32)
  (table 667 funcref)
  (func $f)
  (elem (global.get $g) $f))

(assert_trap
  (module
    (global $g (import "spectest" "global_i32") i32)
    (table 666 funcref)
    (func $f)
    (elem (global.get $g) $f))
  "out of bounds table access")

(module
  (global $g (import "spectest" "global_i32") i32)
  (memory 1)
  (data (global.get $g) "a"))

(assert_trap
  (module
    (global $g (import "spectest" "global_i32") i32)
    (memory 0)
    (data (global.get $g) "a"))
  "out of bounds memory access")
