//! WASI 0.2: the functions that components import, each with the core signature that the canonical ABI gives it.
//!
//! In come who calls ([`call`]: a component of an executable or of a host program) and the core function's parameters; out come results in registers or, where they are more than one, in guest memory. Each function resolves
//! handles ([`crate::component::handles`]), calls [`crate::host`] and writes what it returns; layouts are those of the canonical ABI for the
//! WIT files of WASI 0.2. One file per family of functions.
//!
//! Where the specification leaves a choice, the behaviour is that of wasmtime's implementation. A wrong pointer or handle
//! is a trap, with wasmtime's words.

/// A function of WASI 0.2 as the symbol that executables are linked with: `interface.name`, called with a
/// [`Canon`](wasmelt_abi::component::Canon) and the parameters of the core function.
macro_rules! export_symbol {
    ($interface:literal $name:literal [$($function:tt)*] ($($result:ident)?) [$(($arg:ident $param:ident))*]) => {
        const _: () = {
            /// # Safety
            /// As for `Call::new`.
            #[unsafe(export_name = concat!($interface, ".", $name))]
            unsafe extern "C" fn export(
                canon: *const wasmelt_abi::component::Canon,
                $($arg: export_symbol!(@type $param)),*
            ) $(-> export_symbol!(@type $result))? {
                // SAFETY: by this function's contract.
                let call = unsafe { crate::wasi::p2::call::Call::new(canon) };
                $($function)*(call, $($arg),*)
            }
        };
    };
    (@type I32) => { u32 };
    (@type I64) => { u64 };
}

pub mod call;
pub mod cli;
mod code;
pub mod error;
mod exports;
pub mod filesystem;
pub mod monotonic;
pub mod poll;
pub mod random;
pub mod sockets;
pub mod streams;
pub mod transfer;
pub mod wall;

use crate::component::handles;
