//! Checks when this crate is compiled that each host function of the contract is here, with the parameters and the result
//! that the contract tells the compiler.

use wasmelt_abi::component::Canon;

macro_rules! value {
    (I32) => {
        u32
    };
    (I64) => {
        u64
    };
}

macro_rules! check {
    ($($(#[$doc:meta])* $list:ident = $module:literal {$(
        $($family:ident)::+ . $function:ident $(as $name:literal)? ($($param:ident)*) $(-> $result:ident)? $($words:literal)?:
            $reach:ident [$($call:tt)*];
    )*})*) => {
        $($(const _: unsafe extern "C" fn(*mut u8 $(, value!($param))*) $(-> value!($result))? =
            super::$($family)::+::$function;)*)*
    };
}

wasmelt_abi::for_each_host_function!(check);

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
