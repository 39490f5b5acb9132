//! The mode `pairs`: two generated modules that use each other, as one executable and as libraries that are connected, and
//! in wasmtime. An input is a few bytes that decide the options, then what `wasm-smith` reads for one module and for the
//! other.
//!
//! `b` imports what `a` exports: functions, tables, memories, globals and tags, in some programs from two instances of `a`.
//! To let `a` call `b` as well, `a` gets a table of functions and a function for each element, which calls the element; a
//! third module, `glue`, puts functions of `b` into the table.

use arbitrary::Unstructured;
use wasm_encoder::{
    CodeSection, ConstExpr, ElementSection, Elements, ExportKind, ExportSection, Function, FunctionSection,
    Instruction, RefType, TableSection, TableType, TypeSection,
};
use wasm_smith::{Config, InstructionKind, InstructionKinds};
use wasmelt::module::{self, Entity, FuncIndex, Module, TableIndex};

use crate::bytes::{OPTION_BYTES, split};
use crate::compare::{Way, judge};
use crate::configuration::all_features;
use crate::instrument::{append, assemble, sections};
use crate::linked::{Imports, add_type};
use crate::observe::{ADDED_EXPORT, FUEL_EXPORT, HASH_EXPORT, Part};
use crate::{Finding, Outcome, alive, exec};

/// Exports of `a`: its table of functions of `b`, what calls the elements, and its tags.
const TABLE_EXPORT: &str = "wasmelt fuzz table";
const CALL_EXPORT: &str = "wasmelt fuzz call ";
const TAG_EXPORT: &str = "wasmelt fuzz tag ";

/// Functions of `b` that `a` can call, at most.
const MAX_CALLED_BACK: usize = 12;

/// What decides the options, and the modules; `None` where the input is too short for them.
pub fn program(data: &[u8]) -> Option<([u8; OPTION_BYTES], Vec<Part>)> {
    let (bytes, rest) = split(data);
    let [_, _, alive, twice, tail, ..] = bytes;
    let (first, second) = rest.split_at(rest.len() / 2);
    let mut first = Unstructured::new(first);
    let mut second = Unstructured::new(second);
    let config = config(&mut first).ok()?;
    let a = export_tags(&exec::generate(config.clone(), &mut first)?)?;
    let names: &[&str] = if twice.is_multiple_of(4) { &["a", "again"] } else { &["a"] };
    let parsed = module::parse(&a, all_features()).ok()?;
    let b = exec::generate(config_of_importer(config, &parsed, names)?, &mut second)?;
    let (a, glue) = connect(&a, &parsed, &b, names, tail.is_multiple_of(2))?;
    let part = |name: &str, wasm: Vec<u8>| Part { name: name.to_owned(), wasm, reference: None };
    let mut program: Vec<_> = names.iter().map(|name| part(name, a.clone())).collect();
    program.extend([alive::part("b", b, alive).ok()?, part("glue", glue)]);
    Some((bytes, program))
}

/// Judges an input, in both ways.
pub fn check(data: &[u8]) -> Result<Outcome, Finding> {
    let Some((bytes, program)) = program(data) else { return Ok(Outcome::default()) };
    let (options, seed) = (exec::options(bytes), exec::seed(data));
    let mut outcome = judge(&program, &options, Way::Executable, seed)?;
    if outcome.valid {
        let library = judge(&program, &options, Way::Library, seed)?;
        outcome.incomparable |= library.incomparable;
        outcome.calls += library.calls;
        outcome.crossings += library.crossings;
        outcome.traps.iter_mut().zip(library.traps).for_each(|(sum, traps)| *sum += traps);
    }
    Ok(outcome)
}

/// Modules that import nothing, in many of them with more calls than `wasm-smith` makes by itself.
fn config(u: &mut Unstructured<'_>) -> arbitrary::Result<Config> {
    let mut config = exec::config(u, Way::Executable)?;
    config.max_memory32_bytes = 1 << 17;
    config.max_memory64_bytes = 1 << 17;
    // The module that says what can be imported is validated without them.
    config.custom_page_sizes_enabled = false;
    config.min_funcs = 3;
    config.min_globals = 1;
    if u.ratio(1, 2)? {
        use InstructionKind::*;
        let kinds = [NumericInt, Reference, Parametric, Variable, Table, Memory, Control];
        config.allowed_instructions = InstructionKinds::new(&kinds);
    }
    Ok(config)
}

