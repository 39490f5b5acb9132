//! The functions of WASI 0.2 as symbols that executables are linked with, each a row of
//! `wasmelt_abi::for_each_component_function!`: called with a [`Canon`](wasmelt_abi::component::Canon) and the parameters of
//! the core function.

macro_rules! export {
    ($($interface:literal {$(
        $($family:ident)::+ . $function:ident = $name:literal ($($param:ident)*) $(-> $result:ident)?:
            $reach:ident [$($call:tt)*];
    )*})*) => {
        $($(export!(@row [$interface $name $($family)::+ . $function] ($($result)?) [a b c d e f g h i j k] ($($param)*) []);)*)*
    };
    // Functions of sockets are symbols where they are.
    (@row [$interface:literal $name:literal sockets . $function:ident] $result:tt $names:tt $params:tt []) => {};
    // Gives each parameter a name.
    (@row $function:tt $result:tt [$arg:ident $($args:ident)*] ($param:ident $($params:ident)*) [$($named:tt)*]) => {
        export!(@row $function $result [$($args)*] ($($params)*) [$($named)* ($arg $param)]);
    };
    (@row [$interface:literal $name:literal $($family:ident)::+ . $function:ident] ($($result:ident)?) $names:tt ()
        [$(($arg:ident $param:ident))*]) => {
        export_symbol! { $interface $name [super::$($family)::+::$function] ($($result)?) [$(($arg $param))*] }
    };
}

wasmelt_abi::for_each_component_function!(export);
