//! CLIF to CLIF: what pays across functions, or across operators, and that Cranelift does not do by itself.
//!
//! [`inline`] puts bodies of small functions in the place of calls. Only small bodies are kept for that: each other
//! function goes from translation through here to code generation by itself, so that memory and threads are used as
//! without inlining. [`pinned`] takes reads of the pinned register out of loops.

pub mod calls;
pub mod inline;
mod pinned;

use crate::options::Shape;
use crate::translate::Clif;

/// The last work on a function, before its code is generated.
pub fn finish(clif: &mut Clif, shape: Shape) {
    if shape == Shape::Single {
        pinned::place(&mut clif.func);
    }
}
