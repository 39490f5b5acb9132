;; A few operators of each group of fixed-width SIMD.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; Ends with the number of a check that fails.
  (func $check (param $number i32) (param $holds i32)
    (if (i32.eqz (local.get $holds)) (then (call $exit (local.get $number)))))
  (data (i32.const 0) "\00\01\02\03\04\05\06\07\08\09\0a\0b\0c\0d\0e\0f")
  (func $lane0 (param v128) (result i64) (i64x2.extract_lane 0 (local.get 0)))
  (func $_start (export "_start") (local $v v128)
    (local.set $v (v128.load (i32.const 0)))
    (call $check (i32.const 1) (i64.eq (call $lane0 (i8x16.add (local.get $v) (local.get $v)))
      (i64.const 0x0e0c0a0806040200)))
    (call $check (i32.const 2) (i64.eq
      (call $lane0 (i8x16.shuffle 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0 (local.get $v) (local.get $v)))
      (i64.const 0x08090a0b0c0d0e0f)))
    (call $check (i32.const 3) (i64.eq
      (call $lane0 (i8x16.swizzle (local.get $v) (v128.const i8x16 15 16 255 0 1 1 1 1 0 0 0 0 0 0 0 0)))
      (i64.const 0x010101010000000f)))
    (call $check (i32.const 4) (i32.eq (i8x16.bitmask (i8x16.gt_s (local.get $v) (i8x16.splat (i32.const 7))))
      (i32.const 0xff00)))
    (call $check (i32.const 5) (i64.eq
      (call $lane0 (i16x8.add_sat_s (i16x8.splat (i32.const 32767)) (i16x8.splat (i32.const 1))))
      (i64.const 0x7fff7fff7fff7fff)))
    (call $check (i32.const 6) (f32.eq (f32x4.extract_lane 1 (f32x4.sqrt (v128.const f32x4 4 9 16 25))) (f32.const 3)))
    (call $check (i32.const 7) (i64.eq
      (call $lane0 (i32x4.trunc_sat_f64x2_s_zero (v128.const f64x2 -1e300 7.9))) (i64.const 0x0000000780000000)))
    (call $check (i32.const 8) (i32.eq (i32x4.extract_lane 0 (i32x4.dot_i16x8_s (i16x8.splat (i32.const 300))
      (i16x8.splat (i32.const -2)))) (i32.const -1200)))
    (call $check (i32.const 9) (v128.any_true (v128.and (local.get $v) (i64x2.splat (i64.const 8)))))
    (call $check (i32.const 10) (i32.eqz (i8x16.all_true (local.get $v))))
    (call $check (i32.const 11) (i64.eq (call $lane0 (v128.load8_splat (i32.const 3))) (i64.const 0x0303030303030303)))
    (call $check (i32.const 12) (i64.eq (call $lane0 (i64x2.shl (local.get $v) (i32.const 72)))
      (i64.const 0x0605040302010000)))
    (v128.store64_lane 1 (i32.const 32) (local.get $v))
    (call $check (i32.const 13) (i64.eq (i64.load (i32.const 32)) (i64.const 0x0f0e0d0c0b0a0908)))
    (call $check (i32.const 14) (i64.eq (call $lane0 (i8x16.popcnt (local.get $v))) (i64.const 0x0302020102010100)))
    (call $check (i32.const 15) (f64.eq (f64x2.extract_lane 1 (f64x2.nearest (v128.const f64x2 0.5 2.5))) (f64.const 2)))))
