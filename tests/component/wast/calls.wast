;; Calls: `realloc`, `post-return`, who may call whom, and lists at the edges of memory.
;; Source: component model, "Canonical ABI" (`canon lift`, `canon lower`, `trap_if`, `may_leave`).

;; What `realloc` returns is checked.
(component definition $Realloc
  (core module $m
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 0))
    (func (export "next") (param i32) (global.set $next (local.get 0)))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (if (i32.eq (global.get $next) (i32.const 1)) (then (unreachable)))
      (global.get $next))
    (func (export "first") (param i32 i32) (result i32)
      (if (result i32) (local.get 1) (then (i32.load8_u (local.get 0))) (else (i32.const -1)))))
  (core instance $i (instantiate $m))
  (func (export "next") (param "at" u32) (canon lift (core func $i "next")))
  (func (export "bytes") (param "l" (list u8)) (result s32)
    (canon lift (core func $i "first") (memory $i "memory") (realloc (func $i "realloc"))))
  (func (export "words") (param "l" (list u32)) (result s32)
    (canon lift (core func $i "first") (memory $i "memory") (realloc (func $i "realloc"))))
  (func (export "text") (param "l" string) (result s32)
    (canon lift (core func $i "first") (memory $i "memory") (realloc (func $i "realloc"))))
  (func (export "text16") (param "l" string) (result s32)
    (canon lift (core func $i "first") string-encoding=utf16 (memory $i "memory") (realloc (func $i "realloc")))))
(component instance $r0 $Realloc)
(assert_return (invoke "next" (u32.const 65534)))
(assert_return (invoke "bytes" (list.const (u8.const 7) (u8.const 8))) (s32.const 7))
(assert_return (invoke "bytes" (list.const)) (s32.const -1))
(assert_return (invoke "text" (str.const "ab")) (s32.const 97))
(assert_return (invoke "next" (u32.const 65532)))
(assert_return (invoke "words" (list.const (u32.const 9))) (s32.const 9))
(component instance $r1 $Realloc)
(assert_return (invoke "next" (u32.const 65534)))
(assert_trap (invoke "bytes" (list.const (u8.const 7) (u8.const 8) (u8.const 9))) "list content out-of-bounds")
(component instance $r2 $Realloc)
(assert_return (invoke "next" (u32.const 0xfffffffe)))
(assert_trap (invoke "bytes" (list.const (u8.const 7) (u8.const 8))) "list content out-of-bounds")
(component instance $r3 $Realloc)
(assert_return (invoke "next" (u32.const 18)))
(assert_trap (invoke "words" (list.const (u32.const 7))) "unaligned pointer")
(component instance $r4 $Realloc)
(assert_return (invoke "next" (u32.const 65535)))
(assert_trap (invoke "text" (str.const "ab")) "string content out-of-bounds")
(component instance $r5 $Realloc)
(assert_return (invoke "next" (u32.const 17)))
(assert_trap (invoke "text16" (str.const "ab")) "unaligned pointer")
(component instance $r6 $Realloc)
(assert_return (invoke "next" (u32.const 1)))
(assert_trap (invoke "bytes" (list.const (u8.const 7))) "unreachable")

;; `post-return` gets the core results, once they are lifted.
(component
  (core module $m
    (memory (export "memory") 1)
    (global $seen (mut i32) (i32.const 0))
    (func (export "get") (result i32) (i32.const 42))
    (func (export "after") (param i32) (global.set $seen (i32.add (global.get $seen) (local.get 0))))
    (func (export "list") (result i32)
      (i32.store (i32.const 16) (i32.const 32)) (i32.store (i32.const 20) (i32.const 2))
      (i32.store16 (i32.const 32) (i32.const 0x0201)) (i32.const 16))
    ;; What has been lifted is the callee's once more.
    (func (export "after-list") (param i32) (i32.store8 (i32.const 32) (i32.const 9))
      (global.set $seen (i32.add (global.get $seen) (local.get 0))))
    (func (export "seen") (result i32) (global.get $seen)))
  (core instance $i (instantiate $m))
  (func (export "get") (result u32) (canon lift (core func $i "get") (post-return (func $i "after"))))
  (func (export "list") (result (list u8))
    (canon lift (core func $i "list") (memory $i "memory") (post-return (func $i "after-list"))))
  (func (export "seen") (result u32) (canon lift (core func $i "seen"))))
(assert_return (invoke "get") (u32.const 42))
(assert_return (invoke "seen") (u32.const 42))
(assert_return (invoke "list") (list.const (u8.const 1) (u8.const 2)))
(assert_return (invoke "list") (list.const (u8.const 1) (u8.const 2)))
(assert_return (invoke "seen") (u32.const 74))

