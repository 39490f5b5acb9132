//! CLIF to CLIF: passes that see all functions of a program at once.
//!
//! A [`Pass`] is given the functions as they were translated and may change or remove them. Each
//! [`Clif`] knows its [`FuncId`](crate::program::FuncId); calls and symbols in it carry a
//! [`Name`](crate::translate::Name), which leads back to such numbers, see [`calls::callees`]. Functions that nothing
//! needs after the last pass are dropped. Without passes nothing is gathered: each function goes from translation to
//! code generation by itself, because waiting for the last one costs time and memory.

pub mod calls;

use crate::error::Result;
use crate::options::Options;
use crate::program::Program;
use crate::translate::Clif;

/// Work on all functions of a program.
pub type Pass = fn(&Program<'_>, &mut Vec<Clif>) -> Result<()>;

/// The passes that a compilation runs, in order.
pub fn passes(_: &Options) -> Vec<Pass> {
    Vec::new()
}

/// Runs passes over the functions, in order of their numbers, and drops those that nothing needs any more.
pub fn run(program: &Program<'_>, passes: &[Pass], mut functions: Vec<Clif>) -> Result<Vec<Clif>> {
    for pass in passes {
        pass(program, &mut functions)?;
    }
    calls::drop_unreachable(program, &mut functions);
    Ok(functions)
}
