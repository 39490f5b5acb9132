//! Which proposals a valid module uses, by the names of [`crate::features::FEATURES`]: one pass over everything that
//! can belong to one.

use rayon::prelude::*;
use wasmparser::{
    AbstractHeapType, BlockType, CompositeInnerType, ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind,
    FunctionBody, HeapType, Import, Imports, Operator, Parser, Payload, RefType, TableInit, TypeRef, ValType,
};

use crate::options::FeatureNames;

macro_rules! proposals {
    ($($name:ident)*) => {
        /// Proposals under the names that wasmparser's list of operators gives them.
        #[allow(non_camel_case_types, reason = "variants are wasmparser's own names")]
        #[derive(Clone, Copy)]
        enum Proposal {
            $($name,)*
        }

        const NAMES: &[&str] = &[$(stringify!($name),)*];
    };
}

proposals! {
    mvp mutable_global multi_value multi_memory memory64 extended_const custom_page_sizes sign_extension
    saturating_float_to_int bulk_memory reference_types tail_call simd relaxed_simd threads exceptions legacy_exceptions
    function_references gc memory_control shared_everything_threads stack_switching wide_arithmetic custom_descriptors
    compact_imports
}

macro_rules! define_proposal_of {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// The proposal that an operator belongs to.
        fn proposal_of(op: &Operator<'_>) -> Proposal {
            match op {
                $(Operator::$op { .. } => Proposal::$proposal,)*
                // The list is complete; wasmparser only reserves the right to extend it.
                _ => Proposal::mvp,
            }
        }
    };
}

wasmparser::for_each_operator!(define_proposal_of);

/// The proposals without which a valid module would not be valid.
pub fn features_used(wasm: &[u8]) -> wasmparser::Result<FeatureNames> {
    let mut used = Used(0);
    let mut bodies = Vec::new();
    let mut spaces = Spaces::default();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::CodeSectionEntry(body) => bodies.push(body),
            payload => used.section(payload, &mut spaces)?,
        }
    }
    used.add_if(spaces.memories > 1, Proposal::multi_memory);
    used.add_if(spaces.tables > 1, Proposal::reference_types);
    let in_bodies = bodies.par_iter().map(Used::body).try_reduce(|| Used(0), |a, b| Ok(Used(a.0 | b.0)))?;
    used.0 |= in_bodies.0;
    // `mvp` is not a proposal.
    let names = NAMES.iter().enumerate().skip(1).filter(|(bit, _)| used.0 & (1 << bit) != 0);
    Ok(names.filter_map(|(_, name)| feature_name(name)).collect())
}

/// The name for people of one of wasmparser's names.
fn feature_name(name: &str) -> Option<&'static str> {
    let name = name.replace('_', "-");
    crate::features::FEATURES.iter().map(|f| f.name).find(|known| *known == name)
}

/// What is counted over several sections.
#[derive(Default)]
struct Spaces {
    memories: u32,
    tables: u32,
    /// Whether each global can change.
    mutable: Vec<bool>,
}

/// A set of [`Proposal`]s, one bit each.
struct Used(u32);

impl Used {
    fn add(&mut self, proposal: Proposal) {
        self.0 |= 1 << proposal as u32;
    }

    fn add_if(&mut self, condition: bool, proposal: Proposal) {
        if condition {
            self.add(proposal);
        }
    }

