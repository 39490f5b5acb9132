;;! flags = "--emit clif --invoke f"
;;! only = "f"
;; Calls within `try_table` name its handlers; those outside are plain calls.
(module
  (tag $oops (param i32))
  (func $may-throw (param i32)
    (throw $oops (local.get 0)))
  (func $f (export "f") (param i32) (result i32)
    (block $caught (result i32)
      (try_table (result i32) (catch $oops $caught)
        (call $may-throw (local.get 0))
        (i32.const 1)))
    (call $may-throw (local.get 0))))

;;= --emit clif --invoke f
;; function 1 `f`:
;; function u0:1(i32) -> i32 tail {
;;     region0 = 458752 "exceptions"
;;     sig0 = (i32) tail
;;     fn0 = colocated u0:0 sig0
;;
;; block0(v0: i32):
;;     v5 -> v0
;;     jump block1
;;
;; block2(v1: i64) cold:
;;     v2 = load.i32 notrap aligned region0 v1+16
;;     jump block3(v2)
;;
;; block1:
;;     try_call fn0(v0), sig0, block4, [ tag0: block2(exn0) ]
;;
;; block4:
;;     v4 = iconst.i32 1
;;     jump block3(v4)  ; v4 = 1
;;
;; block3(v3: i32):
;;     call fn0(v0)
;;     return v3
;; }
