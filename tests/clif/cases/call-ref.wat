;;! flags = "--emit clif --invoke f"
;;! only = "f"
;; A typed reference was checked by validation: only null is left to compare.
(module
  (type $t (func (param i32) (result i32)))
  (elem declare func $g)
  (global $callee (mut (ref null $t)) (ref.null $t))
  (func $g (type $t) (local.get 0))
  (func $f (export "f") (param i32) (result i32)
    (global.set $callee (ref.func $g))
    (call_ref $t (local.get 0) (global.get $callee))))

;;= --emit clif --invoke f
;; function 1 `f`:
;; function u0:1(i32) -> i32 tail {
;;     region0 = 196608 "global"
;;     region1 = 327680 "constants"
;;     sig0 = () tail
;;     sig1 = (i32) -> i32 tail
;;     fn0 = colocated u4:0 sig0
;;     fn1 = colocated u3:0 sig0
;;
;; block0(v0: i32):
;;     v1 = func_addr.i64 fn0
;;     v2 = get_pinned_reg.i64
;;     store notrap aligned region0 v1, v2-40
;;     v3 = load.i64 notrap aligned region0 v2-40
;;     v4 = iconst.i64 0
;;     v5 = icmp eq v3, v4  ; v4 = 0
;;     trapnz v5, NullReference
;;     v6 = uload32 notrap aligned readonly region1 v3
;;     v7 = func_addr.i64 fn1
;;     v8 = iadd v7, v6
;;     v9 = call_indirect sig1, v8(v0)
;;     return v9
;; }
