;; A command of WASI 0.2, written by hand: what it does is chosen by the first letter of its argument.
;;! compile:
;;! out: hello from a component
;;! run: exit-with-error
;;! exit: 1
;;! run: pointer-of-a-result-not-aligned
;;! exit: 134
;;! err: wasm trap: pointer not aligned
;;! run: address-of-a-result-outside
;;! exit: 134
;;! err: wasm trap: pointer out of bounds of memory
;;! run: list-outside
;;! exit: 134
;;! err: wasm trap: list pointer/length out of bounds of memory
;;! run: unknown-handle
;;! exit: 134
;;! err: wasm trap: unknown handle index 77
;;! run: wrong-type-of-handle
;;! exit: 134
;;! err: wasm trap: handle index 2 used with the wrong type
;;! run: dropped-handle
;;! exit: 134
;;! err: wasm trap: unknown handle index 1
;;! run: too-much-at-once
;;! exit: 134
;;! err: wasm trap: buffer too large for a blocking write and flush: at most 4096 bytes
;;! run: realloc-not-aligned
;;! exit: 134
;;! err: wasm trap: realloc return: result not aligned
;;! run: memory-of-realloc-outside
;;! exit: 134
;;! err: wasm trap: realloc return: beyond end of memory
;;! run: host-called-by-realloc
;;! exit: 134
;;! err: wasm trap: cannot leave component instance
;;! run: instruction-in-realloc-traps
;;! exit: 134
;;! err: wasm trap: unreachable
;;! run: stream-that-is-polled
;;! exit: 134
;;! err: wasm trap: resource has children
;;! run: only-polled-before
;;! out: hello from a component
;;! run: closed-handle-0
;;! exit: 134
;;! err: wasm trap: unknown handle index 0
;;! compile: --bounds-checks explicit --fuel 1000
;;! out: hello from a component
(component
  (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error))
  (import "wasi:io/poll@0.2.6" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (alias outer 1 $pollable (type $pollable))
    (export "input-stream" (type (sub resource)))
    (export "output-stream" (type $output (sub resource)))
    (alias outer 1 $error (type $error))
    (type $stream-error (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $failure (eq $stream-error)))
    (export "[method]output-stream.subscribe" (func (param "self" (borrow $output)) (result (own $pollable))))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $failure)))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.6" (instance $stdout
    (alias outer 1 $output (type $output))
    (export "output-stream" (type $stream (eq $output)))
    (export "get-stdout" (func (result (own $stream))))))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input (type $input))
    (export "input-stream" (type $stream (eq $input)))
    (export "get-stdin" (func (result (own $stream))))))
  (import "wasi:cli/environment@0.2.12" (instance $environment
    (export "get-arguments" (func (result (list string))))))

  (core module $allocator
    (memory (export "memory") 1)
    (table (export "table") 1 funcref)
    (global $next (mut i32) (i32.const 1024))
    (global $mode (export "mode") (mut i32) (i32.const 0))
    (type $callback (func (result i32)))
    (func (export "realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
      (if (i32.eq (global.get $mode) (i32.const 0x72)) ;; r
        (then (return (i32.const 4097))))
      (if (i32.eq (global.get $mode) (i32.const 0x6d)) ;; m
        (then (return (i32.const 65536))))
      (if (i32.eq (global.get $mode) (i32.const 0x68)) ;; h
        (then (drop (call_indirect (type $callback) (i32.const 0)))))
      (if (i32.eq (global.get $mode) (i32.const 0x69)) ;; i
        (then unreachable))
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get $len)))))
  (core instance $allocator (instantiate $allocator))

  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $get-stdin (canon lower (func $stdin "get-stdin")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory $allocator "memory") (realloc (func $allocator "realloc"))))
  (core func $arguments (canon lower (func $environment "get-arguments")
    (memory $allocator "memory") (realloc (func $allocator "realloc"))))
  (core func $drop (canon resource.drop $output))
  (core func $subscribe (canon lower (func $streams "[method]output-stream.subscribe")))
  (core func $drop-pollable (canon resource.drop $pollable))

  (core module $main
    (import "allocator" "memory" (memory 1))
    (import "allocator" "table" (table 1 funcref))
    (import "allocator" "mode" (global $mode (mut i32)))
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "get-stdin" (func $get-stdin (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "arguments" (func $arguments (param i32)))
    (import "host" "drop" (func $drop (param i32)))
    (import "host" "subscribe" (func $subscribe (param i32) (result i32)))
    (import "host" "drop pollable" (func $drop-pollable (param i32)))
    (elem (i32.const 0) func $get-stdout)
    (data (i32.const 64) "hello from a component\n")
    (func $is (param $letter i32) (result i32) (local $list i32)
      (call $arguments (i32.const 0))
      ;; More than the program's name?
      (if (i32.lt_u (i32.load (i32.const 4)) (i32.const 2)) (then (return (i32.const 0))))
      (local.set $list (i32.load (i32.const 0)))
      (i32.eq (i32.load8_u (i32.load offset=8 (local.get $list))) (local.get $letter)))
    (func (export "run") (result i32) (local $out i32)
      (if (call $is (i32.const 0x65)) (then (return (i32.const 1)))) ;; e
      (local.set $out (call $get-stdout))
      (if (call $is (i32.const 0x70)) ;; p
        (then (call $write (local.get $out) (i32.const 64) (i32.const 5) (i32.const 17))))
      (if (call $is (i32.const 0x61)) ;; a
        (then (call $write (local.get $out) (i32.const 64) (i32.const 5) (i32.const 65528))))
      (if (call $is (i32.const 0x6c)) ;; l
        (then (call $write (local.get $out) (i32.const 65530) (i32.const 7) (i32.const 16))))
      (if (call $is (i32.const 0x75)) ;; u
        (then (call $write (i32.const 77) (i32.const 64) (i32.const 5) (i32.const 16))))
      (if (call $is (i32.const 0x77)) ;; w
        (then (call $write (call $get-stdin) (i32.const 64) (i32.const 5) (i32.const 16))))
      (if (call $is (i32.const 0x64)) ;; d
        (then (call $drop (local.get $out)) (call $write (local.get $out) (i32.const 64) (i32.const 5) (i32.const 16))))
      (if (call $is (i32.const 0x73)) ;; s
        (then (drop (call $subscribe (local.get $out))) (call $drop (local.get $out))))
      (if (call $is (i32.const 0x6f)) ;; o
        (then (call $drop-pollable (call $subscribe (local.get $out)))))
      (if (call $is (i32.const 0x63)) ;; c
        (then (call $drop (i32.const 0))))
      (if (call $is (i32.const 0x74)) ;; t
        (then (call $write (local.get $out) (i32.const 64) (i32.const 4097) (i32.const 16))))
      (if (i32.or (i32.or (call $is (i32.const 0x72)) (call $is (i32.const 0x6d)))
          (i32.or (call $is (i32.const 0x68)) (call $is (i32.const 0x69))))
        (then
          (global.set $mode (i32.load8_u (i32.load offset=8 (i32.load (i32.const 0)))))
          (call $arguments (i32.const 0))))
      (call $write (local.get $out) (i32.const 64) (i32.const 23) (i32.const 16))
      (call $drop (local.get $out))
      (i32.load8_u (i32.const 16))))
  (core instance $main (instantiate $main
    (with "allocator" (instance $allocator))
    (with "host" (instance
      (export "get-stdout" (func $get-stdout))
      (export "get-stdin" (func $get-stdin))
      (export "write" (func $write))
      (export "arguments" (func $arguments))
      (export "drop" (func $drop))
      (export "subscribe" (func $subscribe))
      (export "drop pollable" (func $drop-pollable))))))

  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.6" (instance $command)))
