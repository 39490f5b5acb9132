;;! flags = "--emit clif --invoke f -C inlining=y"
;;! flags = "--emit clif -C inlining=y"
;;! only = "f tail recursive"
;; The bodies of `$double` and `$through` take the place of calls, with what they refer to. `$double` has no code of its
;; own then. A call of a function with a tail call stays a call. A function that calls itself gets copies of itself.
(module
  (type $t (func (result i32)))
  (table $table 2 2 funcref)
  (table $other 2 2 funcref)
  (elem (table $table) (i32.const 0) func $one $two)
  (elem (table $other) (i32.const 0) func $two $one)
  (func $one (type $t) (i32.const 1))
  (func $two (type $t) (i32.const 2))
  (func $double (param i32) (result i32) (i32.add (local.get 0) (local.get 0)))
  (func $through (param i32) (result i32) (call_indirect $other (type $t) (local.get 0)))
  (func $jump (param i32) (result i32) (return_call_indirect $table (type $t) (local.get 0)))
  (func $f (export "f") (param i32) (result i32)
    (i32.add
      (call_indirect $table (type $t) (local.get 0))
      (call $through (call $double (local.get 0)))))
  (func $tail (export "tail") (param i32) (result i32) (call $jump (local.get 0)))
  (func $recursive (export "recursive") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (i32.add (i32.const 1) (call $recursive (i32.sub (local.get 0) (i32.const 1))))))))

;;= --emit clif --invoke f -C inlining=y
;; function 5 `f`:
;; function u0:4(i32) -> i32 tail {
;;     region0 = 327680 "constants"
;;     sig0 = () tail
;;     sig1 = () -> i32 tail
;;     sig2 = (i32) -> i32 tail
;;     sig3 = () tail
;;     sig4 = () -> i32 tail
;;     fn0 = colocated u5:0 sig0
;;     fn1 = colocated u3:0 sig0
;;     fn2 = colocated u0:2 sig2
;;     fn3 = colocated u0:3 sig2
;;     fn4 = colocated u5:1 sig3
;;     fn5 = colocated u3:0 sig3
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
;;     v13 = call_indirect sig1, v12()
;;     jump block1
;;
;; block1:
;;     v18 = iadd.i32 v0, v0
;;     jump block2(v18)
;;
;; block2(v17: i32):
;;     v14 -> v17
;;     jump block3
;;
;; block3:
;;     v20 = uextend.i64 v14
;;     v21 = iconst.i64 2
;;     v22 = icmp uge v20, v21  ; v21 = 2
;;     trapnz v22, UndefinedElement
;;     v23 = iconst.i64 0
;;     v24 = select_spectre_guard v22, v23, v20  ; v23 = 0
;;     v25 = func_addr.i64 fn4
;;     v26 = iconst.i64 3
;;     v27 = ishl v24, v26  ; v26 = 3
;;     v28 = iadd v25, v27
;;     v29 = uload32 notrap aligned readonly region0 v28
;;     v30 = func_addr.i64 fn5
;;     v31 = iadd v30, v29
;;     v32 = call_indirect sig4, v31()
;;     jump block4(v32)
;;
;; block4(v19: i32):
;;     v15 -> v19
;;     v16 = iadd.i32 v13, v15
;;     return v16
;; }

