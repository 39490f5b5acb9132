;; Hints that are wrong: they change where code stands and nothing else.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (tag $odd (param i32))
  ;; Ends with the number of a check that fails.
  (func $check (param $number i32) (param $holds i32)
    local.get $holds
    i32.eqz
    (@metadata.code.branch_hint "\01") if
      (call $exit (local.get $number))
    end)
  ;; 1 + 2 + .. + n, with the exit of the loop and its way back hinted the wrong way round.
  (func $sum (param $n i32) (result i32) (local $sum i32)
    (block $done
      (loop $next
        (i32.eqz (local.get $n))
        (@metadata.code.branch_hint "\01") br_if $done
        (local.set $sum (i32.add (local.get $sum) (local.get $n)))
        (local.tee $n (i32.sub (local.get $n) (i32.const 1)))
        (@metadata.code.branch_hint "\00") br_if $next))
    (local.get $sum))
  ;; What lies in an unlikely branch has branches of its own; values go along with them.
  (func $class (param $n i32) (result i32)
    (block $result (result i32)
      (i32.lt_s (local.get $n) (i32.const 0))
      (@metadata.code.branch_hint "\00") if
        (i32.const -2)
        (i32.lt_s (local.get $n) (i32.const -10))
        (@metadata.code.branch_hint "\00") br_if $result
        drop
        (br $result (i32.const -1))
      end
      (i32.const 0)
      (i32.eqz (local.get $n))
      (@metadata.code.branch_hint "\01") br_if $result
      drop
      (i32.gt_s (local.get $n) (i32.const 10))
      (@metadata.code.branch_hint "\01") if (result i32)
        i32.const 2
      else
        i32.const 1
      end))
  ;; Throws odd numbers out of an unlikely branch and catches them.
  (func $halve (param $n i32) (result i32)
    (block $caught (result i32)
      (try_table (result i32) (catch $odd $caught)
        (i32.and (local.get $n) (i32.const 1))
        (@metadata.code.branch_hint "\00") if
          (throw $odd (i32.sub (i32.const 0) (local.get $n)))
        end
        (i32.shr_u (local.get $n) (i32.const 1)))))
  (func (export "_start")
    (call $check (i32.const 1) (i32.eq (call $sum (i32.const 100)) (i32.const 5050)))
    (call $check (i32.const 2) (i32.eqz (call $sum (i32.const 0))))
    (call $check (i32.const 3) (i32.eq (call $class (i32.const -11)) (i32.const -2)))
    (call $check (i32.const 4) (i32.eq (call $class (i32.const -5)) (i32.const -1)))
    (call $check (i32.const 5) (i32.eq (call $class (i32.const 0)) (i32.const 0)))
    (call $check (i32.const 6) (i32.eq (call $class (i32.const 5)) (i32.const 1)))
    (call $check (i32.const 7) (i32.eq (call $class (i32.const 11)) (i32.const 2)))
    (call $check (i32.const 8) (i32.eq (call $halve (i32.const 14)) (i32.const 7)))
    (call $check (i32.const 9) (i32.eq (call $halve (i32.const 15)) (i32.const -15)))))
