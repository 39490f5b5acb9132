//! How the instances of a program are connected. An earlier instance or the runtime provides each import. An import
//! that nothing provides is an error that says what is available.

use std::collections::{BTreeMap, HashMap};

use cranelift_entity::{EntityRef as _, PrimaryMap};
use wasmparser::{AbstractHeapType, HeapType, RefType, UnpackedIndex, ValType};

use super::component::Provided;
use super::{Callee, Instance, InstanceIndex, TypeId, imports};
use crate::component::Definition;
use crate::error::{Error, Result};
use crate::module::{
    ConstValue, Entity, FuncType, GlobalIndex, Import, MemoryIndex, Module, TableIndex, TagIndex, TypeIndex,
};
use crate::options::Options;

/// Who owns what an instance can name, by its own indices: itself, or the instance that an import leads to.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Of tables.
    pub tables: PrimaryMap<TableIndex, (InstanceIndex, TableIndex)>,
    /// Of memories.
    pub memories: PrimaryMap<MemoryIndex, (InstanceIndex, MemoryIndex)>,
    /// Of globals.
    pub globals: PrimaryMap<GlobalIndex, (InstanceIndex, GlobalIndex)>,
    /// Of tags.
    pub tags: PrimaryMap<TagIndex, (InstanceIndex, TagIndex)>,
}

impl Owners {
    /// All that the module names is the instance's own.
    pub(super) fn own(module: &Module<'_>, instance: InstanceIndex) -> Self {
        Self {
            tables: module.tables.keys().map(|index| (instance, index)).collect(),
            memories: module.memories.keys().map(|index| (instance, index)).collect(),
            globals: module.globals.keys().map(|index| (instance, index)).collect(),
            tags: module.tags.keys().map(|index| (instance, index)).collect(),
        }
    }
}

/// Numbers function types across modules: equal types have equal numbers.
#[derive(Debug, Default)]
pub(super) struct Types {
    numbers: HashMap<FuncType, TypeId>,
}

impl Types {
    /// The number of each type of a module.
    pub(super) fn number(&mut self, module: &Module<'_>) -> PrimaryMap<TypeIndex, TypeId> {
        let mut numbers = PrimaryMap::with_capacity(module.types.len());
        for ty in module.types.values() {
            // A type refers to earlier ones of its module only, as long as recursive types are not accepted.
            let canonical = |types: &[ValType]| types.iter().map(|&ty| canonical(ty, &numbers)).collect();
            let ty = FuncType { params: canonical(&ty.params), results: canonical(&ty.results) };
            let next = self.numbers.len() as TypeId;
            let number = *self.numbers.entry(ty).or_insert(next);
            numbers.push(number);
        }
        numbers
    }
}

/// A value type in which the program's numbers stand for the module's.
fn canonical(ty: ValType, numbers: &PrimaryMap<TypeIndex, TypeId>) -> ValType {
    let ValType::Ref(reference) = ty else { return ty };
    let HeapType::Concrete(UnpackedIndex::Module(index)) = reference.heap_type() else { return ty };
    let number = numbers.get(TypeIndex::from_u32(index)).copied();
    let heap = number.map(|number| HeapType::Concrete(UnpackedIndex::Module(number)));
    heap.and_then(|heap| RefType::new(reference.is_nullable(), heap)).map_or(ty, ValType::Ref)
}

/// Whether each value of the first type, as [`canonical`] makes them, is one of the second.
fn is_subtype(sub: ValType, of: ValType) -> bool {
    let (ValType::Ref(a), ValType::Ref(b)) = (sub, of) else { return sub == of };
    let is_below = |a: HeapType, b: HeapType| {
        let HeapType::Abstract { shared: false, ty: top } = b else { return false };
        match a {
            HeapType::Concrete(_) => top == AbstractHeapType::Func,
            HeapType::Abstract { ty, .. } => matches!(
                (ty, top),
                (AbstractHeapType::NoFunc, AbstractHeapType::Func)
                    | (AbstractHeapType::NoExtern, AbstractHeapType::Extern)
                    | (AbstractHeapType::NoExn, AbstractHeapType::Exn)
            ),
            HeapType::Exact(_) => false,
        }
    };
    (b.is_nullable() || !a.is_nullable()) && (a.heap_type() == b.heap_type() || is_below(a.heap_type(), b.heap_type()))
}

