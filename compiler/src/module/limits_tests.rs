//! Every limit is accepted and one more is refused, with the limit's name, both numbers and the place.
//!
//! Large counts stand in front of sections that end there: a count within the limit fails later, for another reason.

use wasm_encoder::{
    BlockType, Catch, CodeSection, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, ImportSection, Instruction, MemorySection, MemoryType, Module, RawSection, RefType, SectionId,
    TableSection, TableType, TypeSection, ValType,
};

use super::{LIMITS, Limit, parse};
use crate::features::default_features;

fn limit(name: &str) -> &'static Limit {
    LIMITS.iter().find(|limit| limit.name == name).unwrap_or_else(|| panic!("there is no limit of {name}"))
}

/// What is said about a module; nothing when it is accepted.
fn verdict(wasm: &[u8]) -> String {
    parse(wasm, default_features()).map_or_else(|e| e.to_string(), |_| String::new())
}

/// Makes modules with as many as allowed and with one more; `make` takes the number.
fn check_limit(name: &str, make: impl Fn(u64) -> Vec<u8>) {
    let maximum = limit(name).maximum;
    let allowed = verdict(&make(maximum));
    assert!(!allowed.contains("implementation limit"), "{maximum} {name}: {allowed}");
    let refused = verdict(&make(maximum + 1));
    let words =
        format!("too many {name}: {}, more than the implementation limit of {maximum} (at offset 0x", maximum + 1);
    assert!(refused.contains(&words), "{} {name}: {refused}", maximum + 1);
}

fn leb(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// A module with this section alone, which says that it has so many entries and has none.
fn counted_section(id: SectionId, count: u64) -> Vec<u8> {
    let mut module = Module::new();
    module.section(&RawSection { id: id as u8, data: &leb(count) });
    module.finish()
}

fn types(params: usize, results: usize) -> TypeSection {
    let mut types = TypeSection::new();
    types.ty().function(vec![ValType::I32; params], vec![ValType::I32; results]);
    types
}

/// A module with one function of type `[] -> []` and this body.
fn with_body(body: &Function) -> Vec<u8> {
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut code = CodeSection::new();
    code.function(body);
    Module::new().section(&types(0, 0)).section(&functions).section(&code).clone().finish()
}

#[test]
fn sections_have_so_many_entries() {
    for (name, id) in [
        ("types", SectionId::Type),
        ("imports", SectionId::Import),
        ("functions", SectionId::Function),
        ("tables", SectionId::Table),
        ("memories", SectionId::Memory),
        ("globals", SectionId::Global),
        ("tags", SectionId::Tag),
        ("exports", SectionId::Export),
        ("element segments", SectionId::Element),
        ("data segments", SectionId::Data),
        ("data segments", SectionId::DataCount),
    ] {
        check_limit(name, |count| counted_section(id, count));
    }
}

#[test]
fn imports_count_as_well() {
    let imported = |count: u64, ty: EntityType| {
        let mut imports = ImportSection::new();
        for _ in 0..count {
            imports.import("m", "n", ty);
        }
        Module::new().section(&types(0, 0)).section(&imports).clone()
    };
    let memory = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
    check_limit("memories", |count| imported(count, EntityType::Memory(memory)).finish());
    check_limit("memories", |count| {
        let mut memories = MemorySection::new();
        memories.memory(memory);
        imported(count - 1, EntityType::Memory(memory)).section(&memories).clone().finish()
    });
    let table = TableType { element_type: RefType::FUNCREF, table64: false, minimum: 0, maximum: None, shared: false };
    check_limit("tables", |count| imported(count, EntityType::Table(table)).finish());
    check_limit("functions", |count| {
        let functions = leb(count - 1);
        let functions = RawSection { id: SectionId::Function as u8, data: &functions };
        imported(1, EntityType::Function(0)).section(&functions).clone().finish()
    });
}

#[test]
fn tables_are_so_large() {
    check_limit("elements of a table", |minimum| {
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum,
            maximum: None,
            shared: false,
        });
        Module::new().section(&tables).clone().finish()
    });
}

#[test]
fn element_segments_have_so_many_elements() {
    let segment = |count: u64| {
        let functions = vec![0; count as usize];
        let mut elements = ElementSection::new();
        elements.passive(Elements::Functions(functions.into()));
        Module::new().section(&elements).clone().finish()
    };
    check_limit("elements of an element segment", |count| {
        if count <= limit("elements of an element segment").maximum {
            // All of them are read where they are allowed, so just the count is made.
            let data = [&leb(1)[..], &[1, 0], &leb(count)].concat();
            Module::new().section(&RawSection { id: SectionId::Element as u8, data: &data }).clone().finish()
        } else {
            segment(count)
        }
    });
}

