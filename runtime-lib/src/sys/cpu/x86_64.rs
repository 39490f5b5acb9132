//! Features of x86-64 CPUs: in come bits of [`CpuFeatures`], out comes which of them are missing.
//!
//! `cpuid` leaves a virtual machine: 21 µs each on a cloud machine where a whole process takes 170 µs, and the check
//! would need up to six. So a start tries the wanted instructions ([`probe`], nanoseconds) and [`missing`] asks
//! `cpuid` for names only after one of them faulted.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

use wasmelt_abi::descriptor::CpuFeatures;

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

/// Those of the wanted features, as bits, that `cpuid` or the operating system denies.
pub fn missing(wanted: u32) -> u32 {
    wanted & !present()
}

/// The longest name.
const NAME_BYTES: usize = 12;

/// The names, with zeros behind them: a table of strings would hold addresses, for each start to relocate.
static NAMES: [[u8; NAME_BYTES]; CpuFeatures::X86_64.len()] = {
    let mut names = [[0; NAME_BYTES]; CpuFeatures::X86_64.len()];
    let mut i = 0;
    while i < names.len() {
        let (bit, name) = CpuFeatures::X86_64[i];
        assert!(bit == 1 << i);
        let mut at = 0;
        while at < name.len() {
            names[i][at] = name.as_bytes()[at];
            at += 1;
        }
        i += 1;
    }
    names
};

/// The name of the feature whose bit has this number; empty where there is none.
pub fn name(bit_number: u32) -> &'static [u8] {
    let name = NAMES.get(bit_number as usize).map_or(&[][..], |name| name);
    name.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Leaves of `cpuid`, each with its subleaf.
const LEAVES: [(u32, u32); 4] = [(1, 0), (7, 0), (7, 1), (0x8000_0001, 0)];

/// A place in the results of `cpuid`.
struct Place {
    /// Index in [`LEAVES`].
    leaf: u8,
    /// Index in `eax`, `ebx`, `ecx`.
    register: u8,
    /// Bit in the register.
    bit: u8,
    /// Bits of `xcr0`: registers that the operating system must save for the feature to be usable.
    state: u8,
}

const fn place(leaf: u8, register: u8, bit: u8, state: u8) -> Place {
    Place { leaf, register, bit, state }
}

const EAX: u8 = 0;
const EBX: u8 = 1;
const ECX: u8 = 2;
const AVX: u8 = 0x06;
const AVX512: u8 = 0xe6;

/// Where `cpuid` tells of each feature of [`CpuFeatures::X86_64`], in the same order.
/// Source: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.
static PLACES: [Place; CpuFeatures::X86_64.len()] = [
    place(0, ECX, 0, 0),
    place(0, ECX, 9, 0),
    place(0, ECX, 13, 0),
    place(0, ECX, 19, 0),
    place(0, ECX, 20, 0),
    place(0, ECX, 23, 0),
    place(0, ECX, 28, AVX),
    place(1, EBX, 5, AVX),
    place(0, ECX, 12, AVX),
    place(1, EBX, 3, 0),
    place(1, EBX, 8, 0),
    place(3, ECX, 5, 0),
    place(1, EBX, 16, AVX512),
    place(1, EBX, 17, AVX512),
    place(1, EBX, 31, AVX512),
    place(1, ECX, 1, AVX512),
    place(1, ECX, 12, AVX512),
    place(1, ECX, 11, AVX512),
    place(2, EAX, 4, AVX),
];

/// All features that are there.
fn present() -> u32 {
    let saved = saved_state();
    let mut found = 0;
    for place in PLACES.iter().rev() {
        found = found << 1 | u32::from(saved & place.state == place.state && is_set(place));
    }
    found
}

/// Whether `cpuid` has set a bit.
fn is_set(place: &Place) -> bool {
    let (leaf, subleaf) = LEAVES[usize::from(place.leaf & 3)];
    if __cpuid(leaf & 0x8000_0000).eax < leaf {
        return false;
    }
    let result = __cpuid_count(leaf, subleaf);
    let value = match place.register {
        EAX => result.eax,
        EBX => result.ebx,
        _ => result.ecx,
    };
    value >> (place.bit & 31) & 1 == 1
}

/// Which registers the operating system saves: the low bits of `xcr0`, 0 where there is no such register.
fn saved_state() -> u8 {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return 0;
    }
    let low: u32;
    // SAFETY: the instruction exists where `OSXSAVE` is set, and only reads a register.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack, preserves_flags)) };
    low as u8
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
    fn features_have_their_names() {
        for (number, (_, expected)) in CpuFeatures::X86_64.iter().enumerate() {
            assert_eq!(name(number as u32), expected.as_bytes());
        }
        assert_eq!(name(31), b"");
    }

    #[test]
    fn what_is_present_can_be_probed() {
        assert!(probe(present()));
        assert_eq!(missing(present()), 0);
    }
}
