//! Float operators for CPUs without instructions for them: rounding to integers, and fused multiply-add.
//!
//! A NaN comes back quiet and otherwise unchanged, which the specification allows. Zeros keep their sign.

macro_rules! rounding {
    ($float:ident, $bits:ident, $ceil:ident, $floor:ident, $trunc:ident, $nearest:ident) => {
        /// Rounds towards zero.
        pub fn $trunc(value: $float) -> $float {
            const FRACTION_BITS: i32 = $float::MANTISSA_DIGITS as i32 - 1;
            let exponent = ((value.to_bits() >> FRACTION_BITS) & (2 * $float::MAX_EXP as $bits - 1)) as i32;
            let integer_bits = exponent - ($float::MAX_EXP - 1);
            if integer_bits < 0 {
                return $float::from_bits(value.to_bits() & (1 << ($bits::BITS - 1)));
            }
            if integer_bits >= FRACTION_BITS {
                // Already an integer, infinite or NaN: the addition makes a signalling NaN quiet.
                return if value.is_nan() { value + value } else { value };
            }
            $float::from_bits(value.to_bits() & !(((1 as $bits) << (FRACTION_BITS - integer_bits)) - 1))
        }

        /// Rounds up.
        pub fn $ceil(value: $float) -> $float {
            let trunc = $trunc(value);
            // From above -1 the result is a negative zero, as `trunc` is already.
            if trunc < value { trunc + 1.0 } else { trunc }
        }

        /// Rounds down.
        pub fn $floor(value: $float) -> $float {
            let trunc = $trunc(value);
            if trunc > value { trunc - 1.0 } else { trunc }
        }

        /// Rounds to the nearest integer, to an even one from the middle.
        pub fn $nearest(value: $float) -> $float {
            // Above this all floats are integers; adding it leaves no room for a fraction, so the CPU rounds.
            const INTEGERS: $float = ((1 as $bits) << ($float::MANTISSA_DIGITS - 1)) as $float;
            if value.is_nan() {
                return value + value;
            }
            let magnitude = $float::from_bits(value.to_bits() & !(1 << ($bits::BITS - 1)));
            if magnitude >= INTEGERS {
                return value;
            }
            let rounded = core::hint::black_box(magnitude + INTEGERS) - INTEGERS;
            $float::from_bits(rounded.to_bits() | value.to_bits() & (1 << ($bits::BITS - 1)))
        }
    };
}

rounding!(f32, u32, ceil_f32, floor_f32, trunc_f32, nearest_f32);
rounding!(f64, u64, ceil_f64, floor_f64, trunc_f64, nearest_f64);

/// `a * b + c`, rounded once.
pub fn fma_f32(a: f32, b: f32, c: f32) -> f32 {
    // The product is exact in `f64`. Its sum with `c` is rounded to odd, that is, an inexact sum keeps a set last bit,
    // which makes the second rounding to `f32` the right one: `f64` has more than two bits to spare.
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    if !sum.is_finite() {
        return sum as f32;
    }
    // Knuth's error of a sum, exact.
    let c_part = sum - product;
    let error = (product - (sum - c_part)) + (c - c_part);
    if error == 0.0 || sum.to_bits() & 1 == 1 {
        return sum as f32;
    }
    // The even neighbour that was chosen is too large or too small in magnitude.
    let away = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if away { sum.to_bits() + 1 } else { sum.to_bits() - 1 }) as f32
}

