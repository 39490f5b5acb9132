;;! flags = "--emit clif --invoke f"
;; The base of the first memory is the pinned register, that of the second one is read from the context: a load that
;; may be moved and merged, because memories never move.
(module
  (memory 1)
  (memory $second 1)
  (func $f (export "f") (param i32) (result i32)
    (i32.store (local.get 0) (i32.load $second (local.get 0)))
    (i32.load $second offset=4 (local.get 0))))

;;= --emit clif --invoke f
;; function 0 `f`:
;; function u0:0(i32) -> i32 tail {
;;     region0 = 131073 "memory"
;;     region1 = 65536 "context"
;;     region2 = 131072 "memory"
;;
;; block0(v0: i32):
;;     v1 = uextend.i64 v0
;;     v2 = get_pinned_reg.i64
;;     v3 = load.i64 notrap aligned readonly can_move region1 v2-48
;;     v4 = iadd v3, v1
;;     v5 = load.i32 little region0 v4
;;     v6 = uextend.i64 v0
;;     v7 = iadd v2, v6
;;     store little region2 v5, v7
;;     v8 = uextend.i64 v0
;;     v9 = load.i64 notrap aligned readonly can_move region1 v2-48
;;     v10 = iadd v9, v8
;;     v11 = load.i32 little region0 v10+4
;;     return v11
;; }
