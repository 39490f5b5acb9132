//! Inputs that are too large to be checked in, made in the scratch folder when a command line names them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use wasm_encoder::{
    BlockType, CodeSection, Encode as _, ExportKind, ExportSection, Function, FunctionSection, Instruction,
    MemorySection, MemoryType, Module, RawSection, SectionId, TypeSection, ValType,
};

/// How an input is written.
type Generator = fn(&Path) -> io::Result<()>;

const GENERATORS: &[(&str, Generator)] = &[
    ("zeros-100M.wasm", |path| File::create(path)?.set_len(100 << 20)),
    ("header-and-zeros-100M.wasm", |path| {
        fs::write(path, b"\0asm\x01\0\0\0")?;
        File::options().write(true).open(path)?.set_len(100 << 20)
    }),
    ("functions-100000.wasm", |path| fs::write(path, many_functions(100_000))),
    ("locals-50000.wasm", |path| fs::write(path, many_locals(50_000))),
    ("locals-distinct-50000.wasm", |path| fs::write(path, many_local_groups(50_000))),
    ("blocks-50000.wasm", |path| fs::write(path, nested(50_000, &Instruction::Block(BlockType::Empty)))),
    ("loops-50000.wasm", |path| fs::write(path, nested(50_000, &Instruction::Loop(BlockType::Empty)))),
    ("ifs-50000.wasm", |path| fs::write(path, nested(50_000, &Instruction::If(BlockType::Empty)))),
    ("memory-4gib.wasm", |path| fs::write(path, module(&[empty_body()], 65536))),
    ("memory-too-large.wasm", |path| fs::write(path, module(&[empty_body()], 65537))),
    ("locals-50001.wasm", |path| fs::write(path, many_locals(50_001))),
    ("params-1001.wasm", |path| fs::write(path, many_params(1001))),
    ("functions-1000001.wasm", |path| fs::write(path, counted_functions(1_000_001))),
    ("expression-50000.wasm", |path| fs::write(path, long_expression(50_000))),
];

/// Makes the inputs that this line names, unless they are there already.
pub(crate) fn inputs_of(line: &str, folder: &Path) -> io::Result<()> {
    for (name, generate) in GENERATORS {
        let path = folder.join(name);
        if line.contains(name) && !path.exists() {
            generate(&path)?;
        }
    }
    Ok(())
}

fn empty_body() -> Function {
    let mut function = Function::new([]);
    function.instruction(&Instruction::End);
    function
}

/// Functions of type `[] -> []`, the first one being `_start`.
fn module(bodies: &[Function], memory_pages: u64) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    for body in bodies {
        functions.function(0);
        code.function(body);
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: memory_pages,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export("_start", ExportKind::Func, 0);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports).section(&code);
    module.finish()
}

/// Each function calls the one after it in one branch and the last one in the other, so that none is unused.
fn many_functions(count: u32) -> Vec<u8> {
    let bodies: Vec<Function> = (0..count)
        .map(|i| {
            let mut body = Function::new([]);
            if i + 1 < count {
                body.instruction(&Instruction::I32Const(i.cast_signed()))
                    .instruction(&Instruction::I32Load8U(wasm_encoder::MemArg { offset: 0, align: 0, memory_index: 0 }))
                    .instruction(&Instruction::If(BlockType::Empty))
                    .instruction(&Instruction::Call(i + 1))
                    .instruction(&Instruction::Else)
                    .instruction(&Instruction::Call(count - 1))
                    .instruction(&Instruction::End);
            }
            body.instruction(&Instruction::End);
            body
        })
        .collect();
    module(&bodies, 2)
}

/// As many locals as an implementation must accept, most of them used.
fn many_locals(count: u32) -> Vec<u8> {
    let mut body = Function::new([(count, ValType::I64)]);
    for local in 1..count {
        body.instruction(&Instruction::LocalGet(local - 1))
            .instruction(&Instruction::I64Const(i64::from(local)))
            .instruction(&Instruction::I64Add)
            .instruction(&Instruction::LocalSet(local));
    }
    body.instruction(&Instruction::End);
    module(&[body], 1)
}

/// A function type with so many parameters.
fn many_params(count: usize) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function(vec![ValType::I32; count], []);
    let mut module = Module::new();
    module.section(&types);
    module.finish()
}

/// A function section that says it has so many entries, and ends there.
fn counted_functions(count: u32) -> Vec<u8> {
    let mut data = Vec::new();
    count.encode(&mut data);
    let mut module = Module::new();
    module.section(&RawSection { id: SectionId::Function as u8, data: &data });
    module.finish()
}

/// Locals whose declarations cannot be run together, and that are all zero.
fn many_local_groups(count: u32) -> Vec<u8> {
    let types = [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128];
    let groups = (0..count).map(|i| (1, types[i as usize % types.len()]));
    let mut body = Function::new(groups.collect::<Vec<_>>());
    body.instruction(&Instruction::End);
    module(&[body], 1)
}

/// Blocks in blocks, with a branch from the innermost one to the outermost.
fn nested(depth: u32, block: &Instruction<'_>) -> Vec<u8> {
    let mut body = Function::new([]);
    for _ in 0..depth {
        if matches!(block, Instruction::If(_)) {
            body.instruction(&Instruction::I32Const(1));
        }
        body.instruction(block);
    }
    if !matches!(block, Instruction::Loop(_)) {
        body.instruction(&Instruction::Br(depth - 1));
    }
    for _ in 0..=depth {
        body.instruction(&Instruction::End);
    }
    module(&[body], 1)
}

/// An expression that holds as many values at once.
fn long_expression(depth: u32) -> Vec<u8> {
    let mut body = Function::new([]);
    for i in 0..depth {
        body.instruction(&Instruction::I32Const(i.cast_signed()))
            .instruction(&Instruction::I32Load8U(wasm_encoder::MemArg { offset: 0, align: 0, memory_index: 0 }));
    }
    for _ in 1..depth {
        body.instruction(&Instruction::I32Add);
    }
    body.instruction(&Instruction::Drop).instruction(&Instruction::End);
    module(&[body], 1)
}
