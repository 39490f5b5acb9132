//! The part of an object that follows from the module and from how it is compiled: everything except hooks, policy and
//! notes. The cache keeps this part, and so do executables that can be linked again.

use std::mem::offset_of;

use object::BinaryFormat;
use serde::{Deserialize, Serialize};
use target_lexicon::Triple;
use wasmelt_abi::context::FuncRecord;
use wasmelt_abi::descriptor::ProgramDescriptor;

use super::blob::Blob;
use super::dwarf::{self, DebugSection};
use super::reloc::{Platform, Reference, Target};
use super::text::{self, Layout, Text};
use super::unwind::{self, Table};
use super::{descriptor, initial};
use crate::error::{Error, Result};
use crate::image::Image;

/// The sections of an object, but for what is decided when it is linked.
#[derive(Debug, Serialize, Deserialize)]
pub struct Code {
    pub(super) text: Text,
    /// Alignment of the text section in bytes.
    pub(super) text_align: u32,
    pub(super) functions: Vec<FunctionSymbol>,
    /// The section of the program descriptor.
    #[serde(with = "bytes")]
    program: Vec<u8>,
    program_references: Vec<Reference>,
    /// The section of code maps.
    #[serde(with = "bytes")]
    pub(super) maps: Vec<u8>,
    /// The pages that are mapped into memory 0.
    #[serde(with = "bytes")]
    pub(super) pages: Vec<u8>,
    pub(super) unwind: Vec<Table>,
    pub(super) debug: Vec<DebugSection>,
    /// Name of the library; `None` for a program.
    pub(super) library: Option<String>,
    /// Where code counts its operators, from `vmctx`; `None` without a budget.
    pub(super) fuel_offset: Option<i32>,
}

/// A function in the symbol table.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FunctionSymbol {
    /// See [`crate::image::ImageFunction::id`].
    id: u32,
    pub(super) name: String,
    /// Offset in the text section.
    pub(super) start: u32,
    pub(super) len_bytes: u32,
}

impl Code {
    /// Writes the sections for `image`, in the format of `triple`.
    pub fn write(image: &Image<'_>, triple: &Triple) -> Result<Self> {
        let platform = Platform::of(triple)?;
        let layout = Layout::of(image)?;
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
        let functions = image.functions.iter().zip(&layout.offsets).map(|(function, &start)| FunctionSymbol {
            id: function.id,
            name: function.symbol.clone(),
            start,
            len_bytes: function.code.len() as u32,
        });
        let library = image.instances.first().and_then(|instance| instance.interface.as_ref());
        Ok(Self {
            text,
            text_align: layout.align,
            functions: functions.collect(),
            program: program.bytes,
            program_references: program.references,
            maps: program.maps,
            pages: initial::join(initial),
            unwind: unwind::write(image, &layout, platform)?,
            debug: dwarf::write(image, &layout, platform.format)?,
            library: library.map(|interface| interface.name.clone()),
            fuel_offset: image.fuel_offset,
        })
    }

    /// Where each function starts in the text section, and its number.
    pub fn function_starts(&self) -> impl Iterator<Item = (u32, u32)> {
        self.functions.iter().map(|function| (function.start, function.id))
    }

    /// Where the function starts in the text section to which a reference leads: a
    /// [`FuncRecord`], `offset` bytes behind the program descriptor.
    pub fn record_target(&self, offset: u64) -> Option<u32> {
        let start = usize::try_from(offset).ok()?.checked_add(offset_of!(FuncRecord, code_offset))?;
        let bytes = self.program.get(start..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }

    /// Whether it is a library, which has neither hooks nor a policy.
    pub fn is_library(&self) -> bool {
        self.library.is_some()
    }

    /// The section of the program descriptor, to go on with.
    pub(super) fn program(&self) -> Blob {
        Blob::resume(self.program.clone(), self.program_references.clone())
    }

    /// Fails where the parts do not fit together, as in a file that somebody has made up. What is written of them is
    /// then an object, although not one that means anything.
    pub fn check(&self) -> Result<()> {
        let sections = [(self.text.bytes.len(), &self.text.references), (self.program.len(), &self.program_references)];
        let tables = self.unwind.iter().map(|table| (table.bytes.len(), &table.references));
        let debug = self.debug.iter().map(|section| (section.bytes.len(), &section.references));
        let is_name = |reference: &Reference| match &reference.target {
            Target::Runtime(name) => !name.contains('\0'),
            _ => true,
        };
        let references_fit = sections
            .into_iter()
            .chain(tables)
            .chain(debug)
            .all(|(len, references)| references.iter().all(|r| r.is_within(len) && is_name(r)));
        let text_len = self.text.bytes.len() as u64;
        let functions_fit = self.functions.iter().all(|f| u64::from(f.start) + u64::from(f.len_bytes) <= text_len);
        let fits = references_fit
            && functions_fit
            && self.program.len() >= size_of::<ProgramDescriptor>()
            && self.text_align.is_power_of_two()
            && self.library.as_ref().is_none_or(|name| !name.contains('\0'));
        if fits { Ok(()) } else { Err(Error::input("the code that it carries is damaged")) }
    }
}

/// Bytes as one piece: `serde` would take them one by one.
pub(crate) mod bytes {
    use std::fmt;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
