;; Computes a table before it answers, as interpreters do: which numbers below 2^20 are prime, a byte for each. With `--preinit`
;; that happens when it is compiled.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 16)
  (global $is_ready (mut i32) (i32.const 0))
  (func $prepare (export "wizer-initialize")
    (local $number i32) (local $multiple i32)
    (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x100000))
    (local.set $number (i32.const 2))
    (loop $numbers
      (if (i32.load8_u (local.get $number))
        (then
          (local.set $multiple (i32.shl (local.get $number) (i32.const 1)))
          (loop $multiples
            (if (i32.lt_u (local.get $multiple) (i32.const 0x100000))
              (then
                (i32.store8 (local.get $multiple) (i32.const 0))
                (local.set $multiple (i32.add (local.get $multiple) (local.get $number)))
                (br $multiples))))))
      (br_if $numbers
        (i32.lt_u (local.tee $number (i32.add (local.get $number) (i32.const 1))) (i32.const 0x100000))))
    (global.set $is_ready (i32.const 1)))
  (func (export "_start")
    (if (i32.eqz (global.get $is_ready)) (then (call $prepare)))
    ;; The largest prime below 2^20.
    (call $proc_exit (i32.sub (i32.const 1) (i32.load8_u (i32.const 1048573))))))
