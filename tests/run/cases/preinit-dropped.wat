;; `--preinit`: an initialiser that drops an active segment does not empty the table that the segment filled.
;;! compile: --preinit
;;! exit: 42
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (type $f (func (result i32)))
  (table 2 funcref)
  (elem $e (i32.const 1) func $answer)
  (func $answer (type $f) (i32.const 42))
  (func (export "wizer-initialize") (elem.drop $e))
  (func (export "_start") (call $proc_exit (call_indirect (type $f) (i32.const 1)))))
