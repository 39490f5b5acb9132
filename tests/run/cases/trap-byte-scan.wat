;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: length
;;! err: _start
;; No byte before the end of memory ends the loop.
(module
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (func $length (param $at i32) (result i32)
    (loop $next
      (if (i32.load8_u (local.get $at))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (local.get $at))
  (func $_start (export "_start")
    (drop (call $length (i32.const 0)))
    (memory.fill (i32.const 65000) (i32.const 1) (i32.const 536))
    (drop (call $length (i32.const 65000)))))
