;;! flags = "--emit clif --invoke f"
;;! flags = "--emit clif --invoke f --bounds-checks explicit"
;; A 64-bit memory: in the guard plan only the index is compared, the guard covers offset and size; an offset that the
;; guard does not cover is added with a check for overflow.
(module
  (memory i64 1)
  (func $f (export "f") (param i64) (result i64)
    (i64.load offset=8 (local.get 0))
    (i64.load offset=0xffffffffffff0000 (local.get 0))
    i64.add))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0(i64) -> i64 tail {
;;     region0 = 131072 "memory"
;;     region1 = 65536 "context"
;;
;; block0(v0: i64):
;;     v1 = get_pinned_reg.i64
;;     v2 = load.i64 notrap aligned region1 v1-8
;;     v3 = icmp ugt v0, v2
;;     trapnz v3, MemoryOutOfBounds
;;     v4 = iconst.i64 0
;;     v5 = select_spectre_guard v3, v4, v0  ; v4 = 0
;;     v6 = iadd v1, v5
;;     v7 = load.i64 little region0 v6+8
;;     v8 = iconst.i64 -65528
;;     v9 = load.i64 notrap aligned region1 v1-8
;;     v10, v11 = uadd_overflow v0, v8  ; v8 = -65528
;;     v12 = icmp ugt v10, v9
;;     v13 = bor v11, v12
;;     trapnz v13, MemoryOutOfBounds
;;     v14 = iconst.i64 0
;;     v15 = select_spectre_guard v13, v14, v0  ; v14 = 0
;;     v16 = iadd v1, v15
;;     v17 = iconst.i64 -65536
;;     v18 = iadd v16, v17  ; v17 = -65536
;;     v19 = load.i64 little region0 v18
;;     v20 = iadd v7, v19
;;     return v20
;; }

;;= --emit clif --invoke f --bounds-checks explicit
;; function 0 `f`:
;; function u0:0(i64) -> i64 tail {
;;     region0 = 131072 "memory"
;;     region1 = 65536 "context"
;;
;; block0(v0: i64):
;;     v1 = iconst.i64 16
;;     v2 = get_pinned_reg.i64
;;     v3 = load.i64 notrap aligned region1 v2-8
;;     v4, v5 = uadd_overflow v0, v1  ; v1 = 16
;;     v6 = icmp ugt v4, v3
;;     v7 = bor v5, v6
;;     trapnz v7, MemoryOutOfBounds
;;     v8 = iconst.i64 0
;;     v9 = select_spectre_guard v7, v8, v0  ; v8 = 0
;;     v10 = iadd v2, v9
;;     v11 = load.i64 little region0 v10+8
;;     v12 = iconst.i64 -65528
;;     v13 = load.i64 notrap aligned region1 v2-8
;;     v14, v15 = uadd_overflow v0, v12  ; v12 = -65528
;;     v16 = icmp ugt v14, v13
;;     v17 = bor v15, v16
;;     trapnz v17, MemoryOutOfBounds
;;     v18 = iconst.i64 0
;;     v19 = select_spectre_guard v17, v18, v0  ; v18 = 0
;;     v20 = iadd v2, v19
;;     v21 = iconst.i64 -65536
;;     v22 = iadd v20, v21  ; v21 = -65536
;;     v23 = load.i64 little region0 v22
;;     v24 = iadd v11, v23
;;     return v24
;; }
