//! Bytes to [`Module`]: wasmparser decodes and validates, sections first, then function bodies in parallel.

use std::collections::HashMap;

use cranelift_entity::EntityRef as _;
use rayon::prelude::*;
use wasmparser::{
    CompositeInnerType, ElementItems, ElementKind, ExternalKind, FuncToValidate, FuncValidatorAllocations,
    FunctionBody, KnownCustom, Name, Operator, Parser, Payload, TableInit, TypeRef, ValidPayload, Validator,
    ValidatorResources, WasmFeatures,
};

use super::hints::{self, BranchHints};
use super::limits;
use super::{
    Body, BodyFacts, ConstExpr, ConstValue, DataSegment, ElementMode, ElementSegment, Entity, Export, Func, FuncIndex,
    FuncType, Global, GlobalIndex, Import, Memory, MemoryIndex, Module, Table, TableIndex, TagIndex, TypeIndex,
};
use crate::error::{Error, Result};
use crate::features;

/// Decodes and validates a module.
///
/// Errors name the offset in the file, the function, the proposal where one is missing, and the limit where one is
/// exceeded.
pub fn parse(bytes: &[u8], accepted: WasmFeatures) -> Result<Module<'_>> {
    limits::check_module_bytes(bytes)?;
    check_header(bytes)?;
    let mut reader = Reader { bytes, module: Module::default(), bodies: Vec::new(), hints: None, accepted };
    let mut validator = Validator::new_with_features(accepted);
    let mut parser = Parser::new(0);
    parser.set_features(accepted);
    for payload in parser.parse_all(bytes) {
        let payload = payload.map_err(|e| reader.error(&e))?;
        limits::check_section(&reader.module, &payload)?;
        match validator.payload(&payload).map_err(|e| reader.error_in(Some(&payload), &e))? {
            ValidPayload::Func(func, body) => reader.bodies.push((func, body)),
            ValidPayload::End(types) => reader.canonicalize(types.as_ref()),
            _ => {}
        }
        reader.section(payload).map_err(|e| match e {
            SectionError::Wasm(e) => reader.error(&e),
            SectionError::Ours(e) => e,
        })?;
    }
    reader.finish()
}

/// Tells what the file is when it is not a core module.
fn check_header(bytes: &[u8]) -> Result<()> {
    const MAGIC: &[u8] = b"\0asm";
    if bytes.is_empty() {
        return Err(Error::input("the file is empty"));
    }
    if !bytes.starts_with(MAGIC) {
        let magic: Vec<_> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
        return Err(Error::input(format!(
            "not a WebAssembly module: expected the magic number 00 61 73 6d, found {}",
            magic.join(" ")
        )));
    }
    match bytes.get(4..8) {
        Some([1, 0, 0, 0]) => Ok(()),
        Some([_, 0, 1, 0]) => Err(Error::input("this is a component, where a core module is expected")
            .hint("a component is compiled by itself: it is the program, and imports no modules")),
        Some(version) => Err(Error::input(format!(
            "unknown WebAssembly version {}: only version 1 is supported",
            u32::from_le_bytes([version[0], version[1], version[2], version[3]])
        ))),
        None => Err(Error::input("the file is truncated: it ends within the header")),
    }
}

enum SectionError {
    Wasm(wasmparser::Error),
    Ours(Error),
}

impl From<wasmparser::Error> for SectionError {
    fn from(e: wasmparser::Error) -> Self {
        Self::Wasm(e)
    }
}

struct Reader<'data> {
    bytes: &'data [u8],
    module: Module<'data>,
    bodies: Vec<(FuncToValidate<ValidatorResources>, FunctionBody<'data>)>,
    /// Branch hints by function, once their section was read.
    hints: Option<HashMap<FuncIndex, BranchHints>>,
    accepted: WasmFeatures,
}

impl<'data> Reader<'data> {
    fn error(&self, error: &wasmparser::Error) -> Error {
        self.error_in(None, error)
    }

    /// An error that occurred while this section was validated.
    fn error_in(&self, payload: Option<&Payload<'_>>, error: &wasmparser::Error) -> Error {
        limits::describe(self.bytes, payload, error).unwrap_or_else(|| features::describe_error(error, self.accepted))
    }

    fn const_expr(&self, expr: &wasmparser::ConstExpr<'data>) -> Result<ConstExpr, SectionError> {
        ConstExpr::read(expr.get_operators_reader())?.ok_or_else(|| {
            SectionError::Ours(Error::input("a constant expression uses an operator that is not supported"))
        })
    }

