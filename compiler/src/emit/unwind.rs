//! Unwind information: how debuggers and profilers find the caller of each function. The runtime does not read unwind
//! information, and no part of it is relocated when a program starts.
//!
//! | system  | sections            | form |
//! |---------|---------------------|------|
//! | ELF     | `.eh_frame`         | call frame information of DWARF |
//! | Mach-O  | `__compact_unwind`  | a frame with a frame pointer, for each function; the linker makes the index of it |
//! | COFF    | `.pdata`, `.xdata`  | the unwind codes of Windows |

use cranelift_codegen::isa::unwind::UnwindInfo;
use gimli::write::{
    Address, CallFrameInstruction, CommonInformationEntry, EhFrame, FrameTable, Relocation, RelocationTarget,
};
use gimli::{AArch64, DW_EH_PE_pcrel, DW_EH_PE_sdata4, Encoding as DwarfEncoding, Format, X86_64};
use object::BinaryFormat;
use serde::{Deserialize, Serialize};

use super::dwarf::DwarfWriter;
use super::reloc::{Arch, Encoding, Platform, Reference, Target};
use super::text::Layout;
use crate::error::{Error, Result};
use crate::image::{Image, ImageFunction};

/// A section of unwind information.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table {
    /// What it is.
    pub(super) kind: TableKind,
    /// Content.
    #[serde(with = "super::code::bytes")]
    pub(super) bytes: Vec<u8>,
    /// What the linker fills in.
    pub(super) references: Vec<Reference>,
}

/// The kinds of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TableKind {
    /// `.eh_frame`: one CIE, and an FDE for each function.
    EhFrame,
    /// `__compact_unwind`: 32 bytes for each function.
    Compact,
    /// `.xdata`: how the frame of each function is made.
    Frames,
    /// `.pdata`: which part of `.xdata` belongs to which function.
    Functions,
}

impl TableKind {
    /// Alignment of the section in bytes. Linkers put those of several objects one behind the other: what lies between the
    /// tables of Windows would be taken for entries.
    pub(super) fn align(self) -> u64 {
        match self {
            Self::EhFrame | Self::Compact => 8,
            Self::Frames | Self::Functions => 4,
        }
    }
}

/// Writes the sections; none when no function has unwind information.
pub(super) fn write(image: &Image<'_>, layout: &Layout, platform: Platform) -> Result<Vec<Table>> {
    if image.functions.iter().all(|function| function.unwind.is_none()) {
        return Ok(Vec::new());
    }
    match platform.format {
        BinaryFormat::MachO => Ok(vec![compact(image, layout, platform.arch)]),
        BinaryFormat::Coff => windows(image, layout),
        _ => Ok(vec![eh_frame(image, layout, platform.arch)?]),
    }
}

/// The functions with their offsets in the text section.
fn functions<'a>(image: &'a Image<'_>, layout: &'a Layout) -> impl Iterator<Item = (&'a ImageFunction, u32)> {
    image.functions.iter().zip(layout.offsets.iter().copied())
}

fn unfit(function: &ImageFunction) -> Error {
    Error::internal(format!("function {} has unwind information of another system", function.symbol))
}

fn eh_frame(image: &Image<'_>, layout: &Layout, arch: Arch) -> Result<Table> {
    let mut table = FrameTable::default();
    let cie = table.add_cie(common_entry(arch));
    for (function, start) in functions(image, layout) {
        match &function.unwind {
            Some(UnwindInfo::SystemV(info)) => {
                let address = Address::Symbol { symbol: 0, addend: i64::from(start) };
                table.add_fde(cie, info.to_fde(address));
            }
            None => {}
            Some(_) => return Err(unfit(function)),
        }
    }
    let mut section = EhFrame(DwarfWriter::new());
    let failed = |e| Error::internal(format!("unwind information cannot be written: {e}"));
    table.write_eh_frame(&mut section).map_err(failed)?;
    let (bytes, relocations) = section.0.into_parts();
    let references = relocations.iter().map(reference).collect::<Result<_>>()?;
    Ok(Table { kind: TableKind::EhFrame, bytes, references })
}

/// A section under construction.
struct Output {
    bytes: Vec<u8>,
    references: Vec<Reference>,
}

impl Output {
    const fn new() -> Self {
        Self { bytes: Vec::new(), references: Vec::new() }
    }

