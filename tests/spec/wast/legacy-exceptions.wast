;; The first encoding of exceptions, `try` with `catch`, `catch_all`, `delegate` and `rethrow`, which compilers still
;; emit and the suite's releases no longer have.

(module
  (tag $none)
  (tag $int (param i32))
  (tag $many (param i32 i64 f32 f64))
  (global $trace (mut i32) (i32.const 0))
  (table funcref (elem $throw_int))

  (func $note (param i32)
    (global.set $trace (i32.add (i32.mul (global.get $trace) (i32.const 10)) (local.get 0))))
  (func (export "trace") (result i32)
    (global.get $trace)
    (global.set $trace (i32.const 0)))

  ;; 0 returns, 1 throws $none, 2 throws $int with 42, 3 traps.
  (func $act (export "act") (param i32)
    (block $trap (block $int (block $none
      (br_table $none $none $int $trap (local.get 0)))
      (if (local.get 0) (then (throw $none)))
      (return))
      (throw $int (i32.const 42)))
    (unreachable))
  (func $throw_int (param i32) (throw $int (local.get 0)))

  (func (export "no_handler") (param i32) (result i32)
    try (result i32) (call $act (local.get 0)) (i32.const 7) end)

  (func (export "catch_none") (param i32) (result i32)
    try (result i32)
      (call $act (local.get 0)) (i32.const 0)
      catch $none (i32.const 1) end)

  (func (export "catch_each") (param i32) (result i32)
    try (result i32)
      (call $act (local.get 0)) (i32.const 0)
      catch $none (i32.const 1)
      catch $int (i32.add (i32.const 100)) end)

  (func (export "catch_all") (param i32) (result i32)
    try (result i32)
      (call $act (local.get 0)) (i32.const 0)
      catch $none (i32.const 1)
      catch_all (i32.const 2) end)

  (func (export "only_catch_all") (param i32) (result i32)
    try (result i32) (call $act (local.get 0)) (i32.const 0) catch_all (i32.const 2) end)

  (func (export "in_place") (param i32) (result i32)
    try (result i32)
      (throw $int (local.get 0))
      catch $none (i32.const -1)
      catch $int end)

  (func (export "values") (result i32 i64 f32 f64)
    try (result i32 i64 f32 f64)
      (throw $many (i32.const 1) (i64.const -2) (f32.const 3.5) (f64.const -4.25))
      catch $many end)

  (func (export "with_params") (param i32) (result i32)
    (i32.const 5)
    try (param i32) (result i32)
      (call $act (local.get 0)) (i32.add (i32.const 1))
      catch $int (i32.sub (i32.const 2)) end)

  ;; Locals keep what they had when the exception was thrown.
  (func (export "locals") (param i32) (result i32)
    (local $x i32)
    (local.set $x (i32.const 1))
    try
      (local.set $x (i32.const 2))
      (call $act (local.get 0))
      (local.set $x (i32.const 3))
      catch_all (local.set $x (i32.add (local.get $x) (i32.const 10))) end
    (local.get $x))

  (func $inner (param i32)
    try
      (call $act (local.get 0)) (call $note (i32.const 1))
      catch $none (call $note (i32.const 2)) (rethrow 0)
      catch_all (call $note (i32.const 3)) (rethrow 0) end)
  (func (export "rethrow") (param i32) (result i32)
    try (result i32)
      (call $inner (local.get 0)) (i32.const 0)
      catch $int (call $note (i32.const 4))
      catch $none (call $note (i32.const 5)) (i32.const 1) end)

  ;; `rethrow 1` within the handler of another exception throws the outer one again.
  (func (export "rethrow_outer") (result i32)
    try (result i32)
      try (result i32)
        (throw $int (i32.const 8))
        catch $int
        (drop)
        try (result i32)
          (throw $none)
          catch $none (rethrow 1) end end
      catch $none (i32.const -1)
      catch $int end)

  ;; What a handler throws is not for its own `try`.
  (func (export "throw_in_handler") (result i32)
    try (result i32)
      try (result i32)
        (throw $none)
        catch $none (throw $int (i32.const 9))
        catch $int (i32.add (i32.const 100)) end
      catch $int (i32.add (i32.const 1000)) end)

  (func (export "delegate") (param i32) (result i32)
    try $outer (result i32)
      try (result i32)
        try (result i32)
          (call $act (local.get 0)) (i32.const 0)
          delegate $outer
        catch_all (i32.const -1) end
      catch $none (i32.const 1)
      catch $int end)

  ;; Delegating to the function leaves it.
  (func $leave (param i32) (result i32)
    try (result i32)
      try (result i32)
        (call $act (local.get 0)) (i32.const 0)
        delegate 1
      catch_all (i32.const -1) end)
  (func (export "delegate_to_caller") (param i32) (result i32)
    try (result i32)
      (call $leave (local.get 0))
      catch $none (i32.const 1)
      catch $int end)

  ;; A block between is no handler.
  (func (export "delegate_to_block") (param i32) (result i32)
    try (result i32)
      (block $block (result i32)
        try (result i32)
          (call $act (local.get 0)) (i32.const 0)
          delegate $block)
      catch $none (i32.const 1)
      catch $int end)

  (func (export "branch_out") (param i32) (result i32)
    (block $out (result i32)
      try
        (br_if $out (i32.const 3) (local.get 0)) (drop)
        catch_all (unreachable) end
      try
        (throw $none)
        catch_all (br $out (i32.const 4)) end
      (i32.const 5)))

  (func (export "indirect") (param i32) (result i32)
    try (result i32)
      (call_indirect (param i32) (local.get 0) (i32.const 0)) (i32.const -1)
      catch $int end)

  ;; After a tail call the handlers of the caller are gone.
  (func $tail (param i32) (result i32)
    try (result i32)
      (return_call $throw_result (local.get 0))
      catch_all (i32.const -1) end)
  (func $throw_result (param i32) (result i32) (throw $int (local.get 0)))
  (func (export "tail_call") (param i32) (result i32)
    try (result i32) (call $tail (local.get 0)) catch $int end)

  (func $deep (param i32)
    (if (i32.eqz (local.get 0)) (then (throw $int (i32.const 77))))
    (call $deep (i32.sub (local.get 0) (i32.const 1)))
    (call $note (i32.const 9)))
  (func (export "unwind_deep") (param i32) (result i32)
    try (result i32) (call $deep (local.get 0)) (i32.const 0) catch $int end)

  (func (export "count") (param $n i32) (result i32)
    (local $sum i32)
    (loop $again
      try
        (call $throw_int (local.get $n))
        catch $int (local.set $sum (i32.add (local.get $sum))) end
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))

  (func $endless (call $endless) (call $note (i32.const 1)))
  (func (export "exhaustion") try (call $endless) catch_all end)
)

