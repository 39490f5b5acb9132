;;! flags = "--emit clif --invoke f"
;;! only = "f"
;; Functions of the module are called directly, without a hidden parameter. A tail call is a jump.
(module
  (func $g (param i32 i64) (result i32) (local.get 0))
  (func $f (export "f") (param i32) (result i32)
    (i32.eqz (call $g (local.get 0) (i64.const 7)))
    (if (then (return_call $g (local.get 0) (i64.const 9))))
    (i32.const 3)))

;;= --emit clif --invoke f
;; function 1 `f`:
;; function u0:1(i32) -> i32 tail {
;;     sig0 = (i32, i64) -> i32 tail
;;     fn0 = colocated u0:0 sig0
;;
;; block0(v0: i32):
;;     v1 = iconst.i64 7
;;     v2 = call fn0(v0, v1)  ; v1 = 7
;;     v3 = iconst.i32 0
;;     v4 = icmp eq v2, v3  ; v3 = 0
;;     v5 = uextend.i32 v4
;;     brif v5, block1, block2
;;
;; block1:
;;     v6 = iconst.i64 9
;;     return_call fn0(v0, v6)  ; v6 = 9
;;
;; block2:
;;     jump block3
;;
;; block3:
;;     v7 = iconst.i32 3
;;     return v7  ; v7 = 3
;; }
