;; Element segments with references that globals of other modules hold, and limits that the owner of a memory gave it,
;; though a module between imports it with lower ones.
;;! compile: --preload owner={linked}/owner.wat --preload between={linked}/limits.wat
;;! out: right
;;! compile: --preload owner={linked}/owner.wat --preload between={linked}/limits.wat --bounds-checks explicit -O0
;;! out: right
(module
  (type $number (func (result i32)))
  (import "between" "memory" (memory $memory 2 3))
  (import "between" "table" (table $table 4 8 funcref))
  (import "between" "nine" (global $nine funcref))
  (import "between" "again" (global $again funcref))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (table $private 4 funcref)
  (elem (table $private) (i32.const 1) funcref (global.get $nine) (ref.null func) (global.get $again))
  (elem (table $table) (i32.const 3) funcref (global.get $again))
  (elem $passive funcref (ref.func $three) (global.get $nine))
  (data (i32.const 70000) "right\n")
  (func $three (result i32) (i32.const 3))
  (func $expect (param $found i32) (param $wanted i32)
    (if (i32.ne (local.get $found) (local.get $wanted))
      (then (call $proc_exit (i32.add (local.get $wanted) (i32.const 1))))))
  (func (export "_start")
    (call $expect (call_indirect $private (type $number) (i32.const 1)) (i32.const 9))
    (call $expect (call_indirect $private (type $number) (i32.const 3)) (i32.const 10))
    (call $expect (call_indirect $table (type $number) (i32.const 3)) (i32.const 11))
    (call $expect (ref.is_null (table.get $private (i32.const 2))) (i32.const 1))
    (table.init $table $passive (i32.const 0) (i32.const 0) (i32.const 2))
    (call $expect (call_indirect $table (type $number) (i32.const 0)) (i32.const 3))
    (call $expect (call_indirect $table (type $number) (i32.const 1)) (i32.const 12))
    (i32.store (i32.const 0) (i32.const 70000))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
