//! `wasi:filesystem/preopens`: which directories were granted.

use crate::host::descriptor::Descriptor;
use crate::host::state::State as _;

use super::super::call::{Call, Component};
use super::super::handles::Resource;

/// Number of the first descriptor behind the standard streams.
const FIRST: u32 = 3;

/// Writes the granted directories, as handles with their names.
pub fn get_directories<C: Component>(call: Call<C>, at: u32) {
    const ELEMENT_BYTES: u32 = 12;
    call.result_at(at, 8, 4);
    // Grants come first, and nobody closes them.
    let grants =
        || (FIRST..).map_while(|fd| call.state().get(fd).ok().filter(Descriptor::is_grant).map(|grant| (fd, grant)));
    let count = grants().count() as u32;
    let start = call.allocate((count * ELEMENT_BYTES) as usize, 4);
    for (index, (fd, grant)) in grants().enumerate() {
        let element = start.wrapping_add(index as u32 * ELEMENT_BYTES);
        call.put_u32(element, call.own(Resource::Descriptor(fd)));
        let put_name = |name: &[u8]| call.put_bytes(element.wrapping_add(4), &[name]);
        if call.guest().with_guest_name(&grant, put_name).is_none() {
            put_name(b"");
        }
    }
    call.put_u32(at, start);
    call.put_u32(at + 4, count);
}
