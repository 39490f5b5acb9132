;;! flags = "--emit clif --invoke f"
;;! only = "f"
;; Globals that nothing sets are constants, whether they are mutable or not, and constant expressions are computed; the
;; others lie in the context at fixed distances.
(module
  (global $immutable i32 (i32.add (i32.const 40) (i32.const 2)))
  (global $never-set (mut i64) (i64.const 7))
  (global $set (mut i32) (i32.const 0))
  (func $f (export "f") (result i64)
    (global.set $set (i32.add (global.get $set) (global.get $immutable)))
    (i64.add (global.get $never-set) (i64.extend_i32_u (global.get $set)))))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0() -> i64 tail {
;;     region0 = 196610 "global"
;;
;; block0:
;;     v0 = get_pinned_reg.i64
;;     v1 = load.i32 notrap aligned region0 v0-40
;;     v2 = iconst.i32 42
;;     v3 = iadd v1, v2  ; v2 = 42
;;     store notrap aligned region0 v3, v0-40
;;     v4 = iconst.i64 7
;;     v5 = load.i32 notrap aligned region0 v0-40
;;     v6 = uextend.i64 v5
;;     v7 = iadd v4, v6  ; v4 = 7
;;     return v7
;; }