    fn section(&mut self, payload: Payload<'_>, spaces: &mut Spaces) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    let group = group?;
                    self.add_if(group.is_explicit_rec_group(), Proposal::gc);
                    for ty in group.into_types() {
                        self.add_if(!ty.is_final || ty.supertype_idx.is_some(), Proposal::gc);
                        match &ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => {
                                self.add_if(ty.results().len() > 1, Proposal::multi_value);
                                ty.params().iter().chain(ty.results()).for_each(|&ty| self.value_type(ty));
                            }
                            CompositeInnerType::Cont(_) => self.add(Proposal::stack_switching),
                            _ => self.add(Proposal::gc),
                        }
                    }
                }
            }
            Payload::ImportSection(section) => {
                for group in section {
                    let group = group?;
                    self.add_if(!matches!(group, Imports::Single(..)), Proposal::compact_imports);
                    for import in group {
                        let (_, Import { ty, .. }) = import?;
                        self.add_if(matches!(ty, TypeRef::Global(ty) if ty.mutable), Proposal::mutable_global);
                        self.entity(ty, spaces);
                    }
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?;
                    self.entity(TypeRef::Table(table.ty), spaces);
                    if let TableInit::Expr(init) = &table.init {
                        self.add(Proposal::function_references);
                        self.constant(init)?;
                    }
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.entity(TypeRef::Memory(memory?), spaces);
                }
            }
            Payload::TagSection(_) => self.add(Proposal::exceptions),
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    self.entity(TypeRef::Global(global.ty), spaces);
                    self.constant(&global.init_expr)?;
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let mutable = || spaces.mutable.get(export.index as usize) == Some(&true);
                    self.add_if(export.kind == ExternalKind::Global && mutable(), Proposal::mutable_global);
                }
            }
            Payload::ElementSection(section) => {
                for segment in section {
                    let segment = segment?;
                    match &segment.kind {
                        ElementKind::Active { offset_expr, .. } => self.constant(offset_expr)?,
                        ElementKind::Passive | ElementKind::Declared => self.add(Proposal::bulk_memory),
                    }
                    if let ElementItems::Expressions(ty, items) = segment.items {
                        self.reference(ty);
                        for item in items {
                            self.constant(&item?)?;
                        }
                    }
                }
            }
            Payload::DataSection(section) => {
                for segment in section {
                    match segment?.kind {
                        DataKind::Active { offset_expr, .. } => self.constant(&offset_expr)?,
                        DataKind::Passive => self.add(Proposal::bulk_memory),
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn entity(&mut self, ty: TypeRef, spaces: &mut Spaces) {
        match ty {
            TypeRef::Func(_) => {}
            TypeRef::FuncExact(_) => self.add(Proposal::custom_descriptors),
            TypeRef::Tag(_) => self.add(Proposal::exceptions),
            TypeRef::Table(ty) => {
                spaces.tables += 1;
                self.add_if(ty.table64, Proposal::memory64);
                self.add_if(ty.shared, Proposal::shared_everything_threads);
                if ty.element_type != RefType::FUNCREF {
                    self.reference(ty.element_type);
                }
            }
            TypeRef::Memory(ty) => {
                spaces.memories += 1;
                self.add_if(ty.memory64, Proposal::memory64);
                self.add_if(ty.shared, Proposal::threads);
                self.add_if(ty.page_size_log2.is_some(), Proposal::custom_page_sizes);
            }
            TypeRef::Global(ty) => {
                spaces.mutable.push(ty.mutable);
                self.add_if(ty.shared, Proposal::shared_everything_threads);
                self.value_type(ty.content_type);
            }
        }
    }

    fn value_type(&mut self, ty: ValType) {
        match ty {
            ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 => {}
            ValType::V128 => self.add(Proposal::simd),
            ValType::Ref(ty) => self.reference(ty),
        }
    }

    fn reference(&mut self, ty: RefType) {
        self.add(Proposal::reference_types);
        self.add_if(!ty.is_nullable(), Proposal::function_references);
        match ty.heap_type() {
            HeapType::FUNC | HeapType::EXTERN => {}
            HeapType::Abstract { ty: AbstractHeapType::Exn | AbstractHeapType::NoExn, .. } => {
                self.add(Proposal::exceptions);
            }
            HeapType::Abstract { .. } => self.add(Proposal::gc),
            _ => self.add(Proposal::function_references),
        }
    }

    fn constant(&mut self, expr: &ConstExpr<'_>) -> wasmparser::Result<()> {
        for op in expr.get_operators_reader() {
            match op? {
                Operator::I32Add
                | Operator::I32Sub
                | Operator::I32Mul
                | Operator::I64Add
                | Operator::I64Sub
                | Operator::I64Mul => self.add(Proposal::extended_const),
                op => self.add(proposal_of(&op)),
            }
        }
        Ok(())
    }

    fn body(body: &FunctionBody<'_>) -> wasmparser::Result<Self> {
        let mut used = Self(0);
        for local in body.get_locals_reader()? {
            used.value_type(local?.1);
        }
        let mut ops = body.get_operators_reader()?;
        while !ops.eof() {
            let start = ops.original_position();
            let op = ops.read()?;
            used.add(proposal_of(&op));
            match op {
                Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => match blockty {
                    BlockType::Empty => {}
                    BlockType::Type(ty) => used.value_type(ty),
                    BlockType::FuncType(_) => used.add(Proposal::multi_value),
                },
                Operator::CallIndirect { .. } | Operator::ReturnCallIndirect { .. } => {
                    let base = body.range().start;
                    let bytes = &body.as_bytes()[start - base..ops.original_position() - base];
                    used.add_if(has_table_index(bytes), Proposal::reference_types);
                }
                _ => {}
            }
        }
        Ok(used)
    }
}

/// Whether an indirect call names its table by a number in LEB128. The MVP has a zero byte there, and LLVM writes the
/// zero with five bytes.
fn has_table_index(call: &[u8]) -> bool {
    let type_index_end = call.iter().skip(1).position(|byte| byte & 0x80 == 0).map_or(call.len(), |at| at + 2);
    call[type_index_end..] != [0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FEATURES;
    use wasmparser::{Validator, WasmFeatures};

    /// The answer by definition: proposals without which validation fails.
    fn needed(wasm: &[u8]) -> FeatureNames {
        let valid = |features| Validator::new_with_features(features).validate_all(wasm).is_ok();
        assert!(valid(WasmFeatures::all()));
        FEATURES.iter().filter(|f| !valid(WasmFeatures::all() - f.flag)).map(|f| f.name).collect()
    }

    #[test]
    fn every_operator_has_a_known_proposal() {
        for name in &NAMES[1..] {
            assert!(feature_name(name).is_some(), "{name}");
        }
        assert!(NAMES.len() <= 32);
    }

    #[test]
    fn what_is_used_is_what_validation_needs() {
        for text in [
            "(module (func (result i32) i32.const 1))",
            "(module (func (result i32) i32.const 1 i32.extend8_s))",
            "(module (func (result i32) f32.const 1 i32.trunc_sat_f32_s))",
            "(module (func (result v128) v128.const i64x2 1 2))",
            "(module (func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
            "(module (func (local v128)))",
            "(module (func (result i32 i32) i32.const 1 i32.const 2))",
            "(module (func i32.const 1 (block (param i32) drop)))",
            "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))",
            "(module (memory 1) (data \"x\"))",
            "(module (func return_call 0))",
            "(module (import \"a\" \"b\" (global (mut i32))))",
            "(module (global (export \"g\") (mut i32) (i32.const 0)))",
            "(module (global (mut i32) (i32.const 0)))",
            "(module (import \"a\" \"b\" (global i32)) (global i32 (i32.add (global.get 0) (i32.const 1))))",
            "(module (table 1 externref))",
            "(module (table 1 funcref) (table 1 funcref))",
            "(module (table 1 funcref) (elem (i32.const 0) func 0) (func))",
            "(module (table 1 funcref) (elem func 0) (func))",
            "(module (func (drop (ref.func 0))) (elem declare func 0))",
            "(module (func (param externref)))",
            "(module (global funcref (ref.null func)))",
            "(module (memory 1) (memory 1))",
            "(module (memory i64 1))",
            "(module (memory 1 1 shared))",
            "(module (memory 1 (pagesize 1)))",
            "(module (memory 1 1 shared) (func (drop (i32.atomic.load (i32.const 0)))))",
            "(module (tag) (func (throw 0)))",
            "(module (func (result i64 i64) (i64.add128 (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1))))",
        ] {
            let wasm = wat::parse_str(text).unwrap();
            assert_eq!(features_used(&wasm).unwrap(), needed(&wasm), "{text}");
        }
    }

    #[test]
    fn a_long_table_index_belongs_to_reference_types() {
        let wasm = |table_index: &[u8]| {
            let mut wasm = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x04\x04\x01\x70\0\x01".to_vec();
            let body = [b"\0\x41\0\x11\0", table_index, b"\x0b"].concat();
            wasm.extend([0x0a, body.len() as u8 + 2, 1, body.len() as u8]);
            wasm.extend(body);
            wasm
        };
        for (table_index, expected) in [(&[0][..], None), (&[0x80, 0x80, 0x80, 0x80, 0], Some("reference-types"))] {
            let wasm = wasm(table_index);
            assert_eq!(features_used(&wasm).unwrap(), needed(&wasm));
            assert_eq!(features_used(&wasm).unwrap().first().copied(), expected);
        }
    }
}
