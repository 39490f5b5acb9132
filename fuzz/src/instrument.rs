//! Adds to a module what performs a [`Plan`] on it: module and plan in, a module with one more export out.
//!
//! The export is `(chosen: i64) -> (i64 ...)`. It performs the calls whose bits are set and returns the words of all
//! results (zeros for calls that were not performed), of the globals, a hash of each memory and the lengths of the
//! tables. Everything is added at the end of its index space, so that sections and bodies stay what they were. For a
//! program of several modules, the driver is a module of its own, which imports what the plan names.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    BlockType, CodeSection, Encode, ExportKind, ExportSection, Function, FunctionSection, Instruction, MemArg,
    RawSection, TypeSection,
};
use wasmelt::module::{MemoryIndex, Module};
use wasmparser::{BinaryReader, Parser, ValType};

use crate::observe::{FACTOR, FUEL, FUEL_EXPORT, HASH_EXPORT, Plan, ROTATION, words};

/// Name of the export.
pub const DRIVER: &str = "wasmelt fuzz driver";

/// Numbers of sections in their order; custom ones are left out.
const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// A section's number and content: a count, then its items.
pub(crate) type Sections = Vec<(u8, Vec<u8>)>;

pub(crate) fn sections(wasm: &[u8]) -> Result<Sections, String> {
    let mut sections = Sections::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|e| e.to_string())?;
        if let Some((id, range)) = payload.as_section().filter(|&(id, _)| id != 0) {
            sections.push((id, wasm[range].to_vec()));
        }
    }
    Ok(sections)
}

pub(crate) fn assemble(mut sections: Sections) -> Vec<u8> {
    sections.sort_by_key(|&(id, _)| ORDER.iter().position(|&other| other == id));
    let mut out = wasm_encoder::Module::new();
    for (id, data) in &sections {
        out.section(&RawSection { id: *id, data });
    }
    out.finish()
}

/// Adds an export of the name [`HASH_EXPORT`] for each shared memory: a host can read those through raw pointers only.
pub fn hash_shared_memories(wasm: &[u8], module: &Module<'_>) -> Result<Vec<u8>, String> {
    let mut sections = sections(wasm)?;
    let driver = Driver { module, plan: &Plan::default() };
    let (mut types, mut funcs) = (TypeSection::new(), FunctionSection::new());
    let (mut exports, mut code) = (ExportSection::new(), CodeSection::new());
    types.ty().function([], [wasm_encoder::ValType::I64]);
    for (memory, _) in module.memories.iter().filter(|(_, memory)| memory.shared) {
        let func = module.funcs.len() as u32 + funcs.len();
        exports.export(&format!("{HASH_EXPORT}{}", memory.as_u32()), ExportKind::Func, func);
        funcs.function(module.types.len() as u32);
        code.function(&driver.hash(memory));
    }
    append(&mut sections, 1, &types, 1)?;
    append(&mut sections, 3, &funcs, funcs.len())?;
    append(&mut sections, 7, &exports, exports.len())?;
    append(&mut sections, 10, &code, code.len())?;
    Ok(assemble(sections))
}

/// Adds the driver.
pub fn instrument(wasm: &[u8], module: &Module<'_>, plan: &Plan) -> Result<Vec<u8>, String> {
    let mut sections = sections(wasm)?;
    let driver = Driver { module, plan };
    let results: usize = plan.calls.iter().flat_map(|call| &call.results).map(|&ty| words(ty)).sum::<usize>()
        + plan.globals.iter().map(|&(_, ty)| words(ty)).sum::<usize>()
        + plan.memories.len()
        + plan.tables.len();
    let int = wasm_encoder::ValType::I64;
    let mut types = TypeSection::new();
    types.ty().function([], [int]);
    types.ty().function([int], vec![int; results]);
    let mut funcs = FunctionSection::new();
    let mut code = CodeSection::new();
    for memory in &plan.memories {
        funcs.function(module.types.len() as u32);
        code.function(&driver.hash(memory.index));
    }
    funcs.function(module.types.len() as u32 + 1);
    code.function(&driver.body()?);
    let mut exports = ExportSection::new();
    exports.export(DRIVER, ExportKind::Func, (module.funcs.len() + plan.memories.len()) as u32);
    append(&mut sections, 1, &types, 2)?;
    append(&mut sections, 3, &funcs, funcs.len())?;
    append(&mut sections, 7, &exports, 1)?;
    append(&mut sections, 10, &code, code.len())?;
    Ok(assemble(sections))
}

/// Adds the items of a section to the one that the module has.
pub(crate) fn append(sections: &mut Sections, id: u8, added: &impl Encode, count: u32) -> Result<(), String> {
    let mut encoded = Vec::new();
    added.encode(&mut encoded);
    let mut reader = BinaryReader::new(&encoded, 0);
    // Its length and its count.
    let skipped = reader.read_var_u32().and_then(|_| reader.read_var_u32());
    skipped.map_err(|e| e.to_string())?;
    let items = &encoded[reader.original_position()..];
    match sections.iter_mut().find(|(other, _)| *other == id) {
        Some((_, data)) => {
            let mut reader = BinaryReader::new(data, 0);
            let total = reader.read_var_u32().map_err(|e| e.to_string())? + count;
            let mut joined = Vec::new();
            total.encode(&mut joined);
            joined.extend(&data[reader.original_position()..]);
            joined.extend(items);
            *data = joined;
        }
        None => {
            let mut data = Vec::new();
            count.encode(&mut data);
            data.extend(items);
            sections.push((id, data));
        }
    }
    Ok(())
}

