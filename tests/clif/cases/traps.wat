;;! flags = "--emit clif --invoke f"
;; Where traps stand: divisions and truncations carry their own, `unreachable` ends a block.
(module
  (func $f (export "f") (param i32 i32 f64) (result i32)
    (i32.div_s (local.get 0) (local.get 1))
    (i32.rem_u (local.get 0) (local.get 1))
    (i32.trunc_f64_s (local.get 2))
    (i32.trunc_sat_f64_s (local.get 2))
    i32.add i32.add i32.add
    (if (result i32) (local.get 0) (then (i32.const 1)) (else unreachable))
    i32.add))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0(i32, i32, f64) -> i32 tail {
;; block0(v0: i32, v1: i32, v2: f64):
;;     v3 = sdiv v0, v1
;;     v4 = urem v0, v1
;;     v5 = fcvt_to_sint.i32 v2
;;     v6 = fcvt_to_sint_sat.i32 v2
;;     v7 = iadd v5, v6
;;     v8 = iadd v4, v7
;;     v9 = iadd v3, v8
;;     brif v0, block1, block2
;;
;; block1:
;;     v10 = iconst.i32 1
;;     jump block3(v10)  ; v10 = 1
;;
;; block2:
;;     trap Unreachable
;;
;; block3(v11: i32):
;;     v12 = iadd.i32 v9, v11
;;     return v12
;; }
