//! Loops that look at a byte in each round, as `strlen`, `memchr` and `memcmp` do, pass over sixteen bytes at a time.
//!
//! The loop stays as it is. The branch that starts its next round goes to a test first: where the byte that comes next
//! lies at a multiple of sixteen, the sixteen bytes from there on are loaded at once, and as many rounds are skipped as
//! are sure to do nothing but start the next one. The loop itself comes to its end, so its results are those of its last
//! round, and its traps are its own.
//!
//! What makes that right:
//!
//! * A round that starts the next one has no effect: there is no store, no call and no trap but that of loads, all of which
//!   are of one byte, at an address that rises by one from round to round.
//! * Sixteen bytes at a multiple of sixteen lie in one page, so loading them faults where loading the first one does. Those
//!   of further loads are loaded where they lie in one page. In front of loads there are only tests of numbers, which are
//!   known to be passed before anything is loaded.
//! * An index of 32 bits that wraps around within sixteen rounds skips none.
//! * Where bytes are compared with a value that is not known, each byte that may end the loop ends the skipping.

mod recognise;
mod skip;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Inst, Value};

use super::Loop;

/// A loop that looks at bytes.
struct Scan {
    /// The branch that starts the next round.
    latch: Inst,
    /// How the parameters of the header change from round to round.
    steps: Vec<Step>,
    /// Parameters of the loop's other blocks, and what each of them is.
    passed: Vec<(Value, Value)>,
    /// The loads, in order. The address of the first one decides when bytes are skipped.
    loads: Vec<Inst>,
    /// What can end the loop, in order.
    tests: Vec<Test>,
    /// How many of these are in front of the last load.
    guards: usize,
    /// Numbers that change, that have 32 bits and are used as 64.
    extended: Vec<Extended>,
}

/// How a parameter changes from round to round.
#[derive(Clone, Copy)]
struct Step {
    /// What is added to it: -1, 0 or 1.
    by: i64,
    /// It has 64 bits, of which the upper half is zero, as the loop widened it.
    is_widened: bool,
}

/// What ends a loop.
enum Test {
    /// A byte, when it compares so with a value; none is zero.
    Byte { load: usize, cond: IntCC, with: Option<Value> },
    /// Bytes of two loads, when they compare so.
    Bytes { loads: [usize; 2], cond: IntCC },
    /// A number that comes nearer to another one, when `low` is `high`, or with a condition when `low` is not below
    /// `high`; none is zero.
    Count { low: Option<Value>, high: Option<Value>, below: Option<IntCC> },
}

/// A number that changes and must not wrap around.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Extended {
    value: Value,
    /// What is added to it in each round: -1 or 1.
    by: i64,
}

impl Loop<'_> {
    /// Lets the loop skip bytes, if that is what it looks at; whether it does.
    pub(super) fn scan(&mut self) -> bool {
        let scan = self.recognise();
        scan.inspect(|scan| self.skip(scan)).is_some()
    }
}

impl Scan {
    /// A value, or that which a block of the loop gets it from.
    fn passed(&self, mut value: Value) -> Value {
        while let Some(&(_, from)) = self.passed.iter().find(|(param, _)| *param == value) {
            value = from;
        }
        value
    }
}
