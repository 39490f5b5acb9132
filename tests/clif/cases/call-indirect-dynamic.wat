;;! flags = "--emit clif --invoke f"
;;! only = "f"
;; A table that is written: its length is read and compared, then null, then the type; only then is code reached.
(module
  (type $t (func (param i32) (result i32)))
  (table 2 funcref)
  (elem (i32.const 0) $g)
  (func $g (type $t) (local.get 0))
  (func $f (export "f") (param i32) (result i32)
    (table.set (i32.const 1) (ref.func $g))
    (call_indirect (type $t) (i32.const 1) (local.get 0))))

;;= --emit clif --invoke f
;; function 1 `f`:
;; function u0:1(i32) -> i32 tail {
;;     region0 = 65536 "context"
;;     region1 = 262144 "table"
;;     region2 = 327680 "constants"
;;     sig0 = () tail
;;     sig1 = (i32) -> i32 tail
;;     fn0 = colocated u4:0 sig0
;;     fn1 = colocated u3:0 sig0
;;
;; block0(v0: i32):
;;     v1 = iconst.i32 1
;;     v2 = func_addr.i64 fn0
;;     v3 = uextend.i64 v1  ; v1 = 1
;;     v4 = get_pinned_reg.i64
;;     v5 = load.i64 notrap aligned region0 v4-40
;;     v6 = icmp uge v3, v5
;;     trapnz v6, TableOutOfBounds
;;     v7 = iconst.i64 0
;;     v8 = select_spectre_guard v6, v7, v3  ; v7 = 0
;;     v9 = load.i64 notrap aligned readonly can_move region0 v4-48
;;     v10 = iconst.i64 3
;;     v11 = ishl v8, v10  ; v10 = 3
;;     v12 = iadd v9, v11
;;     store notrap aligned region1 v2, v12
;;     v13 = iconst.i32 1
;;     v14 = uextend.i64 v0
;;     v15 = load.i64 notrap aligned region0 v4-40
;;     v16 = icmp uge v14, v15
;;     trapnz v16, UndefinedElement
;;     v17 = iconst.i64 0
;;     v18 = select_spectre_guard v16, v17, v14  ; v17 = 0
;;     v19 = load.i64 notrap aligned readonly can_move region0 v4-48
;;     v20 = iconst.i64 3
;;     v21 = ishl v18, v20  ; v20 = 3
;;     v22 = iadd v19, v21
;;     v23 = load.i64 notrap aligned region1 v22
;;     v24 = iconst.i64 0
;;     v25 = icmp eq v23, v24  ; v24 = 0
;;     trapnz v25, UninitializedElement
;;     v26 = load.i32 notrap aligned readonly region2 v23+4
;;     v27 = iconst.i32 0
;;     v28 = icmp ne v26, v27  ; v27 = 0
;;     trapnz v28, IndirectCallTypeMismatch
;;     v29 = uload32 notrap aligned readonly region2 v23
;;     v30 = func_addr.i64 fn1
;;     v31 = iadd v30, v29
;;     v32 = call_indirect sig1, v31(v13)  ; v13 = 1
;;     return v32
;; }
