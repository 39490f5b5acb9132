//! What a library imports and exports: the image's lists go in, the structures of [`wasmelt_abi::interface`] come out.

use std::mem::offset_of;

use wasmelt_abi::interface::{ElementPlan, ExportEntry, FuncPlan, FuncTypeEntry, ImportEntry, Interface};

use super::blob::Blob;
use super::reloc::Target;
use super::text::Layout;
use crate::error::Result;
use crate::image::{self, Elements};

/// Writes the interface and makes `field` refer to it.
pub(super) fn write(blob: &mut Blob, field: usize, interface: &image::Interface, layout: &Layout) -> Result<()> {
    let at = blob.alloc::<Interface>(1);
    blob.link(field, at);
    write_types(blob, at + offset_of!(Interface, types), &interface.types, layout)?;
    write_imports(blob, at + offset_of!(Interface, imports), &interface.imports);
    write_exports(blob, at + offset_of!(Interface, exports), &interface.exports);
    let funcs = interface.funcs.iter().map(|&(function, type_number)| {
        Ok(FuncPlan { code_offset: function.map_or(Ok(0), |function| layout.offset(function))?, type_number })
    });
    blob.link_records(at + offset_of!(Interface, funcs), &funcs.collect::<Result<Vec<_>>>()?);
    blob.link_records(at + offset_of!(Interface, tables), &interface.tables);
    blob.link_records(at + offset_of!(Interface, memories), &interface.memories);
    blob.link_records(at + offset_of!(Interface, globals), &interface.globals);
    blob.link_records(at + offset_of!(Interface, tags), &interface.tags);
    write_elements(blob, at + offset_of!(Interface, elements), &interface.elements);
    blob.put_u32(at + offset_of!(Interface, func_refs_offset), interface.func_refs_offset.cast_unsigned());
    for (kind, &count) in interface.imported.iter().enumerate() {
        blob.put_u32(at + offset_of!(Interface, imported) + kind * size_of::<u32>(), count);
    }
    Ok(())
}

/// Makes the slice field at `field` refer to `count` values of type `T`; the offset of the first.
fn list<T>(blob: &mut Blob, field: usize, count: usize) -> usize {
    let start = blob.alloc::<T>(count);
    blob.link_slice(field, start, count);
    start
}

fn write_types(blob: &mut Blob, field: usize, types: &[image::FuncTypeEntry], layout: &Layout) -> Result<()> {
    let start = list::<FuncTypeEntry>(blob, field, types.len());
    for (i, ty) in types.iter().enumerate() {
        let at = start + i * size_of::<FuncTypeEntry>();
        blob.link_records(at + offset_of!(FuncTypeEntry, params), &ty.params);
        blob.link_records(at + offset_of!(FuncTypeEntry, results), &ty.results);
        for (field, code) in
            [(offset_of!(FuncTypeEntry, to_wasm), ty.to_wasm), (offset_of!(FuncTypeEntry, to_host), ty.to_host)]
        {
            if let Some(function) = code {
                blob.refer(at + field, Target::Text, u64::from(layout.offset(function)?));
            }
        }
    }
    Ok(())
}

fn write_imports(blob: &mut Blob, field: usize, imports: &[image::Import]) {
    let start = list::<ImportEntry>(blob, field, imports.len());
    for (i, import) in imports.iter().enumerate() {
        let at = start + i * size_of::<ImportEntry>();
        blob.link_bytes(at + offset_of!(ImportEntry, module), import.module.as_bytes());
        blob.link_bytes(at + offset_of!(ImportEntry, name), import.name.as_bytes());
        blob.put_u32(at + offset_of!(ImportEntry, kind), import.kind as u32);
        blob.put_u32(at + offset_of!(ImportEntry, index), import.index);
    }
}

fn write_exports(blob: &mut Blob, field: usize, exports: &[image::Export]) {
    let start = list::<ExportEntry>(blob, field, exports.len());
    for (i, export) in exports.iter().enumerate() {
        let at = start + i * size_of::<ExportEntry>();
        blob.link_bytes(at + offset_of!(ExportEntry, name), export.name.as_bytes());
        blob.put_u32(at + offset_of!(ExportEntry, kind), export.kind as u32);
        blob.put_u32(at + offset_of!(ExportEntry, index), export.index);
    }
}

fn write_elements(blob: &mut Blob, field: usize, segments: &[Elements]) {
    let start = list::<ElementPlan>(blob, field, segments.len());
    for (i, segment) in segments.iter().enumerate() {
        let at = start + i * size_of::<ElementPlan>();
        match segment {
            Elements::Records(records) => {
                let numbers: Vec<_> = records.iter().map(|index| index.map_or(0, |index| index.record + 1)).collect();
                blob.link_records(at + offset_of!(ElementPlan, funcs), &numbers);
            }
            Elements::Context { offset, len } => {
                blob.put_u32(at + offset_of!(ElementPlan, context_offset), offset.cast_unsigned());
                blob.put_u32(at + offset_of!(ElementPlan, len), *len);
            }
        }
    }
}
