//! The functions of preview 1 and of the snapshot before it, in a linker.

use wasmelt_abi::host::{WASI_P1, find};
use wasmelt_runtime::wasi::p1::status;

use super::context::Call;
use super::{I32Exit, WasiCtx};
use crate::{Caller, Error, Linker, Result};

/// The name of preview 1 as a module, and of the snapshot before it.
const PREVIEW_1: &str = "wasi_snapshot_preview1";
const UNSTABLE: &str = "wasi_unstable";

/// Defines all functions of `wasi_snapshot_preview1` and `wasi_unstable` in a linker. `context` finds the context in the
/// data of the store.
///
/// A guest's addresses lie in memory 0 of the instance that imports the function. The function `thread-spawn` of `wasi` is
/// defined as one that fails: host programs have no threads of WASI.
///
/// # Errors
/// [`Error::Usage`] when one of the names is defined.
pub fn add_to_linker_sync<T: 'static>(
    linker: &mut Linker<T>,
    context: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    macro_rules! define {
        ($($(#[$doc:meta])* $list:ident = $module:literal {$(
            $($family:ident)::+ . $function:ident $(as $name:literal)? ($($param:ident)*) $(-> $result:ident)? $($words:literal)?:
                $reach:ident [$($call:tt)*];
        )*})*) => {
            $($(define!(@row [$module $($family)::+ . $function] $($name)? ($($result)?) [a b c d e f g h i] ($($param)*) []);)*)*
        };
        // What does not return an error number is defined below.
        (@row $function:tt $name:literal $result:tt $names:tt $params:tt []) => {};
        (@row $function:tt () $names:tt $params:tt []) => {};
        // Gives each parameter a name.
        (@row $function:tt $result:tt [$arg:ident $($args:ident)*] ($param:ident $($params:ident)*) [$($named:tt)*]) => {
            define!(@row $function $result [$($args)*] ($($params)*) [$($named)* ($arg $param)]);
        };
        (@row [$module:literal $($family:ident)::+ . $function:ident] ($result:ident) $names:tt ()
            [$(($arg:ident $param:ident))*]) => {
            linker.func_wrap(
                $module,
                stringify!($function),
                move |mut caller: Caller<'_, T>, $($arg: define!(@type $param)),*| -> Result<u32> {
                    let memory = caller.guest_memory()?;
                    let call = Call { memory, context: context(caller.data_mut()) };
                    Ok(status(wasmelt_runtime::wasi::$($family)::+::$function(call, $($arg),*)))
                },
            )?;
        };
        (@type I32) => { u32 };
        (@type I64) => { u64 };
    }
    wasmelt_abi::for_each_host_function!(define);

    linker.func_wrap(PREVIEW_1, "proc_exit", |code: i32| -> Result<()> { Err(Error::host(I32Exit(code))) })?;
    linker.func_wrap("wasi", "thread-spawn", |_: i32| -> Result<i32> {
        Err(Error::msg(
            "the guest calls \"wasi\" \"thread-spawn\": host programs have no threads of WASI; compile the module to an \
             executable, or define the function in the linker",
        ))
    })?;
    // What both snapshots have in common.
    for function in WASI_P1 {
        if find(UNSTABLE, function.name).is_some_and(|found| found.module == PREVIEW_1) {
            linker.alias(PREVIEW_1, function.name, UNSTABLE, function.name)?;
        }
    }
    Ok(())
}
