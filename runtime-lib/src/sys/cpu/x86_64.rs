//! Features of x86-64 CPUs: in come bits of [`CpuFeatures`], out comes which of them are missing.
//!
//! `cpuid` leaves a virtual machine: 21 µs each on a cloud machine where a whole process takes 170 µs, and the check
//! would need up to six. So a start tries the wanted instructions ([`probe`], nanoseconds) and [`missing`] asks
//! `cpuid` for names only after one of them faulted.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

use wasmelt_abi::descriptor::{CpuFeature, CpuFeatures};

/// The bit of a feature by its name, while compiling.
const fn bit(name: &str) -> u32 {
    let mut i = 0;
    while i < CpuFeatures::X86_64.len() {
        let (bit, candidate) = CpuFeatures::X86_64[i];
        if equal(candidate.as_bytes(), name.as_bytes()) {
            return bit;
        }
        i += 1;
    }
    panic!("no such feature")
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// Executes an instruction of each wanted feature: a missing one faults, except where false comes back.
///
/// Forms with 128-bit registers are used throughout, so that no wide unit has to wake up; the AVX-512 forms of them
/// need `avx512vl`, which no CPU that runs 64-bit code with AVX-512 lacks, the Xeon Phi aside.
pub fn probe(wanted: u32) -> bool {
    macro_rules! probe {
        ($($name:literal: $instruction:literal;)*) => {
            $(if wanted & const { bit($name) } != 0 {
                // SAFETY: the instruction changes the named registers only, or faults.
                unsafe {
                    asm!($instruction, out("eax") _, out("ecx") _, out("xmm0") _, out("k1") _, options(nomem, nostack));
                }
            })*
        };
    }
    probe! {
        "sse3": "addsubps xmm0, xmm0";
        "ssse3": "pabsb xmm0, xmm0";
        "sse4.1": "ptest xmm0, xmm0";
        "sse4.2": "pcmpgtq xmm0, xmm0";
        "popcnt": "popcnt eax, eax";
        "avx": "vpxor xmm0, xmm0, xmm0";
        "avx2": "vpbroadcastb xmm0, xmm0";
        "fma": "vfmadd132ss xmm0, xmm0, xmm0";
        "bmi2": "pdep eax, eax, ecx";
        "avx512f": "vscalefss xmm0, xmm0, xmm0";
        "avx512dq": "vrangess xmm0, xmm0, xmm0, 0";
        "avx512vl": "vpternlogd xmm0, xmm0, xmm0, 255";
        "avx512vbmi": "vpermb xmm0, xmm0, xmm0";
        "avx512bitalg": "vpopcntb xmm0, xmm0";
        "avx512vnni": "{{evex}} vpdpbusd xmm0, xmm0, xmm0";
        "avxvnni": "{{vex}} vpdpbusd xmm0, xmm0, xmm0";
    }
    if wanted & const { bit("cmpxchg16b") } != 0 {
        probe_cmpxchg16b();
    }
    // Older CPUs run these two as `bsr` and `bsf`, which do not fault but give another number or none.
    (wanted & const { bit("lzcnt") } == 0 || lzcnt(1) == 31) && (wanted & const { bit("bmi1") } == 0 || tzcnt(0) == 32)
}

fn probe_cmpxchg16b() {
    #[repr(align(16))]
    struct Aligned([u64; 2]);
    let mut place = Aligned([0; 2]);
    // SAFETY: compares and writes `place`; `rbx`, which cannot be named, is saved around it.
    unsafe {
        asm!(
            "mov {saved}, rbx",
            "cmpxchg16b [{place}]",
            "mov rbx, {saved}",
            saved = out(reg) _,
            place = in(reg) place.0.as_mut_ptr(),
            inout("rax") 0u64 => _,
            inout("rdx") 0u64 => _,
            in("rcx") 0u64,
            options(nostack)
        );
    }
}

fn lzcnt(value: u32) -> u32 {
    let result;
    // SAFETY: computes with registers.
    unsafe { asm!("lzcnt {:e}, {:e}", inout(reg) 0 => result, in(reg) value, options(nomem, nostack)) };
    result
}

fn tzcnt(value: u32) -> u32 {
    let result;
    // SAFETY: computes with registers.
    unsafe { asm!("tzcnt {:e}, {:e}", inout(reg) 0 => result, in(reg) value, options(nomem, nostack)) };
    result
}

/// Those of the wanted features that `cpuid` or the operating system denies.
pub fn missing(wanted: u32) -> impl Iterator<Item = &'static CpuFeature> {
    let missing = wanted & !present();
    CpuFeatures::X86_64.iter().filter(move |(bit, _)| missing & bit != 0)
}

