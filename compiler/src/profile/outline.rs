//! A function body to its outline: where its parts begin that are executed as a whole, and a number that stands for the
//! body and survives changes elsewhere.
//!
//! A part begins where code can come to by a branch, and where a branch that was not taken leads. The number is made of
//! the function's type and of its operators, without what they name: addresses, constants, and indices of functions,
//! globals and locals change with every edit of a program, and say little about how a function is executed. Functions
//! that are equal but for that share what is known of them.

use wasmparser::{BinaryReader, Operator};

use super::Digest;
use crate::error::{Error, Result};
use crate::module::{DefinedFuncIndex, Effect, Module, for_each_branch};

/// The parts of a function body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Stands for the body.
    pub digest: Digest,
    /// Its parts, in order of where they begin; the first is the start of the function.
    pub regions: Vec<Region>,
}

/// A part of a function body that is executed as a whole, but for traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Offset of the operator behind which it begins, from the start of the body; 0 for the first part.
    pub offset: u32,
    /// How it is entered.
    pub entry: Entry,
    /// The part that ends with that operator; `None` where code does not come to the operator.
    pub before: Option<u32>,
}

/// How a part is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// When the condition of an `if` is not zero.
    Then,
    /// When the branch before it is not taken.
    Untaken,
    /// From several places.
    Join,
}

impl Outline {
    /// The outline of a function of a module.
    pub fn of(module: &Module<'_>, func: DefinedFuncIndex) -> Result<Self> {
        let body = &module.bodies[func];
        Self::read(body, &module.func_type(module.func_index(func)).to_string())
            .map_err(|e| Error::internal(format!("a validated body could not be read: {e}")))
    }

    fn read(body: &crate::module::Body<'_>, ty: &str) -> wasmparser::Result<Self> {
        let mut builder = Builder { text: ty.as_bytes().to_vec(), ..Builder::default() };
        builder.begin(0, Entry::Join);
        let mut ops = body.body.get_operators_reader()?;
        while !ops.eof() {
            let (op, at) = ops.read_with_offset()?;
            let offset = (at - body.range.start) as u32;
            let bytes = body.body.as_bytes().get(offset as usize..).unwrap_or_default();
            builder.add_opcode(bytes, at)?;
            builder.visit(&op, offset);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(&blake3::hash(&builder.text).as_bytes()[..size_of::<Digest>()]);
        Ok(Self { digest, regions: builder.regions })
    }
}

/// An open block.
#[derive(Clone, Copy)]
struct Block {
    is_loop: bool,
    /// Code may come to its end by a branch.
    is_joined: bool,
}

#[derive(Default)]
struct Builder {
    /// What the digest is made of.
    text: Vec<u8>,
    regions: Vec<Region>,
    /// The part at hand; `None` where code does not come.
    current: Option<u32>,
    blocks: Vec<Block>,
}

impl Builder {
    fn begin(&mut self, offset: u32, entry: Entry) {
        let before = self.current;
        self.current = Some(self.regions.len() as u32);
        self.regions.push(Region { offset, entry, before });
    }

    /// Adds the number of the operator that these bytes start with.
    fn add_opcode(&mut self, bytes: &[u8], at: usize) -> wasmparser::Result<()> {
        /// First bytes of operators whose number follows.
        const PREFIXES: std::ops::RangeInclusive<u8> = 0xfb..=0xfe;
        let mut reader = BinaryReader::new(bytes, at);
        let first = reader.read_u8()?;
        self.text.push(first);
        if PREFIXES.contains(&first) {
            self.text.extend(reader.read_var_u32()?.to_le_bytes());
        }
        Ok(())
    }

    /// A branch to the block at this depth, or out of the function.
    fn branch(&mut self, depth: u32) {
        self.text.extend(depth.to_le_bytes());
        if let Some(place) = self.blocks.len().checked_sub(1 + depth as usize) {
            self.blocks[place].is_joined = true;
        }
    }

