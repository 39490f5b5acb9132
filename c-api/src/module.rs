//! Modules: from bytes, from files, and linked into the program.

use core::ffi::c_char;
use core::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;

use object::{Object as _, ObjectSymbol as _};
use wasmelt_embed::{Error, Module, ProgramDescriptor, Result};

use super::error::{attempt, need, text};
use super::object::{Item, ModuleData, wasm_ref_t};
use super::store::wasm_store_t;
use super::types::{wasm_exporttype_t, wasm_importtype_t};
use super::vec::{ByteVec, Vector};

/// What the names of modules in libraries begin with.
const PREFIX: &str = "wasmelt_module_";

/// A module that threads share.
pub struct wasm_shared_module_t(Arc<ModuleData>);

pub(crate) fn module(object: Option<&wasm_ref_t>) -> Result<&Module> {
    Ok(&data(object)?.module)
}

fn data(object: Option<&wasm_ref_t>) -> Result<&Arc<ModuleData>> {
    match &need(object, "the module")?.item {
        Item::Module(module) => Ok(module),
        _ => Err(Error::Usage("the object is not a module".to_owned())),
    }
}

fn boxed(module: Module) -> Box<wasm_ref_t> {
    of_data(ModuleData::new(module))
}

fn of_data(data: Arc<ModuleData>) -> Box<wasm_ref_t> {
    Box::new(wasm_ref_t { item: Item::Module(data), store: None })
}

/// What bytes are.
enum Kind {
    Wasm,
    Library,
}

fn kind_of(bytes: &[u8]) -> Result<Kind> {
    match bytes {
        [0, b'a', b's', b'm', ..] => Ok(Kind::Wasm),
        [0x7f, b'E', b'L', b'F', ..] => Ok(Kind::Library),
        _ => Err(Error::Usage("the bytes are neither a WebAssembly binary nor a library that wasmelt made".to_owned())),
    }
}

/// The name of the only module in a library.
fn only_name(library: &[u8]) -> Result<String> {
    let damaged = |error| Error::System(format!("the library is damaged: {error}"));
    let file = object::File::parse(library).map_err(damaged)?;
    let symbols = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
    let names = symbols.filter_map(|symbol| Some(symbol.name().ok()?.strip_prefix(PREFIX)?.to_owned()));
    let names: Vec<_> = names.collect();
    match &names[..] {
        [name] => Ok(name.clone()),
        [] => Err(Error::System("the library has no module: wasmelt did not make it".to_owned())),
        _ => Err(Error::Usage(format!(
            "the library has several modules, of which one must be named: {}",
            names.join(", ")
        ))),
    }
}

/// Loads a library: its only module, or the one of this name.
fn load(library: &[u8], name: Option<&str>) -> Result<Module> {
    let name = name.map_or_else(|| only_name(library), |name| Ok(name.to_owned()))?;
    // SAFETY: by the header, wasmelt made the library and nobody has changed it.
    unsafe { Module::from_bytes(library, &name) }
}

/// Makes a module of either kind of bytes.
fn create(store: Option<&wasm_store_t>, binary: Option<&ByteVec>) -> Result<Module> {
    let (store, bytes) = (need(store, "the store")?, need(binary, "the vector of bytes")?.as_slice());
    match kind_of(bytes)? {
        Kind::Wasm => load(&compile(bytes, store)?, Some(compiled::NAME)),
        Kind::Library => load(bytes, None),
    }
}

use compiled::{check, compile};

#[cfg(feature = "compiler")]
mod compiled {
    //! WebAssembly binaries, where the compiler is here.

    use wasmelt::driver;
    use wasmelt::options::{Cpu, Emit, Options, Stops};
    use wasmelt::progress::NoProgress;
    use wasmelt_embed::{Error, Result};

    use crate::store::wasm_store_t;

    /// The name of all modules that are compiled here.
    pub(super) const NAME: &str = "module";

    fn options() -> Options {
        Options { emit: Emit::Cdylib, library: Some(NAME.to_owned()), cpu: Cpu::Native, ..Options::default() }
    }

    /// Compiles to a library for this machine.
    pub(super) fn compile(wasm: &[u8], store: &wasm_store_t) -> Result<Vec<u8>> {
        let config = store.store.compilation();
        let stops = Stops { fuel: config.fuel, interrupt: config.interruptible };
        let compilation = driver::compile(wasm, NAME, &Options { stops, ..options() }, &NoProgress);
        Ok(compilation.map_err(|error| Error::System(error.to_string()))?.bytes)
    }

    /// Validates, without generating code.
    pub(super) fn check(wasm: &[u8]) -> Result<()> {
        driver::parse(wasm, &options()).map_err(|error| Error::System(error.to_string()))?;
        Ok(())
    }
}

#[cfg(not(feature = "compiler"))]
mod compiled {
    //! WebAssembly binaries, where the compiler is not here.

    use wasmelt_embed::{Error, Result};

