//! Handles of resources that components of the program have defined, and handles that go from one component to another.
//!
//! In come numbers that the compiler wrote (component instances and types) and an unchecked handle; out comes what the
//! canonical ABI says, or the program traps.
//! Source: component model, "Canonical ABI" (`canon resource.new`, `lift_own`, `lower_own`, `lift_borrow`, `lower_borrow`).

use super::handles::{self, Removed, Resource};
use super::{calls, traps};
use crate::sys::errno::Result;

/// What a handle of this type stands for.
///
/// # Safety
/// As for [`traps::raise`].
unsafe fn look_up(vmctx: *mut u8, component: u32, ty: u32, handle: u32) -> Resource {
    match handles::get(component, handle) {
        Some(resource) if resource.type_number() == ty => resource,
        // SAFETY: by this function's contract.
        found => unsafe { traps::raise_about_handle(vmctx, handle, found.is_some()) },
    }
}

/// The representation of a resource of the program's own; 0 of one of the host.
fn representation(resource: Resource) -> u32 {
    match resource {
        Resource::Own { representation, .. } => representation,
        _ => 0,
    }
}

/// A new handle, or a trap where there are too many.
///
/// # Safety
/// As for [`traps::raise`].
unsafe fn expect_handle(vmctx: *mut u8, handle: Result<u32>) -> u32 {
    match handle {
        Ok(handle) => handle,
        // SAFETY: by this function's contract.
        Err(_) => unsafe { traps::raise(vmctx, "cannot allocate another handle: too many handles") },
    }
}

/// Removes a handle of this type.
///
/// # Safety
/// As for [`traps::raise`].
unsafe fn remove(vmctx: *mut u8, component: u32, ty: u32, handle: u32) -> Removed {
    // SAFETY: by this function's contract.
    unsafe { look_up(vmctx, component, ty, handle) };
    match handles::take(component, handle) {
        Ok(removed) => removed,
        Err(_) => {
            // SAFETY: by this function's contract.
            unsafe { traps::raise(vmctx, "cannot remove owned resource while borrowed") }
        }
    }
}

/// A handle for a new resource.
///
/// # Safety
/// As for [`traps::raise`].
#[unsafe(export_name = "canon.resource_new")]
pub unsafe extern "C" fn resource_new(vmctx: *mut u8, component: u32, ty: u32, representation: u32) -> u32 {
    let handle = handles::insert(component, Resource::Own { ty, representation });
    // SAFETY: by this function's contract.
    unsafe { expect_handle(vmctx, handle) }
}

/// What a component knows its own resource by.
///
/// # Safety
/// As for [`traps::raise`].
#[unsafe(export_name = "canon.resource_rep")]
pub unsafe extern "C" fn resource_rep(vmctx: *mut u8, component: u32, ty: u32, handle: u32) -> u32 {
    // SAFETY: by this function's contract.
    representation(unsafe { look_up(vmctx, component, ty, handle) })
}

/// Drops a handle. Where the result is not 0, half of it is the representation of what must be destroyed.
///
/// # Safety
/// As for [`traps::raise`].
#[unsafe(export_name = "canon.resource_drop")]
pub unsafe extern "C" fn resource_drop(vmctx: *mut u8, component: u32, ty: u32, handle: u32) -> u64 {
    // SAFETY: by this function's contract.
    match unsafe { remove(vmctx, component, ty, handle) } {
        Removed::Owned(resource) => u64::from(representation(resource)) << 1 | 1,
        Removed::Lent(_) => 0,
    }
}

/// Makes what a handle owns another component's.
///
/// # Safety
/// As for [`traps::raise`].
#[unsafe(export_name = "canon.transfer_own")]
pub unsafe extern "C" fn transfer_own(vmctx: *mut u8, ty: u32, handle: u32, from: u32, to: u32) -> u32 {
    // SAFETY: by this function's contract.
    match unsafe { remove(vmctx, from, ty, handle) } {
        // SAFETY: by this function's contract.
        Removed::Owned(resource) => unsafe { expect_handle(vmctx, handles::insert(to, resource)) },
        // SAFETY: by this function's contract.
        Removed::Lent(_) => unsafe { traps::raise(vmctx, "cannot lift own resource from a borrow") },
    }
}

/// Lends what a handle stands for to the component that has defined its type, which gets the representation.
///
/// # Safety
/// As for [`traps::raise`].
#[unsafe(export_name = "canon.lend")]
pub unsafe extern "C" fn lend(vmctx: *mut u8, ty: u32, handle: u32, from: u32) -> u32 {
    // SAFETY: by this function's contract.
    let resource = unsafe { look_up(vmctx, from, ty, handle) };
    if handles::begin_loan(from, handle) && calls::borrow_from(from, handle).is_err() {
        // SAFETY: by this function's contract.
        unsafe { traps::raise(vmctx, "cannot lend resource: too many active lends") }
    }
    representation(resource)
}

/// Lends what a handle stands for to another component, until the call ends.
///
/// # Safety
/// As for [`traps::raise`].
#[unsafe(export_name = "canon.transfer_borrow")]
pub unsafe extern "C" fn transfer_borrow(vmctx: *mut u8, ty: u32, handle: u32, from: u32, to: u32) -> u32 {
    // SAFETY: by this function's contract.
    unsafe { lend(vmctx, ty, handle, from) };
    let call = calls::lend();
    if call == 0 {
        // SAFETY: by this function's contract.
        unsafe { traps::raise(vmctx, "a handle is lent outside of a call") }
    }
    let lent = handles::insert_lent(to, (from, handle), call);
    // SAFETY: by this function's contract.
    unsafe { expect_handle(vmctx, lent) }
}
