;; Calls itself as often as its first argument says, then the host function that its second argument (a letter) names,
;; near the end of its stack. Exit code 0 whatever the host function returns.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename"
    (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_readlink"
    (func $path_readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "sub/../file")
  (data (i32.const 1040) "sub/../none")
  ;; An empty list of buffers at 2048, a clock subscription of no time at 2100.
  (data (i32.const 2116) "\01")
  (func $host (param $letter i32)
    (if (i32.eq (local.get $letter) (i32.const 97)) ;; a
      (then (drop (call $args_get (i32.const 4096) (i32.const 8192)))))
    (if (i32.eq (local.get $letter) (i32.const 101)) ;; e
      (then (drop (call $environ_get (i32.const 4096) (i32.const 8192)))))
    (if (i32.eq (local.get $letter) (i32.const 119)) ;; w
      (then (drop (call $fd_write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 0)))))
    (if (i32.eq (local.get $letter) (i32.const 100)) ;; d
      (then (drop (call $fd_readdir (i32.const 3) (i32.const 4096) (i32.const 4096) (i64.const 0) (i32.const 0)))))
    (if (i32.eq (local.get $letter) (i32.const 115)) ;; s
      (then (drop (call $fd_filestat_get (i32.const 3) (i32.const 4096)))))
    (if (i32.eq (local.get $letter) (i32.const 111)) ;; o
      (then
        (drop (call $path_open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const 11) (i32.const 0)
          (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))))
    (if (i32.eq (local.get $letter) (i32.const 114)) ;; r
      (then
        (drop (call $path_rename (i32.const 3) (i32.const 1040) (i32.const 11)
          (i32.const 3) (i32.const 1024) (i32.const 11)))))
    (if (i32.eq (local.get $letter) (i32.const 108)) ;; l
      (then
        (drop (call $path_readlink (i32.const 3) (i32.const 1024) (i32.const 11)
          (i32.const 4096) (i32.const 100) (i32.const 0)))))
    (if (i32.eq (local.get $letter) (i32.const 112)) ;; p
      (then (drop (call $poll_oneoff (i32.const 2100) (i32.const 4096) (i32.const 1) (i32.const 0)))))
    (if (i32.eq (local.get $letter) (i32.const 103)) ;; g
      (then (drop (call $random_get (i32.const 4096) (i32.const 4096))))))
  (func $deep (param $depth i32) (param $letter i32) (result i32)
    (if (i32.eqz (local.get $depth))
      (then (call $host (local.get $letter)) (return (i32.const 0))))
    (i32.add (call $deep (i32.sub (local.get $depth) (i32.const 1)) (local.get $letter)) (i32.const 1)))
  (func (export "_start")
    (local $at i32) (local $depth i32)
    (drop (call $args_get (i32.const 4096) (i32.const 8192)))
    (local.set $at (i32.load (i32.const 4100)))
    (loop $digit
      (if (i32.load8_u (local.get $at))
        (then
          (local.set $depth
            (i32.add (i32.mul (local.get $depth) (i32.const 10))
              (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $digit))))
    (if (i32.ne (call $deep (local.get $depth) (i32.load8_u (i32.load (i32.const 4104)))) (local.get $depth))
      (then unreachable))))
