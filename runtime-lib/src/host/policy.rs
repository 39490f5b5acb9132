//! What the program was granted, and what follows from it: the guest's arguments and environment.
//!
//! In come the policy that the compiler wrote and what the process was started with; out come the strings that the
//! guest may see.

use wasmelt_abi::context::{HEAD_BYTES, VmContextHead};
use wasmelt_abi::descriptor::{DirGrant, EnvGrant, Policy};
use wasmelt_abi::profile;

use crate::process;
use crate::rel::slice;
use crate::sys::errno::Result;

use super::{narrowing, words};

/// The policy of the program that a context belongs to.
///
/// # Safety
/// `vmctx` is a live context.
pub unsafe fn of(vmctx: *mut u8) -> &'static Policy {
    // SAFETY: the head lies below `vmctx`, and its program is read-only data of the executable.
    unsafe { &(*(*vmctx.sub(HEAD_BYTES).cast::<VmContextHead>()).program).policy }
}

/// The granted directories.
pub fn directories(policy: &'static Policy) -> &'static [DirGrant] {
    slice(&policy.dirs)
}

/// Calls `f` with each argument, the guest's own name first.
pub fn for_each_argument(policy: &'static Policy, mut f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
    let mut arguments = process::args();
    let name = arguments.next();
    match name {
        _ if policy.flags & Policy::HAS_ARG0 != 0 => f(&[slice(&policy.arg0)])?,
        Some(name) => f(&[name])?,
        None => {}
    }
    arguments.try_for_each(|argument| f(&[argument]))
}

/// Calls `f` with each environment variable that the guest may see, in parts that make up `NAME=value`.
pub fn for_each_variable(policy: &'static Policy, f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
    select_variables(policy.flags & Policy::INHERIT_ENV != 0, slice(&policy.env), f, process::env)
}

/// See [`for_each_variable`]; `host` gives the variables of the process.
fn select_variables<H: Iterator<Item = &'static [u8]>>(
    inherit: bool,
    grants: &'static [EnvGrant],
    mut f: impl FnMut(&[&[u8]]) -> Result<()>,
    host: impl Fn() -> H,
) -> Result<()> {
    if inherit {
        for variable in host() {
            let replaced = grants.iter().any(|grant| is_named(variable, slice(&grant.name)));
            if !replaced && !is_dropped(words::split_once(variable, b'=').map_or(variable, |(name, _)| name)) {
                f(&[variable])?;
            }
        }
    }
    let mut rest = grants;
    while let Some((grant, later)) = rest.split_first() {
        rest = later;
        let name = slice(&grant.name);
        if later.iter().any(|other| slice(&other.name) == name) || is_dropped(name) {
            continue;
        }
        if grant.flags & EnvGrant::INHERIT == 0 {
            f(&[name, b"=", slice(&grant.value)])?;
        } else if let Some(variable) = host().find(|variable| is_named(variable, name)) {
            f(&[variable])?;
        }
    }
    Ok(())
}

/// Whether whoever starts the program keeps a variable from the guest; those for the runtime are always kept.
fn is_dropped(name: &[u8]) -> bool {
    name == narrowing::VARIABLE || name == profile::VARIABLE.as_bytes() || narrowing::names(b"no-env", name)
}

/// Whether `variable` is `name=...`.
fn is_named(variable: &[u8], name: &[u8]) -> bool {
    variable.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'='))
}
