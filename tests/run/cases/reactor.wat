;; A reactor: `_initialize` runs before the export that is invoked.
;;! compile: --invoke answer
;;! out: 42
(module
  (memory (export "memory") 1)
  (global $value (mut i32) (i32.const 1))
  (func $_initialize (export "_initialize") (global.set $value (i32.const 42)))
  (func $answer (export "answer") (result i32) (global.get $value)))
