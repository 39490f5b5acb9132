//! The functions of a program: what code there is to make, each with a number of its own by which everything refers to
//! it. The numbers say nothing about where code lies, and a function that turns out to be superfluous leaves a gap.

use std::collections::HashMap;

use cranelift_entity::packed_option::PackedOption;
use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl};

use super::{Callee, Components, Entry, Instance, InstanceIndex, Program, TypeId};
use crate::module::{DefinedFuncIndex, FuncIndex};
use crate::options::Shape;

/// Program-wide number of a function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FuncId(u32);
entity_impl!(FuncId, "fn");

/// What a function of the program is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// A function of a module.
    Function(InstanceIndex, DefinedFuncIndex),
    /// A function with the calling convention of wasm that calls an import.
    Thunk(InstanceIndex, FuncIndex),
    /// What runs the program.
    Entry,
    /// What calls the export of `--invoke`.
    InvokeEntry,
    /// What a thread runs.
    ThreadEntry,
    /// In libraries, what the host calls for functions of a type.
    ToWasm(InstanceIndex, TypeId),
    /// In libraries, what stands for functions of the host of a type.
    ToHost(InstanceIndex, TypeId),
    /// In components, what the runtime calls to allocate in a guest's memory: it calls this function.
    Realloc(InstanceIndex, FuncIndex),
}

impl Piece {
    /// Whether it is between a library and its host: it does nothing but pass on arguments and results.
    pub fn is_trampoline(self) -> bool {
        matches!(self, Self::ToWasm(..) | Self::ToHost(..))
    }

    /// The instance in which the code runs; `None` for code of the whole program.
    pub fn instance(self) -> Option<InstanceIndex> {
        match self {
            Self::Function(instance, _)
            | Self::Thunk(instance, _)
            | Self::ToWasm(instance, _)
            | Self::ToHost(instance, _)
            | Self::Realloc(instance, _) => Some(instance),
            Self::Entry | Self::InvokeEntry | Self::ThreadEntry => None,
        }
    }
}

/// All functions of a program.
#[derive(Debug, Default)]
pub struct Functions {
    pieces: PrimaryMap<FuncId, Piece>,
    /// The functions of modules, which each call asks for.
    defined: SecondaryMap<InstanceIndex, SecondaryMap<DefinedFuncIndex, PackedOption<FuncId>>>,
    /// All other pieces.
    others: HashMap<Piece, FuncId>,
}

impl Functions {
    /// Numbers what code there is to make: for each instance its functions, its thunks and a library's trampolines.
    pub(super) fn of(
        instances: &PrimaryMap<InstanceIndex, Instance<'_>>,
        entry: &Entry,
        components: &Components,
    ) -> Self {
        let mut functions = Self::default();
        for (index, instance) in instances {
            instance.live.iter().for_each(|&func| functions.add(Piece::Function(index, func)));
            instance.thunks.iter().for_each(|&func| functions.add(Piece::Thunk(index, func)));
        }
        functions.add(Piece::Entry);
        if entry.invoke.is_some() {
            functions.add(Piece::InvokeEntry);
        }
        if entry.thread_start.is_some() {
            functions.add(Piece::ThreadEntry);
        }
        for (index, instance) in instances.iter().filter(|(_, instance)| instance.shape == Shape::Many) {
            let trampolines = instance.trampolines();
            trampolines.to_wasm.into_iter().for_each(|ty| functions.add(Piece::ToWasm(index, ty)));
            trampolines.to_host.into_iter().for_each(|ty| functions.add(Piece::ToHost(index, ty)));
        }
        let mut reallocs: Vec<_> = components.reallocs.keys().collect();
        reallocs.sort_unstable();
        reallocs.into_iter().for_each(|&(instance, func)| functions.add(Piece::Realloc(instance, func)));
        functions
    }

    fn add(&mut self, piece: Piece) {
        let id = self.pieces.push(piece);
        match piece {
            Piece::Function(instance, func) => self.defined[instance][func] = id.into(),
            _ => _ = self.others.insert(piece, id),
        }
    }

    /// What a function is made from.
    pub fn piece(&self, id: FuncId) -> Piece {
        self.pieces[id]
    }

    /// The number of the function that is made from this; `None` where nothing refers to such a function.
    pub fn id(&self, piece: Piece) -> Option<FuncId> {
        match piece {
            Piece::Function(instance, func) => self.defined[instance][func].expand(),
            _ => self.others.get(&piece).copied(),
        }
    }

    /// The numbers of all functions.
    pub fn ids(&self) -> impl Iterator<Item = FuncId> + use<> {
        self.pieces.keys()
    }
}

