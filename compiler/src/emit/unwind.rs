//! Unwind information: how to find the caller of each function, for debuggers and profilers. The runtime does not read
//! it. All addresses are relative to their own place, so that a position-independent executable needs no relocation
//! at start-up.

use cranelift_codegen::isa::unwind::UnwindInfo;
use gimli::write::{
    Address, CallFrameInstruction, CommonInformationEntry, EhFrame, EndianVec, FrameTable, RelocateWriter, Relocation,
    RelocationTarget,
};
use gimli::{DW_EH_PE_pcrel, DW_EH_PE_sdata4, Encoding as DwarfEncoding, Format, LittleEndian, X86_64};

use super::reloc::{Arch, Encoding, Reference, Target};
use super::text::Layout;
use crate::emit::image::Image;
use crate::error::{Error, Result};

/// The content of `.eh_frame`.
#[derive(Debug, Default)]
pub(super) struct Unwind {
    /// One CIE, and an FDE for each function.
    pub(super) bytes: Vec<u8>,
    /// What the linker fills in: the functions' addresses.
    pub(super) references: Vec<Reference>,
}

/// Writes the section; empty when no function has unwind information.
pub(super) fn write(image: &Image<'_>, layout: &Layout, arch: Arch) -> Result<Unwind> {
    let mut table = FrameTable::default();
    let cie = table.add_cie(common_entry(arch));
    for (function, &start) in image.functions.iter().zip(&layout.offsets) {
        match &function.unwind {
            Some(UnwindInfo::SystemV(info)) => {
                let address = Address::Symbol { symbol: 0, addend: i64::from(start) };
                table.add_fde(cie, info.to_fde(address));
            }
            None => {}
            Some(_) => {
                let message = format!("function {} has unwind information that is not for ELF", function.symbol);
                return Err(Error::internal(message));
            }
        }
    }
    if table.fde_count() == 0 {
        return Ok(Unwind::default());
    }
    let mut section = EhFrame(Writer { bytes: EndianVec::new(LittleEndian), relocations: Vec::new() });
    let failed = |e| Error::internal(format!("unwind information cannot be written: {e}"));
    table.write_eh_frame(&mut section).map_err(failed)?;
    let Writer { bytes, relocations } = section.0;
    let references = relocations.into_iter().map(|r| reference(&r)).collect::<Result<_>>()?;
    Ok(Unwind { bytes: bytes.into_vec(), references })
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

/// gimli's writer, keeping the references that it meets.
#[derive(Clone, Debug)]
struct Writer {
    bytes: EndianVec<LittleEndian>,
    relocations: Vec<Relocation>,
}

impl RelocateWriter for Writer {
    type Writer = EndianVec<LittleEndian>;

    fn writer(&self) -> &Self::Writer {
        &self.bytes
    }

    fn writer_mut(&mut self) -> &mut Self::Writer {
        &mut self.bytes
    }

    fn relocate(&mut self, relocation: Relocation) {
        self.relocations.push(relocation);
    }
}
