//! The functions of sockets as symbols that executables are linked with, each a row of
//! `wasmelt_abi::for_each_component_function!` or `for_each_socket_function!`: see [`crate::wasi::p2`], whose other functions are
//! generic over the component that calls.

use crate::host::sockets::send_in_turn;

use super::names::*;
use super::network::*;
use super::polls::*;
use super::streams::*;
use super::tcp::*;
use super::udp::*;

/// A function that is called next. Before that, what a socket has accepted is sent: the guest may never wait.
fn once_sent<F>(function: F) -> F {
    send_in_turn();
    function
}

macro_rules! export {
    ($($interface:literal {$(
        $($family:ident)::+ . $function:ident = $name:literal ($($param:ident)*) $(-> $result:ident)?:
            $reach:ident [$($call:tt)*];
    )*})*) => {
        $($(export!(@row [$interface $name $($family)::+ . $function] ($($result)?)
            [a b c d e f g h i j k l m n o] ($($param)*) []);)*)*
    };
    // Gives each parameter a name.
    (@row $function:tt $result:tt [$arg:ident $($args:ident)*] ($param:ident $($params:ident)*) [$($named:tt)*]) => {
        export!(@row $function $result [$($args)*] ($($params)*) [$($named)* ($arg $param)]);
    };
    (@row [$interface:literal $name:literal sockets . $function:ident] ($($result:ident)?) $names:tt ()
        [$(($arg:ident $param:ident))*]) => {
        export_symbol! { $interface $name [once_sent($function)] ($($result)?) [$(($arg $param))*] }
    };
    (@row [$interface:literal $name:literal $($family:ident)::+ . $function:ident] $result:tt $names:tt () $named:tt) => {};
}

wasmelt_abi::for_each_component_function!(export);
wasmelt_abi::for_each_socket_function!(export);
