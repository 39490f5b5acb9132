;; What the other modules of a linked file share: how far to go, read from the arguments of the program, and how to end.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  ;; From 0 pointers to arguments, from 256 what is written, from 512 the text of the arguments.
  (memory (export "memory") 2)
  (global $k (export "k") (mut i32) (i32.const 0))
  (global $from (export "from") (mut i32) (i32.const 0))

  ;; Prints a number and ends the program.
  (func $finish (export "finish") (param $number i32)
    (local $at i32) (local $rest i32)
    (local.set $at (i32.const 299))
    (i32.store8 (local.get $at) (i32.const 10))
    (local.set $rest
      (select (i32.sub (i32.const 0) (local.get $number)) (local.get $number) (i32.lt_s (local.get $number) (i32.const 0))))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $rest) (i32.const 10))))
      (local.set $rest (i32.div_u (local.get $rest) (i32.const 10)))
      (br_if $digit (local.get $rest)))
    (if (i32.lt_s (local.get $number) (i32.const 0))
      (then
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (i32.store8 (local.get $at) (i32.const 45))))
    (i32.store (i32.const 256) (local.get $at))
    (i32.store (i32.const 260) (i32.sub (i32.const 300) (local.get $at)))
    (drop (call $fd_write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 264)))
    (call $proc_exit (i32.const 0)))

  ;; The number at an address.
  (func $number (param $at i32) (result i32)
    (local $number i32) (local $digit i32)
    (block $end
      (loop $next
        (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
        (br_if $end (i32.ge_u (local.get $digit) (i32.const 10)))
        (local.set $number (i32.add (i32.mul (local.get $number) (i32.const 10)) (local.get $digit)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $number))

  (func $start
    (drop (call $args_get (i32.const 0) (i32.const 512)))
    (global.set $k (call $number (i32.load (i32.const 4))))
    (global.set $from (call $number (i32.load (i32.const 8)))))
  (start $start))
