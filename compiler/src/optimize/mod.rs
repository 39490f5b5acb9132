//! CLIF to CLIF: what pays across functions, or across operators, and that Cranelift does not do by itself.
//!
//! [`inline`] puts bodies of small functions in the place of calls. Only small bodies are kept for that: each other
//! function goes from translation through here to code generation by itself, so that memory and threads are used as
//! without inlining. [`pinned`] takes reads of the pinned register out of loops; [`traps`] lets code of libraries raise its
//! traps, where that is asked for.

pub mod calls;
pub mod inline;
mod pinned;
mod traps;

use crate::error::Result;
use crate::options::Shape;
use crate::translate::{Clif, FuncEnv};

/// The last work on a function, before its code is generated.
pub fn finish(clif: &mut Clif, env: &FuncEnv<'_>) -> Result<()> {
    match env.shape {
        Shape::Single => pinned::place(&mut clif.func),
        Shape::Many if env.raises_traps && !env.program.functions.piece(clif.id).is_trampoline() => {
            traps::raise(&mut clif.func, env.isa.default_call_conv())?;
        }
        Shape::Many => {}
    }
    Ok(())
}
