;; `--max-exception-memory` limits what is alive, not what is made. Whoever runs the program may lower the limit.
;;! compile: --max-exception-memory 1M --invoke run
;;! run: 15000
;;! run: 40000
;;! exit: 134
;;! err: wasmelt: out of memory for exceptions (see --max-exception-memory)
;;! run: 15000
;;! env: WASMELT_POLICY=max-exception-memory=512K
;;! exit: 134
;;! err: wasmelt: out of memory for exceptions
;;! run: 40000
;;! env: WASMELT_POLICY=max-exception-memory=512M
;;! exit: 134
;;! err: wasmelt: out of memory for exceptions
;;! run: 1
;;! env: WASMELT_POLICY=max-exception-memory=0
;;! exit: 134
;;! err: wasmelt: out of memory for exceptions
;;! compile: --invoke run
;;! run: 40000
;;! run: 40000
;;! env: WASMELT_POLICY=max-exception-memory=1M
;;! exit: 134
;;! err: wasmelt: out of memory for exceptions
(module
  (tag $n (param exnref i32))
  ;; Keeps so many in a list, and drops as many more after each hundred.
  (func (export "run") (param $count i32)
    (local $list exnref) (local $i i32)
    (loop $again
      (local.set $list (call $wrap (local.get $list) (local.get $i)))
      (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 100))) (then (call $litter)))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count)))))
  (func $wrap (param $list exnref) (param $i i32) (result exnref)
    (local $e exnref)
    (block $h (result exnref i32 exnref)
      (try_table (catch_ref $n $h) (throw $n (local.get $list) (local.get $i)))
      (unreachable))
    (local.set $e) (drop) (drop) (local.get $e))
  (func $litter
    (local $i i32)
    (loop $again
      (drop (call $wrap (ref.null exn) (local.get $i)))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))))
