//! Modules: code that was loaded from a library. Instances are made from modules.

use core::fmt;
use core::ops::Range;
use core::ptr;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use wasmelt_abi::ABI_VERSION;
use wasmelt_abi::descriptor::{InstancePlan, ProgramDescriptor, RelSlice};
use wasmelt_abi::interface::{EntityPlan, ExportEntry, FuncTypeEntry, Interface, Kind, TypeCode};
use wasmelt_abi::symbols::LIBRARY_PREFIX;

use super::limits::{self, Growth};
use super::memory_file::MemoryFile;
use super::pool::Image;
use super::registry::FirstTypes;
use super::types::{ExternType, GlobalType, HeapType, MemoryType, TableType, ValType};
use super::{Error, FuncType, arch, faults, registry};
use wasmelt_runtime::guest;
use wasmelt_runtime::rel::slice;

/// A file with modules, loaded into the process. The file stays loaded as long as any of its modules is in use.
#[derive(Clone, Debug)]
pub struct Library(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    library: libloading::Library,
    /// What it was loaded from, where that is a file in memory. It goes after the library: the C library knows what is loaded
    /// by a name with the file's number in it, which must not stand for another file before.
    image: Option<MemoryFile>,
}

impl Library {
    /// Loads a file that wasmelt made.
    ///
    /// # Safety
    /// wasmelt made the file (from any module), and nobody has changed it since. Another file can run code when it is
    /// loaded, and this crate trusts the tables in the file.
    pub unsafe fn open(path: &Path) -> Result<Self, Error> {
        // SAFETY: by this function's contract.
        unsafe { Self::new(path, None) }
    }

    /// Loads the bytes of a file that wasmelt made, from memory: no file system sees them. They are copied.
    ///
    /// # Errors
    /// [`Error::System`] when they cannot be loaded, and on other systems than Linux: write them to a file there.
    ///
    /// # Safety
    /// As for [`Self::open`].
    pub unsafe fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let image = MemoryFile::new(bytes)?;
        let path = image.path();
        // SAFETY: by this function's contract.
        unsafe { Self::new(&path, Some(image)) }
    }

    /// # Safety
    /// As [`Self::open`].
    unsafe fn new(path: &Path, image: Option<MemoryFile>) -> Result<Self, Error> {
        let failed = |error| Error::system(format!("cannot load {}: {error}", path.display()));
        // SAFETY: libraries that wasmelt makes run no code when they are loaded or unloaded, and modules keep them.
        let library = unsafe { libloading::Library::new(path) }.map_err(failed)?;
        Ok(Self(Arc::new(Opened { library, image })))
    }

    /// The address of a symbol; `None` where there is none of this name.
    pub(super) fn symbol(&self, name: &str) -> Option<*const u8> {
        // SAFETY: the symbol is only asked for its address.
        let symbol = unsafe { self.0.library.get::<*const u8>(name.as_bytes()) }.ok()?;
        // SAFETY: the address is kept by who keeps the library.
        Some(unsafe { symbol.try_as_raw_ptr() }?.cast_const().cast())
    }

    /// Returns the module with this name, which is the name that was given when the file was made.
    pub fn module(&self, name: &str) -> Result<Module, Error> {
        let symbol = format!("{LIBRARY_PREFIX}{name}");
        // SAFETY: a symbol of this name is a descriptor.
        let descriptor = unsafe { self.0.library.get::<*const ProgramDescriptor>(symbol.as_bytes()) }
            .map_err(|error| Error::system(format!("no module {name}: {error}")))?;
        // SAFETY: the address is kept by what keeps the library.
        let descriptor = unsafe { descriptor.try_as_raw_ptr() }.unwrap_or(ptr::null_mut()).cast_const().cast();
        // SAFETY: the symbol is a descriptor, and stays as long as the library.
        unsafe { Module::new(descriptor, name, Some(self.clone())) }
    }
}

/// The module of this name that is linked into the program: what `wasmelt compile --library-name NAME` made with
/// `--emit staticlib` or `--emit obj`. Use it in an `unsafe` block, under the contract of
/// [`Module::from_descriptor`](crate::Module::from_descriptor), whose result it has: what is linked under the
/// symbol `wasmelt_module_NAME` is what wasmelt made.
///
/// ```no_run
/// # fn main() -> wasmelt_embed::Result<()> {
/// // SAFETY: `libplugin.a`, which is linked, was made by wasmelt.
/// let module = unsafe { wasmelt_embed::linked_module!("plugin") }?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! linked_module {
    ($name:literal) => {{
        unsafe extern "C" {
            #[link_name = ::core::concat!("wasmelt_module_", $name)]
            static DESCRIPTOR: $crate::ProgramDescriptor;
        }
        $crate::Module::from_descriptor(&raw const DESCRIPTOR, $name)
    }};
}

/// A module. Clones refer to the same module.
#[derive(Clone)]
pub struct Module(Arc<Loaded>);

