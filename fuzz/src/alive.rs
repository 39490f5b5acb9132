//! Adds functions to a module that keep thousands of exceptions alive: in locals, in frames of a recursion, in the values of
//! other exceptions, in a table and in globals, while as many others are made and forgotten. What they compute tells whether
//! each exception that is kept is still what it was made to be.

use wasm_encoder::Instruction::{self, *};
use wasm_encoder::{
    BlockType, Catch, CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, RefType, TableSection, TableType, TagKind, TagSection, TagType, TypeSection, ValType,
};
use wasmelt::module::{self, Module};

use crate::configuration::all_features;
use crate::instrument::{append, assemble, sections};
use crate::observe::Part;
use crate::random::Random;

/// Name of the export.
const EXPORT: &str = "wasmelt fuzz alive";

/// How exceptions are caught where the program need not hold references to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// By `try_table`.
    Standard,
    /// By `try`, `catch` and `rethrow`, which the reference does not know.
    Legacy,
}

/// One module in so many has the functions.
const ONCE_IN: u8 = 12;

/// A part of a program, with the functions where the byte says so.
pub fn part(name: &str, wasm: Vec<u8>, byte: u8) -> Result<Part, String> {
    let name = name.to_owned();
    if !byte.is_multiple_of(ONCE_IN) {
        return Ok(Part { name, wasm, reference: None });
    }
    let parsed = module::parse(&wasm, all_features()).map_err(|e| e.to_string())?;
    let random = Random::new(byte.into(), wasm.len() as u64);
    let standard = add(&wasm, &parsed, &mut random.clone(), Encoding::Standard)?;
    if (byte / ONCE_IN).is_multiple_of(2) {
        return Ok(Part { name, wasm: standard, reference: None });
    }
    let legacy = add(&wasm, &parsed, &mut random.clone(), Encoding::Legacy)?;
    Ok(Part { name, wasm: legacy, reference: Some(standard) })
}

/// Adds the functions, the same ones in each encoding for the same random numbers.
pub fn add(wasm: &[u8], module: &Module<'_>, random: &mut Random, encoding: Encoding) -> Result<Vec<u8>, String> {
    let program = Program::new(module, random);
    let mut sections = sections(wasm)?;
    let types = program.types();
    append(&mut sections, 1, &types, types.len())?;
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::EXNREF,
        table64: false,
        minimum: program.table_length.into(),
        maximum: Some(program.table_length.into()),
        shared: false,
    });
    append(&mut sections, 4, &tables, 1)?;
    let mut tags = TagSection::new();
    for ty in [Type::Throw, Type::ThrowLink] {
        tags.tag(TagType { kind: TagKind::Exception, func_type_idx: program.ty(ty) });
    }
    append(&mut sections, 13, &tags, tags.len())?;
    let mut globals = GlobalSection::new();
    for _ in 0..GLOBALS {
        let ty = GlobalType { val_type: ValType::EXNREF, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::ref_null(RefType::EXNREF.heap_type));
    }
    append(&mut sections, 6, &globals, globals.len())?;
    let mut exports = ExportSection::new();
    exports.export(EXPORT, ExportKind::Func, program.func(Func::Top));
    append(&mut sections, 7, &exports, 1)?;
    let (mut funcs, mut code) = (FunctionSection::new(), CodeSection::new());
    for (ty, function) in program.functions(random, encoding) {
        funcs.function(program.ty(ty));
        code.function(&function);
    }
    append(&mut sections, 3, &funcs, funcs.len())?;
    append(&mut sections, 10, &code, code.len())?;
    Ok(assemble(sections))
}

const GLOBALS: u32 = 3;

/// Types that are added, in this order.
#[derive(Clone, Copy)]
enum Type {
    /// `[i64] -> []`
    Throw,
    /// `[exnref i64] -> []`
    ThrowLink,
    /// `[i64] -> [exnref]`
    Make,
    /// `[exnref i64] -> [exnref]`
    Link,
    /// `[exnref] -> [exnref i64]`
    Unlink,
    /// `[exnref] -> [i64]`
    Walk,
    /// `[exnref i64] -> [exnref i64]`
    Frames,
    /// `[i64] -> [i64]`
    Nested,
    /// `[] -> [i64]`
    Top,
    /// `[] -> [i64 exnref]`
    Caught,
    /// `[] -> [exnref i64 exnref]`
    CaughtLink,
    /// `[] -> [exnref i64]`
    Linked,
}

/// Functions that are added, in this order.
#[derive(Clone, Copy)]
enum Func {
    /// An exception with a number.
    Make,
    /// An exception with another one and a number.
    Link,
    /// What is in an exception; null and 0 for null.
    Unlink,
    /// Makes exceptions and forgets them.
    Litter,
    /// A hash of all numbers of a list.
    Walk,
    /// Calls itself, with an exception in each frame.
    Frames,
    /// Calls itself in what catches an exception, and throws that one again.
    Nested,
    /// The export.
    Top,
}

