//! `wasi:sockets/network` and `instance-network`: the handle of the network. What it grants is the policy's to say.

use super::{Call, Resource};

/// The network.
pub(super) fn instance_network(call: Call) -> u32 {
    call.own(Resource::Network)
}

/// Drops a handle.
pub(super) fn drop_network(call: Call, this: u32) {
    call.drop_handle(this, |resource| resource == Resource::Network);
}
