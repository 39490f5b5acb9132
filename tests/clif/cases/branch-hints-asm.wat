;;! flags = "--emit asm --invoke f"
;;! flags = "--emit asm --invoke f -W branch-hinting=n"
;;! only = "f"
;; With the hint the unlikely call stands behind the end of the function.
(module
  (func $slow (param i32) (result i32) (local.get 0))
  (func $f (export "f") (param i32) (result i32)
    local.get 0
    (@metadata.code.branch_hint "\00") if
      (local.set 0 (call $slow (i32.const 2)))
    end
    (i32.mul (local.get 0) (i32.const 3))))

;;= --emit asm --invoke f
;; function 1 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   testl %edi, %edi
;;   jnz     label2; j label1
;; block1:
;;   jmp     label3
;; block3:
;;   leal (%rdi, %rdi, 2), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block2:
;;   movl $0x2, %edi
;;   call    User(userextname0)
;;   movq %rax, %rdi
;;   jmp     label3

;;= --emit asm --invoke f -W branch-hinting=n
;; function 1 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   testl %edi, %edi
;;   jnz     label2; j label1
;; block1:
;;   jmp     label3
;; block2:
;;   movl $0x2, %edi
;;   call    User(userextname0)
;;   movq %rax, %rdi
;;   jmp     label3
;; block3:
;;   leal (%rdi, %rdi, 2), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
