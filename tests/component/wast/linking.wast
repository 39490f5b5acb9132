;; Components that contain, instantiate and import others; core modules that are instantiated twice or passed on.
;; Source: component model, "Explainer" (instance, alias and import definitions).

;; Instances of the script import each other by name.
(component $counter
  (core module $m
    (global $n (mut i32) (i32.const 0))
    (func (export "next") (result i32)
      (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))
  (core instance $i (instantiate $m))
  (func (export "next") (result u32) (canon lift (core func $i "next"))))
(component $twice
  (import "counter" (instance $c (export "next" (func (result u32)))))
  (core func $next (canon lower (func $c "next")))
  (core module $m
    (import "" "next" (func $next (result i32)))
    (func (export "twice") (result i32) (drop (call $next)) (call $next)))
  (core instance $i (instantiate $m (with "" (instance (export "next" (func $next))))))
  (func (export "twice") (result u32) (canon lift (core func $i "twice"))))
(assert_return (invoke $counter "next") (u32.const 1))
(assert_return (invoke "twice") (u32.const 3))
(assert_return (invoke $counter "next") (u32.const 4))

(assert_unlinkable
  (component (import "counter" (instance (export "next" (func (result u64))))))
  "type mismatch")
(assert_unlinkable
  (component (import "counter" (instance (export "previous" (func (result u32))))))
  "missing expected export `previous`")

;; A component is instantiated twice: two states.
(component
  (component $counter
    (core module $m
      (global $n (mut i32) (i32.const 0))
      (func (export "next") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))
    (core instance $i (instantiate $m))
    (func (export "next") (result u32) (canon lift (core func $i "next"))))
  (instance $a (instantiate $counter))
  (instance $b (instantiate $counter))
  (export "a" (func $a "next"))
  (export "b" (func $b "next")))
(assert_return (invoke "a") (u32.const 1))
(assert_return (invoke "a") (u32.const 2))
(assert_return (invoke "b") (u32.const 1))

;; A core module twice, with the memory of the first in the second.
(component
  (core module $libc (memory (export "memory") 1))
  (core module $m
    (import "libc" "memory" (memory 1))
    (global $at (mut i32) (i32.const 0))
    (func (export "at") (param i32) (global.set $at (local.get 0)))
    (func (export "write") (param i32) (i32.store (global.get $at) (local.get 0)))
    (func (export "read") (result i32) (i32.load (global.get $at))))
  (core instance $libc (instantiate $libc))
  (core instance $a (instantiate $m (with "libc" (instance $libc))))
  (core instance $b (instantiate $m (with "libc" (instance $libc))))
  (func (export "a-at") (param "at" u32) (canon lift (core func $a "at")))
  (func (export "a-write") (param "v" u32) (canon lift (core func $a "write")))
  (func (export "a-read") (result u32) (canon lift (core func $a "read")))
  (func (export "b-read") (result u32) (canon lift (core func $b "read"))))
(assert_return (invoke "a-write" (u32.const 7)))
(assert_return (invoke "b-read") (u32.const 7))
(assert_return (invoke "a-at" (u32.const 64)))
(assert_return (invoke "a-read") (u32.const 0))
(assert_return (invoke "b-read") (u32.const 7))

;; A core module as the argument of a component that is instantiated twice, with another one each time.
(component
  (core module $seven (func (export "f") (result i32) (i32.const 7)))
  (core module $eight (func (export "f") (result i32) (i32.const 8)) (func (export "more")))
  (component $of
    (import "m" (core module $m (export "f" (func (result i32)))))
    (core instance $i (instantiate $m))
    (func (export "f") (result u32) (canon lift (core func $i "f"))))
  (instance $a (instantiate $of (with "m" (core module $seven))))
  (instance $b (instantiate $of (with "m" (core module $eight))))
  (export "a" (func $a "f"))
  (export "b" (func $b "f")))
(assert_return (invoke "a") (u32.const 7))
(assert_return (invoke "b") (u32.const 8))

;; A component in between that passes on, and one that answers for another.
(component
  (component $base
    (core module $m (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))
    (core instance $i (instantiate $m))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $twice
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $f (canon lower (func $f)))
    (core module $m
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "f") (param i32) (result i32) (call $f (call $f (local.get 0)))))
    (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (instance $a (instantiate $base))
  (instance $b (instantiate $twice (with "f" (func $a "f"))))
  (instance $c (instantiate $twice (with "f" (func $b "f"))))
  (instance $d (instantiate $twice (with "f" (func $c "f"))))
  (export "f" (func $d "f")))
(assert_return (invoke "f" (u32.const 10)) (u32.const 18))

;; Functions, tables, globals and tags that core instances share inside of a component.
(component
  (core module $a
    (table (export "t") 2 2 funcref)
    (global (export "g") (mut i32) (i32.const 5))
    (func (export "h") (result i32) (i32.const 11)))
  (core module $b
    (import "a" "t" (table 2 funcref))
    (import "a" "g" (global (mut i32)))
    (import "a" "h" (func $h (result i32)))
    (elem (i32.const 0) $h $own)
    (func $own (result i32) (global.get 0))
    (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))
  (core instance $a (instantiate $a))
  (core instance $b (instantiate $b (with "a" (instance $a))))
  (func (export "call") (param "n" u32) (result u32) (canon lift (core func $b "call"))))
(assert_return (invoke "call" (u32.const 0)) (u32.const 11))
(assert_return (invoke "call" (u32.const 1)) (u32.const 5))
(assert_trap (invoke "call" (u32.const 2)) "undefined element")
