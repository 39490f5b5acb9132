//! Which features the CPU has, whatever the operating system.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(target_arch = "x86_64")]
mod unwind_x86_64;
#[cfg(target_arch = "x86_64")]
pub use unwind_x86_64::*;
