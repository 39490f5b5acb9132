//! What a library imports and exports, as the image holds it: a planned instance goes in, lists of
//! [`wasmelt_abi::interface`] come out.

use std::collections::{BTreeSet, HashMap};

use wasmelt_abi::interface::{self as abi, Kind, MAX_TYPES, TypeCode};
use wasmparser::{AbstractHeapType, HeapType, RefType, UnpackedIndex, ValType};

use super::{GlobalPlace, Instance, InstanceIndex, Piece, Program, TablePlace, TypeId};
use crate::error::{Error, Result};
use crate::image::{EntityPlan, Export, FuncTypeEntry, Import, Interface};
use crate::module::{Entity, FuncIndex, GlobalIndex, MemoryIndex, Module, TableIndex, TypeIndex};
use crate::options::Options;

/// Code between the calling conventions of the host and of wasm functions, by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trampolines {
    /// Types whose functions the host may call: of all functions that can leave the module.
    pub to_wasm: BTreeSet<TypeId>,
    /// Types whose functions the host may provide.
    pub to_host: BTreeSet<TypeId>,
}

/// Each different type of the module, by its number.
pub(super) fn types_by_number(module: &Module<'_>) -> Vec<TypeIndex> {
    let mut types = Vec::new();
    for (index, &number) in &module.canonical_types {
        if number as usize == types.len() {
            types.push(index);
        }
    }
    types
}

