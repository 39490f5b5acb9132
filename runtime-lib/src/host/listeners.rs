//! Listens on the granted addresses before the program starts.
//!
//! In comes the policy; out come descriptors that follow those of the directories: a C library looks for granted
//! directories from 3 on, and stops at the first number that is not a directory.

use wasmelt_abi::descriptor::ListenGrant;

use crate::sys::errno::{Errno, Result};
use crate::sys::io_stream::{self, SocketAddress};

use super::descriptor::Kind;
use super::policy;
use super::state::{Process, State as _};
use super::{narrowing, refusal};
use crate::rel::slice;

/// Listens on the granted addresses, see [`wasmelt_abi::symbols::HOOK_LISTENERS`].
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_listeners(vmctx: *mut u8) {
    // SAFETY: the caller's promise.
    let Some(further) = (unsafe { policy::of(vmctx) }).further.get() else { return };
    if narrowing::has(b"no-listen") {
        return;
    }
    // SAFETY: the compiler wrote it, in read-only data.
    for grant in slice(unsafe { &(*further).listeners }) {
        if let Err(error) = listen(grant) {
            refusal::fail("listener on port", &decimal(grant.port), error);
        }
    }
}

fn listen(grant: &'static ListenGrant) -> Result<()> {
    let port = u16::try_from(grant.port).map_err(|_| Errno::Inval)?;
    let address = match *slice(&grant.address) {
        [a, b, c, d] => SocketAddress::v4([a, b, c, d], port),
        ref bytes => SocketAddress::v6(bytes.try_into().map_err(|_| Errno::Inval)?, port),
    };
    let place = Process.reserve()?;
    place.fill(io_stream::listen(&address)?, Kind::Socket, 0, 0);
    Ok(())
}

/// A port in decimal, with zeros in front.
fn decimal(port: u32) -> [u8; 5] {
    let digit = |unit: u32| b'0' + (port / unit % 10) as u8;
    [digit(10000), digit(1000), digit(100), digit(10), digit(1)]
}
