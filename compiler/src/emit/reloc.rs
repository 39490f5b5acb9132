//! Relocations: the one place that knows how an instruction set encodes a reference, both for references that are
//! resolved here and for those that become relocations of the object.

use cranelift_codegen::binemit::Reloc as Kind;
use object::write::Relocation;
use object::{Architecture, RelocationEncoding, RelocationFlags, RelocationKind};
use target_lexicon::Triple;

use crate::error::{Error, Result};

/// An instruction set that objects can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    /// AMD64.
    X86_64,
}

impl Arch {
    /// The instruction set of `triple`.
    pub(super) fn of(triple: &Triple) -> Result<Self> {
        match triple.architecture {
            target_lexicon::Architecture::X86_64 => Ok(Self::X86_64),
            other => Err(Error::usage(format!("objects for {other} are not supported yet, only x86_64"))),
        }
    }

    /// The name that the `object` crate has for it.
    pub(super) fn object_name(self) -> Architecture {
        match self {
            Self::X86_64 => Architecture::X86_64,
        }
    }

    /// The largest page size that its systems use.
    pub(super) fn page_bytes(self) -> u64 {
        match self {
            Self::X86_64 => 4096,
        }
    }

    /// What fills the gaps between functions: instructions that trap.
    pub(super) fn padding(self) -> u8 {
        match self {
            Self::X86_64 => 0xcc, // int3
        }
    }
}

/// Where a reference leads when it leaves its section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The section of code.
    Text,
    /// The section of the program descriptor and of everything that is read with it.
    Program,
    /// The section of the trap and function tables.
    Maps,
    /// The section of the pages that are mapped into memory 0.
    Image,
    /// A symbol that the runtime archive defines.
    Runtime(String),
}

/// How the value of a reference is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// 32 bits, relative to the place: data, and operands of x86-64 instructions.
    Relative32,
    /// The same, as the operand of a call: the linker may put a stub in between.
    Call32,
}

/// A place that the linker fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Offset of the place in its section.
    pub(super) offset: u64,
    /// How the value is encoded.
    pub(super) encoding: Encoding,
    /// What is referred to.
    pub(super) target: Target,
    /// Added to the target's address.
    pub(super) addend: i64,
}

impl Encoding {
    /// The encoding that Cranelift's `kind` stands for.
    pub(super) fn of(kind: Kind, arch: Arch) -> Result<Self> {
        match (arch, kind) {
            (Arch::X86_64, Kind::X86PCRel4) => Ok(Self::Relative32),
            (Arch::X86_64, Kind::X86CallPCRel4 | Kind::X86CallPLTRel4) => Ok(Self::Call32),
            _ => Err(Error::internal(format!("relocation {kind} is not supported in code for {arch:?}"))),
        }
    }

    /// Fills in the place at `offset` of `section` for a target at `target` of the same section.
    pub(super) fn resolve(self, section: &mut [u8], offset: u64, target: u64, addend: i64) -> Result<()> {
        let out_of_reach = || Error::internal(format!("reference at {offset:#x} of the text section is out of reach"));
        // Sections are far below 2^62 bytes, so neither conversion nor sum can wrap.
        let value = (target as i64).wrapping_add(addend).wrapping_sub(offset as i64);
        match self {
            Self::Relative32 | Self::Call32 => {
                let value = i32::try_from(value).map_err(|_| out_of_reach())?;
                let at = usize::try_from(offset).map_err(|_| out_of_reach())?;
                let place = at.checked_add(4).and_then(|end| section.get_mut(at..end)).ok_or_else(out_of_reach)?;
                place.copy_from_slice(&value.to_le_bytes());
                Ok(())
            }
        }
    }
}

impl Reference {
    /// The object's relocation for it, with the symbol of its target.
    pub(super) fn relocation(&self, symbol: object::write::SymbolId) -> Relocation {
        let (kind, encoding, size) = match self.encoding {
            Encoding::Relative32 => (RelocationKind::Relative, RelocationEncoding::Generic, 32),
            Encoding::Call32 => (RelocationKind::PltRelative, RelocationEncoding::X86Branch, 32),
        };
        let flags = RelocationFlags::Generic { kind, encoding, size };
        Relocation { offset: self.offset, symbol, addend: self.addend, flags }
    }
}
