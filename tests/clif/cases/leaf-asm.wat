;;! flags = "--emit asm --invoke f"
;; A leaf function: no stack check, no context, no saved registers.
(module
  (func $f (export "f") (param i32 i32) (result i32)
    (i32.add (i32.mul (local.get 0) (local.get 1)) (i32.const 5))))

;;= --emit asm --invoke f
;; function 0 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   imull %esi, %edi
;;   leal 5(%rdi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
