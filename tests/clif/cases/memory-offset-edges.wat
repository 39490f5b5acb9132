;;! flags = "--emit clif --invoke f"
;; The guard has 2 GiB: an access that ends there at most (offset + size) needs no check in the guard plan. One that
;; could reach beyond is compared with the length, in 64 bits: with the largest offset the sum exceeds 32 bits.
(module
  (memory 1)
  (func $f (export "f") (param i32) (result i32)
    (i32.load offset=0x7ffffffc (local.get 0))
    (i32.load offset=0x7ffffffd (local.get 0))
    (i32.load offset=0xffffffff (local.get 0))
    i32.add i32.add))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0(i32) -> i32 tail {
;;     region0 = 131072 "memory"
;;     region1 = 65536 "context"
;;
;; block0(v0: i32):
;;     v1 = uextend.i64 v0
;;     v2 = get_pinned_reg.i64
;;     v3 = iadd v2, v1
;;     v4 = load.i32 little region0 v3+0x7fff_fffc
;;     v5 = uextend.i64 v0
;;     v6 = iconst.i64 0x8000_0001
;;     v7 = load.i64 notrap aligned region1 v2-8
;;     v8 = iadd v5, v6  ; v6 = 0x8000_0001
;;     v9 = icmp ugt v8, v7
;;     trapnz v9, MemoryOutOfBounds
;;     v10 = iconst.i64 0
;;     v11 = select_spectre_guard v9, v10, v5  ; v10 = 0
;;     v12 = iadd v2, v11
;;     v13 = load.i32 little region0 v12+0x7fff_fffd
;;     v14 = uextend.i64 v0
;;     v15 = iconst.i64 0x0001_0000_0003
;;     v16 = load.i64 notrap aligned region1 v2-8
;;     v17 = iadd v14, v15  ; v15 = 0x0001_0000_0003
;;     v18 = icmp ugt v17, v16
;;     trapnz v18, MemoryOutOfBounds
;;     v19 = iconst.i64 0
;;     v20 = select_spectre_guard v18, v19, v14  ; v19 = 0
;;     v21 = iadd v2, v20
;;     v22 = iconst.i64 0xffff_ffff
;;     v23 = iadd v21, v22  ; v22 = 0xffff_ffff
;;     v24 = load.i32 little region0 v23
;;     v25 = iadd v13, v24
;;     v26 = iadd v4, v25
;;     return v26
;; }
