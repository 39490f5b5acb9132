;; Atomic accesses trap where they are unaligned, whatever else is wrong, or outside; a wait traps where the memory is
;; not shared.
;;! compile: --invoke unaligned
;;! run: 1
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! run: 0
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! run: 65536
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! run: 65537
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! run: 65524
;;! out: 0
;;! run: 65532
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! compile: --invoke unaligned --bounds-checks explicit
;;! run: 1
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! run: 0
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! run: 65536
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! run: 65537
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! run: 65524
;;! out: 0
;;! run: 65532
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! compile: --invoke outside
;;! run: 65535
;;! out: 0
;;! run: 65536
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! run: -1
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! compile: --invoke outside --bounds-checks explicit
;;! run: 65535
;;! out: 0
;;! run: 65536
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! compile: --invoke outside64
;;! run: 65528
;;! out: 0
;;! run: 65536
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! run: -8
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! run: -16
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! run: 65529
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! compile: --invoke notify
;;! run: 0
;;! out: 0
;;! run: 65536
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! run: 2
;;! exit: 134
;;! err: wasm trap: unaligned atomic
;;! compile: --invoke wait
;;! run: 0
;;! exit: 134
;;! err: wasm trap: expected shared memory
;;! run: 4
;;! exit: 134
;;! err: wasm trap: unaligned atomic
(module
  (memory $plain 1 1)
  (memory $shared 1 1 shared)
  (memory $wide i64 1 1)
  (func (export "unaligned") (param i32) (result i64)
    (i64.atomic.rmw.or $shared offset=4 (local.get 0) (i64.const 0)))
  (func (export "outside") (param i32) (result i32) (i32.atomic.rmw8.cmpxchg_u $shared (local.get 0) (i32.const 0) (i32.const 0)))
  (func (export "outside64") (param i64) (result i64) (i64.atomic.load $wide (local.get 0)))
  (func (export "notify") (param i32) (result i32) (memory.atomic.notify $plain (local.get 0) (i32.const 1)))
  (func (export "wait") (param i32) (result i32)
    (memory.atomic.wait64 $plain (local.get 0) (i64.const 0) (i64.const 0))))
