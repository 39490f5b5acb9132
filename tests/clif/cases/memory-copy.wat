;;! flags = "--emit clif --invoke f"
;; Both ranges of a copy are checked in any plan. A short one of a known length is loaded and stored; others are the
;; runtime's.
(module
  (memory 1)
  (func $f (export "f") (param i32 i32 i32)
    (memory.copy (local.get 0) (local.get 1) (i32.const 8))
    (memory.copy (local.get 0) (local.get 1) (local.get 2))))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0(i32, i32, i32) tail {
;;     region0 = 65536 "context"
;;     region1 = 131072 "memory"
;;     sig0 = (i64, i64, i64) system_v
;;     fn0 = colocated u1:1 sig0
;;
;; block0(v0: i32, v1: i32, v2: i32):
;;     v3 = iconst.i32 8
;;     v4 = uextend.i64 v0
;;     v5 = uextend.i64 v1
;;     v6 = uextend.i64 v3  ; v3 = 8
;;     v7 = get_pinned_reg.i64
;;     v8 = load.i64 notrap aligned region0 v7-8
;;     v9 = iadd v4, v6
;;     v10 = icmp ugt v9, v8
;;     trapnz v10, MemoryOutOfBounds
;;     v11 = iconst.i64 0
;;     v12 = select_spectre_guard v10, v11, v4  ; v11 = 0
;;     v13 = iadd v7, v12
;;     v14 = load.i64 notrap aligned region0 v7-8
;;     v15 = iadd v5, v6
;;     v16 = icmp ugt v15, v14
;;     trapnz v16, MemoryOutOfBounds
;;     v17 = iconst.i64 0
;;     v18 = select_spectre_guard v16, v17, v5  ; v17 = 0
;;     v19 = iadd v7, v18
;;     v20 = load.i64 notrap region1 v19
;;     store notrap region1 v20, v13
;;     v21 = uextend.i64 v0
;;     v22 = uextend.i64 v1
;;     v23 = uextend.i64 v2
;;     v24 = load.i64 notrap aligned region0 v7-8
;;     v25 = iadd v21, v23
;;     v26 = icmp ugt v25, v24
;;     trapnz v26, MemoryOutOfBounds
;;     v27 = iconst.i64 0
;;     v28 = select_spectre_guard v26, v27, v21  ; v27 = 0
;;     v29 = iadd v7, v28
;;     v30 = load.i64 notrap aligned region0 v7-8
;;     v31 = iadd v22, v23
;;     v32 = icmp ugt v31, v30
;;     trapnz v32, MemoryOutOfBounds
;;     v33 = iconst.i64 0
;;     v34 = select_spectre_guard v32, v33, v22  ; v33 = 0
;;     v35 = iadd v7, v34
;;     call fn0(v29, v35, v23)
;;     return
;; }