    /// Numbers types so that equal ones have equal numbers.
    ///
    /// The validator compares types where one may refer to another, and gives equal ones equal identities. Where no
    /// proposal lets them, it does not, but then they are equal when they look equal.
    fn canonicalize(&mut self, types: wasmparser::types::TypesRef<'_>) {
        let refer = self.accepted.intersects(WasmFeatures::FUNCTION_REFERENCES | WasmFeatures::GC);
        let mut numbers = HashMap::new();
        for (index, ty) in (0..types.core_type_count_in_module()).zip(self.module.types.values()) {
            let next = numbers.len() as u32;
            let key = if refer { Ok(types.core_type_at_in_module(index)) } else { Err(ty) };
            self.module.canonical_types.push(*numbers.entry(key).or_insert(next));
        }
    }

    fn section(&mut self, payload: Payload<'data>) -> Result<(), SectionError> {
        match payload {
            Payload::TypeSection(types) => {
                for group in types {
                    for ty in group?.into_types() {
                        self.module.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(f) => {
                                FuncType { params: f.params().into(), results: f.results().into() }
                            }
                            _ => FuncType::default(),
                        });
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports_with_offsets() {
                    let (offset, import) = import?;
                    match &import.ty {
                        TypeRef::Table(ty) => limits::check_table(ty, offset),
                        _ => Ok(()),
                    }
                    .map_err(SectionError::Ours)?;
                    let entity = self.import_entity(import.ty)?;
                    self.module.imports.push(Import { module: import.module, name: import.name, entity, offset });
                }
            }
            Payload::FunctionSection(funcs) => {
                for ty in funcs {
                    self.module.funcs.push(Func { ty: TypeIndex::from_u32(ty?) });
                }
            }
            Payload::TableSection(tables) => {
                for table in tables.into_iter_with_offsets() {
                    let (offset, table) = table?;
                    limits::check_table(&table.ty, offset).map_err(SectionError::Ours)?;
                    let init = match &table.init {
                        TableInit::RefNull => None,
                        TableInit::Expr(expr) => Some(self.const_expr(expr)?),
                    };
                    self.module.tables.push(Table { init, ..table_type(&table.ty) });
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.module.memories.push(memory_type(&memory?));
                }
            }
            Payload::TagSection(tags) => {
                for tag in tags {
                    self.module.tags.push(TypeIndex::from_u32(tag?.func_type_idx));
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global?;
                    let init = Some(self.const_expr(&global.init_expr)?);
                    self.module.globals.push(Global { ty: global.ty.content_type, mutable: global.ty.mutable, init });
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    let entity = match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => Entity::Func(FuncIndex::from_u32(export.index)),
                        ExternalKind::Table => Entity::Table(TableIndex::from_u32(export.index)),
                        ExternalKind::Memory => Entity::Memory(MemoryIndex::from_u32(export.index)),
                        ExternalKind::Global => Entity::Global(GlobalIndex::from_u32(export.index)),
                        ExternalKind::Tag => Entity::Tag(TagIndex::from_u32(export.index)),
                    };
                    self.module.exports.push(Export { name: export.name, entity });
                }
            }
            Payload::StartSection { func, .. } => self.module.start = Some(FuncIndex::from_u32(func)),
            Payload::ElementSection(elements) => {
                for element in elements {
                    let segment = self.element(element?)?;
                    self.module.elements.push(segment);
                }
            }
            Payload::DataSection(data) => {
                for segment in data {
                    let segment = segment?;
                    let active = match &segment.kind {
                        wasmparser::DataKind::Passive => None,
                        wasmparser::DataKind::Active { memory_index, offset_expr } => {
                            Some((MemoryIndex::from_u32(*memory_index), self.const_expr(offset_expr)?))
                        }
                    };
                    self.module.data.push(DataSegment { active, bytes: segment.data });
                }
            }
            Payload::CodeSectionStart { range, .. } => self.module.debug.code_offset = range.start,
            // What is wrong in a custom section is ignored, as the specification asks (appendix, "Custom Sections").
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::Name(names) => drop(self.names(names)),
                // As the proposal asks, there is one section, and it stands before the code.
                KnownCustom::BranchHints(functions) if self.hints.is_none() && self.bodies.is_empty() => {
                    self.hints = Some(hints::read(functions));
                }
                KnownCustom::Unknown if section.name().starts_with(".debug_") => {
                    self.module.debug.sections.push((section.name(), section.data()));
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn import_entity(&mut self, ty: TypeRef) -> Result<Entity, SectionError> {
        let m = &mut self.module;
        Ok(match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                m.imported_funcs += 1;
                Entity::Func(m.funcs.push(Func { ty: TypeIndex::from_u32(ty) }))
            }
            TypeRef::Table(ty) => {
                m.imported_tables += 1;
                Entity::Table(m.tables.push(table_type(&ty)))
            }
            TypeRef::Memory(ty) => {
                m.imported_memories += 1;
                Entity::Memory(m.memories.push(memory_type(&ty)))
            }
            TypeRef::Global(ty) => {
                m.imported_globals += 1;
                Entity::Global(m.globals.push(Global { ty: ty.content_type, mutable: ty.mutable, init: None }))
            }
            TypeRef::Tag(ty) => Entity::Tag(m.tags.push(TypeIndex::from_u32(ty.func_type_idx))),
        })
    }

