;; `--preinit`: memory, globals, tables and segments are as the initialiser left them, the start function does not run again,
;; and what the initialiser prints goes to standard error of the compiler.
;;! compile: --preinit
;;! out: Y7122254!Y
;;! exit: 134
;;! err: out of bounds memory access
;;! compile: --preinit --bounds-checks explicit -O0 --timeout 1m
;;! out: Y7122254!Y
;;! exit: 134
;;! err: out of bounds memory access
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (type $f (func (result i32)))
  (table $t 4 10 funcref)
  (elem (i32.const 0) $one)
  (elem $p func $two $two)
  (data (i32.const 16) "hello \n")
  (data $d "XYZ")
  (global $g (mut i32) (i32.const 0))
  (global $big (mut i64) (i64.const 5))
  (global $r (mut funcref) (ref.null func))
  (func $one (type $f) (i32.const 49))
  (func $two (type $f) (i32.const 50))
  (func $start (global.set $g (i32.add (global.get $g) (i32.const 1))))
  (start $start)
  (func $say (param $p i32) (param $n i32)
    (i32.store (i32.const 0) (local.get $p)) (i32.store (i32.const 4) (local.get $n))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "wizer-initialize")
    (call $say (i32.const 16) (i32.const 7))
    (global.set $g (i32.add (global.get $g) (i32.const 40)))
    (global.set $big (i64.const -7))
    (global.set $r (ref.func $two))
    (table.set $t (i32.const 2) (ref.func $two))
    (drop (table.grow $t (ref.null func) (i32.const 1)))
    (table.init $t $p (i32.const 3) (i32.const 0) (i32.const 2))
    (elem.drop $p)
    (memory.init $d (i32.const 100) (i32.const 0) (i32.const 3))
    (data.drop $d)
    (drop (memory.grow (i32.const 3)))
    (i32.store8 (i32.const 200000) (i32.const 33)))
  (func (export "_start")
    (i32.store8 (i32.const 400) (i32.add (i32.const 48) (global.get $g)))
    (i32.store8 (i32.const 401) (i32.sub (i32.const 48) (i32.wrap_i64 (global.get $big))))
    (i32.store8 (i32.const 402) (call_indirect (type $f) (i32.const 0)))
    (i32.store8 (i32.const 403) (call_indirect (type $f) (i32.const 2)))
    (i32.store8 (i32.const 404) (call_indirect (type $f) (i32.const 4)))
    (table.set $t (i32.const 1) (global.get $r))
    (i32.store8 (i32.const 405) (call_indirect (type $f) (i32.const 1)))
    (i32.store8 (i32.const 406) (i32.add (i32.const 48) (table.size $t)))
    (i32.store8 (i32.const 407) (i32.add (i32.const 48) (memory.size)))
    (i32.store8 (i32.const 408) (i32.load8_u (i32.const 200000)))
    (i32.store8 (i32.const 409) (i32.load8_u (i32.const 101)))
    (i32.store8 (i32.const 410) (i32.const 10))
    (call $say (i32.const 400) (i32.const 11))
    ;; The segment was dropped.
    (memory.init $d (i32.const 100) (i32.const 0) (i32.const 1)))
)