struct Loaded {
    program: &'static ProgramDescriptor,
    name: String,
    /// The module's function types.
    types: Vec<FuncType>,
    /// Numbers of exports by name.
    exports: HashMap<String, usize>,
    /// What stores know that have its types alone; `None` where these are too many.
    first_types: OnceLock<Option<FirstTypes>>,
    /// What is made for each instance and has limits.
    new_entities: OnceLock<Box<[Growth]>>,
    /// What pools map into memory 0; made when a pool asks for it first.
    image: OnceLock<Option<Arc<Image>>>,
    /// Keeps what `program` refers to.
    library: Option<Library>,
}

// SAFETY: a descriptor is never written to.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

/// An import of a module.
#[derive(Clone, Debug)]
pub struct ImportType<'a> {
    /// Name of the module to import from.
    pub module: &'a str,
    /// Name of the import in that module.
    pub name: &'a str,
    /// Type of what must be given.
    pub ty: ExternType,
}

/// An export of a module.
#[derive(Clone, Debug)]
pub struct ExportType<'a> {
    /// Its name.
    pub name: &'a str,
    /// Type of what is exported.
    pub ty: ExternType,
}

impl Module {
    /// Loads a file and returns the module with this name, see [`Library`].
    ///
    /// # Safety
    /// As for [`Library::open`].
    pub unsafe fn load(path: &Path, name: &str) -> Result<Self, Error> {
        // SAFETY: by this function's contract.
        unsafe { Library::open(path) }?.module(name)
    }

    /// Loads the bytes of a file and returns the module with this name, see [`Library::from_bytes`].
    ///
    /// # Errors
    /// As for [`Library::from_bytes`].
    ///
    /// # Safety
    /// As for [`Library::open`].
    pub unsafe fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, Error> {
        // SAFETY: by this function's contract.
        unsafe { Library::from_bytes(bytes) }?.module(name)
    }

    /// Returns the bytes that the module was loaded from with [`Self::from_bytes`], to be loaded again.
    ///
    /// # Errors
    /// [`Error::Usage`] when the module came from a file, or is linked into the program.
    pub fn serialize(&self) -> Result<Vec<u8>, Error> {
        let image = self.0.library.as_ref().and_then(|library| library.0.image.as_ref());
        let unknown = || Error::usage(format!("module {} was not loaded from bytes: its file has them", self.name()));
        image.ok_or_else(unknown)?.read()
    }

    /// Returns the module with this descriptor, which is linked into the process. `name` is for messages.
    /// [`linked_module!`](crate::linked_module) finds a descriptor by its name.
    ///
    /// # Safety
    /// wasmelt made the descriptor and everything that it refers to, and both stay as long as the process.
    pub unsafe fn from_descriptor(descriptor: *const ProgramDescriptor, name: &str) -> Result<Self, Error> {
        // SAFETY: by this function's contract.
        unsafe { Self::new(descriptor, name, None) }
    }

    /// # Safety
    /// As [`Self::from_descriptor`], as long as the library is there.
    unsafe fn new(descriptor: *const ProgramDescriptor, name: &str, library: Option<Library>) -> Result<Self, Error> {
        // SAFETY: the version comes first in every version of the format.
        let version = unsafe { descriptor.cast::<u32>().as_ref() }.copied().unwrap_or(0);
        if version != ABI_VERSION {
            return Err(Error::system(format!("module {name} has version {version} of the format, not {ABI_VERSION}")));
        }
        // SAFETY: by this function's contract.
        let program = unsafe { &*descriptor };
        let interface = program.interface.get().ok_or_else(|| Error::system(format!("{name} is no library")))?;
        // SAFETY: as above.
        let interface = unsafe { &*interface };
        let missing = arch::missing_features(program.cpu_features);
        if !missing.is_empty() {
            return Err(Error::system(format!("module {name} needs a CPU with {}", missing.join(", "))));
        }
        if interface.flags & Interface::RAISES_TRAPS == 0 {
            faults::are_expected();
        }
        let types = resolve_types(slice(&interface.types))?;
        let exports = slice(&interface.exports).iter().enumerate();
        let exports = exports.map(|(index, entry)| (text(&entry.name).to_owned(), index)).collect();
        let (first_types, new_entities, image) = Default::default();
        let name = name.to_owned();
        Ok(Self(Arc::new(Loaded { program, name, types, exports, first_types, new_entities, image, library })))
    }

