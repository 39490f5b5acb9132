//! Checks when this crate is compiled that each function of preview 1 exists with the parameters that the contract
//! tells the compiler.

use wasmelt_abi::descriptor::ValueType;
use wasmelt_abi::host::WASI_P1;

/// A type that an import's parameter or result can have.
trait Value {
    const TYPES: &'static [ValueType];
}

impl Value for u32 {
    const TYPES: &'static [ValueType] = &[ValueType::I32];
}

impl Value for u64 {
    const TYPES: &'static [ValueType] = &[ValueType::I64];
}

impl Value for () {
    const TYPES: &'static [ValueType] = &[];
}

/// The type of a host function, without its first parameter, the context.
trait Signature: Copy {
    /// Each element holds one type.
    const PARAMS: &'static [&'static [ValueType]];
    const RESULTS: &'static [ValueType];
}

macro_rules! signature {
    ($($param:ident)*) => {
        impl<R: Value, $($param: Value),*> Signature for unsafe extern "C" fn(*mut u8, $($param),*) -> R {
            const PARAMS: &'static [&'static [ValueType]] = &[$($param::TYPES),*];
            const RESULTS: &'static [ValueType] = R::TYPES;
        }
    };
}

signature!();
signature!(A);
signature!(A B);
signature!(A B C);
signature!(A B C D);
signature!(A B C D E);
signature!(A B C D E F);
signature!(A B C D E F G);
signature!(A B C D E F G H);
signature!(A B C D E F G H I);

/// Whether two names are the same.
const fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Fails to compile unless the contract has a function of this name and signature.
const fn check<S: Signature>(name: &str, _function: S) {
    let mut i = 0;
    while !is_same(WASI_P1[i].name.as_bytes(), name.as_bytes()) {
        i += 1;
    }
    let contract = &WASI_P1[i];
    assert!(contract.params.len() == S::PARAMS.len());
    let mut i = 0;
    while i < contract.params.len() {
        assert!(contract.params[i] as u8 == S::PARAMS[i][0] as u8);
        i += 1;
    }
    assert!(contract.results.len() == S::RESULTS.len());
    if !contract.results.is_empty() {
        assert!(contract.results[0] as u8 == S::RESULTS[0] as u8);
    }
}

macro_rules! functions {
    ($($family:ident::$name:ident($($param:tt),*);)*) => {
        const _: () = {
            $(check(stringify!($name), super::$family::$name as unsafe extern "C" fn(*mut u8, $($param),*) -> _);)*
            assert!([$(stringify!($name)),*].len() == WASI_P1.len());
        };
    };
}

functions! {
    args::args_get(_, _);
    args::args_sizes_get(_, _);
    args::environ_get(_, _);
    args::environ_sizes_get(_, _);
    clock::clock_res_get(_, _);
    clock::clock_time_get(_, _, _);
    fd::fd_advise(_, _, _, _);
    fd::fd_allocate(_, _, _);
    fd::fd_close(_);
    fd::fd_datasync(_);
    fd::fd_fdstat_get(_, _);
    fd::fd_fdstat_set_flags(_, _);
    fd::fd_fdstat_set_rights(_, _, _);
    fd::fd_filestat_get(_, _);
    fd::fd_filestat_set_size(_, _);
    fd::fd_filestat_set_times(_, _, _, _);
    fd_io::fd_pread(_, _, _, _, _);
    preopen::fd_prestat_dir_name(_, _, _);
    preopen::fd_prestat_get(_, _);
    fd_io::fd_pwrite(_, _, _, _, _);
    fd_io::fd_read(_, _, _, _);
    readdir::fd_readdir(_, _, _, _, _);
    fd::fd_renumber(_, _);
    fd::fd_seek(_, _, _, _);
    fd::fd_sync(_);
    fd::fd_tell(_, _);
    fd_io::fd_write(_, _, _, _);
    path::path_create_directory(_, _, _);
    path::path_filestat_get(_, _, _, _, _);
    path::path_filestat_set_times(_, _, _, _, _, _, _);
    path::path_link(_, _, _, _, _, _, _);
    path::path_open(_, _, _, _, _, _, _, _, _);
    path::path_readlink(_, _, _, _, _, _);
    path::path_remove_directory(_, _, _);
    path::path_rename(_, _, _, _, _, _);
    path::path_symlink(_, _, _, _, _);
    path::path_unlink_file(_, _, _);
    poll::poll_oneoff(_, _, _, _);
    proc::proc_exit(_);
    proc::proc_raise(_);
    random::random_get(_, _);
    proc::sched_yield();
    sock::sock_accept(_, _, _);
    sock::sock_recv(_, _, _, _, _, _);
    sock::sock_send(_, _, _, _, _);
    sock::sock_shutdown(_, _);
}
