;; `--profile-generate`: each part of a function that is executed as a whole counts in the context.
;;! flags = "--emit clif --profile-generate"
;;! flags = "--emit asm --profile-generate"
;;! only = "f"
(module
  (func $f (param i32) (result i32)
    (loop $again
      (if (i32.and (local.get 0) (i32.const 1))
        (then (return (local.get 0))))
      (br_if $again (local.tee 0 (i32.shr_u (local.get 0) (i32.const 1)))))
    (i32.const 0))
  (func (export "_start") (drop (call $f (i32.const 8)))))

;;= --emit clif --profile-generate
;; function 0 `f`:
;; function u0:0(i32) -> i32 tail {
;;     region0 = 720896 "counters"
;;
;; block0(v0: i32):
;;     v1 = get_pinned_reg.i64
;;     v5 -> v1
;;     v12 -> v1
;;     v16 -> v1
;;     v2 = load.i64 notrap aligned region0 v1-80
;;     v3 = iconst.i64 1
;;     v4 = iadd v2, v3  ; v3 = 1
;;     store notrap aligned region0 v4, v1-80
;;     jump block1(v0)
;;
;; block1(v9: i32):
;;     v6 = load.i64 notrap aligned region0 v5-72
;;     v7 = iconst.i64 1
;;     v8 = iadd v6, v7  ; v7 = 1
;;     store notrap aligned region0 v8, v5-72
;;     v10 = iconst.i32 1
;;     v11 = band v9, v10  ; v10 = 1
;;     brif v11, block2, block3
;;
;; block2:
;;     v13 = load.i64 notrap aligned region0 v12-64
;;     v14 = iconst.i64 1
;;     v15 = iadd v13, v14  ; v14 = 1
;;     store notrap aligned region0 v15, v12-64
;;     return v9
;;
;; block3:
;;     jump block4
;;
;; block4:
;;     v17 = load.i64 notrap aligned region0 v16-56
;;     v18 = iconst.i64 1
;;     v19 = iadd v17, v18  ; v18 = 1
;;     store notrap aligned region0 v19, v16-56
;;     v20 = iconst.i32 1
;;     v21 = ushr.i32 v9, v20  ; v20 = 1
;;     brif v21, block1(v21), block5
;;
;; block5:
;;     v22 = get_pinned_reg.i64
;;     v23 = load.i64 notrap aligned region0 v22-48
;;     v24 = iconst.i64 1
;;     v25 = iadd v23, v24  ; v24 = 1
;;     store notrap aligned region0 v25, v22-48
;;     v26 = iconst.i32 0
;;     return v26  ; v26 = 0
;; }

;;= --emit asm --profile-generate
;; function 0 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq %rdi, %r8
;;   movq    %r15, %rdi
;;   addq $0x1, -0x50(%rdi)
;;   movq %r8, %rax
;;   jmp     label1
;; block1:
;;   addq $0x1, -0x48(%rdi)
;;   testl $0x1, %eax
;;   jnz     label6; j label2
;; block2:
;;   jmp     label3
;; block3:
;;   addq $0x1, -0x38(%rdi)
;;   shrl $1, %eax
;;   testl %eax, %eax
;;   jnz     label4; j label5
;; block4:
;;   jmp     label1
;; block5:
;;   movq    %r15, %rax
;;   addq $0x1, -0x30(%rax)
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block6:
;;   addq $0x1, -0x40(%rdi)
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
