//! What can be seen of a program from outside, the same for every way to run it: which exports of its modules are called
//! with which arguments ([`Plan`]), and what came of it ([`Observation`]).

use wasmelt::module::{self, Entity, FuncIndex, GlobalIndex, MemoryIndex, Module, TableIndex};
use wasmelt_abi::trap::Trap;
use wasmparser::{RefType, ValType};

use crate::random::Random;

/// A value: an integer's or a float's bits, the number behind an `externref`, or for other references whether it is
/// not null.
pub type Bits = u128;

/// A module of a program. An import whose module name is that of an earlier part is that part's export; all others are
/// the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What later parts import it by.
    pub name: String,
    /// The module. Parts with equal bytes are instances of the same module.
    pub wasm: Vec<u8>,
    /// The same in operators that the reference knows, where those of the module are others.
    pub reference: Option<Vec<u8>>,
}

/// Runs programs.
pub trait Engine {
    /// Instantiates the modules in their order and performs the plan.
    fn observe(&self, program: &[Part], plan: &Plan) -> Result<Observation, Failure>;
}

/// Why there is no observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A module is not accepted.
    Refused(String),
    /// Something happened that no module may cause.
    Broken(String),
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The trap that ended instantiation; nothing is called then.
    pub instantiation: Option<Trap>,
    /// Results of the calls.
    pub calls: Vec<Result<Vec<Bits>, Trap>>,
    /// With [`After::Continue`] the state after instantiation and after each call, else that after the last call.
    pub states: Vec<State>,
    /// Calls in which code of another module than the called one was executed, as the modules' fuel tells; counted by the
    /// reference alone.
    pub crossings: u32,
}

/// What a host can see of the instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Exported globals.
    pub globals: Vec<Bits>,
    /// [`hash`] of each exported memory.
    pub memory_hashes: Vec<u64>,
    /// Length of each exported table.
    pub table_lengths: Vec<u64>,
    /// [`hash_elements`] of each exported table, with [`After::Continue`] only.
    pub table_hashes: Vec<u64>,
}

impl Observation {
    /// All traps.
    pub fn traps(&self) -> impl Iterator<Item = Trap> {
        self.instantiation.into_iter().chain(self.calls.iter().filter_map(|call| call.as_ref().err().copied()))
    }
}

/// What follows a call that traps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// A process that trapped has no state any more: the call counts as not made, and the ones behind it are those of
    /// an instance without it.
    #[default]
    Restart,
    /// The instance goes on with what the call left. Only a stack that is exhausted ends the calls, as frames have
    /// other sizes elsewhere.
    Continue,
}

/// An import. What no earlier part provides is the host's, as `host.rs` says.
#[derive(Clone, Debug)]
pub enum Import {
    /// A function with these parameters and results.
    Func(Vec<ValType>, Vec<ValType>),
    /// A table of such elements.
    Table(RefType),
    /// A memory.
    Memory,
    /// A global of this type.
    Global(ValType),
    /// A tag.
    Tag,
}

/// What is done with a program, and what is looked at then.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What follows a call that traps.
    pub after: After,
    /// Imports of each part in order.
    pub imports: Vec<Vec<Import>>,
    /// Calls in order.
    pub calls: Vec<Call>,
    /// Exported globals with their types, those of earlier parts first, as for memories and tables.
    pub globals: Vec<(Export<GlobalIndex>, ValType)>,
    /// Exported memories.
    pub memories: Vec<Export<MemoryIndex>>,
    /// Exported tables.
    pub tables: Vec<Export<TableIndex>>,
}

/// An export of a part.
#[derive(Clone, Debug)]
pub struct Export<T> {
    /// The part's number.
    pub part: usize,
    /// Its name.
    pub name: String,
    /// What it is, by the part's own index.
    pub index: T,
}

/// What names of exports begin with that the fuzzer adds.
pub const ADDED_EXPORT: &str = "wasmelt fuzz ";

/// Export of a global that is set to [`FUEL`] before each call: loops and calls of all functions together, after which
/// a module traps.
pub const FUEL_EXPORT: &str = "wasmelt fuzz fuel";

/// Exports of this name with a memory's index behind it are functions that return the memory's [`hash`].
pub const HASH_EXPORT: &str = "wasmelt fuzz hash ";

/// See [`FUEL_EXPORT`].
pub const FUEL: u32 = 1000;

/// A call of an export.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function.
    pub export: Export<FuncIndex>,
    /// Whether the part defines it, and does not only pass on what it imports.
    pub is_defined: bool,
    /// Arguments with their types; references to functions and exceptions are null.
    pub args: Vec<(ValType, Bits)>,
    /// Types of the results.
    pub results: Vec<ValType>,
}

/// Words of 64 bits that all values together may take: what one function can return, less what is not counted.
const MAX_WORDS: usize = 900;

/// Calls that a plan has at most: the driver of an executable takes the choice among them as bits of an integer.
pub const MAX_CALLS: usize = 64;

/// Words that a value takes.
pub fn words(ty: ValType) -> usize {
    if ty == ValType::V128 { 2 } else { 1 }
}