    use crate::store::wasm_store_t;

    /// The name of no module.
    pub(super) const NAME: &str = "";

    fn missing() -> Error {
        Error::Usage(
            "this library does not compile: make a library of the WebAssembly binary with `wasmelt compile --emit \
             cdylib` and load that, or link with `libwasmelt`, which has the compiler"
                .to_owned(),
        )
    }

    pub(super) fn compile(_: &[u8], _: &wasm_store_t) -> Result<Vec<u8>> {
        Err(missing())
    }

    pub(super) fn check(_: &[u8]) -> Result<()> {
        Err(missing())
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_module_new(store: Option<&wasm_store_t>, binary: Option<&ByteVec>) -> Option<Box<wasm_ref_t>> {
    attempt(|| Ok(boxed(create(store, binary)?)))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_module_validate(store: Option<&wasm_store_t>, binary: Option<&ByteVec>) -> bool {
    let validate = || {
        need(store, "the store")?;
        let bytes = need(binary, "the vector of bytes")?.as_slice();
        match kind_of(bytes)? {
            Kind::Wasm => check(bytes),
            Kind::Library => only_name(bytes).map(drop),
        }
    };
    attempt(validate).is_some()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_module_serialize(object: Option<&wasm_ref_t>, out: Option<&mut MaybeUninit<ByteVec>>) {
    if let Some(out) = out {
        out.write(attempt(|| module(object)?.serialize()).unwrap_or_default().into());
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_module_deserialize(
    store: Option<&wasm_store_t>,
    bytes: Option<&ByteVec>,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        need(store, "the store")?;
        let bytes = need(bytes, "the vector of bytes")?.as_slice();
        match kind_of(bytes)? {
            Kind::Library => Ok(boxed(load(bytes, None)?)),
            Kind::Wasm => Err(Error::Usage("a WebAssembly binary is not a serialized module".to_owned())),
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_module_imports(
    object: Option<&wasm_ref_t>,
    out: Option<&mut MaybeUninit<Vector<Option<Box<wasm_importtype_t>>>>>,
) {
    let imports = || {
        let import = |import: wasmelt_embed::ImportType<'_>| {
            let bytes = |name: &str| name.as_bytes().to_vec().into();
            let ty = Box::new(import.ty.into());
            Some(Box::new(wasm_importtype_t { module: bytes(import.module), name: bytes(import.name), ty }))
        };
        Ok(module(object)?.imports().map(import).collect())
    };
    if let Some(out) = out {
        out.write(attempt(imports).unwrap_or(Vector::EMPTY));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_module_exports(
    object: Option<&wasm_ref_t>,
    out: Option<&mut MaybeUninit<Vector<Option<Box<wasm_exporttype_t>>>>>,
) {
    let exports = || {
        let export = |export: wasmelt_embed::ExportType<'_>| {
            let ty = Box::new(export.ty.into());
            Some(Box::new(wasm_exporttype_t { name: export.name.as_bytes().to_vec().into(), ty }))
        };
        Ok(module(object)?.exports().map(export).collect())
    };
    if let Some(out) = out {
        out.write(attempt(exports).unwrap_or(Vector::EMPTY));
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_module_share(object: Option<&wasm_ref_t>) -> Option<Box<wasm_shared_module_t>> {
    attempt(|| Ok(Box::new(wasm_shared_module_t(Arc::clone(data(object)?)))))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_module_obtain(
    store: Option<&wasm_store_t>,
    shared: Option<&wasm_shared_module_t>,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        need(store, "the store")?;
        Ok(of_data(Arc::clone(&need(shared, "the shared module")?.0)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_shared_module_delete(shared: Option<Box<wasm_shared_module_t>>) {
    drop(shared);
}

/// # Safety
/// By the header, the name is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_load_module_bytes(
    bytes: Option<&ByteVec>,
    name: *const c_char,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        // SAFETY: by this function's contract.
        let name = unsafe { text(name, "the name of the module") }?;
        Ok(boxed(load(need(bytes, "the vector of bytes")?.as_slice(), Some(name))?))
    })
}

/// # Safety
/// By the header, path and name are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_load_module(path: *const c_char, name: *const c_char) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        // SAFETY: by this function's contract.
        let (path, name) = unsafe { (text(path, "the path")?, text(name, "the name of the module")?) };
        // SAFETY: by the header, wasmelt made the file and nobody has changed it.
        Ok(boxed(unsafe { Module::load(Path::new(path), name) }?))
    })
}

/// # Safety
/// By the header, the descriptor is what wasmelt made, linked into the program, and the name is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_linked_module(
    descriptor: *const ProgramDescriptor,
    name: *const c_char,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        // SAFETY: by this function's contract.
        let name = unsafe { text(name, "the name of the module") }?;
        // SAFETY: as above.
        Ok(boxed(unsafe { Module::from_descriptor(descriptor, name) }?))
    })
}
