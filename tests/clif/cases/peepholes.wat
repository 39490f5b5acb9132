;;! flags = "--emit clif"
;;! only = "times"
;; Products by 3, 5 and 9, and what only looks like them.
(module
  (func $times (export "times") (param i32 i64) (result i32 i32 i64 i64)
    (i32.mul (local.get 0) (i32.const 3))
    (i32.mul (i32.const 5) (local.get 0))
    (i64.mul (local.get 1) (i64.const 9))
    (i64.mul (local.get 1) (i64.const 7))))

;;= --emit clif
;; function 0 `times`:
;; function u0:0(i64 vmctx, i32, i64) -> i32, i32, i64, i64 tail {
;; block0(v0: i64, v1: i32, v2: i64):
;;     v3 = iconst.i32 3
;;     v4 = iconst.i32 1
;;     v5 = ishl v1, v4  ; v4 = 1
;;     v6 = iadd v1, v5
;;     v7 = iconst.i32 5
;;     v8 = iconst.i32 2
;;     v9 = ishl v1, v8  ; v8 = 2
;;     v10 = iadd v1, v9
;;     v11 = iconst.i64 9
;;     v12 = iconst.i64 3
;;     v13 = ishl v2, v12  ; v12 = 3
;;     v14 = iadd v2, v13
;;     v15 = iconst.i64 7
;;     v16 = imul v2, v15  ; v15 = 7
;;     return v6, v10, v14, v16
;; }
