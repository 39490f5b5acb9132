//! What Linux can be told to refuse to the process from now on: files outside some directories (Landlock), system calls
//! (seccomp). Neither can be taken back. Sources: landlock(7), seccomp(2).

use core::mem::size_of;

use linux_raw_sys::general::{
    __NR_getpid, __NR_landlock_add_rule, __NR_landlock_create_ruleset, __NR_landlock_restrict_self, __NR_prctl,
    __NR_seccomp,
};

use super::fs::Handle;
use super::{SystemError, arch};

/// `struct landlock_ruleset_attr`, as far as this file knows it; the kernel takes shorter and longer ones.
#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
    handled_access_net: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// Bits of what can be done with files, in the kernel's order.
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;

/// What a read-only grant allows.
const READ: u64 = READ_FILE | READ_DIR;
/// What another one allows besides: neither executing nor making devices, sockets and pipes, which WASI cannot.
const CHANGE: u64 = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE;

/// Rules for files that are being made.
#[derive(Debug)]
pub struct FileRules {
    ruleset: usize,
    /// All that is refused where no rule allows it.
    handled: u64,
}

/// What is refused to sockets of TCP, beside files.
#[derive(Clone, Copy, Debug)]
pub struct NetworkRules {
    /// Binding to any address.
    pub bind: bool,
    /// Connecting to any address.
    pub connect: bool,
}

impl NetworkRules {
    /// All of it.
    pub const ALL: Self = Self { bind: true, connect: true };

    /// The bits of the kernel.
    fn bits(self) -> u64 {
        u64::from(self.bind) | u64::from(self.connect) << 1
    }
}

impl FileRules {
    /// Rules that allow nothing; `None` where the kernel has no such rules, or cannot say that files may be renamed.
    pub fn new(network: NetworkRules) -> Option<Self> {
        const VERSION: usize = 1;
        // SAFETY: without a structure the call only asks for the version.
        let version = unsafe { arch::system_call(__NR_landlock_create_ruleset, [0, 0, VERSION, 0]) };
        // Later versions know more that can be refused: versions 2, 3 and 5 refer, truncate, and ioctl of devices.
        let handled = match version {
            ..=1 => return None,
            2 => (1 << 14) - 1,
            3 | 4 => (1 << 15) - 1,
            _ => (1 << 16) - 1,
        };
        // From version 4 on.
        let handled_access_net = if version >= 4 { network.bits() } else { 0 };
        let attributes = RulesetAttributes { handled_access_fs: handled, handled_access_net };
        let size = if version >= 4 { size_of::<RulesetAttributes>() } else { size_of::<u64>() };
        let arguments = [&raw const attributes as usize, size, 0, 0];
        // SAFETY: the kernel reads the structure.
        let ruleset = SystemError::check(unsafe { arch::system_call(__NR_landlock_create_ruleset, arguments) }).ok()?;
        Some(Self { ruleset, handled })
    }

    /// Allows what a grant of this directory or file allows.
    pub fn allow(&self, handle: Handle, is_directory: bool, read_only: bool) -> Result<(), SystemError> {
        const PATH_BENEATH: usize = 1;
        let allowed = (if read_only { READ } else { READ | CHANGE }) & self.handled;
        // A rule for a file may only name what can be done with files.
        let allowed = if is_directory { allowed } else { allowed & (READ_FILE | WRITE_FILE | TRUNCATE) };
        let beneath = PathBeneath { allowed_access: allowed, parent_fd: handle.number() as i32 };
        let arguments = [self.ruleset, PATH_BENEATH, &raw const beneath as usize, 0];
        // SAFETY: the kernel reads the structure.
        SystemError::check(unsafe { arch::system_call(__NR_landlock_add_rule, arguments) }).map(|_| ())
    }

    /// Makes the rules hold, for this thread and all that it starts.
    pub fn enforce(self) -> Result<(), SystemError> {
        // SAFETY: no memory is involved.
        let result = unsafe { arch::system_call(__NR_landlock_restrict_self, [self.ruleset, 0, 0, 0]) };
        SystemError::check(result)?;
        Handle::from_number(self.ruleset as u32).close();
        Ok(())
    }
}

/// Gives up for good to get more rights by executing a file: without that the kernel takes no rules from anybody.
pub fn give_up_privileges() -> Result<(), SystemError> {
    const PR_SET_NO_NEW_PRIVS: usize = 38;
    // SAFETY: no memory is involved.
    let result = unsafe { arch::system_call_6(__NR_prctl, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]) };
    SystemError::check(result).map(|_| ())
}

/// The number of this process.
pub fn this_process() -> u32 {
    // SAFETY: the call touches no memory and cannot fail.
    unsafe { arch::system_call(__NR_getpid, [0; 4]) as u32 }
}

/// Lets a program of classic BPF, one instruction in each element, judge every system call from now on.
pub fn filter_calls(program: &[u64]) -> Result<(), SystemError> {
    const SET_MODE_FILTER: usize = 1;
    /// `struct sock_fprog`.
    #[repr(C)]
    struct Program {
        len: u16,
        instructions: *const u64,
    }
    // The compiler keeps to a limit below that of the kernel, which is 4096.
    let program = Program { len: program.len() as u16, instructions: program.as_ptr() };
    let arguments = [SET_MODE_FILTER, 0, &raw const program as usize, 0];
    // SAFETY: the kernel reads the program and checks it.
    SystemError::check(unsafe { arch::system_call(__NR_seccomp, arguments) }).map(|_| ())
}