struct Driver<'a> {
    module: &'a Module<'a>,
    plan: &'a Plan,
}

impl Driver<'_> {
    fn body(&self) -> Result<Function, String> {
        use Instruction::*;
        let mut code = Vec::new();
        let mut locals: Vec<ValType> = Vec::new();
        let fuel: Vec<_> = self.plan.globals.iter().filter(|(export, _)| export.name == FUEL_EXPORT).collect();
        for (number, call) in self.plan.calls.iter().enumerate() {
            code.extend([LocalGet(0), I64Const(1 << number), I64And, I64Eqz, I32Eqz, If(BlockType::Empty)]);
            for (fuel, _) in &fuel {
                code.extend([I32Const(FUEL as i32), GlobalSet(fuel.index.as_u32())]);
            }
            for &(ty, bits) in &call.args {
                code.push(match ty {
                    ValType::I32 => I32Const(bits as i32),
                    ValType::I64 => I64Const(bits as i64),
                    ValType::F32 => F32Const(wasm_encoder::Ieee32::new(bits as u32)),
                    ValType::F64 => F64Const(wasm_encoder::Ieee64::new(bits as u64)),
                    ValType::V128 => V128Const(bits as i128),
                    ValType::Ref(ty) => {
                        RefNull(RoundtripReencoder.heap_type(ty.heap_type()).map_err(|e| e.to_string())?)
                    }
                });
            }
            code.push(Call(call.export.index.as_u32()));
            let first = 1 + locals.len() as u32;
            locals.extend(&call.results);
            code.extend((first..1 + locals.len() as u32).rev().map(LocalSet));
            code.push(End);
        }
        for (local, &ty) in (1..).zip(&locals) {
            push_words(LocalGet(local), ty, &mut code);
        }
        for (global, ty) in &self.plan.globals {
            push_words(GlobalGet(global.index.as_u32()), *ty, &mut code);
        }
        let first = self.module.funcs.len() as u32;
        code.extend((first..).take(self.plan.memories.len()).map(Call));
        for table in &self.plan.tables {
            code.push(TableSize(table.index.as_u32()));
            code.extend((!self.module.tables[table.index].index_64).then_some(I64ExtendI32U));
        }
        code.push(End);
        let locals = locals.into_iter().map(|ty| RoundtripReencoder.val_type(ty)).collect::<Result<Vec<_>, _>>();
        let mut function = Function::new_with_locals_types(locals.map_err(|e| e.to_string())?);
        for instruction in &code {
            function.instruction(instruction);
        }
        Ok(function)
    }

    /// `() -> i64`: what [`hash`](crate::observe::hash) computes.
    fn hash(&self, index: MemoryIndex) -> Function {
        use Instruction::*;
        const AT: u32 = 0;
        const END: u32 = 1;
        const HASH: u32 = 2;
        let memory = &self.module.memories[index];
        let access = MemArg { offset: 0, align: 0, memory_index: index.as_u32() };
        let address = || [LocalGet(AT)].into_iter().chain((!memory.index_64).then_some(I32WrapI64));
        let mut code = vec![MemorySize(index.as_u32())];
        code.extend((!memory.index_64).then_some(I64ExtendI32U));
        code.extend([I64Const(memory.page_size_log2.into()), I64Shl, LocalTee(END), LocalSet(HASH)]);
        for (bytes, load) in [(8, I64Load(access)), (1, I64Load8U(access))] {
            code.extend([Block(BlockType::Empty), Loop(BlockType::Empty)]);
            code.extend([LocalGet(AT), I64Const(bytes), I64Add, LocalGet(END), I64GtU, BrIf(1), LocalGet(HASH)]);
            code.extend(address());
            code.extend([load, I64Xor, I64Const(ROTATION.into()), I64Rotl, I64Const(FACTOR as i64), I64Mul]);
            code.extend([LocalSet(HASH), LocalGet(AT), I64Const(bytes), I64Add, LocalSet(AT), Br(0), End, End]);
        }
        code.extend([LocalGet(HASH), End]);
        let mut function = Function::new([(3, wasm_encoder::ValType::I64)]);
        for instruction in &code {
            function.instruction(instruction);
        }
        function
    }
}

/// Leaves a value on the stack as words, the low one first.
fn push_words(get: Instruction<'static>, ty: ValType, code: &mut Vec<Instruction<'static>>) {
    use Instruction::*;
    match ty {
        ValType::I32 => code.extend([get, I64ExtendI32U]),
        ValType::I64 => code.push(get),
        ValType::F32 => code.extend([get, I32ReinterpretF32, I64ExtendI32U]),
        ValType::F64 => code.extend([get, I64ReinterpretF64]),
        ValType::V128 => code.extend([get.clone(), I64x2ExtractLane(0), get, I64x2ExtractLane(1)]),
        ValType::Ref(_) => code.extend([get, RefIsNull, I32Eqz, I64ExtendI32U]),
    }
}
