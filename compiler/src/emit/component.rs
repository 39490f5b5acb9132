//! The object of a library of a component that is not code: its plan, and in static libraries where its core modules are.

use object::write::{Object, Relocation, SectionId, Symbol, SymbolSection};
use object::{
    BinaryFormat, RelocationEncoding, RelocationFlags, RelocationKind, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
};
use target_lexicon::Triple;
use wasmelt_abi::symbols::{COMPONENT_MODULES_PREFIX, COMPONENT_PREFIX, LIBRARY_PREFIX};
use wasmelt_plan::Plan;

use super::reloc::Platform;
use crate::error::{Error, Result};

/// Writes the object for a component of this name. `is_static` asks for the table of core modules.
pub fn component(plan: &Plan, name: &str, note: &str, is_static: bool, triple: &Triple) -> Result<Vec<u8>> {
    let platform = Platform::of(triple)?;
    let failed = |e: &dyn std::fmt::Display| Error::internal(format!("the object of the component: {e}"));
    let plan_bytes = postcard::to_stdvec(plan).map_err(|e| failed(&e))?;
    let mut object = super::object::empty(platform);
    let (segment, section) = match platform.format {
        BinaryFormat::MachO => ("__TEXT", "__wasmelt_plan"),
        BinaryFormat::Coff => ("", ".rdata"),
        _ => ("", ".rodata.wasmelt.plan"),
    };
    let section = object.add_section(segment.into(), section.into(), SectionKind::ReadOnlyData);
    super::object::add_notes(&mut object, platform.format, super::note::write(note)?);
    let mut bytes = (plan_bytes.len() as u64).to_le_bytes().to_vec();
    bytes.extend(plan_bytes);
    define(&mut object, section, format!("{COMPONENT_PREFIX}{name}"), &bytes);
    if is_static {
        if platform.format != BinaryFormat::Elf {
            return Err(Error::usage(format!("a static library of a component cannot be made for {triple} yet"))
                .hint("`--emit cdylib` makes a shared one"));
        }
        modules(&mut object, section, name, plan.module_count).map_err(|e| failed(&e))?;
    }
    object.write().map_err(|e| failed(&e))
}

/// The table of core modules.
fn modules(object: &mut Object<'_>, section: SectionId, name: &str, count: u32) -> object::write::Result<()> {
    const ENTRY_BYTES: u64 = 4;
    let table = vec![0; (u64::from(count) * ENTRY_BYTES) as usize];
    let start = define(object, section, format!("{COMPONENT_MODULES_PREFIX}{name}"), &table);
    for index in 0..u64::from(count) {
        let symbol = object.add_symbol(Symbol {
            name: format!("{LIBRARY_PREFIX}{name}.{index}").into_bytes(),
            value: 0,
            size: 0,
            kind: SymbolKind::Data,
            scope: SymbolScope::Unknown,
            weak: false,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        });
        let at = index * ENTRY_BYTES;
        let flags = RelocationFlags::Generic {
            kind: RelocationKind::Relative,
            encoding: RelocationEncoding::Generic,
            size: 32,
        };
        // Distances count from the start of the table.
        object.add_relocation(section, Relocation { offset: start + at, symbol, addend: at as i64, flags })?;
    }
    Ok(())
}

/// Puts bytes under a name; where they are in the section.
fn define(object: &mut Object<'_>, section: SectionId, name: String, bytes: &[u8]) -> u64 {
    let value = object.append_section_data(section, bytes, 8);
    object.add_symbol(Symbol {
        name: name.into_bytes(),
        value,
        size: bytes.len() as u64,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    value
}
