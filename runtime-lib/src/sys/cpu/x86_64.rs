//! Features of x86-64 CPUs: in come bits of [`CpuFeatures`]; a missing one faults, and its number is known then.
//!
//! `cpuid` leaves a virtual machine: 21 µs each on a cloud machine where a whole process takes 170 µs, and the check
//! would need up to six. So a start tries the wanted instructions, which takes nanoseconds. An instruction also faults
//! where the operating system does not save the registers that it uses, which `cpuid` alone would not tell.

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
    for number in 0..COUNT {
        if wanted >> number & 1 == 0 {
            continue;
        }
        PROBED.store(number as u32 + 1, Ordering::Relaxed);
        let slot = (slots as *const u8).wrapping_add(number * SLOT_BYTES);
        // SAFETY: there is a slot for each number below `COUNT`: a function that changes registers which a call may
        // change, or faults.
        unsafe { core::mem::transmute::<*const u8, unsafe extern "C" fn()>(slot)() };
    }
    PROBED.store(0, Ordering::Relaxed);
}

/// Number of features.
const COUNT: usize = CpuFeatures::X86_64.len();

/// Size of a slot: the longest instruction that is tried, and a return.
const SLOT_BYTES: usize = 8;

macro_rules! slots {
    ($($name:literal: $instruction:literal;)*) => {
        /// For each feature, in the order of its bits, a function of [`SLOT_BYTES`] that needs it; then the code for
        /// which that is too little room.
        ///
        /// Forms with 128-bit registers are used throughout, so that no wide unit has to wake up; the AVX-512 forms of
        /// them need `avx512vl`, which no CPU that runs 64-bit code with AVX-512 lacks, the Xeon Phi aside.
        ///
        /// # Safety
        /// It can be called on a CPU that has the features, and where faults are handled.
        #[unsafe(naked)]
        unsafe extern "C" fn slots() {
            naked_asm!(
                $(".balign 8, 0xcc", $instruction, "ret",)*
                ".balign 8, 0xcc",
                // Compares 16 bytes of the stack with `rdx:rax`, and may replace them by `rcx:rbx`.
                "2:",
                "push rbx",
                "sub rsp, 16",
                "cmpxchg16b [rsp]",
                "add rsp, 16",
                "pop rbx",
                "ret",
                // Older CPUs run it as `bsr`, which does not fault, but sets the zero flag for an operand of zero.
                "3:",
                "xor eax, eax",
                "lzcnt eax, eax",
                "jnz 4f",
                "ud2",
                "4:",
                "ret",
            )
        }

        /// The features that have a slot.
        const SLOTS: [&str; COUNT] = [$($name),*];
    };
}

slots! {
    "sse3": "addsubps xmm0, xmm0";
    "ssse3": "pabsb xmm0, xmm0";
    "cmpxchg16b": "jmp 2f";
    "sse4.1": "ptest xmm0, xmm0";
    "sse4.2": "pcmpgtq xmm0, xmm0";
    "popcnt": "popcnt eax, eax";
    "avx": "vpxor xmm0, xmm0, xmm0";
    "avx2": "vpbroadcastb xmm0, xmm0";
    "fma": "vfmadd132ss xmm0, xmm0, xmm0";
    "bmi1": "andn eax, eax, eax";
    "bmi2": "pdep eax, eax, ecx";
    "lzcnt": "jmp 3f";
    "avx512f": "vscalefss xmm0, xmm0, xmm0";
    "avx512dq": "vrangess xmm0, xmm0, xmm0, 0";
    "avx512vl": "vpternlogd xmm0, xmm0, xmm0, 255";
    "avx512vbmi": "vpermb xmm0, xmm0, xmm0";
    "avx512bitalg": "vpopcntb xmm0, xmm0";
    "avx512vnni": "{{evex}} vpdpbusd xmm0, xmm0, xmm0";
    "avxvnni": "{{vex}} vpdpbusd xmm0, xmm0, xmm0";
}

/// The names of the features in the order of their bits, each with a newline behind it.
pub const NAMES: &str = match core::str::from_utf8(&NAME_BYTES) {
    Ok(names) => names,
    Err(_) => panic!("a name is not UTF-8"),
};

const NAME_BYTES: [u8; names_len()] = {
    let mut bytes = [b'\n'; names_len()];
    let (mut i, mut end) = (0, 0);
    while i < COUNT {
        let (bit, name) = CpuFeatures::X86_64[i];
        let (name, slot) = (name.as_bytes(), SLOTS[i].as_bytes());
        assert!(bit == 1 << i && name.len() == slot.len());
        let mut at = 0;
        while at < name.len() {
            assert!(name[at] == slot[at]);
            bytes[end + at] = name[at];
            at += 1;
        }
        (i, end) = (i + 1, end + at + 1);
    }
    bytes
};

const fn names_len() -> usize {
    let (mut i, mut len) = (0, 0);
    while i < COUNT {
        len += CpuFeatures::X86_64[i].1.len() + 1;
        i += 1;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_their_names() {
        assert!(NAMES.lines().eq(CpuFeatures::X86_64.iter().map(|(_, name)| *name)));
    }

    #[test]
    fn what_is_present_can_be_probed() {
        let detected = [
            std::is_x86_feature_detected!("sse3"),
            std::is_x86_feature_detected!("ssse3"),
            std::is_x86_feature_detected!("cmpxchg16b"),
            std::is_x86_feature_detected!("sse4.1"),
            std::is_x86_feature_detected!("sse4.2"),
            std::is_x86_feature_detected!("popcnt"),
            std::is_x86_feature_detected!("avx"),
            std::is_x86_feature_detected!("avx2"),
            std::is_x86_feature_detected!("fma"),
            std::is_x86_feature_detected!("bmi1"),
            std::is_x86_feature_detected!("bmi2"),
            std::is_x86_feature_detected!("lzcnt"),
            std::is_x86_feature_detected!("avx512f"),
            std::is_x86_feature_detected!("avx512dq"),
            std::is_x86_feature_detected!("avx512vl"),
            std::is_x86_feature_detected!("avx512vbmi"),
            std::is_x86_feature_detected!("avx512bitalg"),
            std::is_x86_feature_detected!("avx512vnni"),
            std::is_x86_feature_detected!("avxvnni"),
        ];
        let present = detected.iter().rev().fold(0, |bits, &present| bits << 1 | u32::from(present));
        probe(present);
        assert_eq!(probed(), None);
    }

    #[test]
    fn slots_are_where_they_are_looked_for() {
        // SAFETY: the code of the slots.
        let code = unsafe { core::slice::from_raw_parts(slots as *const u8, COUNT * SLOT_BYTES) };
        for (number, slot) in code.chunks(SLOT_BYTES).enumerate() {
            let end = slot.iter().rposition(|&byte| byte != 0xcc).unwrap();
            let jump = matches!(CpuFeatures::X86_64[number].1, "cmpxchg16b" | "lzcnt");
            assert!(slot[end] == 0xc3 && jump == matches!(slot[0], 0xeb | 0xe9), "{number}: {slot:x?}");
        }
    }
}
