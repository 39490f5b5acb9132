;;! flags = "--emit clif -O --library-name golden --interruptible"

;; A function that calls others looks whether it is to stop, and so does each loop: no check is taken for an earlier one,
;; although nothing here writes. What neither calls nor repeats does not look.
(module
  (func $leaf (export "leaf") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $recurs (export "recurs") (param i32) (result i32) (call $recurs (local.get 0)))
  (func (export "loops") (param i32)
    (loop $a (loop $b (br_if $b (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (br $a))))

;;= --emit clif -O --library-name golden --interruptible
;; function 0 `leaf`:
;; function u0:0(i64 vmctx, i32) -> i32 tail {
;; block0(v0: i64, v1: i32):
;;     v2 = iconst.i32 1
;;     v3 = iadd v1, v2  ; v2 = 1
;;     return v3
;; }
;;
;; function 1 `recurs`:
;; function u0:1(i64 vmctx, i32) -> i32 tail {
;;     region0 = 65536 "context"
;;     region1 = 655360 "interrupt"
;;     region2 = 589824 "fuel"
;;     sig0 = () preserve_all
;;     sig1 = (i64 vmctx, i32) -> i32 tail
;;     fn0 = colocated u0:1 sig1
;;
;; block0(v0: i64, v1: i32):
;;     v7 -> v1
;;     v2 = load.i64 notrap aligned readonly can_move region0 v0-56
;;     sequence_point
;;     v3 = load.i8 notrap aligned region1 v2+8
;;     brif v3, block1, block2
;;
;; block1 cold:
;;     v4 = load.i64 notrap aligned readonly region0 v0-40
;;     v5 = load.i64 notrap aligned readonly can_move region0 v0-56
;;     v6 = iconst.i64 16
;;     store notrap aligned region2 v6, v5+24  ; v6 = 16
;;     call_indirect sig0, v4()
;;     jump block2
;;
;; block2:
;;     v8 = call fn0(v0, v1)
;;     return v8
;; }
;;
;; function 2:
;; function u0:2(i64 vmctx, i32) tail {
;;     region0 = 65536 "context"
;;     region1 = 655360 "interrupt"
;;     region2 = 589824 "fuel"
;;     sig0 = () preserve_all
;;
;; block0(v0: i64, v1: i32):
;;     jump block1(v1)
;;
;; block1(v17: i32):
;;     v16 -> v17
;;     v2 = load.i64 notrap aligned readonly can_move region0 v0-56
;;     sequence_point
;;     v3 = load.i8 notrap aligned region1 v2+8
;;     brif v3, block2, block3
;;
;; block2 cold:
;;     v4 = load.i64 notrap aligned readonly region0 v0-40
;;     v5 = load.i64 notrap aligned readonly can_move region0 v0-56
;;     v6 = iconst.i64 16
;;     store notrap aligned region2 v6, v5+24  ; v6 = 16
;;     call_indirect sig0, v4()
;;     jump block3
;;
;; block3:
;;     jump block4(v17)
;;
;; block4(v13: i32):
;;     v12 -> v13
;;     v7 = load.i64 notrap aligned readonly can_move region0 v0-56
;;     sequence_point
;;     v8 = load.i8 notrap aligned region1 v7+8
;;     brif v8, block5, block6
;;
;; block5 cold:
;;     v9 = load.i64 notrap aligned readonly region0 v0-40
;;     v10 = load.i64 notrap aligned readonly can_move region0 v0-56
;;     v11 = iconst.i64 16
;;     store notrap aligned region2 v11, v10+24  ; v11 = 16
;;     call_indirect sig0, v9()
;;     jump block6
;;
;; block6:
;;     v14 = iconst.i32 1
;;     v15 = isub.i32 v13, v14  ; v14 = 1
;;     brif v15, block4(v15), block7
;;
;; block7:
;;     jump block1(v15)
;; }
;;
;; the trampoline to functions of type 0:
;; function u0:0(i64, i64, i64) system_v {
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     v3 = load.i32 notrap aligned v2
;;     v4 = call_indirect sig0, v1(v0, v3)
;;     store notrap aligned v4, v2
;;     return
;; }
;;
;; the trampoline to functions of type 1:
;; function u0:0(i64, i64, i64) system_v {
;;     sig0 = (i64 vmctx, i32) tail
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     v3 = load.i32 notrap aligned v2
;;     call_indirect sig0, v1(v0, v3)
;;     return
;; }
