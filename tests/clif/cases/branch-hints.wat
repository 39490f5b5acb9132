;;! flags = "--emit clif --invoke f"
;;! only = "f"
;; The unlikely side of a hinted branch is cold, with what lies in it and what is only reached from there; a block that
;; another branch reaches as well is not, and neither is what follows a loop.
(module
  (func $slow (param i32) (result i32) (local.get 0))
  (func $f (export "f") (param i32) (result i32)
    (block $error
      (block $both
        local.get 0
        (@metadata.code.branch_hint "\00") br_if $error
        (i32.gt_s (local.get 0) (i32.const 10))
        (@metadata.code.branch_hint "\00") br_if $both
        (i32.gt_s (local.get 0) (i32.const 20))
        br_if $both
        (loop $again
          (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))
          (@metadata.code.branch_hint "\01") br_if $again)
        local.get 0
        (@metadata.code.branch_hint "\01") if (result i32)
          i32.const 1
        else
          (call $slow (i32.const 2))
          if (result i32)
            i32.const 3
          else
            i32.const 4
          end
        end
        return)
      (return (i32.const 5)))
    (call $slow (i32.const 6))))

;;= --emit clif --invoke f
;; function 1 `f`:
;; function u0:1(i32) -> i32 tail {
;;     sig0 = (i32) -> i32 tail
;;     fn0 = colocated u0:0 sig0
;;
;; block0(v0: i32):
;;     brif v0, block1, block2
;;
;; block2:
;;     v1 = iconst.i32 10
;;     v2 = icmp.i32 sgt v0, v1  ; v1 = 10
;;     v3 = uextend.i32 v2
;;     brif v3, block3, block4
;;
;; block4:
;;     v4 = iconst.i32 20
;;     v5 = icmp.i32 sgt v0, v4  ; v4 = 20
;;     v6 = uextend.i32 v5
;;     brif v6, block3, block5
;;
;; block5:
;;     jump block6(v0)
;;
;; block6(v7: i32):
;;     v8 = iconst.i32 1
;;     v9 = isub v7, v8  ; v8 = 1
;;     brif v9, block6(v9), block7
;;
;; block7:
;;     brif.i32 v9, block8, block9
;;
;; block8:
;;     v10 = iconst.i32 1
;;     jump block10(v10)  ; v10 = 1
;;
;; block9 cold:
;;     v12 = iconst.i32 2
;;     v13 = call fn0(v12)  ; v12 = 2
;;     brif v13, block11, block12
;;
;; block11 cold:
;;     v14 = iconst.i32 3
;;     jump block13(v14)  ; v14 = 3
;;
;; block12 cold:
;;     v16 = iconst.i32 4
;;     jump block13(v16)  ; v16 = 4
;;
;; block13(v15: i32) cold:
;;     jump block10(v15)
;;
;; block10(v11: i32):
;;     return v11
;;
;; block3:
;;     v17 = iconst.i32 5
;;     return v17  ; v17 = 5
;;
;; block1 cold:
;;     v18 = iconst.i32 6
;;     v19 = call fn0(v18)  ; v18 = 6
;;     return v19
;; }
