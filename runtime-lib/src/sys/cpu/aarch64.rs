//! Features of aarch64 CPUs: in come bits of [`CpuFeatures`]; a missing one faults, and its number is known then.
//!
//! As on x86-64, a start tries the wanted instructions, because each system reports CPU features in another way.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use wasmelt_abi::descriptor::CpuFeatures;

/// Number of the feature that is being tried plus 1; 0 when none is.
static PROBED: AtomicU32 = AtomicU32::new(0);

/// The feature that is being tried, by the number of its bit: to be asked when an instruction faulted.
pub fn probed() -> Option<u32> {
    PROBED.load(Ordering::Relaxed).checked_sub(1)
}

/// Executes an instruction of each wanted feature. A missing one faults, while [`probed`] tells which it is.
pub fn probe(wanted: u32) {
    for number in 0..CpuFeatures::AARCH64.len() {
        if wanted >> number & 1 == 0 {
            continue;
        }
        PROBED.store(number as u32 + 1, Ordering::Relaxed);
        let slot = (slots as *const u8).wrapping_add(number * SLOT_BYTES);
        // SAFETY: there is a slot for each number: a function that changes registers which a call may change, or
        // faults.
        unsafe { core::mem::transmute::<*const u8, unsafe extern "C" fn()>(slot)() };
    }
    PROBED.store(0, Ordering::Relaxed);
}

/// Size of a slot: an instruction and a return.
const SLOT_BYTES: usize = 8;

/// For each feature, in the order of its bits, a function of [`SLOT_BYTES`] that needs it. The instructions are numbers,
/// because an assembler only takes those of the target that it works for.
///
/// # Safety
/// It can be called on a CPU that has the features, and where faults are handled.
#[unsafe(naked)]
unsafe extern "C" fn slots() {
    naked_asm!(
        // lse: `ldadd wzr, w9, [sp]`, which adds nothing to what lies on the stack.
        ".inst 0xb83f03e9",
        "ret",
        // pauth: `xpaci x9`
        ".inst 0xdac143e9",
        "ret",
        // fp16: `fadd h0, h0, h0`
        ".inst 0x1ee02800",
        "ret",
        // dotprod: `udot v0.2s, v0.8b, v0.8b`
        ".inst 0x2e809400",
        "ret",
        // i8mm: `usdot v0.2s, v0.8b, v0.8b`
        ".inst 0x0e809c00",
        "ret",
    )
}

/// The names of the features in the order of their bits, each with a newline behind it.
pub const NAMES: &str = "lse\npauth\nfp16\ndotprod\ni8mm\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_their_names() {
        assert!(NAMES.lines().eq(CpuFeatures::AARCH64.iter().map(|(_, name)| *name)));
    }
}
