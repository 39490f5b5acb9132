;;! flags = "--emit clif --invoke f"
;;! only = "f"
;; Tables that nothing can write are read-only data. Where all elements have the type, only the index is compared; with
;; empty elements or other types one comparison of the type finds both.
(module
  (type $unary (func (param i32) (result i32)))
  (type $nullary (func (result i32)))
  (table $all-match 2 2 funcref)
  (table $with-null 3 3 funcref)
  (table $mixed 2 2 funcref)
  (elem (table $all-match) (i32.const 0) func $a $b)
  (elem (table $with-null) (i32.const 0) func $a $b)
  (elem (table $mixed) (i32.const 0) func $a $c)
  (func $a (type $unary) (local.get 0))
  (func $b (type $unary) (i32.add (local.get 0) (i32.const 1)))
  (func $c (type $nullary) (i32.const 2))
  (func $f (export "f") (param i32) (result i32)
    (call_indirect $all-match (type $unary) (i32.const 1) (local.get 0))
    (local.get 0)
    call_indirect $with-null (type $unary)
    (local.get 0)
    call_indirect $mixed (type $unary)))

;;= --emit clif --invoke f
;; function 3 `f`:
;; function u0:3(i32) -> i32 tail {
;;     region0 = 327680 "constants"
;;     sig0 = () tail
;;     sig1 = (i32) -> i32 tail
;;     fn0 = colocated u5:0 sig0
;;     fn1 = colocated u3:0 sig0
;;     fn2 = colocated u5:1 sig0
;;     fn3 = colocated u5:2 sig0
;;
;; block0(v0: i32):
;;     v1 = iconst.i32 1
;;     v2 = uextend.i64 v0
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
;;     v14 = call_indirect sig1, v13(v1)  ; v1 = 1
;;     v15 = uextend.i64 v0
;;     v16 = iconst.i64 3
;;     v17 = icmp uge v15, v16  ; v16 = 3
;;     trapnz v17, UndefinedElement
;;     v18 = iconst.i64 0
;;     v19 = select_spectre_guard v17, v18, v15  ; v18 = 0
;;     v20 = func_addr.i64 fn2
;;     v21 = iconst.i64 3
;;     v22 = ishl v19, v21  ; v21 = 3
;;     v23 = iadd v20, v22
;;     v24 = load.i32 notrap aligned readonly region0 v23+4
;;     v25 = iconst.i32 0
;;     v26 = icmp eq v24, v25  ; v25 = 0
;;     brif v26, block1, block2
;;
;; block2 cold:
;;     v27 = iconst.i32 -1
;;     v28 = icmp.i32 eq v24, v27  ; v27 = -1
;;     trapnz v28, UninitializedElement
;;     trap IndirectCallTypeMismatch
;;
;; block1:
;;     v29 = uload32.i64 notrap aligned readonly region0 v23
;;     v30 = func_addr.i64 fn1
;;     v31 = iadd v30, v29
;;     v32 = call_indirect sig1, v31(v14)
;;     v33 = uextend.i64 v0
;;     v34 = iconst.i64 2
;;     v35 = icmp uge v33, v34  ; v34 = 2
;;     trapnz v35, UndefinedElement
;;     v36 = iconst.i64 0
;;     v37 = select_spectre_guard v35, v36, v33  ; v36 = 0
;;     v38 = func_addr.i64 fn3
;;     v39 = iconst.i64 3
;;     v40 = ishl v37, v39  ; v39 = 3
;;     v41 = iadd v38, v40
;;     v42 = load.i32 notrap aligned readonly region0 v41+4
;;     v43 = iconst.i32 0
;;     v44 = icmp ne v42, v43  ; v43 = 0
;;     trapnz v44, IndirectCallTypeMismatch
;;     v45 = uload32 notrap aligned readonly region0 v41
;;     v46 = func_addr.i64 fn1
;;     v47 = iadd v46, v45
;;     v48 = call_indirect sig1, v47(v32)
;;     return v48
;; }
