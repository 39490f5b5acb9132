;; Owns a memory and a table, and a reference to a function that has state of this instance.
(module
  (memory (export "memory") 2 3)
  (table (export "table") 4 8 funcref)
  (global $state (mut i32) (i32.const 9))
  (func $nine (result i32)
    (global.set $state (i32.add (global.get $state) (i32.const 1)))
    (i32.sub (global.get $state) (i32.const 1)))
  (elem declare func $nine)
  (global (export "nine") funcref (ref.func $nine)))
