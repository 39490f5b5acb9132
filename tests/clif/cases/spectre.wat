;;! flags = "--emit clif --invoke f --bounds-checks explicit"
;;! flags = "--emit clif --invoke f --bounds-checks explicit --spectre-mitigations n"
;;! only = "f"
;; Where an index is compared, it is masked as well, so that no mispredicted branch reads beyond: memory and table. The
;; flag takes the masks away and nothing else.
(module
  (type $t (func))
  (memory 1)
  (table 2 funcref)
  (elem (i32.const 0) $g $g)
  (func $g)
  (func $f (export "f") (param i32) (result i32)
    (call_indirect (type $t) (local.get 0))
    (i32.load (local.get 0))))

;;= --emit clif --invoke f --bounds-checks explicit
;; function 1 `f`:
;; function u0:1(i32) -> i32 tail {
;;     region0 = 327680 "constants"
;;     region1 = 131072 "memory"
;;     region2 = 65536 "context"
;;     sig0 = () tail
;;     sig1 = () tail
;;     fn0 = colocated u5:0 sig0
;;     fn1 = colocated u3:0 sig0
;;
;; block0(v0: i32):
;;     v1 = uextend.i64 v0
;;     v2 = iconst.i64 2
;;     v3 = icmp uge v1, v2  ; v2 = 2
;;     trapnz v3, UndefinedElement
;;     v4 = iconst.i64 0
;;     v5 = select_spectre_guard v3, v4, v1  ; v4 = 0
;;     v6 = func_addr.i64 fn0
;;     v7 = iconst.i64 3
;;     v8 = ishl v5, v7  ; v7 = 3
;;     v9 = iadd v6, v8
;;     v10 = uload32 notrap aligned readonly region0 v9
;;     v11 = func_addr.i64 fn1
;;     v12 = iadd v11, v10
;;     call_indirect sig1, v12()
;;     v13 = uextend.i64 v0
;;     v14 = iconst.i64 4
;;     v15 = get_pinned_reg.i64
;;     v16 = load.i64 notrap aligned region2 v15-8
;;     v17 = iadd v13, v14  ; v14 = 4
;;     v18 = icmp ugt v17, v16
;;     trapnz v18, MemoryOutOfBounds
;;     v19 = iconst.i64 0
;;     v20 = select_spectre_guard v18, v19, v13  ; v19 = 0
;;     v21 = iadd v15, v20
;;     v22 = load.i32 little region1 v21
;;     return v22
;; }

;;= --emit clif --invoke f --bounds-checks explicit --spectre-mitigations n
;; function 1 `f`:
;; function u0:1(i32) -> i32 tail {
;;     region0 = 327680 "constants"
;;     region1 = 131072 "memory"
;;     region2 = 65536 "context"
;;     sig0 = () tail
;;     sig1 = () tail
;;     fn0 = colocated u5:0 sig0
;;     fn1 = colocated u3:0 sig0
;;
;; block0(v0: i32):
;;     v1 = uextend.i64 v0
;;     v2 = iconst.i64 2
;;     v3 = icmp uge v1, v2  ; v2 = 2
;;     trapnz v3, UndefinedElement
;;     v4 = func_addr.i64 fn0
;;     v5 = iconst.i64 3
;;     v6 = ishl v1, v5  ; v5 = 3
;;     v7 = iadd v4, v6
;;     v8 = uload32 notrap aligned readonly region0 v7
;;     v9 = func_addr.i64 fn1
;;     v10 = iadd v9, v8
;;     call_indirect sig1, v10()
;;     v11 = uextend.i64 v0
;;     v12 = iconst.i64 4
;;     v13 = get_pinned_reg.i64
;;     v14 = load.i64 notrap aligned region2 v13-8
;;     v15 = iadd v11, v12  ; v12 = 4
;;     v16 = icmp ugt v15, v14
;;     trapnz v16, MemoryOutOfBounds
;;     v17 = iadd v13, v11
;;     v18 = load.i32 little region1 v17
;;     return v18
;; }
