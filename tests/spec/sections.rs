//! Encodes a module anew, section by section, with functions added, and with other imports. No index changes, and the
//! bodies of functions stay byte for byte what they were: imports that become definitions come first in each index space.

use wasm_encoder::reencode::{self, Reencode, RoundtripReencoder, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, ImportSection, Instruction, MemorySection, MemoryType, RawSection, StartSection,
    TableSection, TagSection, TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, Parser, Payload, TypeRef};

use crate::steps::zero;

type Failure = reencode::Error;

/// A module's sections while they are extended.
#[derive(Default)]
pub(crate) struct Sections<'a> {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    tags: TagSection,
    globals: GlobalSection,
    exports: ExportSection,
    start: Option<u32>,
    elements: ElementSection,
    data_count: Option<u32>,
    code: CodeSection,
    data: DataSection,
    names: Option<&'a [u8]>,
    constants: Constants,
}

impl<'a> Sections<'a> {
    /// Reads a module. The modules that it imports from get the names that `renamed` gives; what comes from a module
    /// that gets none becomes a definition as `spectest` has it.
    pub(crate) fn read(wasm: &'a [u8], renamed: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut sections = Self::default();
        sections.add(wasm, renamed).map_err(|e| format!("the module cannot be encoded anew: {e}"))?;
        Ok(sections)
    }

    /// Adds functions of this type to a module that has so many; the last one is exported.
    pub(crate) fn append(&mut self, ty: (&[ValType], &[ValType]), bodies: &[Function], name: &str, funcs: usize) {
        let index = self.constants.types.len() as u32;
        self.types.ty().function(ty.0.iter().copied(), ty.1.iter().copied());
        for body in bodies {
            self.functions.function(index);
            self.code.function(body);
        }
        self.exports.export(name, ExportKind::Func, (funcs + bodies.len() - 1) as u32);
    }

    fn add(&mut self, wasm: &'a [u8], renamed: impl Fn(&str) -> Option<String>) -> Result<(), Failure> {
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(types) => {
                    for group in types.clone() {
                        self.constants.types.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => ty.results().len(),
                            _ => 0,
                        }));
                    }
                    utils::parse_type_section(&mut RoundtripReencoder, &mut self.types, types)?;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        match renamed(import.module) {
                            Some(module) => {
                                let ty = RoundtripReencoder.entity_type(import.ty)?;
                                self.imports.import(&module, import.name, ty);
                            }
                            None => self.define(import.ty)?,
                        }
                    }
                }
                Payload::FunctionSection(s) => self.constants.parse_function_section(&mut self.functions, s)?,
                Payload::TableSection(s) => self.constants.parse_table_section(&mut self.tables, s)?,
                Payload::MemorySection(s) => self.constants.parse_memory_section(&mut self.memories, s)?,
                Payload::TagSection(s) => self.constants.parse_tag_section(&mut self.tags, s)?,
                Payload::GlobalSection(s) => self.constants.parse_global_section(&mut self.globals, s)?,
                Payload::ExportSection(s) => self.constants.parse_export_section(&mut self.exports, s)?,
                Payload::StartSection { func, .. } => self.start = Some(func),
                Payload::ElementSection(s) => self.constants.parse_element_section(&mut self.elements, s)?,
                Payload::DataCountSection { count, .. } => self.data_count = Some(count),
                Payload::CodeSectionEntry(body) => _ = self.code.raw(&wasm[body.range()]),
                Payload::DataSection(s) => self.constants.parse_data_section(&mut self.data, s)?,
                Payload::CustomSection(s) if s.name() == "name" => self.names = Some(s.data()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Defines what `spectest` provides.
    fn define(&mut self, ty: TypeRef) -> Result<(), Failure> {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.functions.function(ty);
                let mut body = Function::new([]);
                if self.constants.types.get(ty as usize).is_some_and(|&results| results > 0) {
                    body.instruction(&Instruction::Unreachable);
                }
                self.code.function(body.instruction(&Instruction::End));
            }
            TypeRef::Table(ty) => {
                let ty = RoundtripReencoder.table_type(ty)?;
                self.tables.table(wasm_encoder::TableType { minimum: 10, maximum: Some(20), ..ty });
            }
            TypeRef::Memory(ty) => {
                let ty = RoundtripReencoder.memory_type(ty)?;
                self.memories.memory(MemoryType { minimum: 1, maximum: Some(2), ..ty });
            }
            TypeRef::Global(ty) => {
                let value = match ty.content_type {
                    wasmparser::ValType::I32 => Instruction::I32Const(666),
                    wasmparser::ValType::I64 => Instruction::I64Const(666),
                    wasmparser::ValType::F32 => Instruction::F32Const(666.6f32.into()),
                    wasmparser::ValType::F64 => Instruction::F64Const(666.6f64.into()),
                    ty => zero(RoundtripReencoder.val_type(ty)?).ok_or(Failure::InvalidConstExpr)?,
                };
                self.constants.globals.push(value.clone());
                self.globals.global(RoundtripReencoder.global_type(ty)?, &ConstExpr::extended([value]));
            }
            TypeRef::Tag(ty) => _ = self.tags.tag(RoundtripReencoder.tag_type(ty)?),
        }
        Ok(())
    }

    /// The module.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut module = wasm_encoder::Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions);
        if !self.tables.is_empty() {
            module.section(&self.tables);
        }
        if !self.memories.is_empty() {
            module.section(&self.memories);
        }
        if !self.tags.is_empty() {
            module.section(&self.tags);
        }
        if !self.globals.is_empty() {
            module.section(&self.globals);
        }
        module.section(&self.exports);
        if let Some(function_index) = self.start {
            module.section(&StartSection { function_index });
        }
        if !self.elements.is_empty() {
            module.section(&self.elements);
        }
        if let Some(count) = self.data_count {
            module.section(&DataCountSection { count });
        }
        module.section(&self.code);
        if !self.data.is_empty() {
            module.section(&self.data);
        }
        if let Some(data) = self.names {
            // A custom section is its name, then its data.
            let mut section = vec![4];
            section.extend_from_slice(b"name");
            section.extend_from_slice(data);
            module.section(&RawSection { id: 0, data: &section });
        }
        module.finish()
    }
}

/// Encodes sections anew, with the values of what were imported globals in constant expressions: there only imported
/// globals may be named without the proposal `gc`.
#[derive(Default)]
struct Constants {
    globals: Vec<Instruction<'static>>,
    /// Number of results by type.
    types: Vec<usize>,
}

impl Reencode for Constants {
    type Error = std::convert::Infallible;

    fn instruction<'a>(&mut self, op: wasmparser::Operator<'a>) -> Result<Instruction<'a>, Failure> {
        if let wasmparser::Operator::GlobalGet { global_index } = op
            && let Some(value) = self.globals.get(global_index as usize)
        {
            return Ok(value.clone());
        }
        utils::instruction(self, op)
    }
}