/// What the imports of one module lead to.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) owners: Owners,
    /// Of imported functions.
    pub(super) callees: PrimaryMap<crate::module::FuncIndex, Callee>,
    /// Values of imported globals that are numbers known now.
    pub(super) constants: BTreeMap<GlobalIndex, ConstValue>,
}

impl Links {
    /// Of `module`, before any import is met.
    fn new(module: &Module<'_>, this: InstanceIndex) -> Self {
        Self {
            owners: Owners::own(module, this),
            callees: PrimaryMap::with_capacity(module.funcs.len()),
            constants: BTreeMap::new(),
        }
    }
}

/// Connects instances in their order.
#[derive(Debug, Default)]
pub(super) struct Linker<'data> {
    pub(super) types: Types,
    /// Shared memories that nothing provides: the program's own, by the names that they are imported by.
    shared: HashMap<(&'data str, &'data str), (InstanceIndex, MemoryIndex)>,
}

impl<'data> Linker<'data> {
    /// Meets the imports of `module`, the next instance after `earlier`, whose types have these numbers.
    pub(super) fn link(
        &mut self,
        module: &Module<'data>,
        numbers: &PrimaryMap<TypeIndex, TypeId>,
        earlier: &mut [Instance<'data>],
        options: &Options,
    ) -> Result<Links> {
        let this = InstanceIndex::from_u32(earlier.len() as u32);
        let mut links = Links::new(module, this);
        for (index, import) in module.imports.iter().enumerate() {
            match provider(import, earlier)? {
                Some((instance, export)) => {
                    let provider = &earlier[instance.index()];
                    if !matches(module, numbers, import.entity, provider, export, earlier) {
                        return Err(mismatch(module, import, provider, export));
                    }
                    connect(&mut links, (index, import.entity), instance, export, earlier);
                }
                None => self.link_to_runtime(&mut links, module, index, earlier, options)?,
            }
        }
        links.callees.extend(module.bodies.keys().map(Callee::Defined));
        Ok(links)
    }

    /// Meets the imports of a component's core module, the next instance after `earlier`: `arguments` says what each
    /// is, and `provided` what the functions are that no module defines. Validation of the component has compared types.
    pub(super) fn link_given(
        &mut self,
        module: &Module<'data>,
        numbers: &PrimaryMap<TypeIndex, TypeId>,
        earlier: &mut [Instance<'data>],
        arguments: &[Definition],
        provided: &[Provided],
    ) -> Result<Links> {
        let mut links = Links::new(module, InstanceIndex::new(earlier.len()));
        if module.imports.len() != arguments.len() {
            return Err(Error::internal("a component gives a module too few or too many arguments"));
        }
        for (index, (import, argument)) in module.imports.iter().zip(arguments).enumerate() {
            match (*argument, import.entity) {
                (Definition::Export(instance, export), _) => {
                    let provider =
                        earlier.get(instance).ok_or_else(|| Error::internal("an instance comes too late"))?;
                    if !matches(module, numbers, import.entity, provider, export, earlier) {
                        return Err(mismatch(module, import, provider, export));
                    }
                    connect(&mut links, (index, import.entity), InstanceIndex::new(instance), export, earlier);
                }
                (Definition::Trampoline(trampoline), Entity::Func(func)) => {
                    let ty = module.func_type(func);
                    links.callees.push(match provided[trampoline] {
                        Provided::Missing => Callee::Missing(index as u32),
                        Provided::Lowered(lowering, host) => {
                            host.map_or(Ok(()), |host| imports::check_type(import, ty, host))?;
                            Callee::Lowered(lowering)
                        }
                    });
                }
                (Definition::Trampoline(_), _) => return Err(Error::internal("a trampoline is no function")),
            }
        }
        links.callees.extend(module.bodies.keys().map(Callee::Defined));
        Ok(links)
    }

    fn link_to_runtime(
        &mut self,
        links: &mut Links,
        module: &Module<'data>,
        index: usize,
        earlier: &mut [Instance<'data>],
        options: &Options,
    ) -> Result<()> {
        let (this, import) = (InstanceIndex::new(earlier.len()), &module.imports[index]);
        match import.entity {
            Entity::Func(func) => {
                let names = || similar_exports(import.name, earlier);
                links.callees.push(imports::resolve_function(module, index, func, options, names)?);
            }
            // The program's own: the runtime makes it, and all who import it by its names share it.
            Entity::Memory(memory) if module.memories[memory].shared => {
                let owner = *self.shared.entry((import.module, import.name)).or_insert((this, memory));
                if owner.0 != this {
                    let provider = &earlier[owner.0.index()];
                    if !memories_match(&module.memories[memory], &provider.module.memories[owner.1]) {
                        return Err(mismatch(module, import, provider, Entity::Memory(owner.1)));
                    }
                    earlier[owner.0.index()].visible.memories.insert(owner.1);
                }
                links.owners.memories[memory] = owner;
            }
            entity => {
                let error = imports::unknown_entity(import, entity);
                return Err(similar_exports(import.name, earlier).into_iter().fold(error, Error::hint));
            }
        }
        Ok(())
    }
}

/// The instance, and its export, that an import names; `None` where no instance has the import's module name.
fn provider(import: &Import<'_>, earlier: &[Instance<'_>]) -> Result<Option<(InstanceIndex, Entity)>> {
    let Some(at) = earlier.iter().position(|instance| instance.name == import.module) else { return Ok(None) };
    match earlier[at].module.export(import.name) {
        Some(export) => Ok(Some((InstanceIndex::new(at), export))),
        // A module may stand in for a part of what the runtime has.
        None if wasmelt_abi::host::find(import.module, import.name).is_some() => Ok(None),
        None => {
            let error = Error::input(format!(
                "unknown import: {} `{}` from module `{}`, which exports nothing of that name",
                kind(import.entity),
                import.name,
                import.module
            ));
            Err(similar_exports(import.name, earlier).into_iter().fold(error, Error::hint))
        }
    }
}

/// What each module exports under a name like this one.
fn similar_exports(name: &str, earlier: &[Instance<'_>]) -> Vec<String> {
    let similar = earlier.iter().filter_map(|instance| {
        let exports = instance.module.exports.iter();
        let scored = exports.map(|export| (strsim::jaro_winkler(export.name, name), export));
        let best = scored.filter(|(score, _)| *score > 0.85).max_by(|a, b| a.0.total_cmp(&b.0));
        let (_, export) = best?;
        let ty = describe(&instance.module, export.entity);
        Some(format!("module `{}` exports `{}`: {ty}", instance.name, export.name))
    });
    similar.collect()
}

fn kind(entity: Entity) -> &'static str {
    match entity {
        Entity::Func(_) => "function",
        Entity::Table(_) => "table",
        Entity::Memory(_) => "memory",
        Entity::Global(_) => "global",
        Entity::Tag(_) => "tag",
    }
}

/// The type of something that can be imported, for messages.
fn describe(module: &Module<'_>, entity: Entity) -> String {
    let limits = |minimum: u64, maximum: Option<u64>| match maximum {
        Some(maximum) => format!("{minimum}..{maximum}"),
        None => format!("{minimum}.."),
    };
    match entity {
        Entity::Func(func) => format!("function {}", module.func_type(func)),
        Entity::Table(table) => {
            let table = &module.tables[table];
            let index = if table.index_64 { "i64 " } else { "" };
            format!("{index}table {} {}", limits(table.minimum, table.maximum), ValType::Ref(table.element))
        }
        Entity::Memory(memory) => {
            let memory = module.memories[memory];
            let words = [(memory.shared, "shared "), (memory.index_64, "i64 ")];
            let words: String = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
            let page = match memory.page_size_log2 {
                16 => String::new(),
                log2 => format!(" pages of {} bytes", 1u64 << log2),
            };
            format!("{words}memory {}{page}", limits(memory.minimum_pages, memory.maximum_pages))
        }
        Entity::Global(global) => {
            let global = &module.globals[global];
            format!("{}global {}", if global.mutable { "mutable " } else { "" }, global.ty)
        }
        Entity::Tag(tag) => format!("tag {}", module.types[module.tags[tag]]),
    }
}

fn mismatch(module: &Module<'_>, import: &Import<'_>, provider: &Instance<'_>, export: Entity) -> Error {
    Error::input(format!(
        "import `{}` from module `{}` has the wrong type: it is imported as {}, and `{}` has {}",
        import.name,
        import.module,
        describe(module, import.entity),
        provider.name,
        describe(&provider.module, export)
    ))
}

/// Whether what is exported may be imported as what the module says.
/// Source: specification, "Import Matching" (exec/modules.html, valid/matching.html).
fn matches(
    module: &Module<'_>,
    numbers: &PrimaryMap<TypeIndex, TypeId>,
    import: Entity,
    provider: &Instance<'_>,
    export: Entity,
    earlier: &[Instance<'_>],
) -> bool {
    let theirs = |ty: ValType| canonical(ty, &provider.type_numbers);
    let ours = |ty: ValType| canonical(ty, numbers);
    match (import, export) {
        (Entity::Func(import), Entity::Func(export)) => numbers[module.funcs[import].ty] == provider.type_ids[export],
        (Entity::Table(import), Entity::Table(export)) => {
            // Limits are those that its owner gave it, not those with which the provider imports it.
            let (owner, index) = provider.owners.tables[export];
            let owned = &earlier[owner.index()].module.tables[index];
            let (import, export) = (&module.tables[import], &provider.module.tables[export]);
            ours(ValType::Ref(import.element)) == theirs(ValType::Ref(export.element))
                && import.index_64 == export.index_64
                && limits_match([import.minimum, owned.minimum], [import.maximum, owned.maximum])
        }
        (Entity::Memory(import), Entity::Memory(export)) => {
            let (owner, index) = provider.owners.memories[export];
            memories_match(&module.memories[import], &earlier[owner.index()].module.memories[index])
        }
        (Entity::Global(import), Entity::Global(export)) => {
            let (import, export) = (&module.globals[import], &provider.module.globals[export]);
            let (to, from) = (ours(import.ty), theirs(export.ty));
            import.mutable == export.mutable && if import.mutable { to == from } else { is_subtype(from, to) }
        }
        (Entity::Tag(import), Entity::Tag(export)) => {
            numbers[module.tags[import]] == provider.type_numbers[provider.module.tags[export]]
        }
        _ => false,
    }
}

/// Whether limits that are imported allow those that are exported.
fn limits_match([import, export]: [u64; 2], maxima: [Option<u64>; 2]) -> bool {
    let within = match maxima {
        [None, _] => true,
        [Some(import), Some(export)] => export <= import,
        [Some(_), None] => false,
    };
    export >= import && within
}

fn memories_match(import: &crate::module::Memory, export: &crate::module::Memory) -> bool {
    import.shared == export.shared
        && import.index_64 == export.index_64
        && import.page_size_log2 == export.page_size_log2
        && limits_match([import.minimum_pages, export.minimum_pages], [import.maximum_pages, export.maximum_pages])
}

/// Writes down where an import leads, through all modules that only pass it on.
fn connect(
    links: &mut Links,
    (index, import): (usize, Entity),
    instance: InstanceIndex,
    export: Entity,
    earlier: &mut [Instance<'_>],
) {
    let provider = &earlier[instance.index()];
    match (import, export) {
        (Entity::Func(_), Entity::Func(export)) => {
            links.callees.push(match provider.callees[export] {
                Callee::Defined(func) => Callee::Foreign(instance, func),
                Callee::Missing(_) => Callee::Missing(index as u32),
                other => other,
            });
        }
        (Entity::Table(import), Entity::Table(export)) => {
            let owner = provider.owners.tables[export];
            links.owners.tables[import] = owner;
            earlier[owner.0.index()].visible.tables.insert(owner.1);
        }
        (Entity::Memory(import), Entity::Memory(export)) => {
            let owner = provider.owners.memories[export];
            links.owners.memories[import] = owner;
            earlier[owner.0.index()].visible.memories.insert(owner.1);
        }
        (Entity::Global(import), Entity::Global(export)) => {
            let owner = provider.owners.globals[export];
            links.owners.globals[import] = owner;
            let theirs = &mut earlier[owner.0.index()];
            let is_constant = !theirs.module.globals[owner.1].mutable;
            if let Some(value) =
                theirs.constant_global(owner.1).filter(|value| is_constant && value.as_func().is_none())
            {
                links.constants.insert(import, value);
            }
            theirs.visible.globals.insert(owner.1);
        }
        (Entity::Tag(import), Entity::Tag(export)) => links.owners.tags[import] = provider.owners.tags[export],
        // Their kinds are the same: that was checked.
        _ => {}
    }
}
