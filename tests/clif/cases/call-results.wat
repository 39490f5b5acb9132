;;! flags = "--emit clif --invoke f"
;;! only = "f nine"
;; Up to eight results are returned in registers, more through an area that the caller provides: 16 bytes for each.
(module
  (type $nine (func (result i32 i32 i32 i32 i32 i32 i32 i32 i64)))
  (func $eight (result i32 i32 i32 i32 i32 i32 i32 i32)
    (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6) (i32.const 7) (i32.const 8))
  (func $nine (type $nine)
    (call $eight) (i64.const 9))
  (func $f (export "f") (result i64) (local $last i64)
    (call $nine)
    (local.set $last)
    drop drop drop drop drop drop drop drop
    (local.get $last)))

;;= --emit clif --invoke f
;; function 1 `nine`:
;; function u0:1(i64) tail {
;;     region0 = 393216 "return area"
;;     sig0 = () -> i32, i32, i32, i32, i32, i32, i32, i32 tail
;;     fn0 = colocated u0:0 sig0
;;
;; block0(v0: i64):
;;     v1, v2, v3, v4, v5, v6, v7, v8 = call fn0()
;;     v9 = iconst.i64 9
;;     store notrap aligned region0 v1, v0
;;     store notrap aligned region0 v2, v0+16
;;     store notrap aligned region0 v3, v0+32
;;     store notrap aligned region0 v4, v0+48
;;     store notrap aligned region0 v5, v0+64
;;     store notrap aligned region0 v6, v0+80
;;     store notrap aligned region0 v7, v0+96
;;     store notrap aligned region0 v8, v0+112
;;     store notrap aligned region0 v9, v0+128  ; v9 = 9
;;     return
;; }
;;
;; function 2 `f`:
;; function u0:2() -> i64 tail {
;;     ss0 = explicit_slot 144, align = 16
;;     region0 = 393216 "return area"
;;     sig0 = (i64) tail
;;     fn0 = colocated u0:1 sig0
;;
;; block0:
;;     v0 = iconst.i64 0
;;     v1 = stack_addr.i64 ss0
;;     call fn0(v1)
;;     v2 = load.i32 notrap aligned region0 v1
;;     v3 = load.i32 notrap aligned region0 v1+16
;;     v4 = load.i32 notrap aligned region0 v1+32
;;     v5 = load.i32 notrap aligned region0 v1+48
;;     v6 = load.i32 notrap aligned region0 v1+64
;;     v7 = load.i32 notrap aligned region0 v1+80
;;     v8 = load.i32 notrap aligned region0 v1+96
;;     v9 = load.i32 notrap aligned region0 v1+112
;;     v10 = load.i64 notrap aligned region0 v1+128
;;     return v10
;; }