/// The module's lengths, before anything is added, and what is random for all functions.
struct Program {
    types: u32,
    funcs: u32,
    tags: u32,
    globals: u32,
    table: u32,
    table_length: u32,
}

impl Program {
    fn new(module: &Module<'_>, random: &mut Random) -> Self {
        Self {
            types: module.types.len() as u32,
            funcs: module.funcs.len() as u32,
            tags: module.tags.len() as u32,
            globals: module.globals.len() as u32,
            table: module.tables.len() as u32,
            table_length: random.between(1, 3000) as u32,
        }
    }

    fn ty(&self, ty: Type) -> u32 {
        self.types + ty as u32
    }

    fn func(&self, func: Func) -> u32 {
        self.funcs + func as u32
    }

    fn call(&self, func: Func) -> Instruction<'static> {
        Call(self.func(func))
    }

    fn plain(&self) -> u32 {
        self.tags
    }

    fn link(&self) -> u32 {
        self.tags + 1
    }

    fn block(&self, ty: Type) -> BlockType {
        BlockType::FunctionType(self.ty(ty))
    }

    fn types(&self) -> TypeSection {
        let (i, e) = (ValType::I64, ValType::EXNREF);
        let all: [(&[ValType], &[ValType]); 12] = [
            (&[i], &[]),
            (&[e, i], &[]),
            (&[i], &[e]),
            (&[e, i], &[e]),
            (&[e], &[e, i]),
            (&[e], &[i]),
            (&[e, i], &[e, i]),
            (&[i], &[i]),
            (&[], &[i]),
            (&[], &[i, e]),
            (&[], &[e, i, e]),
            (&[], &[e, i]),
        ];
        let mut types = TypeSection::new();
        for (params, results) in all {
            types.ty().function(params.iter().copied(), results.iter().copied());
        }
        types
    }

    fn functions(&self, random: &mut Random, encoding: Encoding) -> [(Type, Function); 8] {
        let (frames, top) = (self.frames(random), self.top(random));
        [
            (Type::Make, self.make()),
            (Type::Link, self.make_link()),
            (Type::Unlink, self.unlink()),
            (Type::Throw, self.litter()),
            (Type::Walk, self.walk()),
            (Type::Frames, frames),
            (Type::Nested, self.nested(encoding)),
            (Type::Top, top),
        ]
    }

    fn make(&self) -> Function {
        let caught = Catch::OneRef { tag: self.plain(), label: 0 };
        function(
            [(1, ValType::EXNREF)],
            [
                Block(self.block(Type::Caught)),
                TryTable(BlockType::Empty, vec![caught].into()),
                LocalGet(0),
                Throw(self.plain()),
                End,
                Unreachable,
                End,
                LocalSet(1),
                Drop,
                LocalGet(1),
            ],
        )
    }

    fn make_link(&self) -> Function {
        let caught = Catch::OneRef { tag: self.link(), label: 0 };
        function(
            [(1, ValType::EXNREF)],
            [
                Block(self.block(Type::CaughtLink)),
                TryTable(BlockType::Empty, vec![caught].into()),
                LocalGet(0),
                LocalGet(1),
                Throw(self.link()),
                End,
                Unreachable,
                End,
                LocalSet(2),
                Drop,
                Drop,
                LocalGet(2),
            ],
        )
    }

    fn unlink(&self) -> Function {
        let catches = vec![Catch::One { tag: self.plain(), label: 0 }, Catch::One { tag: self.link(), label: 1 }];
        let null = RefNull(RefType::EXNREF.heap_type);
        function(
            [(1, ValType::I64)],
            [
                LocalGet(0),
                RefIsNull,
                If(BlockType::Empty),
                null.clone(),
                I64Const(0),
                Return,
                End,
                Block(self.block(Type::Linked)),
                Block(BlockType::Result(ValType::I64)),
                TryTable(BlockType::Empty, catches.into()),
                LocalGet(0),
                ThrowRef,
                End,
                Unreachable,
                End,
                LocalSet(1),
                null,
                LocalGet(1),
                Return,
                End,
            ],
        )
    }

    fn litter(&self) -> Function {
        function(
            [],
            [
                Block(BlockType::Empty),
                Loop(BlockType::Empty),
                LocalGet(0),
                I64Eqz,
                BrIf(1),
                I64Const(-1),
                self.call(Func::Make),
                Drop,
                LocalGet(0),
                I64Const(1),
                I64Sub,
                LocalSet(0),
                Br(0),
                End,
                End,
            ],
        )
    }

    fn walk(&self) -> Function {
        let mut code = vec![Loop(BlockType::Empty), LocalGet(0), self.call(Func::Unlink), LocalSet(2), LocalSet(0)];
        code.extend(mix(1, 2));
        code.extend([LocalGet(0), RefIsNull, I32Eqz, BrIf(0), End, LocalGet(1)]);
        function([(2, ValType::I64)], code)
    }

    /// `d > 0 ? itself(d - 1) : litter`, while the exception that was caught is what is thrown next.
    fn nested(&self, encoding: Encoding) -> Function {
        let (sum, reference) = (1, 2);
        let deeper = [
            LocalGet(0),
            I64Eqz,
            If(BlockType::Empty),
            I64Const(1500),
            self.call(Func::Litter),
            Else,
            LocalGet(0),
            I64Const(1),
            I64Sub,
            self.call(Func::Nested),
            LocalSet(sum),
            End,
        ];
        let result = BlockType::Result(ValType::I64);
        let mut code = Vec::new();
        match encoding {
            Encoding::Standard => {
                let outer = Catch::One { tag: self.plain(), label: 0 };
                let inner = Catch::OneRef { tag: self.plain(), label: 0 };
                code.extend([Block(result), TryTable(BlockType::Empty, vec![outer].into())]);
                code.extend([Block(self.block(Type::Caught)), TryTable(BlockType::Empty, vec![inner].into())]);
                code.extend([LocalGet(0), Throw(self.plain()), End, Unreachable, End, LocalSet(reference), Drop]);
                code.extend(deeper);
                code.extend([LocalGet(reference), ThrowRef, End, Unreachable, End]);
            }
            Encoding::Legacy => {
                code.extend([Try(result), Try(BlockType::Empty), LocalGet(0), Throw(self.plain())]);
                code.extend([Catch(self.plain()), Drop]);
                code.extend(deeper);
                code.extend([Rethrow(0), End, Unreachable, Catch(self.plain()), End]);
            }
        }
        code.extend([LocalGet(sum), I64Const(31), I64Mul, I64Add]);
        function([(1, ValType::I64), (1, ValType::EXNREF)], code)
    }

    /// `(exception, depth)` to `(exception, hash)`.
    fn frames(&self, random: &mut Random) -> Function {
        let (hash, value, first) = (2, 3, 4);
        let exceptions = random.between(1, 6) as u32;
        let mut body = Body { program: self, random, hash, value, counter: 1, first, exceptions, code: Vec::new() };
        body.code.extend([LocalGet(0), LocalSet(first)]);
        body.statements(3, 1);
        let given = body.exception();
        body.code.extend([LocalGet(1), I64Eqz, If(BlockType::Empty), I64Const(body.random.between(0, 3000) as i64)]);
        body.code.extend([self.call(Func::Litter), Else, LocalGet(given), LocalGet(1), I64Const(1), I64Sub]);
        body.code.extend([self.call(Func::Frames), LocalSet(value), LocalSet(given)]);
        body.code.extend(mix(hash, value));
        body.code.push(End);
        body.hash_all();
        let result = body.exception();
        body.code.extend([LocalGet(result), LocalGet(hash)]);
        let code = body.code;
        function([(2, ValType::I64), (exceptions, ValType::EXNREF)], code)
    }

    /// Keeps thousands in each way, and looks at all that is left.
    fn top(&self, random: &mut Random) -> Function {
        let (hash, value, counter, first) = (0, 1, 2, 3);
        // Few stay in registers that callees keep; of many, stale copies are left in the frame.
        let most = if random.one_in(3) { 16 } else { 2 };
        let exceptions = random.between(1, most) as u32;
        let count = random.between(4, 10);
        let mut body = Body { program: self, random, hash, value, counter, first, exceptions, code: Vec::new() };
        body.statements(count, 1000);
        body.hash_all();
        body.code.push(LocalGet(hash));
        let code = body.code;
        function([(3, ValType::I64), (exceptions, ValType::EXNREF)], code)
    }
}

