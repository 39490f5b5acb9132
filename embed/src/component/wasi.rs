//! WASI 0.2 in a linker: each function of the contract, as the runtime has it.

use super::{Guest, GuestCall, Linker, RawResource};
use crate::Result;

impl<T: 'static> Linker<T> {
    /// Defines all functions of WASI 0.2 but those of HTTP. No sockets are granted.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) when one of the names is defined.
    pub fn define_wasi(&mut self) -> Result<&mut Self> {
        macro_rules! define {
            ($($interface:literal {$(
                $($family:ident)::+ . $function:ident = $name:literal ($($param:ident)*) $(-> $result:ident)?:
                    $reach:ident [$($call:tt)*];
            )*})*) => {
                $($(define!(@row [$interface $name $($family)::+ . $function] ($($result)?)
                    [0 1 2 3 4 5 6 7 8 9 10] ($($param)*) []);)*)*
            };
            (@row [$interface:literal $name:literal sockets . $function:ident] $result:tt $places:tt $params:tt []) => {
            };
            // Gives each parameter its place.
            (@row $function:tt $result:tt [$at:literal $($places:literal)*] ($param:ident $($params:ident)*) [$($named:tt)*]) => {
                define!(@row $function $result [$($places)*] ($($params)*) [$($named)* ($at $param)]);
            };
            (@row [$interface:literal $name:literal $($family:ident)::+ . $function:ident] ($($result:ident)?) $places:tt ()
                [$(($at:literal $param:ident))*]) => {
                self.func_flat($interface, $name, |call, values| {
                    #[allow(clippy::let_unit_value, reason = "not all functions return something")]
                    let result = wasmelt_runtime::wasi::p2::$($family)::+::$function::<Guest<'_>>(
                        call,
                        $(define!(@value values[$at][0], $param)),*
                    );
                    define!(@result values, result, $($result)?);
                })?;
            };
            (@value $value:expr, I32) => { $value as u32 };
            (@value $value:expr, I64) => { $value };
            (@result $values:ident, $result:ident, $ty:ident) => { $values[0][0] = $result.into(); };
            (@result $values:ident, $result:ident, ) => { let () = $result; let _ = $values; };
        }
        wasmelt_abi::for_each_component_function!(define);
        define_sockets(self)?;
        Ok(self)
    }
}

/// Nothing grants a host program's component a connection: a guest that asks for a socket is told that access is denied.
fn define_sockets<T: 'static>(linker: &mut Linker<T>) -> Result<()> {
    /// `access-denied` of `error-code`.
    const ACCESS_DENIED: u8 = 1;
    fn deny(call: GuestCall<'_>, at: u64) {
        let at = at as u32;
        call.result_at(at, 8, 4);
        call.put_u8(at, 1);
        call.put_u8(at + 4, ACCESS_DENIED);
    }
    linker.func_flat("wasi:sockets/instance-network", "instance-network", |call, values| {
        values[0][0] = call.own(RawResource::Network).into();
    })?;
    linker.func_flat("wasi:sockets/network", "[resource-drop]network", |call, values| {
        call.drop_handle(values[0][0] as u32, |resource| resource == RawResource::Network);
    })?;
    linker.func_flat("wasi:sockets/ip-name-lookup", "resolve-addresses", |call, values| {
        call.resource(values[0][0] as u32, |resource| (resource == RawResource::Network).then_some(()));
        call.list(values[1][0] as u32, values[2][0] as u32, 1, 1);
        deny(call, values[3][0]);
    })?;
    for (interface, name) in [
        ("wasi:sockets/tcp-create-socket", "create-tcp-socket"),
        ("wasi:sockets/udp-create-socket", "create-udp-socket"),
    ] {
        linker.func_flat(interface, name, |call, values| deny(call, values[1][0]))?;
    }
    // No handle is that of what these functions need.
    for function in wasmelt_abi::component::WASI_P2_SOCKETS {
        linker.func_flat(function.module, function.name, |call, values| {
            call.resource(values[0][0] as u32, |_| None::<()>);
        })?;
    }
    Ok(())
}
