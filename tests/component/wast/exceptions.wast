;; Exceptions: caught inside of a component, and never passed from one to another.
;; Source: component model, "Canonical ABI" (`call_and_trap_on_throw`).

(component definition $Throws
  (component $thrower
    (core module $m
      (tag $t (param i32))
      (func (export "throw") (throw $t (i32.const 1)))
      (func (export "catch") (result i32)
        (block $caught (result i32)
          (try_table (catch $t $caught) (throw $t (i32.const 42)))
          (unreachable))))
    (core instance $i (instantiate $m))
    (func (export "throw") (canon lift (core func $i "throw")))
    (func (export "catch") (result u32) (canon lift (core func $i "catch"))))
  (instance $thrower (instantiate $thrower))
  (component $caller
    (import "throw" (func $throw))
    (core func $throw (canon lower (func $throw)))
    (core module $m
      (import "" "throw" (func $throw))
      (func (export "call") (result i32)
        (block $caught
          (try_table (catch_all $caught) (call $throw))
          (return (i32.const 0)))
        (i32.const 1)))
    (core instance $i (instantiate $m (with "" (instance (export "throw" (func $throw))))))
    (func (export "call") (result u32) (canon lift (core func $i "call"))))
  (instance $caller (instantiate $caller (with "throw" (func $thrower "throw"))))
  (export "catch" (func $thrower "catch"))
  (export "throw" (func $thrower "throw"))
  (export "call" (func $caller "call")))
(component instance $t0 $Throws)
(assert_return (invoke "catch") (u32.const 42))
(component instance $t1 $Throws)
(assert_trap (invoke "throw") "uncaught exception propagated out of component")
(component instance $t2 $Throws)
(assert_trap (invoke "call") "uncaught exception propagated out of component")

;; A tag of one core instance that another catches, inside of a component.
(component
  (core module $a
    (tag $t (export "t") (param i32))
    (func (export "throw") (param i32) (throw $t (local.get 0))))
  (core module $b
    (import "a" "t" (tag $t (param i32)))
    (import "a" "throw" (func $throw (param i32)))
    (func (export "catch") (param i32) (result i32)
      (block $caught (result i32)
        (try_table (catch $t $caught) (call $throw (local.get 0)))
        (unreachable))))
  (core instance $a (instantiate $a))
  (core instance $b (instantiate $b (with "a" (instance $a))))
  (func (export "catch") (param "x" u32) (result u32) (canon lift (core func $b "catch"))))
(assert_return (invoke "catch" (u32.const 9)) (u32.const 9))
