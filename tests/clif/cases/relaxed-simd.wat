;;! flags = "--emit clif --invoke f"
;;! flags = "--emit clif --invoke f -W relaxed-simd-deterministic"
;; A relaxed operator is what the CPU does fastest; where results must not depend on the CPU, it is what the
;; specification's deterministic profile says: here, the product is rounded before the sum.
(module
  (func $f (export "f") (param f64 f64 f64) (result f64)
    (f64x2.extract_lane 0
      (f64x2.relaxed_madd
        (f64x2.splat (local.get 0)) (f64x2.splat (local.get 1)) (f64x2.splat (local.get 2))))))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0(f64, f64, f64) -> f64 tail {
;; block0(v0: f64, v1: f64, v2: f64):
;;     v3 = splat.f64x2 v0
;;     v4 = bitcast.i8x16 little v3
;;     v5 = splat.f64x2 v1
;;     v6 = bitcast.i8x16 little v5
;;     v7 = splat.f64x2 v2
;;     v8 = bitcast.i8x16 little v7
;;     v9 = fma v3, v5, v7
;;     v10 = bitcast.i8x16 little v9
;;     v11 = extractlane v9, 0
;;     return v11
;; }

;;= --emit clif --invoke f -W relaxed-simd-deterministic
;; function 0 `f`:
;; function u0:0(f64, f64, f64) -> f64 tail {
;; block0(v0: f64, v1: f64, v2: f64):
;;     v3 = splat.f64x2 v0
;;     v4 = bitcast.i8x16 little v3
;;     v5 = splat.f64x2 v1
;;     v6 = bitcast.i8x16 little v5
;;     v7 = splat.f64x2 v2
;;     v8 = bitcast.i8x16 little v7
;;     v9 = fmul v3, v5
;;     v10 = fadd v9, v7
;;     v11 = bitcast.i8x16 little v10
;;     v12 = extractlane v10, 0
;;     return v12
;; }
