;; One budget for all modules.
;;! compile: --preload math={linked}/math.wat --fuel 100
;;! exit: 134
;;! err: wasm trap: out of fuel
;;! compile: --preload math={linked}/math.wat --fuel 1000000
(module
  (import "math" "add" (func $add (param i32 i32) (result i32)))
  (func (export "_start") (local $i i32)
    (loop $again
      (local.set $i (call $add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 30))))))