    fn word(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn refer(&mut self, encoding: Encoding, target: Target, addend: u32) {
        let offset = self.bytes.len() as u64;
        self.references.push(Reference { offset, encoding, target, addend: i64::from(addend) });
        let len = if encoding == Encoding::Absolute64 { 8 } else { 4 };
        self.bytes.resize(self.bytes.len() + len, 0);
    }
}

/// The linker's input for `__unwind_info`. It says that a frame pointer leads to the caller, which is true of every
/// function behind its prologue, and nothing of other saved registers: see docs/RATIONALE.md, "Why do unwinders find
/// no saved registers on macOS?".
///
/// Source: `mach-o/compact_unwind_encoding.h`.
fn compact(image: &Image<'_>, layout: &Layout, arch: Arch) -> Table {
    const UNWIND_X86_64_MODE_RBP_FRAME: u32 = 0x0100_0000;
    const UNWIND_ARM64_MODE_FRAME: u32 = 0x0400_0000;
    let mode = match arch {
        Arch::X86_64 => UNWIND_X86_64_MODE_RBP_FRAME,
        Arch::Aarch64 => UNWIND_ARM64_MODE_FRAME,
    };
    let mut output = Output::new();
    for (function, start) in functions(image, layout).filter(|(function, _)| function.unwind.is_some()) {
        output.refer(Encoding::Absolute64, Target::Text, start);
        output.word(function.code.len() as u32);
        output.word(mode);
        // Neither a personality function nor its data.
        output.bytes.resize(output.bytes.len() + 16, 0);
    }
    Table { kind: TableKind::Compact, bytes: output.bytes, references: output.references }
}

/// `RUNTIME_FUNCTION` entries, and the `UNWIND_INFO` or `.xdata` records that they refer to.
///
/// Source: Microsoft, "x64 exception handling" and "ARM64 exception handling".
fn windows(image: &Image<'_>, layout: &Layout) -> Result<Vec<Table>> {
    let (mut entries, mut frames) = (Output::new(), Output::new());
    for (function, start) in functions(image, layout) {
        let len = function.code.len() as u32;
        match &function.unwind {
            Some(UnwindInfo::WindowsX64(info)) => {
                let frame = frames.bytes.len() as u32;
                let mut bytes = vec![0; info.emit_size().next_multiple_of(4)];
                info.emit(&mut bytes);
                frames.bytes.extend(bytes);
                entries.refer(Encoding::Image32, Target::Text, start);
                entries.refer(Encoding::Image32, Target::Text, start + len);
                entries.refer(Encoding::Image32, Target::Frames, frame);
            }
            Some(UnwindInfo::WindowsArm64(info)) => {
                let mut codes = vec![0; usize::from(info.code_words()) * 4];
                info.emit(&mut codes);
                // A record describes so much code at most. What lies behind starts in the middle of the function.
                for part in (0..len).step_by(ARM64_RECORD_BYTES as usize) {
                    entries.refer(Encoding::Image32, Target::Text, start + part);
                    entries.refer(Encoding::Image32, Target::Frames, frames.bytes.len() as u32);
                    arm64_record(&mut frames, (len - part).min(ARM64_RECORD_BYTES), part > 0, &codes);
                }
            }
            None => {}
            Some(_) => return Err(unfit(function)),
        }
    }
    Ok(vec![
        Table { kind: TableKind::Frames, bytes: frames.bytes, references: frames.references },
        Table { kind: TableKind::Functions, bytes: entries.bytes, references: entries.references },
    ])
}

/// Most code that a record of arm64 describes: 18 bits of instructions, rounded down.
const ARM64_RECORD_BYTES: u32 = 1 << 19;

/// A record of arm64: its header, and the codes of the prologue. Epilogues are not described: nothing unwinds from
/// within one but a profiler, which sees one frame less.
fn arm64_record(frames: &mut Output, len_bytes: u32, is_continued: bool, codes: &[u8]) {
    const END: u8 = 0xe4;
    const END_OF_FRAGMENT: u8 = 0xe5;
    let mut all = Vec::with_capacity(codes.len() + 8);
    if is_continued {
        all.push(END_OF_FRAGMENT);
    }
    all.extend(codes);
    all.push(END);
    all.resize(all.len().next_multiple_of(4), END);
    let words = (all.len() / 4) as u32;
    let len = len_bytes / 4;
    if words < 32 {
        frames.word(len | words << 27);
    } else {
        frames.word(len);
        frames.word(words << 16);
    }
    frames.bytes.extend(all);
}

/// What holds at the entry of every function.
fn common_entry(arch: Arch) -> CommonInformationEntry {
    let encoding = DwarfEncoding { format: Format::Dwarf32, version: 1, address_size: 8 };
    let mut entry = match arch {
        Arch::X86_64 => {
            // The call has pushed the return address.
            let mut entry = CommonInformationEntry::new(encoding, 1, -8, X86_64::RA);
            entry.add_instruction(CallFrameInstruction::Cfa(X86_64::RSP, 8));
            entry.add_instruction(CallFrameInstruction::Offset(X86_64::RA, -8));
            entry
        }
        Arch::Aarch64 => {
            let mut entry = CommonInformationEntry::new(encoding, 4, -8, AArch64::X30);
            entry.add_instruction(CallFrameInstruction::Cfa(AArch64::SP, 0));
            entry
        }
    };
    entry.fde_address_encoding = DW_EH_PE_pcrel | DW_EH_PE_sdata4;
    entry
}

fn reference(relocation: &Relocation) -> Result<Reference> {
    let pcrel = relocation.eh_pe.is_some_and(|pe| pe.application() == DW_EH_PE_pcrel) && relocation.size == 4;
    if !pcrel || relocation.target != RelocationTarget::Symbol(0) {
        return Err(Error::internal(format!("unwind information has an unexpected relocation: {relocation:?}")));
    }
    let (offset, addend) = (relocation.offset as u64, relocation.addend);
    Ok(Reference { offset, encoding: Encoding::Relative32, target: Target::Text, addend })
}
