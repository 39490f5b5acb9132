//! Prunes a member of the runtime archive: in goes an object as rustc writes it, out comes one with nothing but what a
//! program needs. What is in a member is in every executable whose code it serves.

use object::build::elf::{Builder, Section, SectionData, SectionId};
use object::elf;

/// The object without unwind and debug information, names of local symbols and flags that keep linkers from dropping
/// what is not used.
///
/// * The runtime finds callers by frame pointers, and a debugger can as well.
/// * Local symbols are Rust's mangled names: longer than the code that they name.
/// * Linkers keep strings that may be merged as a whole, also those of functions that they drop.
pub(crate) fn prune(object: &[u8]) -> object::build::Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    let dropped: Vec<SectionId> = builder.sections.iter().filter(|s| is_useless(s)).map(Section::id).collect();
    for section in &mut builder.sections {
        let of_dropped = section.sh_info_section.is_some_and(|id| dropped.contains(&id));
        section.delete = dropped.contains(&section.id()) || of_dropped && is_relocations(section);
        section.sh_flags = elf::SectionFlags(section.sh_flags.0 & !(elf::SHF_MERGE | elf::SHF_STRINGS).0);
    }
    for symbol in &mut builder.symbols {
        if symbol.st_bind() == elf::STB_LOCAL {
            symbol.delete = symbol.st_type() == elf::STT_FILE;
            symbol.name = Default::default();
        }
    }
    builder.delete_orphans();
    // LLVM keeps the names of sections and symbols in one section, which the writer does not.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = elf::SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    relax_calls(&mut builder);
    let mut pruned = Vec::new();
    builder.write(&mut pruned)?;
    Ok(pruned)
}

fn is_useless(section: &Section<'_>) -> bool {
    let name = section.name.as_slice();
    name == b".eh_frame" || name == b".comment" || name.starts_with(b".debug_")
}

fn is_relocations(section: &Section<'_>) -> bool {
    matches!(section.data, SectionData::Relocation(_))
}

/// Marks calls through the global offset table as ones that a linker may make direct. LLVM calls memory functions
/// that way; without a table of addresses, nothing of a program needs relocation at its start.
///
/// Source: x86-64 psABI, B.2 "Optimize GOTPCRELX Relocations".
fn relax_calls(builder: &mut Builder<'_>) {
    if builder.header.e_machine != elf::EM_X86_64 {
        return;
    }
    let mut calls = Vec::new();
    for section in &builder.sections {
        let (SectionData::Relocation(relocations), Some(target)) = (&section.data, section.sh_info_section) else {
            continue;
        };
        let SectionData::Data(code) = &builder.sections.get(target).data else { continue };
        for (index, relocation) in relocations.iter().enumerate() {
            let offset = relocation.r_offset as usize;
            let opcode = offset.checked_sub(2).and_then(|start| code.as_slice().get(start..offset));
            // `call *x(%rip)` and `jmp *x(%rip)`.
            if relocation.r_type == elf::R_X86_64_GOTPCREL && matches!(opcode, Some([0xff, 0x15 | 0x25])) {
                calls.push((section.id(), index));
            }
        }
    }
    for (section, index) in calls {
        if let SectionData::Relocation(relocations) = &mut builder.sections.get_mut(section).data {
            relocations[index].r_type = elf::R_X86_64_GOTPCRELX;
        }
    }
}
