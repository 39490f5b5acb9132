//! `wasi:filesystem/preopens`: which directories were granted.

use wasmelt_abi::component::Canon;

use crate::host::descriptor::Descriptor;
use crate::host::{descriptors, policy, tree};
use crate::rel::slice;

use super::super::call::Call;
use super::super::handles::Resource;

/// Number of the first descriptor behind the standard streams.
const FIRST: u32 = 3;

/// Writes the granted directories, as handles with their names.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/preopens.get-directories")]
pub unsafe extern "C" fn get_directories(canon: *const Canon, at: u32) {
    const ELEMENT_BYTES: u32 = 12;
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    call.result_at(at, 8, 4);
    // Grants come first, and nobody closes them.
    let grants =
        || (FIRST..).map_while(|fd| descriptors::get(fd).ok().filter(Descriptor::is_grant).map(|grant| (fd, grant)));
    let count = grants().count() as u32;
    let start = call.allocate((count * ELEMENT_BYTES) as usize, 4);
    for (index, (fd, grant)) in grants().enumerate() {
        let element = start.wrapping_add(index as u32 * ELEMENT_BYTES);
        call.put_u32(element, call.own(Resource::Descriptor(fd)));
        call.put_bytes(element.wrapping_add(4), &[name(call, &grant)]);
    }
    call.put_u32(at, start);
    call.put_u32(at + 4, count);
}

/// The guest's name of a granted directory.
fn name(call: Call, grant: &Descriptor) -> &'static [u8] {
    let policy = call.policy();
    if grant.is_of_tree() {
        return tree::guest_name(policy, grant).unwrap_or_default();
    }
    let index = (grant.grant as usize).wrapping_sub(1);
    policy::directories(policy).get(index).map_or(&[], |grant| slice(&grant.guest))
}
