;; Starts 1,000 threads, one after the other, each time it is given a byte, and answers with a byte. Each thread uses
;; what has mappings of its own: exceptions, a table that grows, a second memory.
(module
  (import "env" "memory" (memory $shared 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory $own 1 2)
  (table $table 1 100000 externref)
  (tag $tag (param i32))
  (data (memory $shared) (i32.const 16) "\00\01\00\00\01\00\00\00")
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (drop (table.grow $table (ref.null extern) (i32.const 5000)))
    (i32.store $own (i32.const 65532) (local.get $tid))
    (block $caught (result i32)
      (try_table (catch $tag $caught) (throw $tag (local.get $tid)))
      (unreachable))
    (if (i32.ne (i32.load $own (i32.const 65532))) (then (unreachable)))
    (i32.atomic.store (i32.const 0) (local.get $arg))
    (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
  (func $thousand
    (local $i i32) (local $tid i32) (local $last i32)
    (i32.atomic.store (i32.const 0) (i32.const 0))
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $tid (call $spawn (local.get $i)))
      ;; Numbers rise, so none is used again.
      (if (i32.le_s (local.get $tid) (local.get $last)) (then (unreachable)))
      (local.set $last (local.get $tid))
      ;; The thread before may wake this one a little late.
      (loop $wait
        (drop (memory.atomic.wait32 (i32.const 0) (i32.sub (local.get $i) (i32.const 1)) (i64.const -1)))
        (br_if $wait (i32.ne (i32.atomic.load (i32.const 0)) (local.get $i))))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 1000)))))
  (func (export "_start")
    (loop $again
      (if (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 32)) (then (unreachable)))
      (if (i32.eqz (i32.load (i32.const 32))) (then (return)))
      (call $thousand)
      (if (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)) (then (unreachable)))
      (br $again))))
