;;! flags = "--emit clif --invoke f"
;;! only = "f"
;; The pinned register, the base of memory 0, is read once before a loop without calls, and in each block of one with
;; calls: it needs no register that would have to be saved across them.
(module
  (memory 1)
  (func $g)
  (func $f (export "f") (param i32)
    (loop $without-calls
      (i32.store8 (local.get 0) (i32.const 1))
      (br_if $without-calls (i32.load8_u offset=1 (local.get 0))))
    (loop $with-calls
      (i32.store8 (local.get 0) (i32.const 2))
      (call $g)
      (br_if $with-calls (i32.load8_u offset=2 (local.get 0))))))

;;= --emit clif --invoke f
;; function 1 `f`:
;; function u0:1(i32) tail {
;;     region0 = 131072 "memory"
;;     sig0 = () tail
;;     fn0 = colocated u0:0 sig0
;;
;; block0(v0: i32):
;;     v1 -> v0
;;     v9 -> v0
;;     v18 = get_pinned_reg.i64
;;     v4 -> v18
;;     jump block1
;;
;; block1:
;;     v2 = iconst.i32 1
;;     v3 = uextend.i64 v1
;;     v5 = iadd.i64 v4, v3
;;     istore8 little region0 v2, v5  ; v2 = 1
;;     v6 = uextend.i64 v1
;;     v7 = iadd.i64 v4, v6
;;     v8 = uload8.i32 little region0 v7+1
;;     brif v8, block1, block2
;;
;; block2:
;;     jump block3
;;
;; block3:
;;     v10 = iconst.i32 2
;;     v11 = uextend.i64 v9
;;     v12 = get_pinned_reg.i64
;;     v13 = iadd v12, v11
;;     istore8 little region0 v10, v13  ; v10 = 2
;;     call fn0()
;;     v14 = uextend.i64 v9
;;     v15 = get_pinned_reg.i64
;;     v16 = iadd v15, v14
;;     v17 = uload8.i32 little region0 v16+2
;;     brif v17, block3, block4
;;
;; block4:
;;     return
;; }
