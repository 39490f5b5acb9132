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
;;     sig0 = (i64 vmctx, i32) -> i32 tail
;;     fn0 = colocated u0:1 sig0
;;
;; block0(v0: i64, v1: i32):
;;     v2 = load.i64 notrap aligned readonly can_move region0 v0-48
;;     sequence_point
;;     v3 = load.i8 notrap aligned region1 v2+8
;;     trapnz v3, Interrupt
;;     v4 = call fn0(v0, v1)
;;     return v4
;; }
;;
;; function 2:
;; function u0:2(i64 vmctx, i32) tail {
;;     region0 = 65536 "context"
;;     region1 = 655360 "interrupt"
;;
;; block0(v0: i64, v1: i32):
;;     jump block1(v1)
;;
;; block1(v9: i32):
;;     v2 = load.i64 notrap aligned readonly can_move region0 v0-48
;;     sequence_point
;;     v3 = load.i8 notrap aligned region1 v2+8
;;     trapnz v3, Interrupt
;;     jump block2(v9)
;;
;; block2(v6: i32):
;;     v4 = load.i64 notrap aligned readonly can_move region0 v0-48
;;     sequence_point
;;     v5 = load.i8 notrap aligned region1 v4+8
;;     trapnz v5, Interrupt
;;     v7 = iconst.i32 1
;;     v8 = isub v6, v7  ; v7 = 1
;;     brif v8, block2(v8), block3
;;
;; block3:
;;     jump block1(v8)
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