impl Instance<'_> {
    /// The trampolines that a library needs.
    pub fn trampolines(&self) -> Trampolines {
        let imports = (0..self.module.imported_funcs as u32).map(FuncIndex::from_u32);
        Trampolines {
            to_wasm: self.records.iter().map(|&func| self.type_ids[func]).collect(),
            to_host: imports.map(|func| self.type_ids[func]).collect(),
        }
    }

    /// The lists of the library, which is this instance of `program`.
    pub fn interface(
        &self,
        name: &str,
        program: &Program<'_>,
        instance: InstanceIndex,
        options: &Options,
    ) -> Result<Interface> {
        let module = &self.module;
        let (globals, global_numbers) = self.shared_globals()?;
        let place = |entity: Entity, name: &str| {
            let number = self.place_in_interface(entity, &global_numbers);
            number.ok_or_else(|| Error::internal(format!("`{name}` has no place in the context")))
        };
        let imports = module.imports.iter().map(|import| {
            let (kind, index) = place(import.entity, import.name)?;
            Ok(Import { module: import.module.to_owned(), name: import.name.to_owned(), kind, index })
        });
        let exports = module.exports.iter().map(|export| {
            let (kind, index) = place(export.entity, export.name)?;
            Ok(Export { name: export.name.to_owned(), kind, index })
        });
        let funcs = self.records.iter().map(|&func| match module.defined_func(func) {
            Some(_) => program.record(instance, func).map(|record| (Some(record.function), record.type_id)),
            None => Ok((None, self.type_ids[func])),
        });
        let tables = module.tables.keys().filter_map(|index| self.table_entity(index).transpose());
        Ok(Interface {
            name: name.to_owned(),
            types: self.type_entries(program, instance)?,
            imports: imports.collect::<Result<_>>()?,
            exports: exports.collect::<Result<_>>()?,
            funcs: funcs.collect::<Result<_>>()?,
            tables: tables.collect::<Result<_>>()?,
            memories: module.memories.keys().map(|index| self.memory_entity(index)).collect(),
            globals,
            tags: module.tags.values().map(|&ty| module.canonical_types[ty]).collect(),
            elements: self.element_segments.values().cloned().collect(),
            func_refs_offset: self.func_refs_offset,
            imported: [
                module.imported_funcs as u32,
                module.imported_tables as u32,
                module.imported_memories as u32,
                module.imported_globals as u32,
                module.imports.iter().filter(|import| matches!(import.entity, Entity::Tag(_))).count() as u32,
            ],
            flags: flags(options),
        })
    }

    /// All function types with their trampolines.
    fn type_entries(&self, program: &Program<'_>, instance: InstanceIndex) -> Result<Vec<FuncTypeEntry>> {
        let types = &self.types;
        if types.len() > MAX_TYPES as usize {
            return Err(Error::input(format!("a library may have {MAX_TYPES} function types, not {}", types.len())));
        }
        let codes = |list: &[ValType]| list.iter().map(|&ty| self.type_code(ty)).collect::<Result<Vec<_>>>();
        let entry = |(number, &index): (usize, &TypeIndex)| {
            let ty = &self.module.types[index];
            let number = number as TypeId;
            let code = |piece| program.functions.id(piece).map(|id| id.as_u32());
            let to_wasm = code(Piece::ToWasm(instance, number));
            let to_host = code(Piece::ToHost(instance, number));
            Ok(FuncTypeEntry { params: codes(&ty.params)?, results: codes(&ty.results)?, to_wasm, to_host })
        };
        types.iter().enumerate().map(entry).collect()
    }

    /// The globals that are imported or that others can import, and their numbers among these.
    fn shared_globals(&self) -> Result<(Vec<EntityPlan>, HashMap<GlobalIndex, u32>)> {
        let (mut globals, mut numbers) = (Vec::new(), HashMap::new());
        for (index, global) in &self.module.globals {
            let context_offset = match self.globals[index] {
                GlobalPlace::Context(offset) | GlobalPlace::Imported(offset) if global.init.is_none() => offset,
                _ => match self.global_homes.get(&index) {
                    Some(&offset) => offset,
                    None => continue,
                },
            };
            numbers.insert(index, globals.len() as u32);
            globals.push(EntityPlan {
                minimum: 0,
                maximum: 0,
                ty: self.type_code(global.ty)?,
                context_offset,
                page_size_log2: 0,
                flags: if global.mutable { EntityPlan::MUTABLE } else { 0 },
                reserved: 0,
            });
        }
        Ok((globals, numbers))
    }

    /// The kind of an entity and its place in the list of its kind.
    fn place_in_interface(&self, entity: Entity, globals: &HashMap<GlobalIndex, u32>) -> Option<(Kind, u32)> {
        match entity {
            Entity::Func(func) => self.record_of.get(&func).map(|&record| (Kind::Func, record)),
            Entity::Table(table) => match self.tables[table] {
                TablePlace::Dynamic(place) => Some((Kind::Table, place)),
                TablePlace::Const(_) | TablePlace::Foreign(..) | TablePlace::Unused => None,
            },
            Entity::Memory(memory) => Some((Kind::Memory, memory.as_u32())),
            Entity::Global(global) => globals.get(&global).map(|&number| (Kind::Global, number)),
            Entity::Tag(tag) => Some((Kind::Tag, tag.as_u32())),
        }
    }

    /// A table that others can reach or code can change; `None` for the others.
    fn table_entity(&self, index: TableIndex) -> Result<Option<EntityPlan>> {
        let TablePlace::Dynamic(place) = self.tables[index] else { return Ok(None) };
        let table = &self.module.tables[index];
        let flags = if table.index_64 { EntityPlan::INDEX_64 } else { 0 };
        Ok(Some(EntityPlan {
            minimum: table.minimum,
            maximum: table.maximum.unwrap_or(0),
            ty: self.type_code(ValType::Ref(table.element))?,
            context_offset: self.table_plans[place as usize].context_offset,
            page_size_log2: 0,
            flags: flags | limited(table.maximum),
            reserved: 0,
        }))
    }

    fn memory_entity(&self, index: MemoryIndex) -> EntityPlan {
        let (memory, plan) = (self.module.memories[index], self.memories[index]);
        let mut flags = if memory.index_64 { EntityPlan::INDEX_64 } else { 0 };
        if plan.flags & wasmelt_abi::descriptor::MemoryPlan::SHARED != 0 {
            flags |= EntityPlan::SHARED;
        }
        EntityPlan {
            minimum: memory.minimum_pages,
            maximum: memory.maximum_pages.unwrap_or(0),
            ty: TypeCode(0),
            context_offset: plan.context_offset,
            page_size_log2: plan.page_size_log2,
            flags: flags | limited(memory.maximum_pages),
            reserved: 0,
        }
    }

    fn type_code(&self, ty: ValType) -> Result<TypeCode> {
        Ok(match ty {
            ValType::I32 => TypeCode::I32,
            ValType::I64 => TypeCode::I64,
            ValType::F32 => TypeCode::F32,
            ValType::F64 => TypeCode::F64,
            ValType::V128 => TypeCode::V128,
            ValType::Ref(ty) => return self.reference_code(ty),
        })
    }

    fn reference_code(&self, ty: RefType) -> Result<TypeCode> {
        let heap = match ty.heap_type() {
            HeapType::Concrete(UnpackedIndex::Module(index)) => {
                let number = self.module.canonical_types[TypeIndex::from_u32(index)];
                return Ok(TypeCode::typed_reference(ty.is_nullable(), number));
            }
            HeapType::Abstract { ty: AbstractHeapType::Func, .. } => TypeCode::HEAP_FUNC,
            HeapType::Abstract { ty: AbstractHeapType::Extern, .. } => TypeCode::HEAP_EXTERN,
            HeapType::Abstract { ty: AbstractHeapType::Exn, .. } => TypeCode::HEAP_EXN,
            HeapType::Abstract { ty: AbstractHeapType::NoFunc, .. } => TypeCode::HEAP_NOFUNC,
            HeapType::Abstract { ty: AbstractHeapType::NoExtern, .. } => TypeCode::HEAP_NOEXTERN,
            HeapType::Abstract { ty: AbstractHeapType::NoExn, .. } => TypeCode::HEAP_NOEXN,
            _ => return Err(Error::input(format!("a library cannot import or export values of type {ty}"))),
        };
        Ok(TypeCode::reference(ty.is_nullable(), heap))
    }
}

/// What code does for its host.
fn flags(options: &Options) -> u32 {
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    flag(options.stops.fuel, abi::Interface::COUNTS_FUEL)
        | flag(options.stops.interrupt, abi::Interface::INTERRUPTIBLE)
        | flag(options.raises_traps(), abi::Interface::RAISES_TRAPS)
}

/// The flag that says whether a type sets an upper limit.
fn limited(maximum: Option<u64>) -> u16 {
    if maximum.is_some() { EntityPlan::HAS_MAXIMUM } else { 0 }
}