    fn visit(&mut self, op: &Operator<'_>, offset: u32) {
        for_each_branch(op, |depth| self.branch(depth));
        match Effect::of(op) {
            Effect::Loop => {
                self.blocks.push(Block { is_loop: true, is_joined: false });
                self.begin(offset, Entry::Join);
            }
            Effect::Block => self.blocks.push(Block { is_loop: false, is_joined: false }),
            Effect::Fork => {
                let is_if = matches!(op, Operator::If { .. });
                // Of a `try`, the end is entered from the clauses too; a `try_table` has none.
                let is_joined = !matches!(op, Operator::TryTable { .. });
                self.blocks.push(Block { is_loop: false, is_joined });
                if is_if {
                    self.begin(offset, Entry::Then);
                }
            }
            Effect::Clause => self.begin(offset, Entry::Join),
            Effect::End | Effect::Delegate => {
                // The body itself ends with the last one.
                if self.blocks.pop().is_some_and(|block| block.is_joined && !block.is_loop) {
                    self.begin(offset, Entry::Join);
                }
            }
            Effect::Branch => match op {
                Operator::BrIf { .. } | Operator::BrOnNull { .. } | Operator::BrOnNonNull { .. } => {
                    self.begin(offset, Entry::Untaken);
                }
                _ => self.current = None,
            },
            Effect::TailCall | Effect::Throw => self.current = None,
            Effect::Plain | Effect::Refers | Effect::Runtime | Effect::Call | Effect::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::default_features;

    fn outlines(text: &str) -> Vec<Outline> {
        let wasm = wat::parse_str(text).unwrap();
        let module = crate::module::parse(&wasm, default_features()).unwrap();
        module.bodies.keys().map(|func| Outline::of(&module, func).unwrap()).collect()
    }

    fn outline(body: &str) -> Outline {
        outlines(&format!("(module (memory 1) (global $g (mut i32) (i32.const 0)) (func (param i32) {body}))"))
            .remove(0)
    }

    fn entries(body: &str) -> Vec<(Entry, Option<u32>)> {
        outline(body).regions.iter().map(|region| (region.entry, region.before)).collect()
    }

    #[test]
    fn parts_begin_where_branches_lead() {
        use Entry::{Join, Then, Untaken};
        assert_eq!(entries(""), [(Join, None)]);
        assert_eq!(entries("(block nop)"), [(Join, None)], "nothing branches to its end");
        assert_eq!(entries("(block (br_if 0 (local.get 0)))"), [(Join, None), (Untaken, Some(0)), (Join, Some(1))]);
        assert_eq!(entries("(block (br 0))"), [(Join, None), (Join, None)]);
        assert_eq!(entries("(if (local.get 0) (then nop))"), [(Join, None), (Then, Some(0)), (Join, Some(1))]);
        let both = [(Join, None), (Then, Some(0)), (Join, Some(1)), (Join, Some(2))];
        assert_eq!(entries("(if (local.get 0) (then nop) (else nop))"), both);
        // The end of a loop is entered from its inside alone.
        assert_eq!(entries("(loop (br_if 0 (local.get 0)))"), [(Join, None), (Join, Some(0)), (Untaken, Some(1))]);
        assert_eq!(entries("(br_if 0 (local.get 0))"), [(Join, None), (Untaken, Some(0))], "out of the function");
    }

    #[test]
    fn what_an_operator_names_is_no_part_of_the_digest() {
        let digest = |body| outline(body).digest;
        let store = digest("(i32.store (i32.const 8) (local.get 0))");
        assert_eq!(store, digest("(i32.store offset=4 (i32.const 1234567) (local.get 0))"));
        assert_ne!(store, digest("(i32.store8 (i32.const 8) (local.get 0))"));
        assert_ne!(store, digest("(i32.store (i32.const 8) (i32.const 0))"));
        assert_ne!(digest("(block (block (br 0)))"), digest("(block (block (br 1)))"));
        assert_ne!(
            digest("(drop (i32.trunc_sat_f32_s (f32.const 0)))"),
            digest("(drop (i32.trunc_sat_f32_u (f32.const 0)))")
        );
        let [a, b] = outlines("(module (func (param i32)) (func (param i64)))").try_into().unwrap();
        assert_ne!(a.digest, b.digest);
    }
}
