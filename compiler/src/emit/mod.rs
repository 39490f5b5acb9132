//! From an [`Image`](crate::image::Image) to an object file: what goes in is code and data with symbolic references, what comes out are the
//! bytes of a relocatable object. Nothing here knows wasm.
//!
//! What depends on the instruction set is in [`reloc`] and [`unwind`], what depends on the object format in
//! [`reloc`], [`unwind`], [`dwarf`], [`object`] and [`note`].

mod blob;
mod code;
mod component;
mod descriptor;
mod dwarf;
mod initial;
mod inlined;
mod interface;
pub mod note;
mod object;
mod policy;
mod reloc;
mod text;
mod unwind;

use target_lexicon::Triple;

pub use self::code::Code;
pub(crate) use self::code::bytes;
pub use self::component::component;
pub use self::policy::Terms;
use crate::error::Result;

/// Writes the object that holds `code` and what it is linked with, in the format of `triple`.
pub fn object(code: &Code, terms: &Terms<'_>, triple: &Triple) -> Result<Vec<u8>> {
    let platform = reloc::Platform::of(triple)?;
    let mut program = code.program();
    descriptor::write_terms(&mut program, terms, code.fuel_offset);
    let mut notes = terms.note.as_deref().map_or(Ok(Vec::new()), note::write)?;
    if let Some(carried) = &terms.carried {
        notes.extend(note::write_carried(carried)?);
    }
    object::write(platform, code, program, notes)
}

#[cfg(test)]
mod tests;
