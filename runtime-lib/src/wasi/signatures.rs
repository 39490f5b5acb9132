//! Checks when this crate is compiled that each host function of the contract whose symbol is written out is here, with
//! the parameters and the result that the contract tells the compiler. `exports.rs` makes the others from the contract.

use wasmelt_abi::component::Canon;

macro_rules! value {
    (I32) => {
        u32
    };
    (I64) => {
        u64
    };
}

const _: unsafe extern "C" fn(*mut u8, u32) = super::exports::proc_exit;
const _: unsafe extern "C" fn(*mut u8, u32) -> u32 = super::threads::thread_spawn;

macro_rules! check_components {
    ($($interface:literal {$(
        $($family:ident)::+ . $function:ident = $name:literal ($($param:ident)*) $(-> $result:ident)?:
            $reach:ident [$($call:tt)*];
    )*})*) => {
        $($(const _: unsafe extern "C" fn(*const Canon $(, value!($param))*) $(-> value!($result))? =
            super::p2::$($family)::+::$function;)*)*
    };
}

wasmelt_abi::for_each_component_function!(check_components);