(assert_return (invoke "act" (i32.const 0)))
(assert_exception (invoke "act" (i32.const 1)))
(assert_exception (invoke "act" (i32.const 2)))
(assert_trap (invoke "act" (i32.const 3)) "unreachable")

(assert_return (invoke "no_handler" (i32.const 0)) (i32.const 7))
(assert_exception (invoke "no_handler" (i32.const 1)))

(assert_return (invoke "catch_none" (i32.const 0)) (i32.const 0))
(assert_return (invoke "catch_none" (i32.const 1)) (i32.const 1))
(assert_exception (invoke "catch_none" (i32.const 2)))

(assert_return (invoke "catch_each" (i32.const 0)) (i32.const 0))
(assert_return (invoke "catch_each" (i32.const 1)) (i32.const 1))
(assert_return (invoke "catch_each" (i32.const 2)) (i32.const 142))
(assert_trap (invoke "catch_each" (i32.const 3)) "unreachable")

(assert_return (invoke "catch_all" (i32.const 0)) (i32.const 0))
(assert_return (invoke "catch_all" (i32.const 1)) (i32.const 1))
(assert_return (invoke "catch_all" (i32.const 2)) (i32.const 2))
(assert_trap (invoke "catch_all" (i32.const 3)) "unreachable")

(assert_return (invoke "only_catch_all" (i32.const 0)) (i32.const 0))
(assert_return (invoke "only_catch_all" (i32.const 1)) (i32.const 2))
(assert_return (invoke "only_catch_all" (i32.const 2)) (i32.const 2))
(assert_trap (invoke "only_catch_all" (i32.const 3)) "unreachable")

(assert_return (invoke "in_place" (i32.const -6)) (i32.const -6))
(assert_return (invoke "values") (i32.const 1) (i64.const -2) (f32.const 3.5) (f64.const -4.25))
(assert_return (invoke "with_params" (i32.const 0)) (i32.const 6))
(assert_return (invoke "with_params" (i32.const 2)) (i32.const 40))
(assert_exception (invoke "with_params" (i32.const 1)))

(assert_return (invoke "locals" (i32.const 0)) (i32.const 3))
(assert_return (invoke "locals" (i32.const 1)) (i32.const 12))
(assert_return (invoke "locals" (i32.const 2)) (i32.const 12))

(assert_return (invoke "rethrow" (i32.const 0)) (i32.const 0))
(assert_return (invoke "trace") (i32.const 1))
(assert_return (invoke "rethrow" (i32.const 1)) (i32.const 1))
(assert_return (invoke "trace") (i32.const 25))
(assert_return (invoke "rethrow" (i32.const 2)) (i32.const 42))
(assert_return (invoke "trace") (i32.const 34))

(assert_return (invoke "rethrow_outer") (i32.const 8))
(assert_return (invoke "throw_in_handler") (i32.const 1009))

(assert_return (invoke "delegate" (i32.const 0)) (i32.const 0))
(assert_return (invoke "delegate" (i32.const 1)) (i32.const 1))
(assert_return (invoke "delegate" (i32.const 2)) (i32.const 42))
(assert_trap (invoke "delegate" (i32.const 3)) "unreachable")
(assert_return (invoke "delegate_to_caller" (i32.const 0)) (i32.const 0))
(assert_return (invoke "delegate_to_caller" (i32.const 1)) (i32.const 1))
(assert_return (invoke "delegate_to_caller" (i32.const 2)) (i32.const 42))
(assert_return (invoke "delegate_to_block" (i32.const 0)) (i32.const 0))
(assert_return (invoke "delegate_to_block" (i32.const 1)) (i32.const 1))
(assert_return (invoke "delegate_to_block" (i32.const 2)) (i32.const 42))

(assert_return (invoke "branch_out" (i32.const 1)) (i32.const 3))
(assert_return (invoke "branch_out" (i32.const 0)) (i32.const 4))
(assert_return (invoke "indirect" (i32.const 13)) (i32.const 13))
(assert_return (invoke "tail_call" (i32.const 14)) (i32.const 14))
(assert_return (invoke "unwind_deep" (i32.const 10000)) (i32.const 77))
(assert_return (invoke "trace") (i32.const 0))
(assert_return (invoke "count" (i32.const 100000)) (i32.const 705082704))
(assert_exhaustion (invoke "exhaustion") "call stack exhausted")

(assert_invalid
  (module (func try  catch 0 end))
  "unknown tag")
(assert_invalid
  (module (tag) (func (block (rethrow 0))))
  "invalid rethrow label")
(assert_invalid
  (module (tag) (func (result i32) try (result i32) (i32.const 1) catch 0 end))
  "type mismatch")
