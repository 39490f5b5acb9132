//! The text section: the functions in order. References between functions are filled in here, the linker fills in the
//! others. Also the code map, which says where each function lies and where it traps.

use std::collections::{BTreeMap, HashMap};

use object::BinaryFormat;
use serde::{Deserialize, Serialize};
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::code_map::{Function, Site};
use wasmelt_abi::host::HostFunction;
use wasmelt_abi::trap::Trap;
use wasmelt_abi::{code_map, positions, symbols};

use super::descriptor::Program;
use super::reloc::{Arch, Encoding, Platform, Reference, Target};
use crate::demangle;
use crate::error::{Error, Result};
use crate::image::{Image, ImageFunction, Positions, RelocTarget};

/// Smallest alignment of the section, in bytes: what the CPU fetches at once.
const SECTION_ALIGN: u32 = 16;

/// Where each function lies.
#[derive(Debug)]
pub(super) struct Layout {
    /// Offset of each function in the section.
    pub(super) offsets: Vec<u32>,
    /// Place of each function in the image, by its number.
    places: HashMap<u32, usize>,
    /// Length of the section in bytes.
    pub(super) len_bytes: u32,
    /// Alignment of the section in bytes.
    pub(super) align: u32,
}

/// The content of the section.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Text {
    /// Machine code.
    #[serde(with = "super::code::bytes")]
    pub(super) bytes: Vec<u8>,
    /// What the linker fills in.
    pub(super) references: Vec<Reference>,
}

impl Layout {
    /// Lays out the functions of `image` in their order.
    pub(super) fn of(image: &Image<'_>) -> Result<Self> {
        let too_large = || {
            Error::input("the program needs more than 2 GiB of machine code, which calls cannot reach across")
                .hint("compile with -Os, or split the program")
        };
        let (mut end, mut align) = (0u32, SECTION_ALIGN);
        let mut offsets = Vec::with_capacity(image.functions.len());
        for function in &image.functions {
            if !function.start.is_valid() {
                return Err(Error::internal(format!("function {} starts at {:?}", function.symbol, function.start)));
            }
            align = align.max(function.start.section_align());
            let start = function.start.first_from(end).ok_or_else(too_large)?;
            offsets.push(start);
            let len = u32::try_from(function.code.len()).map_err(|_| too_large())?;
            end = start.checked_add(len).filter(|&end| end <= i32::MAX as u32).ok_or_else(too_large)?;
        }
        let places = image.functions.iter().enumerate().map(|(place, function)| (function.id, place)).collect();
        Ok(Self { offsets, places, len_bytes: end, align })
    }

    /// Offset of the function with this number.
    pub(super) fn offset(&self, function: u32) -> Result<u32> {
        let place = self.places.get(&function);
        let offset = place.and_then(|&place| self.offsets.get(place)).copied();
        offset.ok_or_else(|| Error::internal(format!("reference to function {function}, which is not there")))
    }
}

/// Writes the section. References into the program's data need to know what lies where in it.
pub(super) fn write(image: &Image<'_>, layout: &Layout, program: &Program, platform: Platform) -> Result<Text> {
    let mut text = Text { bytes: vec![platform.arch.padding(); layout.len_bytes as usize], references: Vec::new() };
    for (function, &start) in image.functions.iter().zip(&layout.offsets) {
        let start = start as usize;
        text.bytes[start..start + function.code.len()].copy_from_slice(&function.code);
    }
    for (function, &start) in image.functions.iter().zip(&layout.offsets) {
        relocate(function, start, image, layout, program, platform, &mut text)
            .map_err(|e| e.context(format!("function {}", function.symbol)))?;
    }
    Ok(text)
}

