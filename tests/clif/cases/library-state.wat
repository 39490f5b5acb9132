;;! flags = "--emit clif -O --library-name golden"

;; What a library imports lies elsewhere: a mutable global behind an address, an immutable one as a value in the context,
;; a memory's base in the context and its length behind an address. What it exports and nobody can change is a constant
;; for its own code. Handlers of exceptions name the context of their frame, and tags are numbers of the runtime's.
(module
  (import "other" "mutable" (global $mutable (mut i64)))
  (import "other" "constant" (global $constant i32))
  (import "other" "memory" (memory 1))
  (global $own (mut i32) (i32.const 1))
  (global $known (export "known") i32 (i32.const 42))
  (tag $e (param i32))
  (func (export "get") (result i64 i32 i32 i32)
    (global.get $mutable) (global.get $constant) (global.get $own) (global.get $known))
  (func (export "set") (param i64 i32) (global.set $mutable (local.get 0)) (global.set $own (local.get 1)))
  (func (export "load") (param i32) (result i32) (i32.load offset=8 (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func $throws (export "throws") (throw $e (i32.const 1)))
  (func (export "catches") (result i32)
    (block $h (result i32) (try_table (catch $e $h) (call $throws)) (i32.const 0))))

;;= --emit clif -O --library-name golden
;; function 0:
;; function u0:0(i64 vmctx) -> i64, i32, i32, i32 tail {
;;     region0 = 65536 "context"
;;     region1 = 524288 "imported globals"
;;     region2 = 196609 "global"
;;     region3 = 196610 "global"
;;
;; block0(v0: i64):
;;     v1 = load.i64 notrap aligned readonly can_move region0 v0-96
;;     v2 = load.i64 notrap aligned region1 v1
;;     v3 = load.i32 notrap aligned region2 v0-104
;;     v4 = load.i32 notrap aligned region3 v0-112
;;     v5 = iconst.i32 42
;;     return v2, v3, v4, v5  ; v5 = 42
;; }
;;
;; function 1:
;; function u0:1(i64 vmctx, i64, i32) tail {
;;     region0 = 65536 "context"
;;     region1 = 524288 "imported globals"
;;     region2 = 196610 "global"
;;
;; block0(v0: i64, v1: i64, v2: i32):
;;     v3 = load.i64 notrap aligned readonly can_move region0 v0-96
;;     store notrap aligned region1 v1, v3
;;     store notrap aligned region2 v2, v0-112
;;     return
;; }
;;
;; function 2:
;; function u0:2(i64 vmctx, i32) -> i32 tail {
;;     region0 = 131072 "memory"
;;     region1 = 65536 "context"
;;
;; block0(v0: i64, v1: i32):
;;     v2 = uextend.i64 v1
;;     v3 = load.i64 notrap aligned readonly can_move region1 v0-144
;;     v4 = iadd v3, v2
;;     v5 = load.i32 little region0 v4+8
;;     return v5
;; }
;;
;; function 3:
;; function u0:3(i64 vmctx) -> i32 tail {
;;     region0 = 65536 "context"
;;
;; block0(v0: i64):
;;     v1 = load.i64 notrap aligned readonly can_move region0 v0-136
;;     v2 = iconst.i64 8
;;     v3 = iadd v1, v2  ; v2 = 8
;;     v4 = atomic_load.i64 notrap aligned region0 v3
;;     v5 = iconst.i64 16
;;     v6 = ushr v4, v5  ; v5 = 16
;;     v7 = ireduce.i32 v6
;;     return v7
;; }
;;
;; function 4 `throws`:
;; function u0:4(i64 vmctx) tail {
;;     region0 = 65536 "context"
;;     region1 = 458752 "exceptions"
;;     sig0 = (i64, i32) -> i64 system_v
;;     sig1 = (i64, i64) tail
;;
;; block0(v0: i64):
;;     v1 = iconst.i32 1
;;     v2 = load.i64 notrap aligned readonly can_move region0 v0-88
;;     v3 = load.i32 notrap aligned readonly can_move region0 v2
;;     v4 = load.i64 notrap aligned readonly can_move region0 v0-72
;;     v5 = load.i64 notrap aligned readonly can_move region0 v4+112
;;     v6 = call_indirect sig0, v5(v0, v3)
;;     store notrap aligned region1 v1, v6+16  ; v1 = 1
;;     v7 = load.i64 notrap aligned readonly can_move region0 v0-72
;;     v8 = load.i64 notrap aligned readonly can_move region0 v7+120
;;     call_indirect sig1, v8(v0, v6)
;;     trap UncaughtException
;; }
;;
;; function 5:
;; function u0:5(i64 vmctx) -> i32 tail {
;;     region0 = 458752 "exceptions"
;;     sig0 = (i64 vmctx) tail
;;     fn0 = colocated u0:4 sig0
;;
;; block0(v0: i64):
;;     jump block1
;;
;; block2(v1: i64) cold:
;;     v2 = load.i32 notrap aligned region0 v1+16
;;     jump block3(v2)
;;
;; block1:
;;     try_call fn0(v0), sig0, block4, [ context v0, tag0: block2(exn0) ]
;;
;; block4:
;;     v4 = iconst.i32 0
;;     jump block3(v4)  ; v4 = 0
;;
;; block3(v3: i32):
;;     return v3
;; }
;;
;; the trampoline to functions of type 1:
;; function u0:0(i64, i64, i64) system_v {
;;     sig0 = (i64 vmctx) -> i64, i32, i32, i32 tail
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     v3, v4, v5, v6 = call_indirect sig0, v1(v0)
;;     store notrap aligned v3, v2
;;     store notrap aligned v4, v2+16
;;     store notrap aligned v5, v2+32
;;     store notrap aligned v6, v2+48
;;     return
;; }
;;
;; the trampoline to functions of type 2:
;; function u0:0(i64, i64, i64) system_v {
;;     sig0 = (i64 vmctx, i64, i32) tail
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     v3 = load.i64 notrap aligned v2
;;     v4 = load.i32 notrap aligned v2+16
;;     call_indirect sig0, v1(v0, v3, v4)
;;     return
;; }
;;
;; the trampoline to functions of type 3:
;; function u0:0(i64, i64, i64) system_v {
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     v3 = load.i32 notrap aligned v2
;;     v4 = call_indirect sig0, v1(v0, v3)
;;     store notrap aligned v4, v2
;;     return
;; }
;;
;; the trampoline to functions of type 4:
;; function u0:0(i64, i64, i64) system_v {
;;     sig0 = (i64 vmctx) -> i32 tail
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     v3 = call_indirect sig0, v1(v0)
;;     store notrap aligned v3, v2
;;     return
;; }
;;
;; the trampoline to functions of type 5:
;; function u0:0(i64, i64, i64) system_v {
;;     sig0 = (i64 vmctx) tail
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     call_indirect sig0, v1(v0)
;;     return
;; }