#[test]
fn function_types_have_so_many_values() {
    check_limit("parameters", |count| Module::new().section(&types(count as usize, 0)).clone().finish());
    check_limit("results", |count| Module::new().section(&types(0, count as usize)).clone().finish());
}

#[test]
fn function_bodies_are_so_large() {
    check_limit("bytes of a function body", |bytes| {
        let mut body = Function::new([]);
        // One byte says that there are no locals, one ends the body.
        body.raw(vec![0x01; bytes as usize - 2]);
        body.instruction(&Instruction::End);
        with_body(&body)
    });
}

#[test]
fn functions_have_so_many_locals() {
    let with_locals = |groups: Vec<(u32, ValType)>| {
        let mut body = Function::new(groups);
        body.instruction(&Instruction::End);
        with_body(&body)
    };
    check_limit("locals", |count| with_locals(vec![(count as u32, ValType::I64)]));
    check_limit("locals", |count| with_locals(vec![(1, ValType::I32), (count as u32 - 1, ValType::I64)]));
    let error = verdict(&with_locals(vec![(u32::MAX, ValType::I32); 4]));
    assert!(error.starts_with("function 0: too many locals: 4294967295,"), "{error}");
    // Parameters count.
    let maximum = limit("locals").maximum as u32;
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut body = Function::new([(maximum, ValType::I32)]);
    body.instruction(&Instruction::Unreachable).instruction(&Instruction::End);
    let mut code = CodeSection::new();
    code.function(&body);
    let wasm = Module::new().section(&types(2, 0)).section(&functions).section(&code).clone().finish();
    assert!(verdict(&wasm).starts_with("function 0: too many locals: 50002, "), "{}", verdict(&wasm));
}

#[test]
fn handlers_have_so_many_clauses() {
    check_limit("catch clauses", |count| {
        let mut body = Function::new([]);
        let catches = vec![Catch::All { label: 0 }; count as usize];
        body.instruction(&Instruction::TryTable(BlockType::Empty, catches.into()));
        body.instruction(&Instruction::End).instruction(&Instruction::End);
        with_body(&body)
    });
}

#[test]
fn names_are_so_long() {
    let maximum = limit("bytes of a name").maximum as usize;
    let exported = |bytes: usize| {
        let mut exports = ExportSection::new();
        exports.export(&"n".repeat(bytes), ExportKind::Memory, 0);
        let mut memories = MemorySection::new();
        let memory = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
        memories.memory(memory);
        Module::new().section(&memories).section(&exports).clone().finish()
    };
    assert_eq!(verdict(&exported(maximum)), "");
    let error = verdict(&exported(maximum + 1));
    let words = format!("too many bytes of a name: more than the implementation limit of {maximum} (at offset 0x");
    assert!(error.starts_with(&words), "{error}");
}

#[test]
fn modules_are_so_large() {
    // Memory that nobody touches costs nothing.
    let mut wasm = vec![0; limit("bytes of a module").maximum as usize + 1];
    wasm[..8].copy_from_slice(b"\0asm\x01\0\0\0");
    let error = verdict(&wasm);
    assert!(error.starts_with("too many bytes of a module: 1073741825, "), "{error}");
}

#[test]
fn an_offset_is_where_the_number_stands() {
    let wasm = counted_section(SectionId::Type, limit("types").maximum + 1);
    assert!(verdict(&wasm).ends_with("(at offset 0xa)"), "{}", verdict(&wasm));
    let wasm = Module::new().section(&types(1001, 0)).clone().finish();
    // Header, section id, section size of two bytes, count, form of the type.
    assert!(verdict(&wasm).ends_with("(at offset 0xd)"), "{}", verdict(&wasm));
}

/// docs/LIMITS.md shows the same table.
#[test]
fn the_document_says_the_same() {
    let number = |n: u64| {
        let digits = n.to_string();
        let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
        groups.collect::<Vec<_>>().join(",")
    };
    let row = |limit: &Limit| {
        let js_api = limit
            .js_api
            .map_or_else(|| "none".to_owned(), |n| if n == limit.maximum { "same".to_owned() } else { number(n) });
        format!("| {} | {} | {} | {js_api} |", limit.name, number(limit.maximum), limit.counted)
    };
    let expected: Vec<_> = LIMITS.iter().map(row).collect();
    let document = include_str!("../../../docs/LIMITS.md");
    let rows = document.lines().skip_while(|line| !line.starts_with("| bytes of a module"));
    let found: Vec<_> = rows.take_while(|line| line.starts_with("| ")).collect();
    assert_eq!(found, expected, "docs/LIMITS.md differs, expected are:\n{}", expected.join("\n"));
}
