;; Four threads create, write and close files of a granted directory and write lines; two more close whatever numbers
;; there are and list the directory. When all have ended, the numbers that are left are closed: the next one is the
;; lowest.
(module
  (import "env" "memory" (memory 2 2 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (data (i32.const 256) "f0")
  (data (i32.const 320) "a line\n")
  (data (i32.const 336) "\40\01\00\00\07\00\00\00")
  ;; Opens the file of a thread, whose memory starts at $at; its number, or -1.
  (func $open (param $at i32) (result i32)
    (i32.store8 (local.get $at) (i32.const 102))
    (i32.store8 offset=1 (local.get $at) (i32.add (i32.const 48) (i32.shr_u (local.get $at) (i32.const 12))))
    (if (result i32) (call $path_open (i32.const 3) (i32.const 0) (local.get $at) (i32.const 2) (i32.const 1)
          (i64.const 64) (i64.const 0) (i32.const 0) (i32.add (local.get $at) (i32.const 8)))
      (then (i32.const -1))
      (else (i32.load offset=8 (local.get $at)))))
  (func $write_files (param $at i32)
    (local $i i32) (local $fd i32)
    (loop $again
      (local.set $fd (call $open (local.get $at)))
      ;; Another thread may have closed any of them: that is an error and nothing worse.
      (drop (call $fd_write (local.get $fd) (i32.const 336) (i32.const 1) (i32.add (local.get $at) (i32.const 8))))
      (drop (call $fd_filestat_get (local.get $fd) (i32.add (local.get $at) (i32.const 64))))
      (drop (call $fd_close (local.get $fd)))
      (if (i32.eqz (i32.and (local.get $i) (i32.const 15))) (then
        (if (call $fd_write (i32.const 1) (i32.const 336) (i32.const 1) (i32.add (local.get $at) (i32.const 8)))
          (then (unreachable)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 800)))))
  (func $disturb (param $at i32)
    (local $i i32)
    (loop $again
      (drop (call $fd_close (i32.add (i32.const 4) (i32.and (local.get $i) (i32.const 3)))))
      (drop (call $fd_renumber (i32.const 5) (i32.const 6)))
      (if (call $fd_readdir (i32.const 3) (i32.add (local.get $at) (i32.const 256)) (i32.const 2048) (i64.const 0)
            (i32.add (local.get $at) (i32.const 8)))
        (then (unreachable)))
      (if (i32.lt_u (i32.load offset=8 (local.get $at)) (i32.const 48)) (then (unreachable)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 800)))))
  (func (export "wasi_thread_start") (param $tid i32) (param $arg i32)
    (local $at i32)
    (local.set $at (i32.shl (local.get $arg) (i32.const 12)))
    (if (i32.lt_u (local.get $arg) (i32.const 5))
      (then (call $write_files (local.get $at)))
      (else (call $disturb (local.get $at))))
    (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
  (func (export "_start")
    (local $i i32) (local $done i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (if (i32.le_s (call $spawn (local.get $i)) (i32.const 0)) (then (unreachable)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 6))))
    (loop $wait
      (local.set $done (i32.atomic.load (i32.const 0)))
      (if (i32.ne (local.get $done) (i32.const 6)) (then
        (drop (memory.atomic.wait32 (i32.const 0) (local.get $done) (i64.const -1)))
        (br $wait))))
    (local.set $i (i32.const 4))
    (loop $again
      (drop (call $fd_close (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 32))))
    (if (i32.ne (call $open (i32.const 4096)) (i32.const 4)) (then (unreachable)))))
