//! `wasmtime-environ`'s view of a component, as our own plain data. What cannot be expressed is refused by name.

use std::collections::HashMap;

use wasmtime_environ::component::{
    CanonicalOptionsDataModel, Component, ComponentTypes, ComponentTypesBuilder, CoreDef, Export, ExportItem,
    GlobalInitializer, InstantiateModule, ResourceIndex, RuntimeImportIndex, StringEncoding, Trampoline as Upstream,
    TrampolineIndex, Translator, TypeResourceTable,
};
use wasmtime_environ::wasmparser::{Validator, WasmFeatures};
use wasmtime_environ::{EntityIndex, PrimaryMap, ScopeVec, Tunables};

use super::{CoreFunc, Definition, FlatComponent, FlatInstance, ImportName, Trampoline, unsupported};
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
const COMPONENTS: WasmFeatures =
    WasmFeatures::COMPONENT_MODEL.union(WasmFeatures::CM_ASYNC).union(WasmFeatures::CM_ERROR_CONTEXT);

/// Flattens a component.
pub(super) fn flatten(bytes: &[u8]) -> Result<FlatComponent> {
    // Where exceptions are on, each adapter gets a barrier against them: they are on where they are used.
    flatten_with(bytes, COMPONENTS.union(CORE))
        .or_else(|first| flatten_with(bytes, COMPONENTS.union(CORE).union(WasmFeatures::EXCEPTIONS)).map_err(|_| first))
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

fn flatten_with(bytes: &[u8], features: WasmFeatures) -> std::result::Result<FlatComponent, Failure> {
    // Independent of the machine that compiles.
    let mut tunables = Tunables::default_u64();
    // Calls between components of WASI 0.2 know no tasks.
    tunables.concurrency_support = false;
    let mut validator = Validator::new_with_features(features);
    let mut types = ComponentTypesBuilder::new(&validator);
    let scope = ScopeVec::new();
    let translated = Translator::new(&tunables, &mut validator, &mut types, &scope).translate(bytes);
    let (translation, modules) = translated.map_err(|e| Failure::Invalid(format!("{e:#}")))?;
    let (types, _) = types.finish(&translation.component);
    let modules = modules.into_iter().map(|(_, module)| module.wasm.to_vec()).collect();
    let reader = Reader {
        component: &translation.component,
        types: &types,
        instances: Vec::new(),
        memories: HashMap::new(),
        reallocs: HashMap::new(),
        lowered: HashMap::new(),
    };
    reader.read(modules, &translation.trampolines).map_err(Failure::Ours)
}

/// Collects what initializers say.
struct Reader<'a> {
    component: &'a Component,
    types: &'a ComponentTypes,
    instances: Vec<FlatInstance>,
    /// By their numbers upstream, as are the others.
    memories: HashMap<u32, (usize, MemoryIndex)>,
    reallocs: HashMap<u32, CoreFunc>,
    /// The import behind each lowered function.
    lowered: HashMap<u32, RuntimeImportIndex>,
}

