;;! flags = "--emit asm --invoke f"
;;! flags = "--emit asm --invoke f --bounds-checks explicit"
;; A loop of loads: in the guard plan each is one instruction, base and index in its address.
(module
  (memory 1)
  (func $f (export "f") (param $at i32) (param $end i32) (result i32) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $at))))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (local.get $end))))
    (local.get $sum)))

;;= --emit asm --invoke f
;; function 0 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq    %r15, %r11
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movl %edi, %edi
;;   jmp     label1
;; block1:
;;   movl 4(%r11, %rdi), %ecx
;;   leal 4(%rdi), %edi
;;   leal (%rax, %rcx), %eax
;;   cmpl %esi, %edi
;;   jb      label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;= --emit asm --invoke f --bounds-checks explicit
;; function 0 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq    %r15, %rcx
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movl %edi, %edi
;;   jmp     label1
;; block1:
;;   movq -8(%rcx), %rdx
;;   leaq 8(%rdi), %r8
;;   cmpq %rdx, %r8
;;   jnbe #trap=MemoryOutOfBounds
;;   uninit  %r9
;;   xorq %r9, %r9
;;   cmpq %rdx, %r8
;;   movq %rdi, %rdx
;;   cmovaq %r9, %rdx
;;   movl 4(%rcx, %rdx), %edx
;;   leal 4(%rdi), %edi
;;   leal (%rax, %rdx), %eax
;;   cmpl %esi, %edi
;;   jb      label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
