//! From an [`Image`] to an object file: what goes in is code and data with symbolic references, what comes out are the
//! bytes of a relocatable object. Nothing here knows wasm.
//!
//! What depends on the instruction set is in [`reloc`] and [`unwind`], what depends on the object format in
//! [`reloc`], [`unwind`], [`dwarf`], [`object`] and [`note`].

mod blob;
mod descriptor;
mod dwarf;
mod initial;
mod interface;
pub mod note;
mod object;
mod policy;
mod reloc;
mod text;
mod unwind;

use ::object::BinaryFormat;
use target_lexicon::Triple;

use crate::error::Result;
use crate::image::Image;

/// Writes the object that holds `image`, in the format of `triple`.
pub fn object(image: &Image<'_>, triple: &Triple) -> Result<Vec<u8>> {
    let platform = reloc::Platform::of(triple)?;
    let layout = text::Layout::of(image)?;
    let mappable_bytes = match image.interface {
        // Pages are moved into the one instance of a program, where the system can move pages.
        None if platform.format == BinaryFormat::Elf => image.memories.first().map_or(0, |m| m.initial_bytes),
        // What is instantiated again and again is copied.
        _ => 0,
    };
    let initial = initial::plan(&image.initial, mappable_bytes, platform.page_bytes);
    let program = descriptor::write(image, &layout, &initial, platform.page_bytes)?;
    let text = text::write(image, &layout, &program, platform)?;
    let unwind = unwind::write(image, &layout, platform)?;
    let debug = dwarf::write(image, &layout, platform.format)?;
    object::write(platform, object::Sections { image, layout, text, program, initial, unwind, debug })
}

#[cfg(test)]
mod tests;
