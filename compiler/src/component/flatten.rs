//! `wasmtime-environ`'s view of a component, as our own plain data. What cannot be expressed is refused by name.

use std::collections::{HashMap, HashSet};

use wasmelt_abi::canonical::CanonicalTrap;
use wasmtime_environ::component::{
    CanonicalOptions, CanonicalOptionsDataModel, Component, ComponentTypes, ComponentTypesBuilder, CoreDef,
    DefinedResourceIndex, Export, ExportItem, FixedEncoding, GlobalInitializer, InstantiateModule, OptionsIndex,
    ResourceIndex, RuntimeComponentInstanceIndex, RuntimeImportIndex, RuntimeMemoryIndex, StringEncoding,
    Trampoline as Upstream, TrampolineIndex, Transcode, Translator, TypeFuncIndex, TypeResourceTable,
    TypeResourceTableIndex,
};
use wasmtime_environ::wasmparser::{Validator, WasmFeatures};
use wasmtime_environ::{EntityIndex, PrimaryMap, ScopeVec, Trap, Tunables};

use super::extent;
use super::flags::Flags;
use super::refusal::{asynchronous, by_name, check_track, is_of_track, kind, nothing_to_run};
use super::{
    CoreFunc, CoreMemory, DefinedResource, Definition, FlatComponent, FlatInstance, HandleTable, ImportName, Lifted,
    ResourceType, Trampoline, Work, World, unsupported,
};
use crate::error::{Error, Result};
use crate::module::{Entity, FuncIndex, GlobalIndex, MemoryIndex, TableIndex, TagIndex};

/// What core modules inside of components may use, as far as flattening has to know. Each module is validated once more,
/// with the features that were asked for.
const CORE: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(WasmFeatures::MEMORY64)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::THREADS);

/// Components, and what is refused by name once they are flattened.
const COMPONENTS: WasmFeatures = WasmFeatures::COMPONENT_MODEL
    .union(WasmFeatures::CM64)
    .union(WasmFeatures::CM_ASYNC)
    .union(WasmFeatures::CM_ERROR_CONTEXT);

/// Flattens a component.
pub(super) fn flatten(bytes: &[u8], world: World) -> Result<FlatComponent> {
    // Where exceptions are on, each adapter gets a barrier against them: they are on where they are used.
    flatten_with(bytes, world, COMPONENTS.union(CORE))
        .or_else(|first| {
            flatten_with(bytes, world, COMPONENTS.union(CORE).union(WasmFeatures::EXCEPTIONS)).map_err(|_| first)
        })
        .map_err(Failure::into_error)
}

/// Why a component was not flattened.
enum Failure {
    Invalid(String),
    Ours(Error),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Invalid(message) => Error::input(format!("the component is not valid: {message}")),
            Self::Ours(error) => error,
        }
    }
}

fn flatten_with(bytes: &[u8], world: World, features: WasmFeatures) -> std::result::Result<FlatComponent, Failure> {
    // Independent of the machine that compiles.
    let mut tunables = Tunables::default_u64();
    // Calls between components of WASI 0.2 know no tasks.
    tunables.concurrency_support = false;
    let mut validator = Validator::new_with_features(features);
    let mut types = ComponentTypesBuilder::new(&validator);
    let scope = ScopeVec::new();
    let translated = Translator::new(&tunables, &mut validator, &mut types, &scope).translate(bytes);
    let (translation, modules) = translated.map_err(|e| Failure::Invalid(format!("{e:#}")))?;
    let table_count = types.num_resource_tables() as u32;
    let (types, _) = types.finish(&translation.component);
    extent::check_modules(bytes, modules.values().map(|module| module.wasm.len())).map_err(Failure::Ours)?;
    let modules = modules.into_iter().map(|(_, module)| module.wasm.to_vec()).collect();
    let reader = Reader {
        world,
        component: &translation.component,
        types: &types,
        table_count,
        flags: Flags::find(world, &translation.component.initializers, &translation.trampolines),
        instances: Vec::new(),
        memories: HashMap::new(),
        reallocs: HashMap::new(),
        post_returns: HashMap::new(),
        lowered: HashMap::new(),
        destructors: HashMap::new(),
    };
    reader.read(modules, &translation.trampolines).map_err(Failure::Ours)
}

/// Collects what initializers say.
pub(super) struct Reader<'a> {
    world: World,
    pub(super) component: &'a Component,
    pub(super) types: &'a ComponentTypes,
    /// How many tables of handles there are.
    table_count: u32,
    flags: Flags,
    instances: Vec<FlatInstance>,
    /// By their numbers upstream, as are the others.
    memories: HashMap<u32, (usize, MemoryIndex)>,
    reallocs: HashMap<u32, CoreFunc>,
    post_returns: HashMap<u32, CoreFunc>,
    /// The import behind each lowered function.
    lowered: HashMap<u32, RuntimeImportIndex>,
    /// By number of the resource among those that the component defines.
    destructors: HashMap<u32, CoreFunc>,
}