;;= --emit clif -C inlining=y
;; function 5 `f`:
;; function u0:5(i64 vmctx, i32) -> i32 tail {
;;     region0 = 327680 "constants"
;;     sig0 = () tail
;;     sig1 = (i64 vmctx) -> i32 tail
;;     sig2 = (i64 vmctx, i32) -> i32 tail
;;     sig3 = () tail
;;     sig4 = (i64 vmctx) -> i32 tail
;;     fn0 = colocated u5:0 sig0
;;     fn1 = colocated u3:0 sig0
;;     fn2 = colocated u0:2 sig2
;;     fn3 = colocated u0:3 sig2
;;     fn4 = colocated u5:1 sig3
;;     fn5 = colocated u3:0 sig3
;;
;; block0(v0: i64, v1: i32):
;;     v2 = uextend.i64 v1
;;     v3 = iconst.i64 2
;;     v4 = icmp uge v2, v3  ; v3 = 2
;;     trapnz v4, UndefinedElement
;;     v5 = iconst.i64 0
;;     v6 = select_spectre_guard v4, v5, v2  ; v5 = 0
;;     v7 = func_addr.i64 fn0
;;     v8 = iconst.i64 3
;;     v9 = ishl v6, v8  ; v8 = 3
;;     v10 = iadd v7, v9
;;     v11 = uload32 notrap aligned readonly region0 v10
;;     v12 = func_addr.i64 fn1
;;     v13 = iadd v12, v11
;;     v14 = call_indirect sig1, v13(v0)
;;     jump block1
;;
;; block1:
;;     v19 = iadd.i32 v1, v1
;;     jump block2(v19)
;;
;; block2(v18: i32):
;;     v15 -> v18
;;     jump block3
;;
;; block3:
;;     v21 = uextend.i64 v15
;;     v22 = iconst.i64 2
;;     v23 = icmp uge v21, v22  ; v22 = 2
;;     trapnz v23, UndefinedElement
;;     v24 = iconst.i64 0
;;     v25 = select_spectre_guard v23, v24, v21  ; v24 = 0
;;     v26 = func_addr.i64 fn4
;;     v27 = iconst.i64 3
;;     v28 = ishl v25, v27  ; v27 = 3
;;     v29 = iadd v26, v28
;;     v30 = uload32 notrap aligned readonly region0 v29
;;     v31 = func_addr.i64 fn5
;;     v32 = iadd v31, v30
;;     v33 = call_indirect sig4, v32(v0)
;;     jump block4(v33)
;;
;; block4(v20: i32):
;;     v16 -> v20
;;     v17 = iadd.i32 v14, v16
;;     return v17
;; }
;;
;; function 6 `tail`:
;; function u0:6(i64 vmctx, i32) -> i32 tail {
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;     fn0 = colocated u0:4 sig0
;;
;; block0(v0: i64, v1: i32):
;;     v2 = call fn0(v0, v1)
;;     return v2
;; }
;;
;; function 7 `recursive`:
;; function u0:7(i64 vmctx, i32) -> i32 tail {
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;     sig1 = (i64 vmctx, i32) -> i32 tail
;;     sig2 = (i64 vmctx, i32) -> i32 tail
;;     sig3 = (i64 vmctx, i32) -> i32 tail
;;     fn0 = colocated u0:7 sig0
;;     fn1 = colocated u0:7 sig1
;;     fn2 = colocated u0:7 sig2
;;     fn3 = colocated u0:7 sig3
;;
;; block0(v0: i64, v1: i32):
;;     v2 = iconst.i32 0
;;     v3 = icmp eq v1, v2  ; v2 = 0
;;     v4 = uextend.i32 v3
;;     brif v4, block1, block2
;;
;; block1:
;;     v5 = iconst.i32 0
;;     jump block3(v5)  ; v5 = 0
;;
;; block2:
;;     v7 = iconst.i32 1
;;     v8 = iconst.i32 1
;;     v9 = isub.i32 v1, v8  ; v8 = 1
;;     jump block4
;;
;; block4:
;;     v14 = iconst.i32 0
;;     v15 = icmp.i32 eq v9, v14  ; v14 = 0
;;     v16 = uextend.i32 v15
;;     brif v16, block5, block6
;;
;; block5:
;;     v17 = iconst.i32 0
;;     jump block7(v17)  ; v17 = 0
;;
;; block6:
;;     v18 = iconst.i32 1
;;     v19 = iconst.i32 1
;;     v20 = isub.i32 v9, v19  ; v19 = 1
;;     jump block9
;;
;; block9:
;;     v25 = iconst.i32 0
;;     v26 = icmp.i32 eq v20, v25  ; v25 = 0
;;     v27 = uextend.i32 v26
;;     brif v27, block10, block11
;;
;; block10:
;;     v28 = iconst.i32 0
;;     jump block12(v28)  ; v28 = 0
;;
;; block11:
;;     v29 = iconst.i32 1
;;     v30 = iconst.i32 1
;;     v31 = isub.i32 v20, v30  ; v30 = 1
;;     jump block14
;;
;; block14:
;;     v36 = iconst.i32 0
;;     v37 = icmp.i32 eq v31, v36  ; v36 = 0
;;     v38 = uextend.i32 v37
;;     brif v38, block15, block16
;;
;; block15:
;;     v39 = iconst.i32 0
;;     jump block17(v39)  ; v39 = 0
;;
;; block16:
;;     v40 = iconst.i32 1
;;     v41 = iconst.i32 1
;;     v42 = isub.i32 v31, v41  ; v41 = 1
;;     v43 = call fn3(v0, v42)
;;     v44 = iadd v40, v43  ; v40 = 1
;;     jump block17(v44)
;;
;; block17(v34: i32):
;;     jump block18(v34)
;;
;; block18(v35: i32):
;;     v32 -> v35
;;     v33 = iadd.i32 v29, v32  ; v29 = 1
;;     jump block12(v33)
;;
;; block12(v23: i32):
;;     jump block13(v23)
;;
;; block13(v24: i32):
;;     v21 -> v24
;;     v22 = iadd.i32 v18, v21  ; v18 = 1
;;     jump block7(v22)
;;
;; block7(v12: i32):
;;     jump block8(v12)
;;
;; block8(v13: i32):
;;     v10 -> v13
;;     v11 = iadd.i32 v7, v10  ; v7 = 1
;;     jump block3(v11)
;;
;; block3(v6: i32):
;;     return v6
;; }
