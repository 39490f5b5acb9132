//! The second wall: the operating system refuses from now on what the program cannot need, should the sandbox ever have
//! a hole.
//!
//! In come the filter that the compiler derived from the module's imports, and the granted directories, which are open;
//! out comes nothing: afterwards the process can do less.

// ---------------------------------------------------------------------------------------------------------------
// Security: runs after everything that was granted was opened, and before the guest. Whoever asked for this wall gets
// it or no program: only Landlock, which older kernels lack, may be missing, because the filter holds without it.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::descriptor::FurtherPolicy;
use wasmelt_abi::trap::START_FAILED_EXIT_CODE;

use crate::report::Report;
use crate::sys::fs::{self, OFlags};
use crate::sys::names;
use crate::sys::walls::{self, FileRules, NetworkRules};
use crate::sys::{Stream, SystemError};

use super::descriptor::{Descriptor, Kind};
use super::descriptors;
use super::policy;
use super::sockets::policy::{self as policy_of_sockets, Purpose};
use super::tree;
use crate::rel::slice;

/// Builds the wall, see [`wasmelt_abi::symbols::HOOK_HARDEN`].
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_harden(vmctx: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { harden(vmctx, NetworkRules::ALL) };
}

/// Builds the wall around a program that has sockets. The kernel's rules for addresses know ports alone, so they refuse only
/// what is not granted for any address; the filter of system calls and the policy judge the rest. See [`wasmelt_abi::symbols::HOOK_HARDEN_NETWORK`].
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_harden_network(vmctx: *mut u8) {
    let has_names = policy_of_sockets::has_names();
    if has_names {
        names::keep_open();
    }
    let network = NetworkRules {
        bind: !policy_of_sockets::allows_any(Purpose::TcpListen),
        // A name server is asked by TCP for an answer that was cut.
        connect: !policy_of_sockets::allows_any(Purpose::TcpConnect) && !has_names,
    };
    // SAFETY: the caller's promise.
    unsafe { harden(vmctx, network) };
}

/// # Safety
/// `vmctx` is a live context.
unsafe fn harden(vmctx: *mut u8, network: NetworkRules) {
    // SAFETY: the caller's promise.
    let Some(further) = (unsafe { policy::of(vmctx) }).further.get() else { return };
    // SAFETY: the compiler wrote it, in read-only data.
    let further = unsafe { &*further };
    if let Err(error) = build(network, slice(&further.filter), further.filter_process as usize) {
        let mut report = Report::new(Stream::Error);
        report.failure().text("the system refuses what --harden asks it for: error ").decimal(error.number().into(), 0);
        report.exit(START_FAILED_EXIT_CODE)
    }
}

/// `process` is the index of the instruction of the filter whose operand is the number of this process, or 0.
fn build(network: NetworkRules, filter: &'static [u64], process: usize) -> Result<(), SystemError> {
    walls::give_up_privileges()?;
    if let Some(rules) = FileRules::new(network) {
        // The descriptors from 3 on are those of the grants, without gaps.
        let mut fd = 3;
        while let Ok(descriptor) = descriptors::get(fd) {
            if descriptor.kind == Kind::Directory {
                rules.allow(descriptor.handle, true, descriptor.flags & Descriptor::READ_ONLY != 0)?;
            }
            fd += 1;
        }
        for file in tree::host_files() {
            // Found when the trees were made. Where it is gone meanwhile there is nothing to allow.
            if let Ok(handle) = file.name().and_then(|name| fs::open_one(file.directory, name, OFlags::PATH)) {
                rules.allow(handle.get(), false, file.read_only)?;
            }
        }
        rules.enforce()?;
    }
    let mut own = [0; FurtherPolicy::MAX_FILTER];
    // The compiler keeps to the limit; a filter that does not fit is refused.
    let own = own.get_mut(..filter.len()).ok_or(SystemError::TOO_LONG)?;
    own.copy_from_slice(filter);
    if let Some(instruction) = own.get_mut(process).filter(|_| process != 0) {
        // The operand is the upper half of an instruction.
        *instruction |= u64::from(walls::this_process()) << 32;
    }
    walls::filter_calls(own)
}
