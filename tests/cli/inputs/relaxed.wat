;; Relaxed operators with operands for which more than one result is allowed.
(module
  ;; 0 when the product is rounded, 2^-46 when it is not.
  (func (export "madd") (result f32)
    (f32x4.extract_lane 0
      (f32x4.relaxed_madd
        (f32x4.splat (f32.const 1.0000001)) (f32x4.splat (f32.const 1.0000001)) (f32x4.splat (f32.const -1.0000002)))))
  ;; 0, or the lane modulo 16: 7.
  (func (export "swizzle") (result i32)
    (i8x16.extract_lane_u 0
      (i8x16.relaxed_swizzle (i8x16.splat (i32.const 7)) (i8x16.splat (i32.const 16)))))
  ;; The largest integer, or the smallest.
  (func (export "trunc") (result i32)
    (i32x4.extract_lane 0 (i32x4.relaxed_trunc_f32x4_s (f32x4.splat (f32.const 1e10)))))
  ;; The bits of the mask, 128, or all of the lane: 255.
  (func (export "laneselect") (result i32)
    (i8x16.extract_lane_u 0
      (i8x16.relaxed_laneselect (i8x16.splat (i32.const -1)) (v128.const i64x2 0 0) (i8x16.splat (i32.const 128)))))
  ;; -0, or either operand.
  (func (export "min") (result f32)
    (f32x4.extract_lane 0 (f32x4.relaxed_min (f32x4.splat (f32.const 0)) (f32x4.splat (f32.const -0)))))
  ;; 32767, or -32768.
  (func (export "q15mulr") (result i32)
    (i16x8.extract_lane_s 0
      (i16x8.relaxed_q15mulr_s (i16x8.splat (i32.const 0x8000)) (i16x8.splat (i32.const 0x8000)))))
  ;; Bytes of the second operand as signed numbers, 2 * 2 * -128, or as unsigned ones: 2 * 2 * 128.
  (func (export "dot") (result i32)
    (i16x8.extract_lane_s 0
      (i16x8.relaxed_dot_i8x16_i7x16_s (i8x16.splat (i32.const 2)) (i8x16.splat (i32.const 128))))))
