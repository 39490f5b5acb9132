//! `wasi:sockets`: nothing grants a connection yet, so no socket is ever made. A guest is told that access is denied;
//! what needs a socket finds no handle of one.

use wasmelt_abi::component::Canon;

use super::call::Call;
use super::handles::Resource;

/// `access-denied` of `error-code`.
const ACCESS_DENIED: u8 = 1;

/// Writes a `result<own<...>, error-code>` that says no.
fn deny(call: Call, at: u32) {
    call.result_at(at, 8, 4);
    call.put_u8(at, 1);
    call.put_u8(at + 4, ACCESS_DENIED);
}

/// The network, on which nothing is granted.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:sockets/instance-network.instance-network")]
pub unsafe extern "C" fn instance_network(canon: *const Canon) -> u32 {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.own(Resource::Network)
}

/// Drops a handle.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:sockets/network.[resource-drop]network")]
pub unsafe extern "C" fn drop_network(canon: *const Canon, this: u32) {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.drop_handle(this, |resource| resource == Resource::Network);
}

/// Resolves no name.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:sockets/ip-name-lookup.resolve-addresses")]
pub unsafe extern "C" fn resolve_addresses(canon: *const Canon, network: u32, name: u32, len: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    call.resource(network, |resource| (resource == Resource::Network).then_some(()));
    call.list(name, len, 1, 1);
    deny(call, at);
}

/// Makes no socket.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:sockets/tcp-create-socket.create-tcp-socket")]
pub unsafe extern "C" fn create_tcp_socket(canon: *const Canon, _family: u32, at: u32) {
    // SAFETY: by this function's contract.
    deny(unsafe { Call::new(canon) }, at);
}

/// Makes no socket.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:sockets/udp-create-socket.create-udp-socket")]
pub unsafe extern "C" fn create_udp_socket(canon: *const Canon, _family: u32, at: u32) {
    // SAFETY: by this function's contract.
    deny(unsafe { Call::new(canon) }, at);
}

macro_rules! value {
    (I32) => {
        u32
    };
    (I64) => {
        u64
    };
}

macro_rules! refused {
    ($($interface:literal {$(
        $function:ident = $name:literal ($this:ident $($param:ident)*) $(-> $result:ident)?;
    )*})*) => {
        $($(
            /// Traps: no handle is that of such a resource.
            ///
            /// # Safety
            /// As for [`Call::new`].
            #[unsafe(export_name = concat!($interface, ".", $name))]
            pub unsafe extern "C" fn $function(
                canon: *const Canon,
                this: value!($this)
                $(, _: value!($param))*
            ) $(-> value!($result))? {
                // SAFETY: by this function's contract.
                unsafe { Call::new(canon) }.resource(this, |_| None)
            }
        )*)*
    };
}

wasmelt_abi::for_each_socket_function!(refused);
