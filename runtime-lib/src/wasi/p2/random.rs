//! `wasi:random`: secure and insecure numbers are the same ones.

use crate::host::guest_memory::GuestMemory;
use crate::wasi::p1::random::fill;

use super::call::{Call, Component};

/// Writes a list of random bytes that the guest gets.
fn bytes<C: Component>(call: Call<C>, len: u64, at: u32) {
    call.result_at(at, 8, 4);
    let Ok(len) = u32::try_from(len) else { call.trap("list of random bytes is too long") };
    let start = call.allocate(len as usize, 1);
    if fill(call.state(), &call.memory(), start, len).is_err() {
        call.trap("the system has no random bytes");
    }
    call.put_u32(at, start);
    call.put_u32(at + 4, len);
}

/// Random bytes of the host.
fn number<C: Component>(call: Call<C>) -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the array is writable for as long as the value exists, and is not used before the bytes are there.
    let memory = unsafe { GuestMemory::new(bytes.as_mut_ptr(), 8) };
    if fill(call.state(), &memory, 0, 8).is_err() {
        call.trap("the system has no random bytes");
    }
    u64::from_le_bytes(bytes)
}

/// Random bytes, good enough for keys.
pub fn get_random_bytes<C: Component>(call: Call<C>, len: u64, at: u32) {
    bytes(call, len, at);
}

/// A random number.
pub fn get_random_u64<C: Component>(call: Call<C>) -> u64 {
    number(call)
}

/// Random bytes that need not be secret.
pub fn get_insecure_random_bytes<C: Component>(call: Call<C>, len: u64, at: u32) {
    bytes(call, len, at);
}

/// A random number that need not be secret.
pub fn get_insecure_random_u64<C: Component>(call: Call<C>) -> u64 {
    number(call)
}

/// Writes two random numbers, for hash tables.
pub fn insecure_seed<C: Component>(call: Call<C>, at: u32) {
    call.result_at(at, 16, 8);
    call.put_u64(at, number(call));
    call.put_u64(at + 8, number(call));
}
