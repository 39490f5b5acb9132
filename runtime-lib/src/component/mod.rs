//! The canonical ABI of components, as far as it needs the runtime: handles ([`handles`]), borrows for the time of a call
//! ([`calls`]), and what adapters between the components of one program call ([`strings`], [`resources`], [`traps`]).
//!
//! Adapters are core modules made when compiling. They check addresses and lengths, call `realloc` and the functions of
//! components, and refuse what may not be entered or left. What is here is what code in a sandbox cannot do.
//! Programs that were components have one thread.

pub mod calls;
mod encodings;
pub mod handles;
pub mod resources;
pub mod strings;
pub mod traps;

use wasmelt_abi::canonical::Transcoding;

macro_rules! value {
    (I32) => {
        u32
    };
    (I64) => {
        u64
    };
}

/// Checks that each function of the contract is here, with the parameters and the result that the contract tells the
/// compiler.
macro_rules! check {
    ($($family:ident . $function:ident ($($param:ident)*) $(-> $result:ident)?: [$($group:ident)*];)*) => {
        $(check!(@one $family $function ($($param)*) ($($result)?));)*
    };
    (@one strings $function:ident ($($param:ident)*) ($($result:ident)?)) => {
        const _: unsafe extern "C" fn(*mut Transcoding $(, value!($param))*) $(-> value!($result))? = strings::$function;
    };
    (@one $family:ident $function:ident ($($param:ident)*) ($($result:ident)?)) => {
        const _: unsafe extern "C" fn(*mut u8 $(, value!($param))*) $(-> value!($result))? = $family::$function;
    };
}

wasmelt_abi::for_each_canonical_function!(check);