impl Plan {
    /// Calls each exported function once, as many as fit; those of several parts in any order.
    pub fn new(modules: &[&Module<'_>], after: After, random: &mut Random) -> Self {
        let mut plan = Self { after, imports: modules.iter().map(|m| imports(m)).collect(), ..Self::default() };
        let mut room = MAX_WORDS;
        for (part, module) in modules.iter().enumerate() {
            plan.look_at(part, module, &mut room);
        }
        let mut calls: Vec<_> = modules.iter().enumerate().flat_map(|(part, module)| calls(part, module)).collect();
        if modules.len() > 1 {
            (1..calls.len()).rev().for_each(|end| calls.swap(end, random.below(end + 1)));
        }
        for mut call in calls {
            let taken: usize = call.results.iter().map(|&ty| words(ty)).sum();
            if taken > room || plan.calls.len() == MAX_CALLS {
                continue;
            }
            room -= taken;
            call.args.iter_mut().for_each(|(ty, bits)| *bits = argument(*ty, after, random));
            plan.calls.push(call);
        }
        plan
    }

    /// Adds the state that a part exports, as much as fits.
    fn look_at(&mut self, part: usize, module: &Module<'_>, room: &mut usize) {
        for export in &module.exports {
            let name = export.name.to_owned();
            match export.entity {
                Entity::Global(index) => {
                    let ty = module.globals[index].ty;
                    if words(ty) <= *room {
                        *room -= words(ty);
                        self.globals.push((Export { part, name, index }, ty));
                    }
                }
                // What a later part imports is looked at where it is defined: memories take time.
                Entity::Memory(index)
                    if *room > 0 && (part == 0 || index.as_u32() as usize >= module.imported_memories) =>
                {
                    *room -= 1;
                    self.memories.push(Export { part, name, index });
                }
                Entity::Table(index) if *room > 0 => {
                    *room -= 1;
                    self.tables.push(Export { part, name, index });
                }
                _ => {}
            }
        }
    }
}

/// Calls of all functions that a part exports and that can be called from outside, with arguments that are zero.
fn calls(part: usize, module: &Module<'_>) -> Vec<Call> {
    let call = |export: &module::Export<'_>| {
        let Entity::Func(index) = export.entity else { return None };
        let ty = module.func_type(index);
        let is_callable = ty.params.iter().chain(&ty.results).all(|ty| ty.is_defaultable());
        (is_callable && !export.name.starts_with(HASH_EXPORT)).then(|| Call {
            export: Export { part, name: export.name.to_owned(), index },
            is_defined: module.defined_func(index).is_some(),
            args: ty.params.iter().map(|&ty| (ty, 0)).collect(),
            results: ty.results.to_vec(),
        })
    };
    module.exports.iter().filter_map(call).collect()
}

fn imports(module: &Module<'_>) -> Vec<Import> {
    let import = |entity| match entity {
        Entity::Func(func) => {
            let ty = module.func_type(func);
            Import::Func(ty.params.to_vec(), ty.results.to_vec())
        }
        Entity::Table(table) => Import::Table(module.tables[table].element),
        Entity::Memory(_) => Import::Memory,
        Entity::Global(global) => Import::Global(module.globals[global].ty),
        Entity::Tag(_) => Import::Tag,
    };
    module.imports.iter().map(|i| import(i.entity)).collect()
}

/// Mostly small numbers and edges, which reach more than random bits do.
fn argument(ty: ValType, after: After, random: &mut Random) -> Bits {
    const INTEGERS: &[u64] = &[0, 1, 2, 7, 8, 31, 63, 255, 65_535, 65_536, 1 << 31, (1 << 31) - 1, 1 << 63, u64::MAX];
    const F32: &[f32] = &[0.0, -0.0, 1.0, -1.5, 1e10, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY];
    let edge = random.choose(INTEGERS).copied().unwrap_or_default();
    let integer = if random.one_in(4) { random.next() } else { edge };
    let float = random.choose(F32).copied().unwrap_or_default();
    match ty {
        ValType::I32 => integer as u32 as Bits,
        ValType::I64 => Bits::from(integer),
        ValType::F32 => Bits::from(float.to_bits()),
        ValType::F64 => Bits::from(f64::from(float).to_bits()),
        ValType::V128 => Bits::from(integer) << 64 | Bits::from(random.next()),
        // The driver of an executable has nothing but null.
        ValType::Ref(RefType::EXTERNREF) if after == After::Continue => Bits::from(random.next() % 4),
        ValType::Ref(_) => 0,
    }
}

/// A step of [`hash`]: `rotl(hash ^ word, ROTATION) * FACTOR`.
pub const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// A step of [`hash`].
pub const ROTATION: u32 = 23;

fn step(hash: u64, word: u64) -> u64 {
    (hash ^ word).rotate_left(ROTATION).wrapping_mul(FACTOR)
}

/// Hash of a table's elements.
pub fn hash_elements(elements: impl Iterator<Item = Bits>) -> u64 {
    elements.fold(0, |hash, bits| step(hash, bits as u64))
}

/// Hash of a memory: begins with its length, takes eight bytes at a time, little-endian, and those of the rest alone.
pub fn hash(memory: &[u8]) -> u64 {
    let (words, rest) = memory.as_chunks::<8>();
    let hash = words.iter().fold(memory.len() as u64, |hash, &word| step(hash, u64::from_le_bytes(word)));
    rest.iter().fold(hash, |hash, &byte| step(hash, byte.into()))
}