/// The same for modules that import what `a` exports, from instances of these names.
fn config_of_importer(mut config: Config, a: &Module<'_>, names: &[&str]) -> Option<Config> {
    let mut imports = Imports::default();
    for name in names {
        for export in &a.exports {
            if export.name == FUEL_EXPORT || export.name.starts_with(HASH_EXPORT) {
                continue;
            }
            imports.add(name, export.name, a, export.entity).ok()?;
            // Some are imported twice, under two indices.
            if !matches!(export.entity, Entity::Func(_)) {
                imports.add(name, export.name, a, export.entity).ok()?;
            }
        }
    }
    let imported = 2 * names.len();
    config.max_type_size *= 4;
    config.max_types += imports.types.len() as usize;
    config.max_funcs += names.len() * a.funcs.len();
    config.max_memories += imported * a.memories.len();
    config.max_tables += imported * a.tables.len();
    config.available_imports = Some(imports.finish());
    Some(config)
}

/// Adds exports of all tags, which `wasm-smith` does not export.
fn export_tags(wasm: &[u8]) -> Option<Vec<u8>> {
    let module = module::parse(wasm, all_features()).ok()?;
    let mut exports = ExportSection::new();
    for tag in module.tags.keys() {
        exports.export(&format!("{TAG_EXPORT}{}", tag.as_u32()), ExportKind::Tag, tag.as_u32());
    }
    let mut sections = sections(wasm).ok()?;
    append(&mut sections, 7, &exports, exports.len()).ok()?;
    Some(assemble(sections))
}

/// `a` with a table and functions that call its elements, and the module that fills the table of each instance of `a` with
/// functions of `b`.
fn connect(a: &[u8], module: &Module<'_>, b: &[u8], names: &[&str], tail: bool) -> Option<(Vec<u8>, Vec<u8>)> {
    let b = module::parse(b, all_features()).ok()?;
    let called = b.exports.iter().filter_map(|export| match export.entity {
        Entity::Func(func) if !export.name.starts_with(ADDED_EXPORT) => Some((export.name, func)),
        _ => None,
    });
    // Its own ones come behind those that it only passes on.
    let called: Vec<_> = called.collect::<Vec<_>>().into_iter().rev().take(MAX_CALLED_BACK).collect();
    let a = call_back(a, module, &b, &called, tail)?;
    let with_table = module::parse(&a, all_features()).ok()?;
    let table = Entity::Table(TableIndex::from_u32(module.tables.len() as u32));
    let (mut imports, mut elements) = (Imports::default(), ElementSection::new());
    for &(name, func) in &called {
        imports.add("b", name, &b, Entity::Func(func)).ok()?;
    }
    let funcs: Vec<u32> = (0..called.len() as u32).collect();
    for (number, name) in (0..).zip(names) {
        imports.add(name, TABLE_EXPORT, &with_table, table).ok()?;
        elements.active(Some(number), &ConstExpr::i32_const(0), Elements::Functions(funcs.clone().into()));
    }
    let mut glue = wasm_encoder::Module::new();
    glue.section(&imports.types).section(&imports.section).section(&elements);
    Some((a, glue.finish()))
}

/// Adds a table that is as long as the list, and for each element a function that calls it, as a tail call or not.
fn call_back(
    wasm: &[u8],
    module: &Module<'_>,
    b: &Module<'_>,
    called: &[(&str, FuncIndex)],
    tail: bool,
) -> Option<Vec<u8>> {
    let (mut types, mut funcs) = (TypeSection::new(), FunctionSection::new());
    let (mut tables, mut exports, mut code) = (TableSection::new(), ExportSection::new(), CodeSection::new());
    let length = called.len() as u64;
    let table_index = module.tables.len() as u32;
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: length,
        maximum: Some(length),
        shared: false,
    });
    exports.export(TABLE_EXPORT, ExportKind::Table, table_index);
    for (number, &(_, func)) in (0..).zip(called) {
        let ty = b.func_type(func);
        let type_index = module.types.len() as u32 + add_type(&mut types, ty).ok()?;
        exports.export(&format!("{CALL_EXPORT}{number}"), ExportKind::Func, module.funcs.len() as u32 + funcs.len());
        funcs.function(type_index);
        let mut body = Function::new([]);
        for param in 0..ty.params.len() as u32 {
            body.instruction(&Instruction::LocalGet(param));
        }
        body.instruction(&Instruction::I32Const(number));
        body.instruction(&if tail {
            Instruction::ReturnCallIndirect { type_index, table_index }
        } else {
            Instruction::CallIndirect { type_index, table_index }
        });
        code.function(body.instruction(&Instruction::End));
    }
    let mut sections = sections(wasm).ok()?;
    append(&mut sections, 1, &types, types.len()).ok()?;
    append(&mut sections, 3, &funcs, funcs.len()).ok()?;
    append(&mut sections, 4, &tables, tables.len()).ok()?;
    append(&mut sections, 7, &exports, exports.len()).ok()?;
    append(&mut sections, 10, &code, code.len()).ok()?;
    Some(assemble(sections))
}
