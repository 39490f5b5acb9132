//! Relocations: the one file that knows how an instruction set encodes a reference. References within the text are
//! resolved here, the others become relocations of the object.

use cranelift_codegen::binemit::Reloc as Kind;
use object::write::{Relocation, SymbolId};
use object::{Architecture, BinaryFormat, RelocationEncoding, RelocationFlags, RelocationKind, elf, macho, pe};
use serde::{Deserialize, Serialize};
use target_lexicon::Triple;

use super::dwarf::DebugName;
use crate::error::{Error, Result};
use crate::image;

/// An instruction set that objects can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    /// AMD64.
    X86_64,
    /// The 64-bit state of ARMv8.
    Aarch64,
}

impl Arch {
    /// The instruction set of `triple`.
    pub(super) fn of(triple: &Triple) -> Result<Self> {
        match triple.architecture {
            target_lexicon::Architecture::X86_64 => Ok(Self::X86_64),
            target_lexicon::Architecture::Aarch64(_) => Ok(Self::Aarch64),
            other => Err(Error::usage(format!("objects for {other} are not supported yet, only x86_64 and aarch64"))),
        }
    }

    /// The name that the `object` crate has for it.
    pub(super) fn object_name(self) -> Architecture {
        match self {
            Self::X86_64 => Architecture::X86_64,
            Self::Aarch64 => Architecture::Aarch64,
        }
    }

    /// What fills the gaps between functions: instructions that trap.
    pub(super) fn padding(self) -> u8 {
        match self {
            Self::X86_64 => 0xcc, // int3
            Self::Aarch64 => 0,   // udf #0
        }
    }
}

/// What an object is written for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Platform {
    pub(super) arch: Arch,
    pub(super) format: BinaryFormat,
    /// The largest page size that its systems use.
    pub(super) page_bytes: u64,
}

impl Platform {
    /// The platform of `triple`.
    pub(super) fn of(triple: &Triple) -> Result<Self> {
        let arch = Arch::of(triple)?;
        let format = match triple.binary_format {
            target_lexicon::BinaryFormat::Elf => BinaryFormat::Elf,
            target_lexicon::BinaryFormat::Macho => BinaryFormat::MachO,
            target_lexicon::BinaryFormat::Coff => BinaryFormat::Coff,
            _ => {
                let message = format!("objects for {triple} are not supported yet, only ELF, Mach-O and COFF");
                return Err(Error::usage(message));
            }
        };
        Ok(Self { arch, format, page_bytes: image::page_bytes(triple) })
    }
}

/// Where a reference leads when it leaves its section.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Target {
    /// The section of code.
    Text,
    /// The section of the program descriptor and of everything that is read with it.
    Program,
    /// The section of the trap and function tables.
    Maps,
    /// The section of the pages that are mapped into memory 0.
    Image,
    /// The section of the functions' frame layouts, on Windows.
    Frames,
    /// The section of code, as debug information refers to it: by no symbol of its own.
    Code,
    /// A section of debug information.
    Debug(DebugName),
    /// A symbol that the runtime archive defines.
    Runtime(String),
}

/// How the value of a reference is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Encoding {
    /// 32 bits, relative to the place: data.
    Relative32,
    /// The same, as the operand of an x86-64 instruction.
    Operand32,
    /// The same, as the operand of a call: the linker may put a stub in between.
    Call32,
    /// 26 bits that count instructions, relative to the place: a call of aarch64.
    Branch26,
    /// 21 bits that count pages of 4 KiB, relative to that of the place: `adrp` of aarch64.
    Page21,
    /// The place within such a page: `add` of aarch64.
    PageOffset12,
    /// 32 bits, relative to the start of the file in memory: tables of Windows.
    Image32,
    /// 64 bits, an address: tables that only linkers and debuggers read.
    Absolute64,
    /// 32 bits, relative to the start of the target's section: debug information.
    Section32,
}

