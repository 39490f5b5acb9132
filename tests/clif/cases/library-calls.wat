;;! flags = "--emit clif -O --library-name golden"

;; In a library the context is a parameter. Functions of the instance get it passed on; an imported function's code and
;; context come from its reference in the caller's context; through a table that others can reach they come from the
;; element, whose type is compared with a number of the runtime's; a table that nobody else can reach stays read-only
;; data with the module's own numbers. Runtime functions are called by their address.
(module
  (type $t (func (param i32) (result i32)))
  (import "other" "f" (func $imported (type $t)))
  (import "other" "t" (table $shared 4 funcref))
  (table $own 2 2 funcref)
  (elem (table $own) (i32.const 0) func $callee $callee)
  (memory 1)
  (func $callee (type $t) (local.get 0))
  (func (export "direct") (type $t) (call $callee (local.get 0)))
  (func (export "import") (type $t) (call $imported (local.get 0)))
  (func (export "tail") (type $t) (return_call $imported (local.get 0)))
  (func (export "through-shared") (type $t) (call_indirect $shared (type $t) (local.get 0) (local.get 0)))
  (func (export "through-own") (type $t) (call_indirect $own (type $t) (local.get 0) (local.get 0)))
  (func (export "reference") (result funcref) (ref.func $callee))
  (func (export "builtin") (param i32) (result i32) (memory.grow (local.get 0))))

;;= --emit clif -O --library-name golden
;; function 1 `callee`:
;; function u0:0(i64 vmctx, i32) -> i32 tail {
;; block0(v0: i64, v1: i32):
;;     return v1
;; }
;;
;; function 2:
;; function u0:1(i64 vmctx, i32) -> i32 tail {
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;     fn0 = colocated u0:0 sig0
;;
;; block0(v0: i64, v1: i32):
;;     v2 = call fn0(v0, v1)
;;     return v2
;; }
;;
;; function 3:
;; function u0:2(i64 vmctx, i32) -> i32 tail {
;;     region0 = 65536 "context"
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;
;; block0(v0: i64, v1: i32):
;;     v2 = load.i64 notrap aligned readonly can_move region0 v0-336
;;     v3 = load.i64 notrap aligned readonly can_move region0 v0-328
;;     v4 = call_indirect sig0, v2(v3, v1)
;;     return v4
;; }
;;
;; function 4:
;; function u0:3(i64 vmctx, i32) -> i32 tail {
;;     region0 = 65536 "context"
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;
;; block0(v0: i64, v1: i32):
;;     v2 = load.i64 notrap aligned readonly can_move region0 v0-336
;;     v3 = load.i64 notrap aligned readonly can_move region0 v0-328
;;     return_call_indirect sig0, v2(v3, v1)
;; }
;;
;; function 5:
;; function u0:4(i64 vmctx, i32) -> i32 tail {
;;     region0 = 65536 "context"
;;     region1 = 262144 "table"
;;     region2 = 327680 "constants"
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;
;; block0(v0: i64, v1: i32):
;;     v2 = uextend.i64 v1
;;     v3 = load.i64 notrap aligned readonly can_move region0 v0-112
;;     v4 = load.i64 notrap aligned region0 v3+8
;;     v5 = icmp uge v2, v4
;;     trapnz v5, UndefinedElement
;;     v6 = iconst.i64 0
;;     v7 = select_spectre_guard v5, v6, v2  ; v6 = 0
;;     v8 = load.i64 notrap aligned readonly can_move region0 v0-112
;;     v9 = load.i64 notrap aligned readonly can_move region0 v8
;;     v10 = iconst.i64 3
;;     v11 = ishl v7, v10  ; v10 = 3
;;     v12 = iadd v9, v11
;;     v13 = load.i64 notrap aligned region1 v12
;;     v14 = iconst.i64 0
;;     v15 = icmp eq v13, v14  ; v14 = 0
;;     trapnz v15, UninitializedElement
;;     v16 = load.i32 notrap aligned readonly region2 v13+16
;;     v17 = load.i64 notrap aligned readonly can_move region0 v0-80
;;     v18 = load.i32 notrap aligned readonly can_move region0 v17
;;     v19 = icmp ne v16, v18
;;     trapnz v19, IndirectCallTypeMismatch
;;     v20 = load.i64 notrap aligned readonly region2 v13
;;     v21 = load.i64 notrap aligned readonly region2 v13+8
;;     v22 = call_indirect sig0, v20(v21, v1)
;;     return v22
;; }
;;
;; function 6:
;; function u0:5(i64 vmctx, i32) -> i32 tail {
;;     region0 = 327680 "constants"
;;     sig0 = () tail
;;     sig1 = (i64 vmctx, i32) -> i32 tail
;;     fn0 = colocated u5:0 sig0
;;     fn1 = colocated u3:0 sig0
;;
;; block0(v0: i64, v1: i32):
;;     v2 = uextend.i64 v1
;;     v3 = iconst.i64 2
;;     v4 = icmp uge v2, v3  ; v3 = 2
;;     trapnz v4, UndefinedElement
;;     v5 = iconst.i64 0
;;     v6 = select_spectre_guard v4, v5, v2  ; v5 = 0
;;     v7 = func_addr.i64 fn0
;;     v8 = iconst.i64 3
;;     v9 = ishl v6, v8  ; v8 = 3
;;     v10 = iadd v7, v9
;;     v11 = uload32 notrap aligned readonly region0 v10
;;     v12 = func_addr.i64 fn1
;;     v13 = iadd v12, v11
;;     v14 = call_indirect sig1, v13(v0, v1)
;;     return v14
;; }
;;
;; function 7:
;; function u0:6(i64 vmctx) -> i64 tail {
;; block0(v0: i64):
;;     v1 = iconst.i64 -312
;;     v2 = iadd v0, v1  ; v1 = -312
;;     return v2
;; }
;;
;; function 8:
;; function u0:7(i64 vmctx, i32) -> i32 tail {
;;     region0 = 65536 "context"
;;     sig0 = (i64, i32, i64) -> i64 system_v
;;
;; block0(v0: i64, v1: i32):
;;     v2 = uextend.i64 v1
;;     v3 = iconst.i32 0
;;     v4 = load.i64 notrap aligned readonly can_move region0 v0-72
;;     v5 = load.i64 notrap aligned readonly can_move region0 v4
;;     v6 = call_indirect sig0, v5(v0, v3, v2)  ; v3 = 0
;;     v7 = ireduce.i32 v6
;;     return v7
;; }
;;
;; the trampoline to functions of type 0:
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
;; the trampoline to functions of type 1:
;; function u0:0(i64, i64, i64) system_v {
;;     sig0 = (i64 vmctx) -> i64 tail
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     v3 = call_indirect sig0, v1(v0)
;;     store notrap aligned v3, v2
;;     return
;; }
;;
;; the trampoline to host functions of type 0:
;; function u0:0(i64 vmctx, i32) -> i32 tail {
;;     ss0 = explicit_slot 16, align = 16
;;     sig0 = (i64, i64) system_v
;;
;; block0(v0: i64, v1: i32):
;;     v2 = stack_addr.i64 ss0
;;     store notrap aligned v1, v2
;;     v3 = load.i64 notrap aligned v0
;;     call_indirect sig0, v3(v0, v2)
;;     v4 = load.i32 notrap aligned v2
;;     return v4
;; }
