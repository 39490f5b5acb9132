;;! flags = "--emit clif --invoke f"
;;! flags = "--emit clif --invoke f -C address-sums=n"
;;! only = "f"
;; The first access proves that the next 64 KiB do not wrap around: constants become offsets, also behind a branch. What lies
;; below it or too far above it is an access of its own.
(module
  (memory 1)
  (func $f (export "f") (param $p i32) (result i32)
    (i32.store (i32.add (local.get $p) (i32.const 8)) (i32.const 1))
    (i32.store offset=4 (i32.add (i32.add (local.get $p) (i32.const 8)) (i32.const 16)) (i32.const 2))
    (if (i32.load16_u (i32.add (i32.const 12) (local.get $p))) (then (return (i32.const 3))))
    (block $far
      (br_if $far (local.get $p))
      (i32.store (i32.add (local.get $p) (i32.const 4)) (i32.const 4))
      (br_if $far (i32.load8_u (i32.add (local.get $p) (i32.const 20))))
      (i32.store (i32.add (local.get $p) (i32.const 24)) (i32.const 5)))
    (i32.add
      (i32.load (local.get $p))
      (i32.load (i32.add (local.get $p) (i32.const 65540))))))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0(i32) -> i32 tail {
;;     region0 = 131072 "memory"
;;
;; block0(v0: i32):
;;     v37 -> v0
;;     v1 = iconst.i32 8
;;     v2 = iadd v0, v1  ; v1 = 8
;;     v3 = iconst.i32 1
;;     v4 = uextend.i64 v2
;;     v5 = get_pinned_reg.i64
;;     v6 = iadd v5, v4
;;     store little region0 v3, v6  ; v3 = 1
;;     v7 = iconst.i32 8
;;     v8 = iadd v0, v7  ; v7 = 8
;;     v9 = iconst.i32 16
;;     v10 = iadd v8, v9  ; v9 = 16
;;     v11 = iconst.i32 2
;;     v12 = uextend.i64 v2
;;     v13 = iadd v5, v12
;;     store little region0 v11, v13+20  ; v11 = 2
;;     v14 = iconst.i32 12
;;     v15 = iadd v14, v0  ; v14 = 12
;;     v16 = uextend.i64 v2
;;     v17 = iadd v5, v16
;;     v18 = uload16.i32 little region0 v17+4
;;     brif v18, block1, block2
;;
;; block1:
;;     v19 = iconst.i32 3
;;     return v19  ; v19 = 3
;;
;; block2:
;;     jump block3
;;
;; block3:
;;     brif.i32 v0, block4, block5
;;
;; block5:
;;     v20 = iconst.i32 4
;;     v21 = iadd.i32 v0, v20  ; v20 = 4
;;     v22 = iconst.i32 4
;;     v23 = uextend.i64 v21
;;     v24 = get_pinned_reg.i64
;;     v25 = iadd v24, v23
;;     store little region0 v22, v25  ; v22 = 4
;;     v26 = iconst.i32 20
;;     v27 = iadd.i32 v0, v26  ; v26 = 20
;;     v28 = uextend.i64 v21
;;     v29 = iadd v24, v28
;;     v30 = uload8.i32 little region0 v29+16
;;     brif v30, block4, block6
;;
;; block6:
;;     v31 = iconst.i32 24
;;     v32 = iadd.i32 v0, v31  ; v31 = 24
;;     v33 = iconst.i32 5
;;     v34 = uextend.i64 v21
;;     v35 = get_pinned_reg.i64
;;     v36 = iadd v35, v34
;;     store little region0 v33, v36+20  ; v33 = 5
;;     jump block4
;;
;; block4:
;;     v38 = uextend.i64 v0
;;     v39 = get_pinned_reg.i64
;;     v40 = iadd v39, v38
;;     v41 = load.i32 little region0 v40
;;     v42 = iconst.i32 0x0001_0004
;;     v43 = iadd.i32 v37, v42  ; v42 = 0x0001_0004
;;     v44 = uextend.i64 v43
;;     v45 = iadd v39, v44
;;     v46 = load.i32 little region0 v45
;;     v47 = iadd v41, v46
;;     return v47
;; }

;;= --emit clif --invoke f -C address-sums=n
;; function 0 `f`:
;; function u0:0(i32) -> i32 tail {
;;     region0 = 131072 "memory"
;;
;; block0(v0: i32):
;;     v37 -> v0
;;     v1 = iconst.i32 8
;;     v2 = iadd v0, v1  ; v1 = 8
;;     v3 = iconst.i32 1
;;     v4 = uextend.i64 v2
;;     v5 = get_pinned_reg.i64
;;     v6 = iadd v5, v4
;;     store little region0 v3, v6  ; v3 = 1
;;     v7 = iconst.i32 8
;;     v8 = iadd v0, v7  ; v7 = 8
;;     v9 = iconst.i32 16
;;     v10 = iadd v8, v9  ; v9 = 16
;;     v11 = iconst.i32 2
;;     v12 = uextend.i64 v10
;;     v13 = iadd v5, v12
;;     store little region0 v11, v13+4  ; v11 = 2
;;     v14 = iconst.i32 12
;;     v15 = iadd v14, v0  ; v14 = 12
;;     v16 = uextend.i64 v15
;;     v17 = iadd v5, v16
;;     v18 = uload16.i32 little region0 v17
;;     brif v18, block1, block2
;;
;; block1:
;;     v19 = iconst.i32 3
;;     return v19  ; v19 = 3
;;
;; block2:
;;     jump block3
;;
;; block3:
;;     brif.i32 v0, block4, block5
;;
;; block5:
;;     v20 = iconst.i32 4
;;     v21 = iadd.i32 v0, v20  ; v20 = 4
;;     v22 = iconst.i32 4
;;     v23 = uextend.i64 v21
;;     v24 = get_pinned_reg.i64
;;     v25 = iadd v24, v23
;;     store little region0 v22, v25  ; v22 = 4
;;     v26 = iconst.i32 20
;;     v27 = iadd.i32 v0, v26  ; v26 = 20
;;     v28 = uextend.i64 v27
;;     v29 = iadd v24, v28
;;     v30 = uload8.i32 little region0 v29
;;     brif v30, block4, block6
;;
;; block6:
;;     v31 = iconst.i32 24
;;     v32 = iadd.i32 v0, v31  ; v31 = 24
;;     v33 = iconst.i32 5
;;     v34 = uextend.i64 v32
;;     v35 = get_pinned_reg.i64
;;     v36 = iadd v35, v34
;;     store little region0 v33, v36  ; v33 = 5
;;     jump block4
;;
;; block4:
;;     v38 = uextend.i64 v0
;;     v39 = get_pinned_reg.i64
;;     v40 = iadd v39, v38
;;     v41 = load.i32 little region0 v40
;;     v42 = iconst.i32 0x0001_0004
;;     v43 = iadd.i32 v37, v42  ; v42 = 0x0001_0004
;;     v44 = uextend.i64 v43
;;     v45 = iadd v39, v44
;;     v46 = load.i32 little region0 v45
;;     v47 = iadd v41, v46
;;     return v47
;; }
