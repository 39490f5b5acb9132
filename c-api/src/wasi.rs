//! WASI: what the guests of a store may have of the system.

use core::ffi::c_char;
use core::mem::MaybeUninit;
use std::net::SocketAddr;

use wasmelt_embed::wasi::{DirPerms, FilePerms, MemoryInputPipe, MemoryOutputPipe, WasiCtxBuilder};
use wasmelt_embed::{Error, Result};

use super::error::{attempt, need, text};
use super::store::wasm_store_t;
use super::vec::ByteVec;

/// What guests may have, while it is being said.
pub struct wasmelt_wasi_config_t(WasiCtxBuilder);

type ConfigMut<'a> = Option<&'a mut wasmelt_wasi_config_t>;

/// A buffer that takes what guests write.
pub struct wasmelt_output_t(MemoryOutputPipe);

/// Says more; whether that worked.
fn change(config: ConfigMut<'_>, action: impl FnOnce(&mut WasiCtxBuilder) -> Result<()>) -> bool {
    attempt(|| action(&mut need(config, "the configuration of WASI")?.0)).is_some()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_new() -> Option<Box<wasmelt_wasi_config_t>> {
    Some(Box::new(wasmelt_wasi_config_t(WasiCtxBuilder::new())))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_delete(config: Option<Box<wasmelt_wasi_config_t>>) {
    drop(config);
}

/// # Safety
/// By the header, the argument is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_wasi_config_arg(config: ConfigMut<'_>, argument: *const c_char) -> bool {
    change(config, |builder| {
        // SAFETY: by this function's contract.
        builder.arg(unsafe { text(argument, "the argument") }?);
        Ok(())
    })
}

/// # Safety
/// By the header, name and value are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_wasi_config_env(
    config: ConfigMut<'_>,
    name: *const c_char,
    value: *const c_char,
) -> bool {
    change(config, |builder| {
        // SAFETY: by this function's contract.
        let (name, value) = unsafe { (text(name, "the name")?, text(value, "the value")?) };
        builder.env(name, value);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_inherit_env(config: ConfigMut<'_>) -> bool {
    change(config, |builder| {
        for (name, value) in std::env::vars_os() {
            let unicode = |text: std::ffi::OsString| {
                text.into_string().map_err(|text| Error::Usage(format!("{} is not UTF-8", text.display())))
            };
            builder.env(unicode(name)?, unicode(value)?);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_inherit_stdin(config: ConfigMut<'_>) -> bool {
    change(config, |builder| {
        builder.inherit_stdin();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_inherit_stdout(config: ConfigMut<'_>) -> bool {
    change(config, |builder| {
        builder.inherit_stdout();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_inherit_stderr(config: ConfigMut<'_>) -> bool {
    change(config, |builder| {
        builder.inherit_stderr();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_stdin_bytes(config: ConfigMut<'_>, bytes: Option<&ByteVec>) -> bool {
    change(config, |builder| {
        builder.stdin(MemoryInputPipe::new(need(bytes, "the vector of bytes")?.as_slice()));
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_output_new(capacity_bytes: usize) -> Option<Box<wasmelt_output_t>> {
    Some(Box::new(wasmelt_output_t(MemoryOutputPipe::new(capacity_bytes))))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_output_delete(output: Option<Box<wasmelt_output_t>>) {
    drop(output);
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_output_contents(output: Option<&wasmelt_output_t>, out: Option<&mut MaybeUninit<ByteVec>>) {
    if let Some(out) = out {
        out.write(attempt(|| Ok(need(output, "the buffer")?.0.contents())).unwrap_or_default().into());
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_stdout(config: ConfigMut<'_>, output: Option<&wasmelt_output_t>) -> bool {
    change(config, |builder| {
        builder.stdout(need(output, "the buffer")?.0.clone());
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_stderr(config: ConfigMut<'_>, output: Option<&wasmelt_output_t>) -> bool {
    change(config, |builder| {
        builder.stderr(need(output, "the buffer")?.0.clone());
        Ok(())
    })
}

/// What is granted, and under which name.
///
/// # Safety
/// Both are null or C strings, which live as long as the result is used.
unsafe fn paths<'a>(host: *const c_char, guest: *const c_char) -> Result<(&'a str, &'a str)> {
    // SAFETY: by this function's contract.
    unsafe { Ok((text(host, "the path")?, text(guest, "the guest's path")?)) }
}

/// # Safety
/// By the header, both paths are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_wasi_config_preopened_dir(
    config: ConfigMut<'_>,
    host_path: *const c_char,
    guest_path: *const c_char,
    read_only: bool,
) -> bool {
    change(config, |builder| {
        // SAFETY: by this function's contract.
        let (host, guest) = unsafe { paths(host_path, guest_path) }?;
        let (dir, file) =
            if read_only { (DirPerms::READ, FilePerms::READ) } else { (DirPerms::all(), FilePerms::all()) };
        builder.preopened_dir(host, guest, dir, file).map(drop)
    })
}

/// # Safety
/// By the header, both paths are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_wasi_config_preopened_file(
    config: ConfigMut<'_>,
    host_path: *const c_char,
    guest_path: *const c_char,
    read_only: bool,
) -> bool {
    change(config, |builder| {
        // SAFETY: by this function's contract.
        let (host, guest) = unsafe { paths(host_path, guest_path) }?;
        let perms = if read_only { FilePerms::READ } else { FilePerms::all() };
        builder.preopened_file(host, guest, perms).map(drop)
    })
}

/// # Safety
/// By the header, the address is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_wasi_config_listen(config: ConfigMut<'_>, address: *const c_char) -> bool {
    change(config, |builder| {
        // SAFETY: by this function's contract.
        let address = unsafe { text(address, "the address") }?;
        let invalid = |_| Error::Usage(format!("{address:?} is not an address such as 127.0.0.1:8080 or [::1]:8080"));
        builder.listen(address.parse::<SocketAddr>().map_err(invalid)?).map(drop)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_wasi_config_max_open_files(config: ConfigMut<'_>, count: u32) -> bool {
    change(config, |builder| {
        builder.max_open_files(count);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_store_set_wasi(
    store: Option<&wasm_store_t>,
    config: Option<Box<wasmelt_wasi_config_t>>,
) -> bool {
    let set = || {
        let context = need(config, "the configuration of WASI")?.0.build();
        need(store, "the store")?.store.with(|mut state| state.data_mut().set_wasi(context));
        Ok(())
    };
    attempt(set).is_some()
}
