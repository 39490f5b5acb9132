//! The functions of preview 1, and of the snapshot before it, as symbols that executables are linked with: each is a
//! `wasmelt_abi::for_each_host_function` of the table, called with the context of the calling instance.

use crate::sys;

use super::caller::Executable;
use super::p1::status;

macro_rules! export {
    ($($(#[$doc:meta])* $list:ident = $module:literal {$(
        $($family:ident)::+ . $function:ident $(as $name:literal)? ($($param:ident)*) $(-> $result:ident)? $($words:literal)?:
            $reach:ident [$($call:tt)*];
    )*})*) => {
        $(
            #[allow(non_snake_case, reason = "the name of the list in the table")]
            pub(super) mod $list {
                #[allow(unused_imports, reason = "a list whose functions have files of their own")]
                use super::{Executable, status};

                $(export!(@row [$module $($family)::+ . $function] $($name)? ($($result)?) [a b c d e f g h i] ($($param)*) []);)*
            }
        )*
    };
    // A function whose name is not an identifier has a file of its own, and so has what returns nothing.
    (@row $function:tt $name:literal $result:tt $names:tt $params:tt []) => {};
    (@row $function:tt () $names:tt $params:tt []) => {};
    // Gives each parameter a name.
    (@row $function:tt $result:tt [$arg:ident $($args:ident)*] ($param:ident $($params:ident)*) [$($named:tt)*]) => {
        export!(@row $function $result [$($args)*] ($($params)*) [$($named)* ($arg $param)]);
    };
    (@row [$module:literal $($family:ident)::+ . $function:ident] ($result:ident) $names:tt ()
        [$(($arg:ident $param:ident))*]) => {
        /// # Safety
        /// `vmctx` is a live context.
        #[unsafe(export_name = concat!($module, ".", stringify!($function)))]
        pub(in crate::wasi) unsafe extern "C" fn $function(vmctx: *mut u8, $($arg: export!(@type $param)),*) -> u32 {
            // SAFETY: by this function's contract.
            let caller = unsafe { Executable::new(vmctx) };
            status(crate::wasi::$($family)::+::$function(caller, $($arg),*))
        }
    };
    (@type I32) => { u32 };
    (@type I64) => { u64 };
}

wasmelt_abi::for_each_host_function!(export);

/// Ends the process. As for any process, its parent sees the low 8 bits of the code.
///
/// # Safety
/// None of the arguments matters.
#[unsafe(export_name = "wasi_snapshot_preview1.proc_exit")]
pub unsafe extern "C" fn proc_exit(_vmctx: *mut u8, code: u32) {
    sys::exit(code as i32)
}
