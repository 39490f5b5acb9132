;; Backtraces name module and function, and an access beyond any module's memory is a trap.
;;! compile: --preload math={linked}/math.wat
;;! run: unreachable
;;! exit: 134
;;! err: wasm trap: unreachable
;;! err: math!<wasm function 5>
;;! err: linked-traps!_start
;;! run: beyond x
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: math!<wasm function 6>
;;! err: linked-traps!_start
;;! run: own x x
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: linked-traps!_start
;;! run: exception x x x
;;! exit: 134
;;! err: wasm trap: unhandled exception
;;! err: math!<wasm function 4>
;;! err: linked-traps!_start
(module
  (import "math" "trap" (func $trap))
  (import "math" "beyond" (func $beyond (param i32)))
  (import "math" "throw" (func $throw (param i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (memory 1)
  (func $_start (export "_start")
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (if (i32.eq (i32.load (i32.const 0)) (i32.const 2)) (then (call $trap)))
    (if (i32.eq (i32.load (i32.const 0)) (i32.const 3)) (then (call $beyond (i32.const 65536))))
    (if (i32.eq (i32.load (i32.const 0)) (i32.const 4)) (then (drop (i32.load (i32.const -4)))))
    (call $throw (i32.const 1))))
