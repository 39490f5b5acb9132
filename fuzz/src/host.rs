//! What modules get for their imports. Each engine gives the same: everything follows from the number of the import.

use wasmparser::{RefType, ValType};

use crate::observe::Bits;
use crate::random::Random;

/// One call in so many of an imported function traps.
const TRAPS_ONCE_IN: usize = 24;

/// What imported memories begin with, where they are that long.
pub const MEMORY_START: &[u8] = b"what an imported memory begins with";

/// Results of an imported function; `None` where it traps, as `unreachable` does.
pub fn call(import: usize, params: &[ValType], args: &[Bits], results: &[ValType]) -> Option<Vec<Bits>> {
    let seed = params.iter().zip(args).fold(import as u64, |seed, (&ty, &bits)| {
        // Other bits of a NaN do not count as a difference.
        let bits = if is_nan(ty, bits) { Bits::MAX } else { bits };
        Random::new(seed ^ bits as u64, (bits >> 64) as u64).next()
    });
    let mut random = Random::new(seed, import as u64);
    if random.one_in(TRAPS_ONCE_IN) {
        return None;
    }
    Some(results.iter().map(|&ty| value(ty, &mut random)).collect())
}

/// What an imported global holds, or each element of an imported table.
pub fn initial(import: usize, ty: ValType) -> Bits {
    value(ty, &mut Random::new(u64::MAX, import as u64))
}

/// Any value that is no NaN; references to functions and exceptions are null.
pub fn value(ty: ValType, random: &mut Random) -> Bits {
    let small = random.one_in(2);
    let integer = if small { random.next() % 64 } else { random.next() };
    match ty {
        ValType::I32 => integer as u32 as Bits,
        ValType::I64 => integer.into(),
        ValType::F32 => (integer as i64 as f32).to_bits().into(),
        ValType::F64 => (integer as i64 as f64).to_bits().into(),
        ValType::V128 => Bits::from(integer) << 64 | Bits::from(random.next()),
        ValType::Ref(RefType::EXTERNREF) => Bits::from(integer % 4),
        ValType::Ref(_) => 0,
    }
}

/// Whether these are the bits of a NaN.
pub fn is_nan(ty: ValType, bits: Bits) -> bool {
    match ty {
        ValType::F32 => f32::from_bits(bits as u32).is_nan(),
        ValType::F64 => f64::from_bits(bits as u64).is_nan(),
        _ => false,
    }
}