impl Reader<'_> {
    fn read(
        mut self,
        modules: Vec<Vec<u8>>,
        trampolines: &PrimaryMap<TrampolineIndex, Upstream>,
    ) -> Result<FlatComponent> {
        let run = self.run()?;
        for initializer in &self.component.initializers {
            self.initializer(initializer)?;
        }
        let trampolines: Vec<_> = trampolines.values().map(|t| self.trampoline(t)).collect::<Result<_>>()?;
        let run = match run {
            Definition::Export(instance, Entity::Func(func)) => (instance, func),
            _ => return Err(Error::input("`run` of the component is not a function of a core module")),
        };
        Ok(FlatComponent {
            modules,
            instances: self.instances,
            imports: trampolines.iter().map(|trampoline| trampoline.import.clone()).collect(),
            trampolines,
            run,
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
        definition(func)
    }

    fn initializer(&mut self, initializer: &GlobalInitializer) -> Result<()> {
        match initializer {
            GlobalInitializer::InstantiateModule(InstantiateModule::Static(module, arguments), _) => {
                let name = format!("core{}", self.instances.len());
                let arguments = arguments.iter().map(definition).collect::<Result<_>>()?;
                self.instances.push(FlatInstance { name, module: module.as_u32() as usize, arguments });
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
                let place = (memory.export.instance.as_u32() as usize, MemoryIndex::from_u32(index.as_u32()));
                self.memories.insert(memory.index.as_u32(), place);
            }
            GlobalInitializer::ExtractRealloc(realloc) => {
                let Definition::Export(instance, Entity::Func(func)) = definition(&realloc.def)? else {
                    return Err(unsupported("`realloc` that no core module has"));
                };
                self.reallocs.insert(realloc.index.as_u32(), (instance, func));
            }
            GlobalInitializer::ExtractCallback(_) => return Err(asynchronous("a function with a `callback`")),
            // They are looked at where a function with them is called.
            GlobalInitializer::ExtractPostReturn(_) | GlobalInitializer::ExtractTable(_) => {}
            GlobalInitializer::Resource(_) => return Err(unsupported("a resource type of its own")),
        }
        Ok(())
    }

    fn trampoline(&self, trampoline: &Upstream) -> Result<Trampoline> {
        match trampoline {
            Upstream::LowerImport { index, options, .. } => {
                let import = self.lowered.get(&index.as_u32()).ok_or_else(by_name)?;
                let import = self.import(*import);
                check_track(&import)?;
                let options = &self.component.options[*options];
                if options.async_ {
                    return Err(asynchronous(&format!("an asynchronous call of {import}")));
                }
                if options.string_encoding != StringEncoding::Utf8 {
                    return Err(unsupported(&format!("a call of {import} with strings that are not UTF-8")));
                }
                let CanonicalOptionsDataModel::LinearMemory(place) = &options.data_model else {
                    return Err(unsupported(&format!("a call of {import} with objects of garbage collection")));
                };
                Ok(Trampoline {
                    import,
                    component: options.instance.as_u32(),
                    memory: place.memory.and_then(|memory| self.memories.get(&memory.as_u32()).copied()),
                    realloc: place.realloc.and_then(|realloc| self.reallocs.get(&realloc.as_u32()).copied()),
                })
            }
            Upstream::ResourceDrop { instance, ty } => {
                let TypeResourceTable::Concrete { ty, .. } = self.types[*ty] else { return Err(by_name()) };
                let mut import = self.import(self.imported_resource(ty)?);
                import.name = format!("[resource-drop]{}", import.name);
                check_track(&import)?;
                Ok(Trampoline { import, component: instance.as_u32(), memory: None, realloc: None })
            }
            other => Err(unsupported(&format!("`{}`", kind(other)))),
        }
    }

    fn imported_resource(&self, ty: ResourceIndex) -> Result<RuntimeImportIndex> {
        let import = self.component.imported_resources.get(ty).copied();
        import.ok_or_else(|| unsupported("a resource type of its own"))
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
}

fn definition(def: &CoreDef) -> Result<Definition> {
    match def {
        CoreDef::Export(export) => {
            let ExportItem::Index(index) = export.item else { return Err(by_name()) };
            let entity = match index {
                EntityIndex::Function(func) => Entity::Func(FuncIndex::from_u32(func.as_u32())),
                EntityIndex::Table(table) => Entity::Table(TableIndex::from_u32(table.as_u32())),
                EntityIndex::Memory(memory) => Entity::Memory(MemoryIndex::from_u32(memory.as_u32())),
                EntityIndex::Global(global) => Entity::Global(GlobalIndex::from_u32(global.as_u32())),
                EntityIndex::Tag(tag) => Entity::Tag(TagIndex::from_u32(tag.as_u32())),
            };
            Ok(Definition::Export(export.instance.as_u32() as usize, entity))
        }
        CoreDef::Trampoline(index) => Ok(Definition::Trampoline(index.as_u32() as usize)),
        CoreDef::InstanceFlags(_) => Err(unsupported("calls between components")),
        CoreDef::UnsafeIntrinsic(_) => Err(asynchronous("`context.get` or `context.set`")),
        CoreDef::TaskMayBlock => Err(asynchronous("a call that may block")),
    }
}

/// Whether a name is that of an interface in a version 0.2.
fn is_of_track(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface).and_then(|rest| rest.strip_prefix("@0.2.")).is_some()
}

/// Refuses by name what later versions of WASI and other worlds have.
fn check_track(import: &ImportName) -> Result<()> {
    let Some((interface, version)) = import.interface.split_once('@') else { return Ok(()) };
    if interface.starts_with("wasi:http/") {
        return Err(Error::input(format!("the component imports {import}, and HTTP is not supported yet"))
            .hint("programs that use files, streams, clocks and random numbers alone can be compiled"));
    }
    if interface.starts_with("wasi:") && version.starts_with("0.3") {
        return Err(asynchronous(&import.to_string()));
    }
    Ok(())
}

fn nothing_to_run(exports: &[String]) -> Error {
    let text = exports.join(", ");
    let what = match exports {
        [] => "it exports nothing".to_owned(),
        _ => format!("it exports {text}"),
    };
    if text.contains("wasi:cli/run@0.3") {
        return asynchronous("the exported `wasi:cli/run@0.3`");
    }
    let error =
        Error::input(format!("the component exports no `wasi:cli/run@0.2`, so there is nothing to run: {what}"));
    if text.contains("wasi:http/") {
        return error.hint("servers for HTTP (the world `wasi:http/proxy`) are not supported yet");
    }
    error.hint("a program for `wasm32-wasip2` is a command: it has a function `main`")
}

fn asynchronous(what: &str) -> Error {
    Error::input(format!("the component uses {what}: asynchronous components (WASI 0.3) are not supported yet"))
        .hint("build the program for WASI 0.2, `wasm32-wasip2`")
}

fn by_name() -> Error {
    Error::internal("a component refers to what has no number")
}

/// The name of a trampoline upstream, without its fields.
fn kind(trampoline: &Upstream) -> String {
    let text = format!("{trampoline:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