/// A register of `cpuid`'s result.
#[derive(Clone, Copy)]
enum Register {
    Eax,
    Ebx,
    Ecx,
}
use Register::{Eax, Ebx, Ecx};

/// Registers that the operating system must save for a feature to be usable: bits of `xcr0`.
mod state {
    pub(super) const NONE: u64 = 0;
    pub(super) const AVX: u64 = 0x06;
    pub(super) const AVX512: u64 = 0xe6;
}

/// Where `cpuid` tells of each feature of [`CpuFeatures::X86_64`], in the same order: leaf, subleaf, register, bit,
/// state. Source: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.
const PLACES: [(u32, u32, Register, u32, u64); CpuFeatures::X86_64.len()] = [
    (1, 0, Ecx, 0, state::NONE),
    (1, 0, Ecx, 9, state::NONE),
    (1, 0, Ecx, 13, state::NONE),
    (1, 0, Ecx, 19, state::NONE),
    (1, 0, Ecx, 20, state::NONE),
    (1, 0, Ecx, 23, state::NONE),
    (1, 0, Ecx, 28, state::AVX),
    (7, 0, Ebx, 5, state::AVX),
    (1, 0, Ecx, 12, state::AVX),
    (7, 0, Ebx, 3, state::NONE),
    (7, 0, Ebx, 8, state::NONE),
    (0x8000_0001, 0, Ecx, 5, state::NONE),
    (7, 0, Ebx, 16, state::AVX512),
    (7, 0, Ebx, 17, state::AVX512),
    (7, 0, Ebx, 31, state::AVX512),
    (7, 0, Ecx, 1, state::AVX512),
    (7, 0, Ecx, 12, state::AVX512),
    (7, 0, Ecx, 11, state::AVX512),
    (7, 1, Eax, 4, state::AVX),
];

/// All features that are there.
fn present() -> u32 {
    let saved = saved_state();
    let mut found = 0;
    for (&(leaf, subleaf, register, bit, state), feature) in PLACES.iter().zip(CpuFeatures::X86_64) {
        if __cpuid(leaf & 0x8000_0000).eax < leaf {
            continue;
        }
        let result = __cpuid_count(leaf, subleaf);
        let value = match register {
            Eax => result.eax,
            Ebx => result.ebx,
            Ecx => result.ecx,
        };
        if value >> bit & 1 == 1 && saved & state == state {
            found |= feature.0;
        }
    }
    found
}

/// Which registers the operating system saves: `xcr0`, 0 where there is no such register.
fn saved_state() -> u64 {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return 0;
    }
    let (low, high): (u32, u32);
    // SAFETY: the instruction exists where `OSXSAVE` is set, and only reads a register.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuid_agrees_with_the_standard_library() {
        let expected = [
            ("sse3", std::is_x86_feature_detected!("sse3")),
            ("ssse3", std::is_x86_feature_detected!("ssse3")),
            ("cmpxchg16b", std::is_x86_feature_detected!("cmpxchg16b")),
            ("sse4.1", std::is_x86_feature_detected!("sse4.1")),
            ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
            ("popcnt", std::is_x86_feature_detected!("popcnt")),
            ("avx", std::is_x86_feature_detected!("avx")),
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("fma", std::is_x86_feature_detected!("fma")),
            ("bmi1", std::is_x86_feature_detected!("bmi1")),
            ("bmi2", std::is_x86_feature_detected!("bmi2")),
            ("lzcnt", std::is_x86_feature_detected!("lzcnt")),
            ("avx512f", std::is_x86_feature_detected!("avx512f")),
            ("avx512dq", std::is_x86_feature_detected!("avx512dq")),
            ("avx512vl", std::is_x86_feature_detected!("avx512vl")),
            ("avx512vbmi", std::is_x86_feature_detected!("avx512vbmi")),
            ("avx512bitalg", std::is_x86_feature_detected!("avx512bitalg")),
            ("avx512vnni", std::is_x86_feature_detected!("avx512vnni")),
            ("avxvnni", std::is_x86_feature_detected!("avxvnni")),
        ];
        let present = present();
        for (name, detected) in expected {
            assert_eq!(present & bit(name) != 0, detected, "{name}");
        }
    }

    #[test]
    fn what_is_present_can_be_probed() {
        assert!(probe(present()));
        assert_eq!(missing(present()).count(), 0);
    }
}
