//! The end of a process for a reason outside the program: the program cannot start, or the runtime has a bug. In comes
//! what went wrong; out come a line on standard error and the exit code.
//!
//! One function and one list hold everything, because this code is in every executable and hardly ever runs.

use wasmelt_abi::trap::{RUNTIME_BUG_EXIT_CODE, START_FAILED_EXIT_CODE};

use crate::report::Report;
use crate::sys::{Stream, cpu};

/// What went wrong.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No address space for a reservation; with the system's error number, as the next three.
    Reserve,
    /// Stack, memories or tables could not be made usable.
    Commit,
    /// The initial contents of memory 0 could not be moved into place.
    Map,
    /// Signal handlers could not be installed.
    Signals,
    /// The CPU lacks a feature; with the number of its bit.
    Cpu,
    /// The runtime accessed memory that is not there; with the places of code and access, as the next three.
    Access,
    /// A page that is there could not be read.
    Unavailable,
    /// The runtime executed an instruction that does not exist.
    Instruction,
    /// The runtime divided by zero.
    Arithmetic,
    /// A check of the runtime itself failed.
    Check,
}

/// Messages by [`Failure`].
const MESSAGES: &str = "cannot reserve address space (see `ulimit -v` and --memory-reserve): error 
cannot get memory for the program: error 
cannot map the program's data: error 
cannot install signal handlers: error 
this program needs a CPU feature that this machine lacks: 
runtime bug: fault at 
the executable could not be read (was it changed?): fault at 
runtime bug: illegal instruction at 
runtime bug: arithmetic fault at 
runtime bug: a check failed: 
";

impl Failure {
    /// Ends the process; `details` are the numbers that belong to the message.
    #[cold]
    #[inline(never)]
    pub fn end(self, details: [u64; 2]) -> ! {
        let mut report = Report::new(Stream::Error);
        let [first, second] = details;
        report.failure().entry(MESSAGES, self as usize);
        if self == Self::Cpu {
            report.entry(cpu::NAMES, first as usize);
        } else if self < Self::Cpu {
            report.decimal(first, 0);
        } else {
            report.hexadecimal(first).text(", address ").hexadecimal(second);
        }
        report.exit(if self <= Self::Cpu { START_FAILED_EXIT_CODE } else { RUNTIME_BUG_EXIT_CODE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_message() {
        assert_eq!(MESSAGES.lines().count(), Failure::Check as usize + 1);
        assert!(MESSAGES.lines().nth(Failure::Cpu as usize).unwrap().contains("CPU"));
    }
}
