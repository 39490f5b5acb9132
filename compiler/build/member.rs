//! Prunes a member of the runtime archive: in goes an object as rustc writes it, out comes an object with only what a
//! program needs. Every executable that uses a member contains all of it.

use object::build::elf::{Builder, Section, SectionData, SectionId};
use object::elf;

/// The object without unwind and debug information, names of symbols other than `exported`, and flags that keep linkers
/// from dropping what is not used.
///
/// * The runtime finds callers by frame pointers, and a debugger can as well.
/// * What is not exported has Rust's mangled names: longer than the code that they name.
/// * Linkers keep strings that may be merged as a whole, also those of functions that they drop.
pub(crate) fn prune(object: &[u8], exported: &[&str]) -> object::build::Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    let dropped: Vec<SectionId> = builder.sections.iter().filter(|s| is_useless(s)).map(Section::id).collect();
    for section in &mut builder.sections {
        let of_dropped = section.sh_info_section.is_some_and(|id| dropped.contains(&id));
        section.delete = dropped.contains(&section.id()) || of_dropped && is_relocations(section);
        section.sh_flags = elf::SectionFlags(section.sh_flags.0 & !(elf::SHF_MERGE | elf::SHF_STRINGS).0);
    }
    for symbol in &mut builder.symbols {
        let is_defined = symbol.section.is_some();
        if is_defined && !exported.iter().any(|name| symbol.name.as_slice() == name.as_bytes()) {
            symbol.set_st_info(elf::STB_LOCAL, symbol.st_type());
        }
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
    relax(&mut builder);
    let_addresses_be_written(&mut builder);
    let mut pruned = Vec::new();
    builder.write(&mut pruned)?;
    Ok(pruned)
}

/// Moves constants with addresses in them to where an executable may relocate itself. Code that is made without
/// position independence, as that for aarch64 is, has them among those that nobody may write.
fn let_addresses_be_written(builder: &mut Builder<'_>) {
    let is_absolute = |kind| match builder.header.e_machine {
        elf::EM_AARCH64 => kind == elf::R_AARCH64_ABS64,
        _ => false,
    };
    let mut moved = Vec::new();
    for section in &builder.sections {
        let (SectionData::Relocation(relocations), Some(target)) = (&section.data, section.sh_info_section) else {
            continue;
        };
        let flags = builder.sections.get(target).sh_flags;
        let is_constant = !flags.contains(elf::SHF_WRITE) && !flags.contains(elf::SHF_EXECINSTR);
        if is_constant && relocations.iter().any(|relocation| is_absolute(relocation.r_type)) {
            moved.push(target);
        }
    }
    for section in moved {
        let section = builder.sections.get_mut(section);
        let own_name = section.name.as_slice().strip_prefix(b".rodata").unwrap_or_default();
        section.name = [b".data.rel.ro", own_name].concat().into();
        section.sh_flags = elf::SectionFlags(section.sh_flags.0 | elf::SHF_WRITE.0);
    }
}

fn is_useless(section: &Section<'_>) -> bool {
    let name = section.name.as_slice();
    name == b".eh_frame" || name == b".comment" || name.starts_with(b".debug_")
}

fn is_relocations(section: &Section<'_>) -> bool {
    matches!(section.data, SectionData::Relocation(_))
}

/// Marks calls and loads through the global offset table as ones that a linker may make direct. LLVM calls memory
/// functions that way; without a table of addresses, nothing of a program needs relocation at its start.
///
/// Source: x86-64 psABI, B.2 "Optimize GOTPCRELX Relocations".
fn relax(builder: &mut Builder<'_>) {
    if builder.header.e_machine != elf::EM_X86_64 {
        return;
    }
    let mut found = Vec::new();
    for section in &builder.sections {
        let (SectionData::Relocation(relocations), Some(target)) = (&section.data, section.sh_info_section) else {
            continue;
        };
        let SectionData::Data(code) = &builder.sections.get(target).data else { continue };
        for (index, relocation) in relocations.iter().enumerate() {
            let before = code.as_slice().get(..relocation.r_offset as usize).unwrap_or_default();
            let relaxable = match before {
                // `call *x(%rip)`, `jmp *x(%rip)`
                [.., 0xff, 0x15 | 0x25] => elf::R_X86_64_GOTPCRELX,
                // `mov x(%rip), register`
                [.., 0x48 | 0x4c, 0x8b, _] => elf::R_X86_64_REX_GOTPCRELX,
                _ => continue,
            };
            if relocation.r_type == elf::R_X86_64_GOTPCREL {
                found.push((section.id(), index, relaxable));
            }
        }
    }
    for (section, index, relaxable) in found {
        if let SectionData::Relocation(relocations) = &mut builder.sections.get_mut(section).data {
            relocations[index].r_type = relaxable;
        }
    }
}
