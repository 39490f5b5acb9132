//! A fault of the CPU as every platform describes it, and who is told: without any signal number, exception code or
//! register name, for the runtime to judge.

/// What the CPU objected to.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An access to memory that is not there or not allowed.
    Access,
    /// An access to a page that is allowed, whose bytes cannot be had: a file that shrank, a broken device.
    Unavailable,
    /// An instruction that does not exist.
    Instruction,
    /// Integer division.
    Arithmetic,
    /// The thread's stack is used up. Other systems report an access to its guard.
    #[cfg(windows)]
    Stack,
}

/// A fault of the CPU.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The address that was accessed, for [`FaultKind::Access`] and [`FaultKind::Unavailable`].
    pub address: usize,
    /// The instruction.
    pub pc: usize,
    /// The frame pointer register.
    pub frame_pointer: usize,
    /// What leads to the caller of a function that has no frame yet: the stack pointer register, where the return
    /// address lies, or on aarch64 the link register, which holds it.
    pub stack_pointer: usize,
}

/// What is done about faults.
pub trait FaultHandler {
    /// Whether several threads may fault at once. Otherwise a platform may let the first fault take the handler away, so
    /// that a signal that is to end the process does so without another system call.
    const OF_THREADS: bool;

    /// Called on the stack for faults, in the middle of whatever faulted.
    fn handle(fault: &Fault) -> !;
}
