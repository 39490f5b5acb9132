;;! flags = "--emit clif --invoke f -W custom-page-sizes"
;; A memory with pages of one byte can end anywhere: inaccessible pages cannot guard it, so it is checked in any plan.
(module
  (memory 100 (pagesize 1))
  (func $f (export "f") (param i32) (result i32)
    (i32.load offset=4 (local.get 0))))

;;= --emit clif --invoke f -W custom-page-sizes
;; function 0 `f`:
;; function u0:0(i32) -> i32 tail {
;;     region0 = 131072 "memory"
;;     region1 = 65536 "context"
;;
;; block0(v0: i32):
;;     v1 = uextend.i64 v0
;;     v2 = iconst.i64 8
;;     v3 = get_pinned_reg.i64
;;     v4 = load.i64 notrap aligned region1 v3-8
;;     v5 = iadd v1, v2  ; v2 = 8
;;     v6 = icmp ugt v5, v4
;;     trapnz v6, MemoryOutOfBounds
;;     v7 = iconst.i64 0
;;     v8 = select_spectre_guard v6, v7, v1  ; v7 = 0
;;     v9 = iadd v3, v8
;;     v10 = load.i32 little region0 v9+4
;;     return v10
;; }
