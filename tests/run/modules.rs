//! Modules that are too large or too odd to be written as text.

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, MemArg, MemorySection, MemoryType, Module, TypeSection, ValType,
};

const WASI: &str = "wasi_snapshot_preview1";

fn memory(pages: u64) -> MemorySection {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: pages, maximum: None, memory64: false, shared: false, page_size_log2: None });
    memories
}

fn at(offset: u64) -> MemArg {
    MemArg { offset, align: 0, memory_index: 0 }
}

/// Bytes that repeat with no power of two.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// A program with one data segment of this length at this address. It changes a byte in the middle, writes 16 bytes
/// from the middle on to standard output, waits for its standard input to end, and writes 16 bytes from the start of
/// the segment and the last 16.
pub(crate) fn large_data(address: u32, bytes: &[u8]) -> Vec<u8> {
    let end = address + u32::try_from(bytes.len()).expect("fits a memory");
    let middle = address + (end - address) / 2;
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    types.ty().function([], []);
    types.ty().function([ValType::I32], []);
    let mut imports = ImportSection::new();
    imports.import(WASI, "fd_write", EntityType::Function(0));
    imports.import(WASI, "fd_read", EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(1).function(2);
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export("_start", ExportKind::Func, 2);

    // The iovec lies behind the segment.
    let iovec = i32::try_from(end.next_multiple_of(16)).expect("small");
    let mut start = Function::new([]);
    let mut code = start.instructions();
    let middle = i32::try_from(middle).expect("small");
    code.i32_const(middle).i32_const(middle).i32_load8_u(at(0)).i32_const(1).i32_add().i32_store8(at(0));
    code.i32_const(middle).call(3);
    code.i32_const(iovec).i32_const(iovec + 32).i32_store(at(0)).i32_const(iovec).i32_const(1).i32_store(at(4));
    code.i32_const(0).i32_const(iovec).i32_const(1).i32_const(iovec + 8).call(1).drop();
    code.i32_const(i32::try_from(address).expect("small")).call(3);
    code.i32_const(i32::try_from(end - 16).expect("small")).call(3);
    code.end();
    let mut write = Function::new([]);
    let mut code = write.instructions();
    code.i32_const(iovec).local_get(0).i32_store(at(0)).i32_const(iovec).i32_const(16).i32_store(at(4));
    code.i32_const(1).i32_const(iovec).i32_const(1).i32_const(iovec + 8).call(0).drop();
    code.end();

    let mut bodies = CodeSection::new();
    bodies.function(&start).function(&write);
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(i32::try_from(address).expect("small")), bytes.iter().copied());
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&memory(u64::from(end / 65536 + 2)));
    module.section(&exports).section(&bodies).section(&data);
    module.finish()
}

/// A program that calls itself without end, with a frame of at least eight bytes for each of `values`: more than a
/// guard page where there are enough.
pub(crate) fn endless_recursion_with_large_frames(values: u32) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export("_start", ExportKind::Func, 0);
    // All values are loaded before the call and used after it, so that they live in the frame meanwhile.
    let mut start = Function::new([(values, ValType::I64)]);
    let mut code = start.instructions();
    for i in 0..values {
        code.i32_const(0).i64_load(at(u64::from(i) * 8)).local_set(i);
    }
    code.call(0);
    for i in 0..values {
        code.i32_const(0).local_get(i).i64_store(at(u64::from(i) * 8 + 4));
    }
    code.end();
    let mut bodies = CodeSection::new();
    bodies.function(&start);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memory(16)).section(&exports).section(&bodies);
    module.finish()
}
