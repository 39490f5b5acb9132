;; Imports a memory and a table with lower limits than they have, and passes them on; holds references to functions.
(module
  (import "owner" "memory" (memory 1))
  (import "owner" "table" (table 1 funcref))
  (import "owner" "nine" (global $nine funcref))
  (export "memory" (memory 0))
  (export "table" (table 0))
  (export "nine" (global $nine))
  (global (export "again") funcref (global.get $nine)))
