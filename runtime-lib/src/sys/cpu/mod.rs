//! Which features the CPU has and where its registers are, whatever the operating system.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
mod unwind_aarch64;
#[cfg(target_arch = "aarch64")]
pub use {aarch64::*, unwind_aarch64::*};

#[cfg(target_arch = "x86_64")]
mod unwind_x86_64;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use {unwind_x86_64::*, x86_64::*};