impl Reader<'_> {
    fn read(
        mut self,
        mut modules: Vec<Vec<u8>>,
        trampolines: &PrimaryMap<TrampolineIndex, Upstream>,
    ) -> Result<FlatComponent> {
        let run = match self.world {
            World::Command => Some(self.run()?),
            World::Library => None,
        };
        if let Some(module) = self.flags.module() {
            let arguments = Vec::new();
            let name = "flags".to_owned();
            self.instances.push(FlatInstance { name, module: modules.len(), arguments, is_adapter: true });
            modules.push(module);
        }
        for initializer in &self.component.initializers {
            self.initializer(initializer)?;
        }
        let trampolines: Vec<_> = trampolines.values().map(|t| self.trampoline(t)).collect::<Result<_>>()?;
        let run = match run {
            None => None,
            Some(Definition::Export(instance, Entity::Func(func))) => Some((instance, func)),
            Some(_) => return Err(Error::input("`run` of the component is not a function of a core module")),
        };
        let lifted = match self.world {
            World::Command => Vec::new(),
            World::Library => self.lifted_functions()?,
        };
        let resources = match self.world {
            World::Command => Vec::new(),
            World::Library => self.defined_resources(),
        };
        let tables = (0..self.table_count).map(|table| self.table(TypeResourceTableIndex::from_u32(table)));
        let imports = trampolines.iter().filter_map(|trampoline| match &trampoline.work {
            Work::Import { name, .. } => Some(name.clone()),
            _ => None,
        });
        // Several components may import the same.
        let mut seen = HashSet::new();
        let imports = imports.filter(|import| seen.insert(import.clone())).collect();
        Ok(FlatComponent {
            modules,
            resources,
            tables: tables.collect::<Result<_>>()?,
            may_leave: self.flags.globals(),
            instances: self.instances,
            imports,
            trampolines,
            run,
            lifted,
            exports: self.component.exports.raw_iter().map(|(name, _)| name.to_string()).collect(),
        })
    }

    /// The function behind `run` of the exported `wasi:cli/run`.
    fn run(&self) -> Result<Definition> {
        let exports = self.component.exports.raw_iter();
        let exports: Vec<(&str, &Export)> =
            exports.map(|(name, (index, _))| (name.as_ref(), &self.component.export_items[*index])).collect();
        let found = exports.iter().find(|(name, _)| is_of_track(name, "wasi:cli/run"));
        let Some((name, Export::Instance { exports: functions, .. })) = found else {
            let names: Vec<_> = exports.iter().map(|(name, _)| format!("`{name}`")).collect();
            return Err(nothing_to_run(&names));
        };
        let run = functions.raw_iter().find(|(function, _)| AsRef::<str>::as_ref(*function) == "run");
        let run = run.map(|(_, (index, _))| &self.component.export_items[*index]);
        let Some(Export::LiftedFunction { func, options, .. }) = run else {
            return Err(Error::input(format!("the component's `{name}` has no function `run`")));
        };
        let options = &self.component.options[*options];
        if options.async_ || options.callback.is_some() {
            return Err(asynchronous(&format!("`run` of `{name}`")));
        }
        if options.post_return.is_some() {
            return Err(Error::input(format!(
                "`run` of `{name}` has a `post-return` function, which is not supported"
            ))
            .hint("toolchains write one for results that lie in memory only"));
        }
        self.definition(func)
    }

    fn initializer(&mut self, initializer: &GlobalInitializer) -> Result<()> {
        match initializer {
            GlobalInitializer::InstantiateModule(InstantiateModule::Static(module, arguments), component) => {
                let is_adapter = component.is_none();
                let number = self.instances.len() - self.flags.instance_count();
                let name = format!("{}{number}", if is_adapter { "adapter" } else { "core" });
                let arguments = arguments.iter().map(|def| self.definition(def)).collect::<Result<_>>()?;
                self.instances.push(FlatInstance { name, module: module.as_u32() as usize, arguments, is_adapter });
            }
            GlobalInitializer::InstantiateModule(InstantiateModule::Import(import, _), _) => {
                return Err(Error::input(format!("the component imports a core module, {}", self.import(*import)))
                    .hint("compose it with a component that has the module"));
            }
            GlobalInitializer::LowerImport { index, import } => {
                self.lowered.insert(index.as_u32(), *import);
            }
            GlobalInitializer::ExtractMemory(memory) => {
                let ExportItem::Index(index) = memory.export.item else { return Err(by_name()) };
                let instance = self.instance(memory.export.instance.as_u32());
                let place = (instance, MemoryIndex::from_u32(index.as_u32()));
                self.memories.insert(memory.index.as_u32(), place);
            }
            GlobalInitializer::ExtractRealloc(realloc) => {
                let func = self.core_func(&realloc.def, "`realloc`")?;
                self.reallocs.insert(realloc.index.as_u32(), func);
            }
            GlobalInitializer::ExtractCallback(_) => return Err(asynchronous("a function with a `callback`")),
            GlobalInitializer::ExtractPostReturn(post_return) => {
                let func = self.core_func(&post_return.def, "`post-return`")?;
                self.post_returns.insert(post_return.index.as_u32(), func);
            }
            // It is looked at where a function with one is called.
            GlobalInitializer::ExtractTable(_) => {}
            GlobalInitializer::Resource(resource) => {
                if let Some(destructor) = &resource.dtor {
                    let func = self.core_func(destructor, "a destructor")?;
                    self.destructors.insert(resource.index.as_u32(), func);
                }
            }
        }
        Ok(())
    }

    fn trampoline(&self, trampoline: &Upstream) -> Result<Trampoline> {
        let (component, work) = match trampoline {
            Upstream::LowerImport { index, options, lower_ty } => {
                let options = &self.component.options[*options];
                let import = self.lowered.get(&index.as_u32()).ok_or_else(by_name)?;
                (options.instance.as_u32(), self.lower(*import, *lower_ty, options)?)
            }
            Upstream::Transcoder { op, from, to, .. } => {
                (0, Work::Transcode { function: transcoder(*op), from: self.memory(*from)?, to: self.memory(*to)? })
            }
            Upstream::ResourceNew { instance, ty } => (instance.as_u32(), Work::ResourceNew(self.own_resource(*ty)?)),
            Upstream::ResourceRep { instance, ty } => (instance.as_u32(), Work::ResourceRep(self.own_resource(*ty)?)),
            Upstream::ResourceDrop { instance, ty } => (instance.as_u32(), self.drop_of(*ty)?),
            Upstream::ResourceTransferOwn => (0, Work::TransferOwn),
            Upstream::ResourceTransferBorrow => (0, Work::TransferBorrow),
            Upstream::EnterSyncCall => (0, Work::EnterCall),
            Upstream::ExitSyncCall => (0, Work::ExitCall),
            Upstream::Trap => (0, Work::Trap),
            other => return Err(asynchronous(&format!("`{}`", kind(other)))),
        };
        Ok(Trampoline { component, work })
    }

    /// A function of the host as a component calls it.
    fn lower(&self, import: RuntimeImportIndex, ty: TypeFuncIndex, options: &CanonicalOptions) -> Result<Work> {
        let name = self.import(import);
        check_track(&name, self.world)?;
        if options.async_ {
            return Err(asynchronous(&format!("an asynchronous call of {name}")));
        }
        if options.string_encoding != StringEncoding::Utf8 {
            return Err(unsupported(&format!("a call of {name} with strings that are not UTF-8")));
        }
        let CanonicalOptionsDataModel::LinearMemory(place) = &options.data_model else {
            return Err(unsupported(&format!("a call of {name} with objects of garbage collection")));
        };
        let ty = match self.world {
            World::Command => None,
            World::Library => Some(self.func_type(ty)?),
        };
        Ok(Work::Import {
            name,
            ty,
            memory: place.memory.and_then(|memory| self.memories.get(&memory.as_u32()).copied()),
            realloc: place.realloc.and_then(|realloc| self.reallocs.get(&realloc.as_u32()).copied()),
        })
    }

    fn memory(&self, memory: RuntimeMemoryIndex) -> Result<CoreMemory> {
        self.memories.get(&memory.as_u32()).copied().ok_or_else(by_name)
    }

    /// What dropping a handle of a table does.
    fn drop_of(&self, table: TypeResourceTableIndex) -> Result<Work> {
        match self.table(table)?.ok_or_else(by_name)?.resource {
            ResourceType::Own(ty) => Ok(Work::ResourceDrop { ty, destructor: self.destructors.get(&ty).copied() }),
            ResourceType::Imported(name) => {
                let name = ImportName { name: format!("[resource-drop]{}", name.name), ..name };
                check_track(&name, self.world)?;
                Ok(Work::Import { name, memory: None, realloc: None, ty: None })
            }
        }
    }

    /// The type of the resources of a table.
    pub(super) fn resource_type(&self, table: TypeResourceTableIndex) -> Result<ResourceType> {
        Ok(self.table(table)?.ok_or_else(by_name)?.resource)
    }

    /// The number of the type of a table, which a component has defined.
    fn own_resource(&self, table: TypeResourceTableIndex) -> Result<u32> {
        match self.table(table)? {
            Some(HandleTable { resource: ResourceType::Own(ty), .. }) => Ok(ty),
            _ => Err(Error::internal("a component makes a resource of a type that is not its own")),
        }
    }

    /// A table of handles; `None` where the type is never instantiated.
    fn table(&self, table: TypeResourceTableIndex) -> Result<Option<HandleTable>> {
        let TypeResourceTable::Concrete { ty, instance } = self.types[table] else { return Ok(None) };
        let (resource, definer) = self.resource(ty)?;
        let is_definer = definer == Some(instance.as_u32());
        Ok(Some(HandleTable { component: instance.as_u32(), resource, is_definer }))
    }

    /// A type of resources, and the component instance that has defined it.
    fn resource(&self, ty: ResourceIndex) -> Result<(ResourceType, Option<u32>)> {
        match self.component.defined_resource_index(ty) {
            Some(own) => {
                let definer = self.component.defined_resource_instances.get(own).ok_or_else(by_name)?;
                Ok((ResourceType::Own(own.as_u32()), Some(definer.as_u32())))
            }
            None => {
                let import = self.component.imported_resources.get(ty).ok_or_else(by_name)?;
                Ok((ResourceType::Imported(self.import(*import)), None))
            }
        }
    }

    /// The types of resources that the component has defined, by number.
    fn defined_resources(&self) -> Vec<DefinedResource> {
        let definers = self.component.defined_resource_instances.iter();
        let resource = |(own, definer): (DefinedResourceIndex, &RuntimeComponentInstanceIndex)| DefinedResource {
            component: definer.as_u32(),
            destructor: self.destructors.get(&own.as_u32()).copied(),
        };
        definers.map(resource).collect()
    }

    /// The name of an import.
    fn import(&self, import: RuntimeImportIndex) -> ImportName {
        let (index, path) = &self.component.imports[import];
        let (root, _) = &self.component.import_types[*index];
        match path.last() {
            Some(name) => ImportName { interface: root.clone(), name: name.clone() },
            None => ImportName { interface: "$root".to_owned(), name: root.clone() },
        }
    }

    /// The functions that the component exports.
    fn lifted_functions(&self) -> Result<Vec<Lifted>> {
        let mut found = Vec::new();
        for (name, (index, _)) in self.component.exports.raw_iter() {
            match &self.component.export_items[*index] {
                Export::LiftedFunction { ty, func, options } => {
                    found.push(self.lifted("", name.as_ref(), *ty, func, *options)?);
                }
                Export::Instance { exports, .. } => {
                    for (function, (index, _)) in exports.raw_iter() {
                        if let Export::LiftedFunction { ty, func, options } = &self.component.export_items[*index] {
                            found.push(self.lifted(name.as_ref(), function.as_ref(), *ty, func, *options)?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn lifted(
        &self,
        interface: &str,
        name: &str,
        ty: TypeFuncIndex,
        func: &CoreDef,
        options: OptionsIndex,
    ) -> Result<Lifted> {
        let described = || match interface {
            "" => format!("the exported function `{name}`"),
            _ => format!("`{name}` of the exported `{interface}`"),
        };
        let options = &self.component.options[options];
        if options.async_ || options.callback.is_some() {
            return Err(asynchronous(&described()));
        }
        if options.string_encoding != StringEncoding::Utf8 {
            return Err(unsupported(&format!("{} with strings that are not UTF-8", described())));
        }
        let CanonicalOptionsDataModel::LinearMemory(place) = &options.data_model else {
            return Err(unsupported(&format!("{} with objects of garbage collection", described())));
        };
        Ok(Lifted {
            interface: interface.to_owned(),
            name: name.to_owned(),
            func: self.core_func(func, &described())?,
            memory: place.memory.and_then(|memory| self.memories.get(&memory.as_u32()).copied()),
            realloc: place.realloc.and_then(|realloc| self.reallocs.get(&realloc.as_u32()).copied()),
            post_return: options.post_return.and_then(|func| self.post_returns.get(&func.as_u32()).copied()),
            component: options.instance.as_u32(),
            ty: self.func_type(ty).map_err(|e| e.context(described()))?,
        })
    }

    /// The number of an instance among ours, by its number upstream.
    fn instance(&self, upstream: u32) -> usize {
        upstream as usize + self.flags.instance_count()
    }

    /// A function that a core module has.
    fn core_func(&self, def: &CoreDef, what: &str) -> Result<CoreFunc> {
        match self.definition(def)? {
            Definition::Export(instance, Entity::Func(func)) => Ok((instance, func)),
            _ => Err(unsupported(&format!("{what} that no core module has"))),
        }
    }

    fn definition(&self, def: &CoreDef) -> Result<Definition> {
        match def {
            CoreDef::Export(export) => {
                let ExportItem::Index(index) = export.item else { return Err(by_name()) };
                Ok(Definition::Export(self.instance(export.instance.as_u32()), entity(index)))
            }
            CoreDef::Trampoline(index) => Ok(Definition::Trampoline(index.as_u32() as usize)),
            CoreDef::InstanceFlags(component) => {
                let (instance, global) = self.flags.global(component.as_u32()).ok_or_else(by_name)?;
                Ok(Definition::Export(instance, Entity::Global(global)))
            }
            CoreDef::UnsafeIntrinsic(_) => Err(asynchronous("`context.get` or `context.set`")),
            CoreDef::TaskMayBlock => Err(asynchronous("a call that may block")),
        }
    }
}

/// Something that a core module has, by its index in the module.
fn entity(index: EntityIndex) -> Entity {
    match index {
        EntityIndex::Function(func) => Entity::Func(FuncIndex::from_u32(func.as_u32())),
        EntityIndex::Table(table) => Entity::Table(TableIndex::from_u32(table.as_u32())),
        EntityIndex::Memory(memory) => Entity::Memory(MemoryIndex::from_u32(memory.as_u32())),
        EntityIndex::Global(global) => Entity::Global(GlobalIndex::from_u32(global.as_u32())),
        EntityIndex::Tag(tag) => Entity::Tag(TagIndex::from_u32(tag.as_u32())),
    }
}

/// The function of the runtime that copies a string in this way.
fn transcoder(op: Transcode) -> &'static str {
    match op {
        Transcode::Copy(FixedEncoding::Utf8) => "utf8_to_utf8",
        Transcode::Copy(FixedEncoding::Utf16) => "utf16_to_utf16",
        Transcode::Copy(FixedEncoding::Latin1) => "latin1_to_latin1",
        Transcode::Latin1ToUtf16 => "latin1_to_utf16",
        Transcode::Latin1ToUtf8 => "latin1_to_utf8",
        Transcode::Utf16ToCompactProbablyUtf16 => "utf16_to_compact_probably_utf16",
        Transcode::Utf16ToCompactUtf16 => "utf16_to_compact_utf16",
        Transcode::Utf16ToLatin1 => "utf16_to_latin1",
        Transcode::Utf16ToUtf8 => "utf16_to_utf8",
        Transcode::Utf8ToCompactUtf16 => "utf8_to_compact_utf16",
        Transcode::Utf8ToLatin1 => "utf8_to_latin1",
        Transcode::Utf8ToUtf16 => "utf8_to_utf16",
    }
}

/// The trap that adapters raise by this number.
pub(super) fn trap(code: u64) -> Option<CanonicalTrap> {
    Some(match Trap::from_u8(u8::try_from(code).ok()?)? {
        Trap::CannotEnterComponent => CanonicalTrap::CannotEnter,
        Trap::CannotLeaveComponent => CanonicalTrap::CannotLeave,
        Trap::InvalidChar => CanonicalTrap::InvalidChar,
        Trap::StringOutOfBounds => CanonicalTrap::StringOutOfBounds,
        Trap::ListOutOfBounds => CanonicalTrap::ListOutOfBounds,
        Trap::InvalidDiscriminant => CanonicalTrap::InvalidDiscriminant,
        Trap::UnalignedPointer => CanonicalTrap::UnalignedPointer,
        Trap::MemoryOutOfBounds => CanonicalTrap::MemoryOutOfBounds,
        Trap::UncaughtException => CanonicalTrap::UncaughtException,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_of_adapters_have_the_words_that_wasmtime_has() {
        let words: Vec<_> = CanonicalTrap::MESSAGES.lines().collect();
        let mut found = Vec::new();
        for (code, ours) in (0..=u8::MAX).filter_map(|code| Some((code, trap(code.into())?))) {
            let theirs = Trap::from_u8(code).unwrap().to_string();
            assert_eq!(theirs, format!("wasm trap: {}", words[ours as usize]));
            found.push(ours as u8);
        }
        found.sort_unstable();
        assert_eq!(found.len(), CanonicalTrap::ALL.len());
        assert_eq!(trap(u64::MAX), None);
    }
}
