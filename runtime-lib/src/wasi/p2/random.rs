//! `wasi:random`: secure and insecure numbers are the same ones.

use wasmelt_abi::component::Canon;

use crate::host::guest_memory::GuestMemory;
use crate::host::state::Process;
use crate::wasi::p1::random::fill;

use super::call::Call;

/// Writes a list of random bytes that the guest gets.
fn bytes(call: Call, len: u64, at: u32) {
    call.result_at(at, 8, 4);
    let Ok(len) = u32::try_from(len) else { call.trap("list of random bytes is too long") };
    let start = call.allocate(len as usize, 1);
    if fill(Process, &call.memory(), start, len).is_err() {
        call.trap("the system has no random bytes");
    }
    call.put_u32(at, start);
    call.put_u32(at + 4, len);
}

/// Random bytes of the host.
fn number(call: Call) -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the array is writable for as long as the value exists, and is not used before the bytes are there.
    let memory = unsafe { GuestMemory::new(bytes.as_mut_ptr(), 8) };
    if fill(Process, &memory, 0, 8).is_err() {
        call.trap("the system has no random bytes");
    }
    u64::from_le_bytes(bytes)
}

/// Random bytes, good enough for keys.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:random/random.get-random-bytes")]
pub unsafe extern "C" fn get_random_bytes(canon: *const Canon, len: u64, at: u32) {
    // SAFETY: by this function's contract.
    bytes(unsafe { Call::new(canon) }, len, at);
}

/// A random number.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:random/random.get-random-u64")]
pub unsafe extern "C" fn get_random_u64(canon: *const Canon) -> u64 {
    // SAFETY: by this function's contract.
    number(unsafe { Call::new(canon) })
}

/// Random bytes that need not be secret.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:random/insecure.get-insecure-random-bytes")]
pub unsafe extern "C" fn get_insecure_random_bytes(canon: *const Canon, len: u64, at: u32) {
    // SAFETY: by this function's contract.
    bytes(unsafe { Call::new(canon) }, len, at);
}

/// A random number that need not be secret.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:random/insecure.get-insecure-random-u64")]
pub unsafe extern "C" fn get_insecure_random_u64(canon: *const Canon) -> u64 {
    // SAFETY: by this function's contract.
    number(unsafe { Call::new(canon) })
}

/// Writes two random numbers, for hash tables.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:random/insecure-seed.insecure-seed")]
pub unsafe extern "C" fn insecure_seed(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    call.result_at(at, 16, 8);
    call.put_u64(at, number(call));
    call.put_u64(at + 8, number(call));
}
