;;! flags = "--emit clif --invoke f"
;;! flags = "--emit clif --invoke f --bounds-checks explicit"
;; In the guard plan an access to a 32-bit memory has no check: the index and a constant offset are added to the base,
;; and the inaccessible pages do the rest. In the explicit plan the end of the access is compared with the length.
(module
  (memory 1)
  (func $f (export "f") (param i32 i64) (result i32)
    (i64.store offset=16 (local.get 0) (local.get 1))
    (i32.load8_u offset=40 (local.get 0))))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0(i32, i64) -> i32 tail {
;;     region0 = 131072 "memory"
;;
;; block0(v0: i32, v1: i64):
;;     v2 = uextend.i64 v0
;;     v3 = get_pinned_reg.i64
;;     v4 = iadd v3, v2
;;     store little region0 v1, v4+16
;;     v5 = uextend.i64 v0
;;     v6 = iadd v3, v5
;;     v7 = uload8.i32 little region0 v6+40
;;     return v7
;; }

;;= --emit clif --invoke f --bounds-checks explicit
;; function 0 `f`:
;; function u0:0(i32, i64) -> i32 tail {
;;     region0 = 131072 "memory"
;;     region1 = 65536 "context"
;;
;; block0(v0: i32, v1: i64):
;;     v2 = uextend.i64 v0
;;     v3 = iconst.i64 24
;;     v4 = get_pinned_reg.i64
;;     v5 = load.i64 notrap aligned region1 v4-8
;;     v6 = iadd v2, v3  ; v3 = 24
;;     v7 = icmp ugt v6, v5
;;     trapnz v7, MemoryOutOfBounds
;;     v8 = iconst.i64 0
;;     v9 = select_spectre_guard v7, v8, v2  ; v8 = 0
;;     v10 = iadd v4, v9
;;     store little region0 v1, v10+16
;;     v11 = uextend.i64 v0
;;     v12 = iconst.i64 41
;;     v13 = load.i64 notrap aligned region1 v4-8
;;     v14 = iadd v11, v12  ; v12 = 41
;;     v15 = icmp ugt v14, v13
;;     trapnz v15, MemoryOutOfBounds
;;     v16 = iconst.i64 0
;;     v17 = select_spectre_guard v15, v16, v11  ; v16 = 0
;;     v18 = iadd v4, v17
;;     v19 = uload8.i32 little region0 v18+40
;;     return v19
;; }
