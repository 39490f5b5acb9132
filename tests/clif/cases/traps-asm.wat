;;! flags = "--emit asm --invoke f"
;; A division of two unknown numbers: the checks that the CPU does by itself are not repeated.
(module
  (func $f (export "f") (param i32 i32) (result i32)
    (i32.div_u (local.get 0) (local.get 1))))

;;= --emit asm --invoke f
;; function 0 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   uninit  %rdx
;;   xorq %rdx, %rdx
;;   movq %rdi, %rax
;;   divl %esi ;; implicit: %eax, %edx, trap=254
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
