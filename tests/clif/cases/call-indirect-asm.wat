;;! flags = "--emit asm --invoke f"
;;! only = "f"
;; An indirect call through a table that nothing can write and whose elements all match.
(module
  (type $t (func (param i32) (result i32)))
  (table 2 2 funcref)
  (elem (i32.const 0) $a $b)
  (func $a (type $t) (local.get 0))
  (func $b (type $t) (i32.mul (local.get 0) (i32.const 3)))
  (func $f (export "f") (param i32 i32) (result i32)
    (call_indirect (type $t) (local.get 0) (local.get 1))))

;;= --emit asm --invoke f
;; function 2 `f`:
;; f:
;;   pushq %rbp
;;   movq %rsp, %rbp
;; block0:
;;   movl %esi, %r8d
;;   cmpq $0x2, %r8
;;   jnb #trap=UndefinedElement
;;   load_ext_name userextname0+0, %rax
;;   uninit  %rcx
;;   xorq %rcx, %rcx
;;   cmpq $0x2, %r8
;;   cmovaeq %rcx, %r8
;;   movl (%rax, %r8, 8), %eax
;;   load_ext_name userextname1+0, %rcx
;;   leaq (%rcx, %rax), %rax
;;   call    *%rax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