impl Program<'_> {
    /// The functions that something other than code refers to: what the runtime or a host calls, and functions whose
    /// reference is taken. All others are needed only where another one calls them.
    pub fn roots(&self) -> impl Iterator<Item = FuncId> + '_ {
        let called = self.functions.pieces.iter().filter(|(_, piece)| !matches!(piece, Piece::Function(..)));
        let referred = self.instances.iter().flat_map(move |(index, instance)| {
            let elements = instance.const_tables.iter().flat_map(|table| &table.elements).flatten();
            let funcs = instance.records.iter().chain(elements).filter_map(|&func| instance.module.defined_func(func));
            funcs.filter_map(move |func| self.functions.id(Piece::Function(index, func)))
        });
        called.map(|(id, _)| id).chain(referred)
    }

    /// Bytes of wasm that a function is made from: a measure of the work.
    pub fn body_bytes(&self, id: FuncId) -> usize {
        match self.functions.piece(id) {
            Piece::Function(instance, func) => self.instances[instance].module.bodies[func].range.len(),
            _ => 0,
        }
    }

    /// A function as messages name it.
    pub fn describe(&self, id: FuncId) -> String {
        match self.functions.piece(id) {
            Piece::Function(instance, func) => {
                let Instance { module, name, .. } = &self.instances[instance];
                let func = module.describe_func(module.func_index(func));
                if self.instances.len() > 1 { format!("{func} of module `{name}`") } else { func }
            }
            Piece::Thunk(instance, func) => {
                format!("the thunk of imported {}", self.instances[instance].module.describe_func(func))
            }
            Piece::Entry => "the entry".to_owned(),
            Piece::InvokeEntry => "the entry for `--invoke`".to_owned(),
            Piece::ToWasm(_, ty) => format!("the trampoline to functions of type {ty}"),
            Piece::ToHost(_, ty) => format!("the trampoline to host functions of type {ty}"),
            Piece::Realloc(_, func) => format!("the entry of `realloc`, function {}", func.as_u32()),
            Piece::ThreadEntry => "the entry of threads".to_owned(),
        }
    }

    /// What a backtrace shows of a function: its index, and its name, empty where the module has none. `None` for code
    /// that wasmelt adds. A missing import is shown as its thunk, which traps.
    pub fn frame(&self, id: FuncId) -> Option<(u32, String)> {
        let (instance, func, name) = match self.functions.piece(id) {
            Piece::Function(instance, func) => {
                let instance = &self.instances[instance];
                let module = &instance.module;
                let func = module.func_index(func);
                (instance, func, module.func_names.get(&func).map_or_else(String::new, |&name| name.to_owned()))
            }
            Piece::Thunk(instance, func) => {
                let instance = &self.instances[instance];
                let Callee::Missing(import) = instance.callees[func] else { return None };
                let import = &instance.module.imports[import as usize];
                (instance, func, format!("{}.{}", import.module, import.name))
            }
            _ => return None,
        };
        // In a program of several modules, names begin with the module's.
        let name = match (self.instances.len() > 1, name.as_str(), instance) {
            (false, ..) => name,
            (true, "", instance) => format!("{}!<wasm function {}>", instance.name, func.as_u32()),
            (true, name, instance) => format!("{}!{name}", instance.name),
        };
        Some((func.as_u32(), name))
    }

    /// Symbol of a function: what the name section calls it, else its index.
    pub fn symbol(&self, id: FuncId) -> String {
        match self.functions.piece(id) {
            Piece::Function(instance, func) => {
                let Instance { module, name: of_instance, .. } = &self.instances[instance];
                let index = module.func_index(func);
                let name = match module.func_names.get(&index) {
                    // Symbol tables end a name at the first NUL.
                    Some(name) if !name.is_empty() && !name.contains('\0') => (*name).to_owned(),
                    _ => format!("wasm_func_{}", index.as_u32()),
                };
                if self.instances.len() > 1 { format!("{of_instance}!{name}").replace('\0', "") } else { name }
            }
            Piece::Thunk(_, func) => format!("wasmelt_thunk_{}", func.as_u32()),
            Piece::Entry => "wasmelt_entry".to_owned(),
            Piece::InvokeEntry => "wasmelt_invoke_entry".to_owned(),
            Piece::ToWasm(_, ty) => format!("wasmelt_to_wasm_{ty}"),
            Piece::ToHost(_, ty) => format!("wasmelt_to_host_{ty}"),
            Piece::Realloc(instance, func) => format!("wasmelt_realloc_{}_{}", instance.as_u32(), func.as_u32()),
            Piece::ThreadEntry => "wasmelt_thread_entry".to_owned(),
        }
    }
}
