;; A budget of instructions: the least that suffices, as wasmtime counts, and one less.
;;! compile: --fuel 4037
;;! compile: --fuel 4036
;;! exit: 134
;;! err: wasm trap: out of fuel
;;! compile: --fuel 0
;;! exit: 134
;;! err: wasm trap: out of fuel
(module (memory 1) (table 10 funcref) (tag $e (param i32))
 (func $f (param i32) (result i32) (if (result i32) (i32.lt_s (local.get 0) (i32.const 2)) (then (i32.const 1)) (else (i32.add (call $f (i32.sub (local.get 0) (i32.const 1))) (call $f (i32.sub (local.get 0) (i32.const 2)))))))
 (func $t (param i32) (throw $e (local.get 0)))
 (func (export "_start") (local $i i32)
  (drop (call $f (i32.const 10)))
  (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (block $b (br_if $b (i32.and (local.get $i) (i32.const 3))) (memory.fill (i32.const 0) (i32.const 1) (local.get $i)) (memory.copy (i32.const 0) (i32.const 9) (i32.const 1000)))
    (block $h (result i32) (try_table (catch $e $h) (call $t (local.get $i))) (i32.const 5)) drop
    (table.fill (i32.const 0) (ref.null func) (local.get $i)) 
    (br_if $l (i32.lt_u (local.get $i) (i32.const 9)))))
)
