;;! flags = "--emit clif"
;; A host function takes the context first and is called by its symbol, without a trampoline.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $f (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))

;;= --emit clif
;; function 1 `f`:
;; function u0:0() tail {
;;     sig0 = (i64, i32, i32, i32, i32) -> i32 system_v
;;     fn0 = colocated u2:26 sig0
;;
;; block0:
;;     v0 = iconst.i32 1
;;     v1 = iconst.i32 0
;;     v2 = iconst.i32 1
;;     v3 = iconst.i32 8
;;     v4 = get_pinned_reg.i64
;;     v5 = call fn0(v4, v0, v1, v2, v3)  ; v0 = 1, v1 = 0, v2 = 1, v3 = 8
;;     return
;; }