/// A place that the linker fills in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
            (Arch::X86_64, Kind::X86PCRel4) => Ok(Self::Operand32),
            (Arch::X86_64, Kind::X86CallPCRel4 | Kind::X86CallPLTRel4) => Ok(Self::Call32),
            (Arch::Aarch64, Kind::Arm64Call) => Ok(Self::Branch26),
            (Arch::Aarch64, Kind::Aarch64AdrPrelPgHi21) => Ok(Self::Page21),
            (Arch::Aarch64, Kind::Aarch64AddAbsLo12Nc) => Ok(Self::PageOffset12),
            _ => Err(Error::internal(format!("relocation {kind} is not supported in code for {arch:?}"))),
        }
    }

    /// Fills in the place at `offset` of `section` for a target at `target` of the same section. Whether that is
    /// possible: what depends on the section's own address is left to the linker.
    pub(super) fn resolve(self, section: &mut [u8], offset: u64, target: u64, addend: i64) -> Result<bool> {
        let out_of_reach = || {
            Error::input(format!(
                "the call at {offset:#x} of the program's code is too far from the function that it calls"
            ))
            .hint("compile with -Os, or split the program")
        };
        // Sections are far below 2^62 bytes, so neither conversion nor sum can wrap.
        let distance = (target as i64).wrapping_add(addend).wrapping_sub(offset as i64);
        let at = usize::try_from(offset).map_err(|_| out_of_reach())?;
        let place = at.checked_add(4).and_then(|end| section.get_mut(at..end)).ok_or_else(out_of_reach)?;
        match self {
            Self::Relative32 | Self::Operand32 | Self::Call32 => {
                let value = i32::try_from(distance).map_err(|_| out_of_reach())?;
                place.copy_from_slice(&value.to_le_bytes());
                Ok(true)
            }
            Self::Branch26 => {
                const REACH: std::ops::Range<i64> = -(1 << 27)..1 << 27;
                if !REACH.contains(&distance) || distance & 3 != 0 {
                    return Err(out_of_reach());
                }
                let mut instruction = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
                instruction = instruction & !0x03ff_ffff | (distance >> 2) as u32 & 0x03ff_ffff;
                place.copy_from_slice(&instruction.to_le_bytes());
                Ok(true)
            }
            Self::Page21 | Self::PageOffset12 | Self::Image32 | Self::Absolute64 | Self::Section32 => Ok(false),
        }
    }

    /// Whether a format has no relocation for it but the difference of two addresses, so that the place's section needs a
    /// symbol as well.
    pub(super) fn is_difference(self, format: BinaryFormat) -> bool {
        format == BinaryFormat::MachO && self == Self::Relative32
    }

    /// Whether formats with little room for addends have too little in an instruction: then the target gets a symbol of
    /// its own.
    pub(super) fn wants_symbol(self, format: BinaryFormat) -> bool {
        format != BinaryFormat::Elf && matches!(self, Self::Page21 | Self::PageOffset12)
    }
}

impl Reference {
    /// Whether the place lies within a section of this length.
    pub(super) fn is_within(&self, len_bytes: usize) -> bool {
        let bytes = if self.encoding == Encoding::Absolute64 { 8 } else { 4 };
        self.offset.checked_add(bytes).is_some_and(|end| end <= len_bytes as u64)
    }

    /// The object's relocation for it, with the symbol of its target and what is to be added to that.
    pub(super) fn relocation(&self, symbol: SymbolId, addend: i64, format: BinaryFormat) -> Relocation {
        let generic = |kind, encoding, size| RelocationFlags::Generic { kind, encoding, size };
        let macho = |r_type, r_pcrel| RelocationFlags::MachO { r_type, r_pcrel, r_length: 2 };
        // The same number for both instruction sets.
        let unsigned = RelocationFlags::MachO { r_type: macho::ARM64_RELOC_UNSIGNED, r_pcrel: false, r_length: 2 };
        let flags = match (self.encoding, format) {
            (Encoding::Relative32, BinaryFormat::MachO) => unsigned,
            (Encoding::Relative32 | Encoding::Operand32, _) => {
                generic(RelocationKind::Relative, RelocationEncoding::Generic, 32)
            }
            (Encoding::Call32, _) => generic(RelocationKind::PltRelative, RelocationEncoding::X86Branch, 32),
            (Encoding::Branch26, _) => generic(RelocationKind::PltRelative, RelocationEncoding::AArch64Call, 26),
            (Encoding::Image32, _) => generic(RelocationKind::ImageOffset, RelocationEncoding::Generic, 32),
            (Encoding::Absolute64, _) => generic(RelocationKind::Absolute, RelocationEncoding::Generic, 64),
            (Encoding::Section32, BinaryFormat::Coff) => {
                generic(RelocationKind::SectionOffset, RelocationEncoding::Generic, 32)
            }
            // Sections of debug information lie at address 0.
            (Encoding::Section32, _) => generic(RelocationKind::Absolute, RelocationEncoding::Generic, 32),
            (Encoding::Page21, BinaryFormat::MachO) => macho(macho::ARM64_RELOC_PAGE21, true),
            (Encoding::Page21, BinaryFormat::Coff) => RelocationFlags::Coff { typ: pe::IMAGE_REL_ARM64_PAGEBASE_REL21 },
            (Encoding::Page21, _) => RelocationFlags::Elf { r_type: elf::R_AARCH64_ADR_PREL_PG_HI21 },
            (Encoding::PageOffset12, BinaryFormat::MachO) => macho(macho::ARM64_RELOC_PAGEOFF12, false),
            (Encoding::PageOffset12, BinaryFormat::Coff) => {
                RelocationFlags::Coff { typ: pe::IMAGE_REL_ARM64_PAGEOFFSET_12A }
            }
            (Encoding::PageOffset12, _) => RelocationFlags::Elf { r_type: elf::R_AARCH64_ADD_ABS_LO12_NC },
        };
        Relocation { offset: self.offset, symbol, addend, flags }
    }
}