    fn element(&self, element: wasmparser::Element<'data>) -> Result<ElementSegment, SectionError> {
        let mode = match &element.kind {
            ElementKind::Passive => ElementMode::Passive,
            ElementKind::Declared => ElementMode::Declared,
            ElementKind::Active { table_index, offset_expr } => {
                ElementMode::Active(TableIndex::from_u32(table_index.unwrap_or(0)), self.const_expr(offset_expr)?)
            }
        };
        let mut elements = Vec::new();
        match element.items {
            ElementItems::Functions(funcs) => {
                for func in funcs {
                    elements.push(ConstExpr::value(ConstValue::Func(FuncIndex::from_u32(func?))));
                }
            }
            ElementItems::Expressions(_, exprs) => {
                for expr in exprs {
                    elements.push(self.const_expr(&expr?)?);
                }
            }
        }
        Ok(ElementSegment { mode, elements })
    }

    fn names(&mut self, names: wasmparser::NameSectionReader<'data>) -> wasmparser::Result<()> {
        for name in names {
            match name? {
                Name::Module { name, .. } => self.module.name = Some(name),
                Name::Function(map) => {
                    for naming in map {
                        let naming = naming?;
                        self.module.func_names.insert(FuncIndex::from_u32(naming.index), naming.name);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Validates all bodies in parallel; the error of the lowest function wins, so that messages are deterministic.
    fn finish(mut self) -> Result<Module<'data>> {
        let bodies = std::mem::take(&mut self.bodies);
        let mut hints = self.hints.take().unwrap_or_default();
        let module = &self.module;
        let first_error = std::sync::atomic::AtomicUsize::new(usize::MAX);
        let results: Vec<_> = bodies
            .into_par_iter()
            .enumerate()
            .map_init(FuncValidatorAllocations::default, |allocations, (i, (func, body))| {
                use std::sync::atomic::Ordering::Relaxed;
                if first_error.load(Relaxed) < i {
                    return None;
                }
                let func_type = module.funcs.get(FuncIndex::new(module.imported_funcs + i));
                let params = func_type.and_then(|f| module.types.get(f.ty)).map_or(0, |ty| ty.params.len());
                let result = limits::check_locals(params, &body)
                    .map_err(SectionError::Ours)
                    .and_then(|()| validate_body(func, body, allocations).map_err(SectionError::Wasm));
                if result.is_err() {
                    first_error.fetch_min(i, Relaxed);
                }
                Some(result)
            })
            .collect();
        for (i, result) in results.into_iter().enumerate() {
            match result {
                Some(Ok(mut body)) => {
                    let func = FuncIndex::new(self.module.imported_funcs + i);
                    body.hints = hints.remove(&func).unwrap_or_default();
                    self.module.bodies.push(body);
                }
                Some(Err(e)) => {
                    let func = FuncIndex::new(self.module.imported_funcs + i);
                    let e = match e {
                        SectionError::Wasm(e) => self.error(&e),
                        SectionError::Ours(e) => e,
                    };
                    return Err(e.context(self.module.describe_func(func)));
                }
                None => return Err(Error::internal("a body after an invalid one was reached")),
            }
        }
        Ok(self.module)
    }
}

fn validate_body<'data>(
    func: FuncToValidate<ValidatorResources>,
    body: FunctionBody<'data>,
    allocations: &mut FuncValidatorAllocations,
) -> wasmparser::Result<Body<'data>> {
    let mut validator = func.into_validator(std::mem::take(allocations));
    let mut facts = BodyFacts::default();
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    reader.set_features(*validator.features());
    let mut ops = wasmparser::OperatorsReader::new(reader);
    while !ops.eof() {
        let (op, offset): (Operator<'_>, usize) = ops.read_with_offset()?;
        validator.op(offset, &op)?;
        facts.visit(&op);
    }
    ops.finish()?;
    facts.finish(validator.len_locals());
    *allocations = validator.into_allocations();
    let range = body.range();
    Ok(Body { body, range, facts, hints: BranchHints::default() })
}

fn table_type(ty: &wasmparser::TableType) -> Table {
    Table { element: ty.element_type, minimum: ty.initial, maximum: ty.maximum, index_64: ty.table64, init: None }
}

fn memory_type(ty: &wasmparser::MemoryType) -> Memory {
    Memory {
        minimum_pages: ty.initial,
        maximum_pages: ty.maximum,
        page_size_log2: ty.page_size_log2.unwrap_or(16),
        index_64: ty.memory64,
        shared: ty.shared,
    }
}
