//! Modules that are linked with others: imports of what another module exports, and the driver of a program of several
//! modules as a module of its own, the last of the program.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{EntityType, GlobalType, ImportSection, MemoryType, TableType, TagKind, TagType, TypeSection};
use wasmelt::module::{self, Entity, FuncIndex, FuncType, GlobalIndex, MemoryIndex, Module, TableIndex};
use wasmparser::ValType;

use crate::configuration::all_features;
use crate::instrument::instrument;
use crate::observe::{Call, Export, Part, Plan};

/// Types and imports of a module that imports what others export.
#[derive(Default)]
pub(crate) struct Imports {
    pub(crate) types: TypeSection,
    pub(crate) section: ImportSection,
}

impl Imports {
    /// Imports from the module `from` its export `name`, which is `entity` of `module`.
    pub(crate) fn add(&mut self, from: &str, name: &str, module: &Module<'_>, entity: Entity) -> Result<(), String> {
        let ty = match entity {
            Entity::Func(func) => EntityType::Function(self.add_type(module.func_type(func))?),
            Entity::Tag(tag) => {
                let func_type_idx = self.add_type(&module.types[module.tags[tag]])?;
                EntityType::Tag(TagType { kind: TagKind::Exception, func_type_idx })
            }
            Entity::Table(table) => {
                let table = &module.tables[table];
                EntityType::Table(TableType {
                    element_type: RoundtripReencoder.ref_type(table.element).map_err(|e| e.to_string())?,
                    table64: table.index_64,
                    minimum: table.minimum,
                    maximum: table.maximum,
                    shared: false,
                })
            }
            Entity::Memory(memory) => {
                let memory = module.memories[memory];
                EntityType::Memory(MemoryType {
                    minimum: memory.minimum_pages,
                    maximum: memory.maximum_pages,
                    memory64: memory.index_64,
                    shared: memory.shared,
                    page_size_log2: (memory.page_size_log2 != 16).then_some(memory.page_size_log2),
                })
            }
            Entity::Global(global) => {
                let global = &module.globals[global];
                EntityType::Global(GlobalType {
                    val_type: value_type(global.ty)?,
                    mutable: global.mutable,
                    shared: false,
                })
            }
        };
        self.section.import(from, name, ty);
        Ok(())
    }

    fn add_type(&mut self, ty: &FuncType) -> Result<u32, String> {
        add_type(&mut self.types, ty)
    }

    /// The module with these imports and nothing else.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut module = wasm_encoder::Module::new();
        module.section(&self.types).section(&self.section);
        module.finish()
    }
}

fn value_type(ty: ValType) -> Result<wasm_encoder::ValType, String> {
    RoundtripReencoder.val_type(ty).map_err(|e| e.to_string())
}

/// Adds a type. Its index in the section.
pub(crate) fn add_type(types: &mut TypeSection, ty: &FuncType) -> Result<u32, String> {
    let [params, results] =
        [&ty.params, &ty.results].map(|list| list.iter().map(|&ty| value_type(ty)).collect::<Result<Vec<_>, _>>());
    types.ty().function(params?, results?);
    Ok(types.len() - 1)
}

/// The module that performs the plan on the others.
pub fn driver(program: &[Part], modules: &[Module<'_>], plan: &Plan) -> Result<Vec<u8>, String> {
    let mut imports = Imports::default();
    let mut own = Plan { after: plan.after, ..Plan::default() };
    for (number, call) in (0..).zip(&plan.calls) {
        let export = import(&mut imports, program, modules, &call.export, (Entity::Func, FuncIndex::from_u32(number)))?;
        own.calls.push(Call { export, ..call.clone() });
    }
    for (number, (global, ty)) in (0..).zip(&plan.globals) {
        own.globals.push((
            import(&mut imports, program, modules, global, (Entity::Global, GlobalIndex::from_u32(number)))?,
            *ty,
        ));
    }
    for (number, memory) in (0..).zip(&plan.memories) {
        own.memories.push(import(
            &mut imports,
            program,
            modules,
            memory,
            (Entity::Memory, MemoryIndex::from_u32(number)),
        )?);
    }
    for (number, table) in (0..).zip(&plan.tables) {
        own.tables.push(import(&mut imports, program, modules, table, (Entity::Table, TableIndex::from_u32(number)))?);
    }
    let wasm = imports.finish();
    let parsed = module::parse(&wasm, all_features()).map_err(|e| e.to_string())?;
    instrument(&wasm, &parsed, &own)
}

/// Imports an export, which the importing module knows by an index of its own.
fn import<T: Copy>(
    imports: &mut Imports,
    program: &[Part],
    modules: &[Module<'_>],
    export: &Export<T>,
    (entity, index): (fn(T) -> Entity, T),
) -> Result<Export<T>, String> {
    let Export { part, name, .. } = export;
    imports.add(&program[*part].name, name, &modules[*part], entity(export.index))?;
    Ok(Export { part: 0, name: name.clone(), index })
}
