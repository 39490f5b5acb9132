//! From an [`Image`] to an object file: what goes in is code and data with symbolic references, what comes out are the
//! bytes of a relocatable object. Nothing here knows wasm.
//!
//! What depends on the instruction set is in [`reloc`] and [`unwind`], what depends on the object format in
//! [`object`] and [`note`].

mod blob;
mod descriptor;
pub mod image;
mod initial;
mod interface;
pub mod note;
mod object;
mod policy;
mod reloc;
mod text;
mod unwind;

use target_lexicon::{BinaryFormat, Triple};

use crate::emit::image::Image;
use crate::error::{Error, Result};

/// Writes the object that holds `image`, in the format of `triple`.
pub fn object(image: &Image<'_>, triple: &Triple) -> Result<Vec<u8>> {
    if triple.binary_format != BinaryFormat::Elf {
        return Err(Error::usage(format!("objects for {triple} are not supported yet, only ELF")));
    }
    let arch = reloc::Arch::of(triple)?;
    let layout = text::Layout::of(image)?;
    // Pages are moved into the one instance of a program; what is instantiated again and again is copied.
    let mappable_bytes = match image.interface {
        None => image.memories.first().map_or(0, |m| m.initial_bytes),
        Some(_) => 0,
    };
    let initial = initial::plan(&image.initial, mappable_bytes, arch.page_bytes());
    let program = descriptor::write(image, &layout, &initial, arch)?;
    let text = text::write(image, &layout, &program, arch)?;
    let unwind = unwind::write(image, &layout, arch)?;
    object::write(arch, object::Sections { image, layout, text, program, initial, unwind })
}

#[cfg(test)]
mod tests;
