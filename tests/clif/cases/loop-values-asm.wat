;;! flags = "--emit asm --invoke count"
;;! flags = "--emit asm --invoke count -C loops=n"
;;! only = "count"
;; A byte is looked for: the mask is applied to it before the loop, and the address, which changes from round to round,
;; is kept as 64 bits.
(module
  (memory 1)
  (func $count (export "count") (param $byte i32) (param $at i32) (param $end i32) (result i32) (local $found i32)
    (loop $next
      (local.set $found
        (i32.add
          (local.get $found)
          (i32.eq (i32.load8_u (local.get $at)) (i32.and (local.get $byte) (i32.const 255)))))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $end))))
    (local.get $found)))

;;= --emit asm --invoke count
;; function 0 `count`:
;; count:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq    %r15, %rcx
;;   uninit  %rax
;;   xorl %eax, %eax
;;   andl $0xff, %edi
;;   movl %esi, %r9d
;;   jmp     label1
;; block1:
;;   movzbq (%rcx, %r9), %rsi
;;   leal 1(%r9), %r9d
;;   cmpl %edi, %esi
;;   sete %sil
;;   movzbl %sil, %esi
;;   leal (%rax, %rsi), %eax
;;   cmpl %edx, %r9d
;;   jb      label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;= --emit asm --invoke count -C loops=n
;; function 0 `count`:
;; count:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movq    %r15, %rcx
;;   uninit  %rax
;;   xorl %eax, %eax
;;   jmp     label1
;; block1:
;;   movl %esi, %r8d
;;   movzbq (%rcx, %r8), %r8
;;   leal 1(%rsi), %esi
;;   movq %rdi, %r9
;;   andl $0xff, %r9d
;;   cmpl %r9d, %r8d
;;   sete %r8b
;;   movzbl %r8b, %r8d
;;   leal (%rax, %r8), %eax
;;   cmpl %edx, %esi
;;   jb      label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