/// Code that is being written: statements over a few exceptions in locals.
struct Body<'a> {
    program: &'a Program,
    random: &'a mut Random,
    /// Locals of numbers: the result, and what statements use.
    hash: u32,
    value: u32,
    counter: u32,
    /// The first local with an exception, and how many there are.
    first: u32,
    exceptions: u32,
    code: Vec<Instruction<'static>>,
}

impl Body<'_> {
    /// Any local with an exception.
    fn exception(&mut self) -> u32 {
        self.first + self.random.below(self.exceptions as usize) as u32
    }

    /// So many statements. Loops have at most `rounds`; with 1 round there are none.
    fn statements(&mut self, count: usize, rounds: usize) {
        for _ in 0..count {
            self.statement(rounds);
        }
    }

    fn statement(&mut self, rounds: usize) {
        let program = self.program;
        let (to, from) = (self.exception(), self.exception());
        let number = self.random.next() as i64;
        let global = program.globals + self.random.below(GLOBALS as usize) as u32;
        let element = I32Const(self.random.below(program.table_length as usize) as i32);
        let kinds = if rounds > 1 { 13 } else { 6 };
        match self.random.below(kinds) {
            0 => self.code.extend([I64Const(number), program.call(Func::Make), LocalSet(to)]),
            1 => self.code.extend([LocalGet(from), I64Const(number), program.call(Func::Link), LocalSet(to)]),
            2 => self.code.extend([LocalGet(from), GlobalSet(global)]),
            3 => self.code.extend([GlobalGet(global), LocalSet(to)]),
            4 => self.code.extend([element, LocalGet(from), TableSet(program.table)]),
            5 => self.code.extend([element, TableGet(program.table), LocalSet(to)]),
            // While an element is made, the list so far is in a register and nowhere else.
            6 | 11 | 12 => self.repeat(3 * rounds, |body| {
                body.code.extend([LocalGet(to), LocalGet(body.counter), program.call(Func::Link), LocalSet(to)]);
            }),
            7 => self.repeat((program.table_length as usize).min(rounds), |body| {
                body.code.extend([
                    LocalGet(body.counter),
                    I32WrapI64,
                    LocalGet(body.counter),
                    I64Const(number),
                    I64Xor,
                ]);
                body.code.extend([program.call(Func::Make), TableSet(program.table)]);
            }),
            8 => self.code.extend([I64Const(self.random.between(1, 2 * rounds) as i64), program.call(Func::Litter)]),
            9 => {
                let depth = self.random.between(1, 400) as i64;
                self.code.extend([LocalGet(from), I64Const(depth), program.call(Func::Frames)]);
                self.code.extend([LocalSet(self.value), LocalSet(to)]);
                self.code.extend(mix(self.hash, self.value));
            }
            _ => {
                let depth = self.random.between(1, 400) as i64;
                self.code.extend([I64Const(depth), program.call(Func::Nested), LocalSet(self.value)]);
                self.code.extend(mix(self.hash, self.value));
            }
        }
    }

    /// A loop whose counter goes down from below `rounds` to 0.
    fn repeat(&mut self, rounds: usize, body: impl FnOnce(&mut Self)) {
        self.code.extend([I64Const(self.random.below(rounds) as i64), LocalSet(self.counter), Loop(BlockType::Empty)]);
        body(self);
        self.code.extend([LocalGet(self.counter), I64Const(1), I64Sub, LocalTee(self.counter)]);
        self.code.extend([I64Const(0), I64GeS, BrIf(0), End]);
    }

    /// Adds what is kept to the hash: whole lists where this is the outermost function, else the first elements.
    fn hash_all(&mut self) {
        let program = self.program;
        let is_outermost = self.first == 3;
        for local in self.first..self.first + self.exceptions {
            let look = if is_outermost { Func::Walk } else { Func::Unlink };
            self.code.extend([LocalGet(local), program.call(look), LocalSet(self.value)]);
            self.code.extend((!is_outermost).then_some(Drop));
            self.code.extend(mix(self.hash, self.value));
        }
        if !is_outermost {
            return;
        }
        for global in program.globals..program.globals + GLOBALS {
            self.code.extend([GlobalGet(global), program.call(Func::Walk), LocalSet(self.value)]);
            self.code.extend(mix(self.hash, self.value));
        }
        // First elements alone: many elements may be the same long list.
        self.code.extend([
            I64Const(i64::from(program.table_length) - 1),
            LocalSet(self.counter),
            Loop(BlockType::Empty),
        ]);
        self.code.extend([LocalGet(self.counter), I32WrapI64, TableGet(program.table), program.call(Func::Unlink)]);
        self.code.extend([LocalSet(self.value), Drop]);
        self.code.extend(mix(self.hash, self.value));
        self.code.extend([LocalGet(self.counter), I64Const(1), I64Sub, LocalTee(self.counter)]);
        self.code.extend([I64Const(0), I64GeS, BrIf(0), End]);
    }
}

/// `hash = hash * 31 + value`, for locals.
fn mix(hash: u32, value: u32) -> [Instruction<'static>; 6] {
    [LocalGet(hash), I64Const(31), I64Mul, LocalGet(value), I64Add, LocalSet(hash)]
}

fn function(
    locals: impl IntoIterator<Item = (u32, ValType), IntoIter: ExactSizeIterator>,
    code: impl IntoIterator<Item = Instruction<'static>>,
) -> Function {
    let mut function = Function::new(locals);
    for instruction in code {
        function.instruction(&instruction);
    }
    function.instruction(&End);
    function
}