/// Fills in the references of one function, or passes them on to the linker.
fn relocate(
    function: &ImageFunction,
    start: u32,
    image: &Image<'_>,
    layout: &Layout,
    program: &Program,
    platform: Platform,
    text: &mut Text,
) -> Result<()> {
    let Text { bytes, references } = text;
    for reloc in &function.relocs {
        let encoding = Encoding::of(reloc.kind, platform.arch)?;
        let offset = u64::from(start) + u64::from(reloc.offset);
        let mut leave = |target, base: u64| {
            let addend = reloc.addend.wrapping_add(base as i64);
            references.push(Reference { offset, encoding, target, addend });
        };
        match reloc.target {
            RelocTarget::Function(index) => {
                let start = u64::from(layout.offset(index)?);
                if !encoding.resolve(bytes, offset, start, reloc.addend)? {
                    leave(Target::Text, start);
                }
            }
            RelocTarget::Text => {
                if !encoding.resolve(bytes, offset, 0, reloc.addend)? {
                    leave(Target::Text, 0);
                }
            }
            RelocTarget::Builtin(builtin) => leave(Target::Runtime(builtin_symbol(builtin, platform).to_owned()), 0),
            RelocTarget::Host(host) => leave(Target::Runtime(host_symbol(host, image)), 0),
            RelocTarget::Record(instance, index) => leave(Target::Program, program.record(instance, index)?),
            RelocTarget::ConstTable(instance, index) => {
                leave(Target::Program, program.const_table(instance, index)?);
            }
        }
    }
    Ok(())
}

/// The symbol of a runtime function as generated code calls it: throwing uses the `tail` convention.
fn builtin_symbol(builtin: Builtin, platform: Platform) -> &'static str {
    // On x86-64, it passes the first integers in the same registers as the convention of System V does.
    let differs = platform.arch != Arch::X86_64 || platform.format == BinaryFormat::Coff;
    if builtin == Builtin::exception_throw && differs { symbols::EXCEPTION_THROW_TAIL } else { builtin.symbol() }
}

/// The symbol of a host function as the program calls it.
fn host_symbol(host: &HostFunction, image: &Image<'_>) -> String {
    let prefix = match image.trace_wasi {
        true => symbols::TRACE_PREFIX,
        false if image.profile.is_some() && host.name == "proc_exit" => symbols::PROFILE_PREFIX,
        false => "",
    };
    format!("{prefix}{}.{}", host.module, host.name)
}

/// The code map, see [`wasmelt_abi::code_map`].
pub(super) fn code_map(image: &Image<'_>, layout: &Layout) -> Vec<u8> {
    let parts = image.functions.iter().zip(&layout.offsets).map(|(f, &start)| (name(f), sites(f, start)));
    let parts: Vec<_> = parts.collect();
    let functions = image.functions.iter().zip(&layout.offsets).zip(&parts);
    let functions = functions.map(|((f, &start), (name, sites))| {
        let index = f.index.unwrap_or(code_map::NO_FUNCTION);
        Function { start, index, body: f.body, name, sites }
    });
    let mut table = Vec::new();
    code_map::encode(functions, |b| table.push(b));
    table
}

/// The table of positions in source files; empty where nothing is known.
pub(super) fn position_table(parts: &Positions, layout: &Layout) -> Result<Vec<u8>> {
    let rows = parts.rows.iter().map(|(function, rows)| Ok((layout.offset(*function)?, rows.as_slice())));
    let mut rows = rows.collect::<Result<Vec<_>>>()?;
    rows.sort_by_key(|&(start, _)| start);
    let mut table = Vec::new();
    if !rows.is_empty() {
        positions::encode(&parts.strings, &parts.scopes, rows, |byte| table.push(byte));
    }
    Ok(table)
}

/// The sites of a function: what traps, and what else comes from a known operator.
fn sites(function: &ImageFunction, start: u32) -> Vec<Site> {
    let mut sites: BTreeMap<u32, (u32, Option<Trap>)> =
        function.operators.iter().map(|&(offset, operator)| (offset, (operator, None))).collect();
    for &(offset, trap) in &function.traps {
        sites.entry(offset).or_insert((function.body, None)).1 = Some(trap);
    }
    sites.into_iter().map(|(offset, (operator, trap))| Site { offset: start + offset, operator, trap }).collect()
}

/// A function's name for backtraces: that of the module, or else of its debug information.
fn name(function: &ImageFunction) -> String {
    let in_source = function.debug.as_ref().map(|debug| String::from_utf8_lossy(&debug.name));
    match (function.name.as_str(), in_source) {
        ("", Some(in_source)) => demangle::function_name(&in_source),
        (name, _) => demangle::function_name(name),
    }
}
