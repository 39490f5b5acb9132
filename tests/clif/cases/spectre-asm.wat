;;! flags = "--emit asm --invoke f --bounds-checks explicit"
;;! flags = "--emit asm --invoke f --bounds-checks explicit --spectre-mitigations n"
;; The mask is a conditional move after the comparison that the trap uses.
(module
  (memory 1)
  (func $f (export "f") (param i32) (result i32)
    (i32.load offset=8 (local.get 0))))

;;= --emit asm --invoke f --bounds-checks explicit
;; function 0 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq    %r15, %r9
;;   movq -8(%r9), %r10
;;   movl %edi, %esi
;;   leaq 0xc(%rsi), %r11
;;   cmpq %r10, %r11
;;   jnbe #trap=MemoryOutOfBounds
;;   uninit  %rax
;;   xorq %rax, %rax
;;   cmpq %r10, %r11
;;   cmovaq %rax, %rsi
;;   movl 8(%r9, %rsi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;= --emit asm --invoke f --bounds-checks explicit --spectre-mitigations n
;; function 0 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq    %r15, %rsi
;;   movl %edi, %edi
;;   leaq 0xc(%rdi), %r8
;;   cmpq -8(%rsi), %r8
;;   jnbe #trap=MemoryOutOfBounds
;;   movl 8(%rsi, %rdi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
