;;! flags = "--emit asm --invoke find"
;;! flags = "--emit asm --invoke find -C byte-scans=n"
;;! only = "find"
;; A loop that looks for a byte: from a multiple of sixteen on, sixteen bytes at a time are passed over.
(module
  (memory 1)
  (func $find (export "find") (param $at i32) (param $byte i32) (param $left i32) (result i32)
    (loop $next
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.and (local.get $byte) (i32.const 255)))
        (then (return (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 0)))

;;= --emit asm --invoke find
;; function 0 `find`:
;; find:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq    %r15, %rcx
;;   andl $0xff, %esi
;;   movl %edi, %eax
;;   jmp     label1
;; block1:
;;   movzbq (%rcx, %rax), %rdi
;;   cmpl %esi, %edi
;;   jz      label14; j label2
;; block2:
;;   jmp     label3
;; block3:
;;   subl $0x1, %edx
;;   leal 1(%rax), %eax
;;   testl %edx, %edx
;;   jnz     label5; j label4
;; block4:
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block5:
;;   testq $0xf, %rax
;;   jnz     label6; j label7
;; block6:
;;   jmp     label1
;; block7:
;;   vmovd %esi, %xmm0
;;   vpbroadcastb %xmm0, %xmm0
;;   jmp     label8
;; block8:
;;   movq %rdx, %rdi
;;   subl $0x1, %edi
;;   subl $0x0, %edi
;;   vmovdqu (%rcx, %rax), %xmm1
;;   vpcmpeqb %xmm0, %xmm1, %xmm1
;;   vpmovmskb %xmm1, %r8d
;;   testl %r8d, %r8d
;;   jnz     label9; j label10
;; block9:
;;   jmp     label13
;; block10:
;;   leal 0x10(%rax), %r9d
;;   movq %rdx, %r10
;;   subl $0x10, %r10d
;;   cmpl $0x10, %edi
;;   jb      label11; j label12
;; block11:
;;   jmp     label13
;; block12:
;;   movq %r9, %rax
;;   movq %r10, %rdx
;;   jmp     label8
;; block13:
;;   orl $0x10000, %r8d
;;   tzcntl %r8d, %r8d
;;   cmpl %r8d, %edi
;;   cmovbl %edi, %r8d
;;   leal (%rax, %r8), %eax
;;   subl %r8d, %edx
;;   jmp     label1
;; block14:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;= --emit asm --invoke find -C byte-scans=n
;; function 0 `find`:
;; find:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq    %r15, %rcx
;;   andl $0xff, %esi
;;   movl %edi, %eax
;;   jmp     label1
;; block1:
;;   movzbq (%rcx, %rax), %rdi
;;   cmpl %esi, %edi
;;   jz      label6; j label2
;; block2:
;;   jmp     label3
;; block3:
;;   subl $0x1, %edx
;;   leal 1(%rax), %eax
;;   testl %edx, %edx
;;   jnz     label4; j label5
;; block4:
;;   jmp     label1
;; block5:
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block6:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
