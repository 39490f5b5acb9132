//! Traps that adapters between components raise, and those that handles and strings raise.

use wasmelt_abi::canonical::CanonicalTrap;

use crate::report::Report;
use crate::trap;

/// Traps on behalf of the guest.
///
/// # Safety
/// `vmctx` is a live context, and generated code of its program called.
#[cold]
#[inline(never)]
pub(crate) unsafe fn raise(vmctx: *mut u8, words: &str) -> ! {
    // SAFETY: by this function's contract.
    unsafe { trap::raise_with(vmctx, |report| _ = report.text(words)) }
}

/// Traps with the entry of this index in a list, see [`Report::entry`].
///
/// # Safety
/// As for [`raise`].
#[cold]
#[inline(never)]
pub(super) unsafe fn raise_listed(vmctx: *mut u8, list: &str, index: usize) -> ! {
    // SAFETY: by this function's contract.
    unsafe { trap::raise_with(vmctx, |report| _ = report.entry(list, index)) }
}

/// Traps because a handle is none of the caller's, or because it stands for something else.
///
/// # Safety
/// As for [`raise`].
#[cold]
#[inline(never)]
pub(crate) unsafe fn raise_about_handle(vmctx: *mut u8, handle: u32, is_known: bool) -> ! {
    let words = |report: &mut Report| {
        report.text(if is_known { "handle index " } else { "unknown handle index " });
        report.decimal(handle.into(), 0).text(if is_known { " used with the wrong type" } else { "" });
    };
    // SAFETY: by this function's contract.
    unsafe { trap::raise_with(vmctx, words) }
}

/// Traps with the words of a [`CanonicalTrap`].
///
/// # Safety
/// As for [`raise`].
#[unsafe(export_name = "canon.trap")]
pub unsafe extern "C" fn trap(vmctx: *mut u8, code: u32) {
    // SAFETY: by this function's contract.
    unsafe { raise_listed(vmctx, CanonicalTrap::MESSAGES, code as usize) }
}
