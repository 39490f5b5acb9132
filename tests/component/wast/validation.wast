;; Components that are not valid, and those that are not even well-formed.
;; Source: component model, "Explainer" and "Binary Format".

;; Names
(assert_invalid (component (type (func (param "A b" u32)))) "not in kebab case")
(assert_invalid (component (type (func (param "" u32)))) "name cannot be empty")
(assert_invalid (component (type (func (param "1a" u32)))) "not in kebab case")
(assert_invalid (component (type (func (param "a-" u32)))) "not in kebab case")
(assert_invalid (component (type (func (param "a" u32) (param "A" u32)))) "conflicts with previous")
(assert_invalid (component (type (record (field "a" u32) (field "a" u8)))) "conflicts with previous")
(assert_invalid (component (type (enum "x" "X"))) "conflicts with previous")
(assert_invalid (component (import "a" (func)) (import "a" (func))) "conflicts with previous name")
(assert_invalid (component (component $c) (export "a" (component $c)) (export "a" (component $c))) "conflicts with previous name")
(assert_invalid (component (import "wasi:cli" (func))) "expected `/` after package name")

;; Types
(assert_invalid (component (type (record))) "record type must have at least one field")
(assert_invalid (component (type (variant))) "variant type must have at least one case")
(assert_invalid (component (type (enum))) "enum type must have at least one variant")
(assert_invalid (component (type (flags))) "flags must have at least one entry")
(assert_invalid (component (type (tuple))) "tuple type must have at least one type")
(assert_invalid (component (type (list 1))) "type index out of bounds")
(assert_invalid (component (type $f (func)) (type (list $f))) "not a defined type")
(assert_invalid
  (component
    (type $r (record (field "a" u32)))
    (core module $m (func (export "f") (param i32)))
    (core instance $i (instantiate $m))
    (func (export "f") (param "r" $r) (canon lift (core func $i "f"))))
  "func not valid to be used as export")
(assert_invalid
  (component (type $r (resource (rep i32))) (type (func (result (borrow $r)))))
  "function result cannot contain a `borrow` type")
(assert_invalid (component (type (resource (rep f32)))) "resources can only be represented by")
(assert_invalid
  (component
    (core module $m (func (export "d") (param i64)))
    (core instance $i (instantiate $m))
    (type (resource (rep i32) (dtor (func $i "d")))))
  "wrong signature for a destructor")
(assert_invalid (component (type $t u32) (core func (canon resource.drop $t))) "not a resource type")
(assert_invalid
  (component (import "r" (type $r (sub resource))) (core func (canon resource.new $r)))
  "not a local resource")

;; Lifting and lowering
(assert_invalid
  (component
    (core module $m (func (export "f") (param i32)))
    (core instance $i (instantiate $m))
    (func (canon lift (core func $i "f"))))
  "lowered parameter types")
(assert_invalid
  (component
    (core module $m (func (export "f") (result i32)))
    (core instance $i (instantiate $m))
    (func (result u64) (canon lift (core func $i "f"))))
  "lowered result types")
(assert_invalid
  (component
    (core module $m (func (export "f") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func (result string) (canon lift (core func $i "f"))))
  "canonical option `memory` is required")
(assert_invalid
  (component
    (core module $m (memory (export "memory") 1) (func (export "f") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (param "s" string) (canon lift (core func $i "f") (memory $i "memory"))))
  "canonical option `realloc` is required")
(assert_invalid
  (component
    (core module $m
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32) (result i32) (i32.const 0))
      (func (export "f") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (param "s" string) (canon lift (core func $i "f") (memory $i "memory") (realloc (func $i "realloc")))))
  "canonical option `realloc` uses a core function with an incorrect signature")
(assert_invalid
  (component
    (core module $m (func (export "f") (result i32) (i32.const 0)) (func (export "after") (param i64)))
    (core instance $i (instantiate $m))
    (func (result u32) (canon lift (core func $i "f") (post-return (func $i "after")))))
  "canonical option `post-return` uses a core function with an incorrect signature")
(assert_invalid
  (component
    (core module $m (func (export "after")))
    (core instance $i (instantiate $m))
    (import "f" (func $f))
    (core func (canon lower (func $f) (post-return (func $i "after")))))
  "canonical option `post-return` cannot be specified for lowerings")
(assert_invalid
  (component (import "f" (func $f (param "s" string))) (core func (canon lower (func $f))))
  "canonical option `memory` is required")
(assert_invalid
  (component (import "f" (func $f)) (core func (canon lower (func $f) string-encoding=utf8 string-encoding=utf16)))
  "conflicts with")

;; Instances
(assert_invalid (component (core instance (instantiate 0))) "module index out of bounds")
(assert_invalid (component (instance (instantiate 0))) "component index out of bounds")
(assert_invalid
  (component
    (core module $m (import "a" "f" (func)))
    (core instance (instantiate $m)))
  "missing module instantiation argument named `a`")
(assert_invalid
  (component
    (core module $a (func (export "f") (param i32)))
    (core module $m (import "a" "f" (func)))
    (core instance $a (instantiate $a))
    (core instance (instantiate $m (with "a" (instance $a)))))
  "type mismatch for export `f` of module instantiation argument `a`")
(assert_invalid
  (component
    (component $c (import "f" (func)))
    (instance (instantiate $c)))
  "missing import named `f`")
(assert_invalid
  (component
    (component $c (import "f" (func)))
    (import "g" (func $g (param "x" u32)))
    (instance (instantiate $c (with "f" (func $g)))))
  "type mismatch for import `f`")
(assert_invalid
  (component
    (component $c)
    (instance $i (instantiate $c))
    (alias export $i "f" (func)))
  "has no export named `f`")
(assert_invalid
  (component
    (core module $m)
    (core instance $i (instantiate $m))
    (alias core export $i "f" (core func)))
  "has no export named `f`")
(assert_invalid
  (component
    (component (alias outer 1 0 (type))))
  "type index out of bounds")
(assert_invalid
  (component
    (type $r (resource (rep i32)))
    (component (alias outer 1 $r (type))))
  "refers to resources not defined in the current component")

;; Core modules are validated like others.
(assert_invalid
  (component (core module (func (result i32))))
  "type mismatch")

;; The text and the binary format
(assert_malformed (component quote "(func (export \"f\") (canon lift))") "expected")
(assert_malformed (component quote "(type $a u32) (type $a u8)") "duplicate")
(assert_malformed (component quote "(type (list $nothing))") "unknown type")
(assert_invalid (component binary "\00asm" "\0d\00\01\00" "\01\01\00") "unexpected end")
(assert_invalid (component binary "\00asm" "\0d\00\01\00" "\7f\00") "malformed section id")
(assert_invalid (component binary "\00asm" "\0e\00\01\00") "unknown binary version")
