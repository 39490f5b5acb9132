//! Host functions that a module may import: WASI preview 1, and wasi-threads.
//!
//! A host function is an `extern "C"` symbol named `<module>.<name>`, in a section of its own. Its first parameter is
//! `vmctx`, the others are those of the import (`i32` as `u32`, `i64` as `u64`).

use crate::descriptor::ValueType;

/// A function that the runtime offers for import.
#[derive(Debug)]
pub struct HostFunction {
    /// Module name of the import.
    pub module: &'static str,
    /// Field name of the import.
    pub name: &'static str,
    /// Parameters, without `vmctx`.
    pub params: &'static [ValueType],
    /// Results: none or one.
    pub results: &'static [ValueType],
}

/// All host functions. An index into them names one within a compilation.
pub fn host_functions() -> impl Iterator<Item = &'static HostFunction> {
    WASI_P1.iter().chain([&THREAD_SPAWN]).chain(WASI_UNSTABLE)
}

/// Module name of the snapshot before preview 1.
pub const WASI_UNSTABLE_MODULE: &str = "wasi_unstable";

/// The function that an import names. What the snapshot before preview 1 has in common with it is the same function.
pub fn find(module: &str, name: &str) -> Option<&'static HostFunction> {
    let own = host_functions().find(|function| function.module == module && function.name == name);
    // Preview 1 added this one.
    let shared = module == WASI_UNSTABLE_MODULE && name != "sock_accept";
    own.or_else(|| WASI_P1.iter().find(|function| shared && function.name == name))
}

macro_rules! unstable {
    ($($name:ident($($param:ident)*);)*) => {
        /// The functions of the snapshot before preview 1 that differ from those of preview 1, by the layout of what
        /// they read or write. Source: `wasi_unstable.witx` of the WASI repository.
        pub static WASI_UNSTABLE: &[HostFunction] = &[$(HostFunction {
            module: WASI_UNSTABLE_MODULE,
            name: stringify!($name),
            params: &[$(ValueType::$param),*],
            results: &[ValueType::I32],
        },)*];
    };
}

unstable! {
    fd_filestat_get(I32 I32);
    fd_seek(I32 I64 I32 I32);
    path_filestat_get(I32 I32 I32 I32 I32);
    poll_oneoff(I32 I32 I32 I32);
}

/// Starts a thread in a new instance of the module, which shares the memories that the module imports; the thread's
/// number, or a negative error number. Source: the proposal wasi-threads.
pub static THREAD_SPAWN: HostFunction =
    HostFunction { module: "wasi", name: "thread-spawn", params: &[ValueType::I32], results: &[ValueType::I32] };

/// Name of the export that a thread runs, `(tid: i32, start_arg: i32)`.
pub const THREAD_START: &str = "wasi_thread_start";

macro_rules! p1 {
    ($($name:ident($($param:ident)*) $($result:ident)?;)*) => {
        /// The functions of WASI preview 1, by name.
        /// Source: `wasi_snapshot_preview1.witx` of the WASI repository.
        pub static WASI_P1: &[HostFunction] = &[$(HostFunction {
            module: "wasi_snapshot_preview1",
            name: stringify!($name),
            params: &[$(ValueType::$param),*],
            results: &[$(ValueType::$result)?],
        },)*];
    };
}

p1! {
    args_get(I32 I32) I32;
    args_sizes_get(I32 I32) I32;
    environ_get(I32 I32) I32;
    environ_sizes_get(I32 I32) I32;
    clock_res_get(I32 I32) I32;
    clock_time_get(I32 I64 I32) I32;
    fd_advise(I32 I64 I64 I32) I32;
    fd_allocate(I32 I64 I64) I32;
    fd_close(I32) I32;
    fd_datasync(I32) I32;
    fd_fdstat_get(I32 I32) I32;
    fd_fdstat_set_flags(I32 I32) I32;
    fd_fdstat_set_rights(I32 I64 I64) I32;
    fd_filestat_get(I32 I32) I32;
    fd_filestat_set_size(I32 I64) I32;
    fd_filestat_set_times(I32 I64 I64 I32) I32;
    fd_pread(I32 I32 I32 I64 I32) I32;
    fd_prestat_dir_name(I32 I32 I32) I32;
    fd_prestat_get(I32 I32) I32;
    fd_pwrite(I32 I32 I32 I64 I32) I32;
    fd_read(I32 I32 I32 I32) I32;
    fd_readdir(I32 I32 I32 I64 I32) I32;
    fd_renumber(I32 I32) I32;
    fd_seek(I32 I64 I32 I32) I32;
    fd_sync(I32) I32;
    fd_tell(I32 I32) I32;
    fd_write(I32 I32 I32 I32) I32;
    path_create_directory(I32 I32 I32) I32;
    path_filestat_get(I32 I32 I32 I32 I32) I32;
    path_filestat_set_times(I32 I32 I32 I32 I64 I64 I32) I32;
    path_link(I32 I32 I32 I32 I32 I32 I32) I32;
    path_open(I32 I32 I32 I32 I32 I64 I64 I32 I32) I32;
    path_readlink(I32 I32 I32 I32 I32 I32) I32;
    path_remove_directory(I32 I32 I32) I32;
    path_rename(I32 I32 I32 I32 I32 I32) I32;
    path_symlink(I32 I32 I32 I32 I32) I32;
    path_unlink_file(I32 I32 I32) I32;
    poll_oneoff(I32 I32 I32 I32) I32;
    proc_exit(I32);
    proc_raise(I32) I32;
    random_get(I32 I32) I32;
    sched_yield() I32;
    sock_accept(I32 I32 I32) I32;
    sock_recv(I32 I32 I32 I32 I32 I32) I32;
    sock_send(I32 I32 I32 I32 I32) I32;
    sock_shutdown(I32 I32) I32;
}
