//! Which features the CPU has, as the standard library finds out on each system.

use wasmelt_abi::descriptor::{CpuFeature, CpuFeatures};

#[cfg(target_arch = "aarch64")]
const FEATURES: &[CpuFeature] = CpuFeatures::AARCH64;
#[cfg(target_arch = "x86_64")]
const FEATURES: &[CpuFeature] = CpuFeatures::X86_64;

/// Names of the features among `wanted`, as bits of [`CpuFeatures`], that this CPU or system lacks.
pub(crate) fn missing_features(wanted: u32) -> Vec<&'static str> {
    let wanted = FEATURES.iter().filter(|(bit, _)| wanted & bit != 0);
    wanted.map(|(_, name)| *name).filter(|name| !detected(name)).collect()
}

macro_rules! detect {
    ($detected:ident: $($name:tt is $other:tt,)*) => {
        fn detected(name: &str) -> bool {
            match name {
                $($name => std::arch::$detected!($other),)*
                _ => false,
            }
        }

        #[cfg(test)]
        const DETECTED: &[&str] = &[$($name),*];
    };
    ($detected:ident: $($name:tt)*) => { detect!($detected: $($name is $name,)*); };
}

#[cfg(target_arch = "x86_64")]
detect!(
    is_x86_feature_detected:
    "sse3" "ssse3" "cmpxchg16b" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "lzcnt"
    "avx512f" "avx512dq" "avx512vl" "avx512vbmi" "avx512bitalg" "avx512vnni" "avxvnni"
);

#[cfg(target_arch = "aarch64")]
detect!(
    is_aarch64_feature_detected:
    "lse" is "lse",
    "pauth" is "paca",
    "fp16" is "fp16",
    "dotprod" is "dotprod",
    "i8mm" is "i8mm",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_can_be_detected() {
        assert!(FEATURES.iter().map(|(_, name)| *name).eq(DETECTED.iter().copied()));
        assert_eq!(missing_features(0), [] as [&str; 0]);
    }
}