;; `realloc` that calls another component, and `post-return` that does, or makes a resource.
(component definition $Leaves
  (component $other
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func (export "f") (canon lift (core func $i "f"))))
  (instance $other (instantiate $other))
  (component $inner
    (import "f" (func $f))
    (core func $f (canon lower (func $f)))
    (type $r (resource (rep i32)))
    (core func $new (canon resource.new $r))
    (core module $m
      (import "" "f" (func $f))
      (import "" "new" (func $new (param i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "call"))
      (func (export "calls") (call $f))
      (func (export "news") (drop (call $new (i32.const 1))))
      (func (export "text") (param i32 i32))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (call $f) (i32.const 0)))
    (core instance $i (instantiate $m
      (with "" (instance (export "f" (func $f)) (export "new" (func $new))))))
    (func (export "may-call") (canon lift (core func $i "calls")))
    (func (export "calls") (canon lift (core func $i "call") (post-return (func $i "calls"))))
    (func (export "news") (canon lift (core func $i "call") (post-return (func $i "news"))))
    (func (export "text") (param "s" string)
      (canon lift (core func $i "text") (memory $i "memory") (realloc (func $i "realloc")))))
  (instance $inner (instantiate $inner (with "f" (func $other "f"))))
  (export "may-call" (func $inner "may-call"))
  (export "calls" (func $inner "calls"))
  (export "news" (func $inner "news"))
  (export "text" (func $inner "text")))
(component instance $l0 $Leaves)
(assert_return (invoke "may-call"))
(assert_trap (invoke "text" (str.const "x")) "cannot leave component instance")
;; The specification forbids it to `post-return` as well. The adapters of wasmtime 48 let it call.
(component instance $l1 $Leaves)
(assert_return (invoke "calls"))
(assert_return (invoke "news"))

;; A component may not call what is inside of it.
(component definition $Parent
  (component $child
    (core module $m (func (export "f") (result i32) (i32.const 1)))
    (core instance $i (instantiate $m))
    (func (export "f") (result u32) (canon lift (core func $i "f"))))
  (instance $child (instantiate $child))
  (core func $f (canon lower (func $child "f")))
  (core module $m
    (import "" "f" (func $f (result i32)))
    (func (export "f") (result i32) (call $f)))
  (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
  (func (export "f") (result u32) (canon lift (core func $i "f"))))
(component instance $p $Parent)
(assert_trap (invoke "f") "cannot enter component instance")

;; A list that is longer than its memory, or whose size does not fit 32 bits.
(component definition $Lists
  (core module $m
    (memory (export "memory") 1)
    (func (export "at") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))
  (core instance $i (instantiate $m))
  (func (export "bytes") (param "at" u32) (param "len" u32) (result (list u8))
    (canon lift (core func $i "at") (memory $i "memory")))
  (func (export "longs") (param "at" u32) (param "len" u32) (result (list u64))
    (canon lift (core func $i "at") (memory $i "memory")))
  (func (export "units") (param "at" u32) (param "len" u32) (result (list (tuple u8 u64)))
    (canon lift (core func $i "at") (memory $i "memory"))))
(component instance $s0 $Lists)
(assert_return (invoke "bytes" (u32.const 65535) (u32.const 1)) (list.const (u8.const 0)))
(assert_return (invoke "bytes" (u32.const 65536) (u32.const 0)) (list.const))
(assert_return (invoke "longs" (u32.const 65528) (u32.const 1)) (list.const (u64.const 0)))
(component instance $s1 $Lists)
(assert_trap (invoke "bytes" (u32.const 65536) (u32.const 1)) "list content out-of-bounds")
(component instance $s2 $Lists)
(assert_trap (invoke "bytes" (u32.const 1) (u32.const 0xffffffff)) "list content out-of-bounds")
(component instance $s3 $Lists)
(assert_trap (invoke "longs" (u32.const 8) (u32.const 0x20000000)) "list content out-of-bounds")
(component instance $s4 $Lists)
(assert_trap (invoke "longs" (u32.const 4) (u32.const 0)) "unaligned pointer")
(component instance $s5 $Lists)
(assert_trap (invoke "units" (u32.const 65528) (u32.const 1)) "list content out-of-bounds")

;; An address for the results that the caller gives.
(component definition $Results
  (component $callee
    (core module $m (func (export "f") (result i32) (i32.const 0)) (memory (export "memory") 1))
    (core instance $i (instantiate $m))
    (func (export "f") (result (tuple u32 u64)) (canon lift (core func $i "f") (memory $i "memory"))))
  (instance $callee (instantiate $callee))
  (component $caller
    (import "f" (func $f (result (tuple u32 u64))))
    (core module $libc (memory (export "memory") 1))
    (core instance $libc (instantiate $libc))
    (core func $f (canon lower (func $f) (memory $libc "memory")))
    (core module $m
      (import "" "f" (func $f (param i32)))
      (func (export "f") (param i32) (call $f (local.get 0))))
    (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
    (func (export "f") (param "at" u32) (canon lift (core func $i "f"))))
  (instance $caller (instantiate $caller (with "f" (func $callee "f"))))
  (export "f" (func $caller "f")))
(component instance $e0 $Results)
(assert_return (invoke "f" (u32.const 65520)))
(component instance $e1 $Results)
(assert_trap (invoke "f" (u32.const 65524)) "unaligned pointer")
(component instance $e2 $Results)
(assert_trap (invoke "f" (u32.const 65528)) "out of bounds memory access")

;; Start functions run when a component is instantiated.
(assert_trap
  (component
    (core module $m (func $start (unreachable)) (start $start))
    (core instance (instantiate $m)))
  "unreachable")
(assert_trap
  (component
    (core module $m (memory 1) (data (i32.const 65536) "x"))
    (core instance (instantiate $m)))
  "out of bounds memory access")