    /// Returns the name under which the module was loaded.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the imports, in the order in which [`Instance::new`](super::Instance::new) takes them.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        slice(&self.interface().imports).iter().map(|entry| ImportType {
            module: text(&entry.module),
            name: text(&entry.name),
            ty: self.extern_type(entry.kind, entry.index),
        })
    }

    /// Returns the exports.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        slice(&self.interface().exports)
            .iter()
            .map(|entry| ExportType { name: text(&entry.name), ty: self.extern_type(entry.kind, entry.index) })
    }

    pub(super) fn export_entries(&self) -> impl ExactSizeIterator<Item = (&str, &ExportEntry)> {
        slice(&self.interface().exports).iter().map(|entry| (text(&entry.name), entry))
    }

    pub(super) fn export_entry(&self, name: &str) -> Option<&ExportEntry> {
        slice(&self.interface().exports).get(*self.0.exports.get(name)?)
    }

    pub(super) fn program(&self) -> &'static ProgramDescriptor {
        self.0.program
    }

    /// The plan of its instances.
    pub(super) fn plan(&self) -> &'static InstancePlan {
        &self.0.program.first
    }

    pub(super) fn interface(&self) -> &Interface {
        let interface = self.0.program.interface.get().unwrap_or(ptr::null());
        // SAFETY: it was there when the module was loaded, and is as long as the module.
        unsafe { &*interface }
    }

    /// The address of its descriptor: two modules have it if and only if they are the same, as long as both are alive.
    pub(super) fn address(&self) -> usize {
        ptr::from_ref(self.0.program).addr()
    }

    /// What a store knows that has no types but this module's.
    pub(super) fn first_types(&self) -> Option<&FirstTypes> {
        let make = || FirstTypes::new(slice(&self.interface().types), self.types()).ok();
        self.0.first_types.get_or_init(make).as_ref()
    }

    /// What is made for each instance and counts as a memory or table of the store.
    pub(super) fn new_entities(&self) -> &[Growth] {
        self.0.new_entities.get_or_init(|| limits::new_entities(self))
    }

    /// Its function types, by number.
    pub(super) fn types(&self) -> &[FuncType] {
        &self.0.types
    }

    /// What the first pages of memory 0 are in a pool, where that memory is the module's own and has enough data.
    pub(super) fn image(&self) -> Option<&Arc<Image>> {
        let is_own = self.interface().imported[Kind::Memory as usize] == 0;
        self.0.image.get_or_init(|| is_own.then(|| Image::of(self)).flatten().map(Arc::new)).as_ref()
    }

    /// Addresses of its code.
    pub(super) fn text(&self) -> Range<usize> {
        guest::text(&self.0.program.code)
    }

    /// The type of what an import or export is.
    fn extern_type(&self, kind: u32, index: u32) -> ExternType {
        let (interface, index) = (self.interface(), index as usize);
        let maximum = |plan: &EntityPlan| (plan.flags & EntityPlan::HAS_MAXIMUM != 0).then_some(plan.maximum);
        let index_64 = |plan: &EntityPlan| plan.flags & EntityPlan::INDEX_64 != 0;
        match Kind::from_u32(kind) {
            Some(Kind::Table) => {
                let plan = &slice(&interface.tables)[index];
                let element = match self.val_type(plan.ty) {
                    ValType::Ref(ty) => ty,
                    _ => super::RefType::FUNCREF,
                };
                let (minimum, maximum, index_64) = (plan.minimum, maximum(plan), index_64(plan));
                ExternType::Table(TableType { element, minimum, maximum, index_64 })
            }
            Some(Kind::Memory) => {
                let plan = &slice(&interface.memories)[index];
                ExternType::Memory(MemoryType {
                    minimum: plan.minimum,
                    maximum: maximum(plan),
                    index_64: index_64(plan),
                    shared: plan.flags & EntityPlan::SHARED != 0,
                    page_size_log2: plan.page_size_log2 as u8,
                })
            }
            Some(Kind::Global) => {
                let plan = &slice(&interface.globals)[index];
                let mutable = plan.flags & EntityPlan::MUTABLE != 0;
                ExternType::Global(GlobalType { content: self.val_type(plan.ty), mutable })
            }
            Some(Kind::Tag) => ExternType::Tag(self.0.types[slice(&interface.tags)[index] as usize].clone()),
            Some(Kind::Func) | None => {
                ExternType::Func(self.0.types[slice(&interface.funcs)[index].type_number as usize].clone())
            }
        }
    }

    /// The value type of a code of this module.
    pub(super) fn val_type(&self, code: TypeCode) -> ValType {
        registry::val_type(code, |number| HeapType::Concrete(self.0.types[number as usize].clone()))
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Module").field(&self.0.name).finish()
    }
}

/// A string of a descriptor. Names are UTF-8: the compiler has validated the module.
fn text(bytes: &RelSlice<u8>) -> &str {
    core::str::from_utf8(slice(bytes)).unwrap_or_default()
}

/// The module's function types as the host sees them.
fn resolve_types(entries: &[FuncTypeEntry]) -> Result<Vec<FuncType>, Error> {
    let mut types: Vec<FuncType> = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        let val_type = |&code: &TypeCode| match code.type_number() {
            Some(other) if other as usize > number => {
                Err(Error::system(format!("function type {number} refers to a later one, {other}")))
            }
            _ => Ok(registry::val_type(code, |other| match types.get(other as usize) {
                Some(ty) => HeapType::Concrete(ty.clone()),
                None => HeapType::Recursive,
            })),
        };
        let list = |codes| slice(codes).iter().map(val_type).collect::<Result<Vec<_>, _>>();
        types.push(FuncType::new(list(&entry.params)?, list(&entry.results)?));
    }
    Ok(types)
}
