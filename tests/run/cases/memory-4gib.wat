;; The largest memory of 32-bit addresses: its last byte is reachable, the one after it is not.
;;! compile: --invoke last
;;! out: 0
;;! compile: --invoke behind
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: behind
;;! compile: --invoke grow
;;! out: 65536
;;! out: -1
(module
  (memory (export "memory") 65536)
  (func $last (export "last") (result i32) (i32.load8_u (i32.const -1)))
  (func $behind (export "behind") (result i32) (i32.load16_u (i32.const -1)))
  (func $grow (export "grow") (result i32 i32) (memory.grow (i32.const 0)) (memory.grow (i32.const 1))))
