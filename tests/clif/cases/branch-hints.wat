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
;;     v7 = get_pinned_reg.i64
;;     jump block6(v0)
;;
;; block6(v8: i32):
;;     v9 = iconst.i32 1
;;     v10 = isub v8, v9  ; v9 = 1
;;     brif v10, block6(v10), block7
;;
;; block7:
;;     brif.i32 v10, block8, block9
;;
;; block8:
;;     v11 = iconst.i32 1
;;     jump block10(v11)  ; v11 = 1
;;
;; block9 cold:
;;     v13 = iconst.i32 2
;;     v14 = call fn0(v13)  ; v13 = 2
;;     brif v14, block11, block12
;;
;; block11 cold:
;;     v15 = iconst.i32 3
;;     jump block13(v15)  ; v15 = 3
;;
;; block12 cold:
;;     v17 = iconst.i32 4
;;     jump block13(v17)  ; v17 = 4
;;
;; block13(v16: i32) cold:
;;     jump block10(v16)
;;
;; block10(v12: i32):
;;     return v12
;;
;; block3:
;;     v18 = iconst.i32 5
;;     return v18  ; v18 = 5
;;
;; block1 cold:
;;     v19 = iconst.i32 6
;;     v20 = call fn0(v19)  ; v19 = 6
;;     return v20
;; }