/// A finite number other than zero: `mantissa * 2^exponent`, the mantissa having exactly 53 bits.
struct Parts {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Parts {
    fn of(value: f64) -> Self {
        let bits = value.to_bits();
        let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
        let (mantissa, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
        let shift = mantissa.leading_zeros() as i32 - 11;
        Self { negative: value.is_sign_negative(), mantissa: mantissa << shift, exponent: exponent - shift }
    }
}

/// `a * b + c`, rounded once.
pub fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
    if a == 0.0 || b == 0.0 || !a.is_finite() || !b.is_finite() {
        // The product is exact.
        return a * b + c;
    }
    if !c.is_finite() {
        // The product is finite, even where rounding it would not be.
        return c + c;
    }
    if c == 0.0 {
        return a * b;
    }
    let (a, b, c) = (Parts::of(a), Parts::of(b), Parts::of(c));
    // Both as 128-bit integers with a common exponent. The product has 105 or 106 bits, `c` has 53; whichever reaches
    // further up is shifted up as far as it needs to, at most to bit 126, and what does not fit below is folded into
    // the last bit of the other ("sticky"), far below where the sum is rounded.
    let (mut product, mut addend) = (u128::from(a.mantissa) * u128::from(b.mantissa), u128::from(c.mantissa));
    let product_exponent = a.exponent + b.exponent;
    let distance = c.exponent - product_exponent;
    let exponent;
    if distance >= 0 {
        let up = distance.min(74);
        addend <<= up;
        product = shift_down(product, distance - up);
        exponent = c.exponent - up;
    } else {
        let up = (-distance).min(21);
        product <<= up;
        addend = shift_down(addend, -distance - up);
        exponent = product_exponent - up;
    }
    let product_negative = a.negative != b.negative;
    if product_negative == c.negative {
        round(product_negative, product + addend, exponent)
    } else if product >= addend {
        round(product_negative && product != addend, product - addend, exponent)
    } else {
        round(c.negative, addend - product, exponent)
    }
}

/// Shifts down; the last bit of the result is set where bits were lost.
fn shift_down(value: u128, by: i32) -> u128 {
    match by {
        0 => value,
        1..=127 => value >> by | u128::from(value << (128 - by) != 0),
        _ => u128::from(value != 0),
    }
}

/// `magnitude * 2^exponent` rounded to the nearest float, to the even one from the middle.
fn round(negative: bool, magnitude: u128, exponent: i32) -> f64 {
    let sign = u64::from(negative) << 63;
    if magnitude == 0 {
        return f64::from_bits(sign);
    }
    let bits = 128 - magnitude.leading_zeros() as i32;
    // The exponent of the result's last place: that of subnormals at least.
    let last = (exponent + bits - 53).max(-1074);
    let down = last - exponent;
    let (kept, rest, half) = match down {
        ..=0 => (magnitude << -down, 0, 1),
        1..=127 => (magnitude >> down, magnitude & ((1 << down) - 1), 1 << (down - 1)),
        _ => (0, 1, 2),
    };
    let kept = kept as u64;
    let rounded = kept + u64::from(rest > half || rest == half && kept & 1 == 1);
    // A subnormal has the biased exponent 0; the hidden bit of all others adds 1, as does a carry out of the mantissa.
    let biased = (last + 1074) as u64;
    let result = (biased << 52) + rounded;
    f64::from_bits(sign | if biased >= 0x7fe { 0x7ff << 52 } else { result.min(0x7ff << 52) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Marsaglia's xorshift: the same numbers on every run.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
    }

    const SPECIAL: [f64; 22] = [
        0.0,
        0.5,
        1.0,
        1.5,
        2.5,
        0.499_999_999_999_999_94,
        0.75,
        3.0,
        4_503_599_627_370_495.5,
        4_503_599_627_370_496.0,
        4_503_599_627_370_497.0,
        9_007_199_254_740_991.0,
        f64::MIN_POSITIVE,
        f64::MIN_POSITIVE / 2.0,
        5e-324,
        f64::MAX,
        f64::MAX / 2.0,
        f64::EPSILON,
        f64::INFINITY,
        f64::NAN,
        8_388_607.5,
        1e-200,
    ];

    fn values() -> Vec<f64> {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut values: Vec<f64> = SPECIAL.iter().flat_map(|&v| [v, -v]).collect();
        values.extend((0..20_000).map(|_| f64::from_bits(random.next())));
        values.extend((0..20_000).map(|_| (random.next() as i64 >> (random.next() % 64)) as f64 / 8.0));
        values
    }

    fn same(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
    }

    #[test]
    fn rounding_agrees_with_the_standard_library() {
        for value in values() {
            assert!(same(trunc_f64(value), value.trunc()), "{value}");
            assert!(same(ceil_f64(value), value.ceil()), "{value}");
            assert!(same(floor_f64(value), value.floor()), "{value}");
            assert!(same(nearest_f64(value), value.round_ties_even()), "{value}");
            let value = value as f32;
            let same = |a: f32, b: f32| same(a.into(), b.into());
            assert!(same(trunc_f32(value), value.trunc()), "{value}");
            assert!(same(ceil_f32(value), value.ceil()), "{value}");
            assert!(same(floor_f32(value), value.floor()), "{value}");
            assert!(same(nearest_f32(value), value.round_ties_even()), "{value}");
        }
    }

    #[test]
    fn nans_become_quiet() {
        let signalling = f64::from_bits(0x7ff0_0000_0000_0001);
        for function in [trunc_f64, ceil_f64, floor_f64, nearest_f64] {
            assert_eq!(function(signalling).to_bits() >> 51 & 1, 1);
        }
        let signalling = f32::from_bits(0x7f80_0001);
        for function in [trunc_f32, ceil_f32, floor_f32, nearest_f32] {
            assert_eq!(function(signalling).to_bits() >> 22 & 1, 1);
        }
    }

    #[track_caller]
    fn check_f64(a: f64, b: f64, c: f64) {
        let (ours, expected) = (fma_f64(a, b, c), a.mul_add(b, c));
        assert!(same(ours, expected), "fma({a:e}, {b:e}, {c:e}) is {expected:e}, not {ours:e}");
    }

    #[track_caller]
    fn check_f32(a: f32, b: f32, c: f32) {
        let (ours, expected) = (fma_f32(a, b, c), a.mul_add(b, c));
        assert!(same(ours.into(), expected.into()), "fma({a:e}, {b:e}, {c:e}) is {expected:e}, not {ours:e}");
    }

    #[test]
    fn fma_of_special_values() {
        let values: Vec<f64> = SPECIAL.iter().flat_map(|&v| [v, -v]).collect();
        for &a in &values {
            for &b in &values {
                for &c in &values {
                    check_f64(a, b, c);
                    check_f32(a as f32, b as f32, c as f32);
                }
            }
        }
    }

    #[test]
    fn fma_of_random_values() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for _ in 0..500_000 {
            let (a, b) = (f64::from_bits(random.next()), f64::from_bits(random.next()));
            check_f64(a, b, f64::from_bits(random.next()));
            // Close to the product, where most cancels, and with few bits, where results lie in the middle.
            let near = f64::from_bits((a * b).to_bits() ^ random.next() >> (random.next() % 64));
            check_f64(a, b, near);
            check_f64(a, b, -near);
            let few = |bits: u64| f64::from_bits(bits & (0xfff << 52 | 0x7 << 49) | (bits & 7));
            let (a, b, c) = (few(random.next()), few(random.next()), few(random.next()));
            check_f64(a, b, c);
            // Exponents near those of subnormals.
            let scale = f64::from_bits((0x3ff - 505) << 52);
            let unit = |bits: u64| f64::from_bits(0x3ff << 52 | bits >> 12);
            let (a, b) = (unit(random.next()) * scale, -unit(random.next()) * scale);
            check_f64(a, b * scale / 8.0, f64::from_bits(random.next() >> 11));
        }
    }

    #[test]
    fn fma_f32_of_random_values() {
        let mut random = Random(0x1234_5678_9abc_def1);
        for _ in 0..500_000 {
            let (x, y) = (random.next(), random.next());
            let (a, b) = (f32::from_bits(x as u32), f32::from_bits((x >> 32) as u32));
            check_f32(a, b, f32::from_bits(y as u32));
            check_f32(a, b, f32::from_bits((a * b).to_bits() ^ (y as u32 >> (y >> 32 & 31))));
            let unit = |bits: u32| f32::from_bits(0x3f80_0000 | bits >> 9);
            let scale = f32::from_bits((127 - 70) << 23);
            check_f32(unit(x as u32) * scale, unit(y as u32) * scale, f32::from_bits((y >> 40) as u32 & 0x00ff_ffff));
        }
    }
}
