//! What a library imports and exports: the image's lists go in, the structures of [`wasmelt_abi::interface`] come out.

use wasmelt_abi::interface::{ElementPlan, ExportEntry, FuncPlan, FuncTypeEntry, ImportEntry, Interface};

use super::blob::{Blob, Link, Links};
use super::descriptor::function;
use super::text::Layout;
use crate::error::Result;
use crate::image::{self, Elements};

/// Writes the interface.
pub(super) fn write(blob: &mut Blob, interface: &image::Interface, layout: &Layout) -> Result<Link<Interface>> {
    let room = blob.reserve(1);
    let types = write_types(blob, &interface.types, layout)?;
    let imports = write_imports(blob, &interface.imports);
    let exports = write_exports(blob, &interface.exports);
    let funcs = interface.funcs.iter().map(|&(function, type_number)| {
        Ok(FuncPlan { code_offset: function.map_or(Ok(0), |function| layout.offset(function))?, type_number })
    });
    let written = Interface {
        types,
        imports,
        exports,
        funcs: blob.add(&funcs.collect::<Result<Vec<_>>>()?),
        tables: blob.add(&interface.tables),
        memories: blob.add(&interface.memories),
        globals: blob.add(&interface.globals),
        tags: blob.add(&interface.tags),
        elements: write_elements(blob, &interface.elements),
        func_refs_offset: interface.func_refs_offset,
        imported: interface.imported,
        flags: interface.flags,
        reserved: 0,
    };
    blob.fill(&room, 0, &written);
    Ok(room.link())
}

fn write_types(blob: &mut Blob, types: &[image::FuncTypeEntry], layout: &Layout) -> Result<Links<FuncTypeEntry>> {
    let room = blob.reserve(types.len());
    for (i, ty) in types.iter().enumerate() {
        let entry = FuncTypeEntry {
            params: blob.add(&ty.params),
            results: blob.add(&ty.results),
            to_wasm: function(layout, ty.to_wasm)?,
            to_host: function(layout, ty.to_host)?,
        };
        blob.fill(&room, i, &entry);
    }
    Ok(room.links())
}

fn write_imports(blob: &mut Blob, imports: &[image::Import]) -> Links<ImportEntry> {
    let room = blob.reserve(imports.len());
    for (i, import) in imports.iter().enumerate() {
        let entry = ImportEntry {
            module: blob.add_bytes(import.module.as_bytes()),
            name: blob.add_bytes(import.name.as_bytes()),
            kind: import.kind as u32,
            index: import.index,
        };
        blob.fill(&room, i, &entry);
    }
    room.links()
}

fn write_exports(blob: &mut Blob, exports: &[image::Export]) -> Links<ExportEntry> {
    let room = blob.reserve(exports.len());
    for (i, export) in exports.iter().enumerate() {
        let name = blob.add_bytes(export.name.as_bytes());
        blob.fill(&room, i, &ExportEntry { name, kind: export.kind as u32, index: export.index });
    }
    room.links()
}

fn write_elements(blob: &mut Blob, segments: &[Elements]) -> Links<ElementPlan> {
    let room = blob.reserve(segments.len());
    for (i, segment) in segments.iter().enumerate() {
        let plan = match segment {
            Elements::Records(records) => {
                let numbers: Vec<_> = records.iter().map(|index| index.map_or(0, |index| index.record + 1)).collect();
                ElementPlan { funcs: blob.add(&numbers), context_offset: 0, len: 0 }
            }
            &Elements::Context { offset, len } => ElementPlan { funcs: Links::NONE, context_offset: offset, len },
        };
        blob.fill(&room, i, &plan);
    }
    room.links()
}
