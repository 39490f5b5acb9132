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
    // Pages are moved into the instances of a program, where the system can move pages. What is instantiated again and
    // again is copied.
    let maps = platform.format == BinaryFormat::Elf && !image.is_library();
    let initial = image.instances.iter().map(|instance| {
        let mappable_bytes = instance.memories.first().filter(|_| maps).map_or(0, |memory| memory.initial_bytes);
        initial::plan(&instance.initial, mappable_bytes, platform.page_bytes)
    });
    let initial: Vec<_> = initial.collect();
    let program = descriptor::write(image, &layout, &initial)?;
    let text = text::write(image, &layout, &program, platform)?;
    let unwind = unwind::write(image, &layout, platform)?;
    let debug = dwarf::write(image, &layout, platform.format)?;
    object::write(
        platform,
        object::Sections { image, layout, text, program, pages: initial::join(initial), unwind, debug },
    )
}

#[cfg(test)]
mod tests;
