//! The program descriptor and everything that is read with it: records, constant tables, segments. What goes in is the
//! image, what comes out one section whose format is [`wasmelt_abi::descriptor`].
//!
//! What a program reads when it starts comes first, so that it lies on as few pages as possible; data that only
//! `memory.init` or `table.init` read comes later. Last are hooks and policy, which are not known before the program is
//! linked.

use std::mem::offset_of;

use wasmelt_abi::context::FuncRecord;
use wasmelt_abi::descriptor::{
    CallSite, CopyChunk, DataSegment, ElementSegment, ExceptionHandler, InvokePlan, MapChunk, MemoryPlan, Positions,
    ProgramDescriptor, Rel, TablePlan,
};
use wasmelt_abi::layout::{Layout as InstanceLayout, Parts};
use wasmelt_abi::{ABI_VERSION, symbols};

use super::blob::Blob;
use super::initial::Initial;
use super::interface;
use super::policy::{self, Terms};
use super::reloc::{Reference, Target};
use super::text::{self, Layout};
use crate::error::{Error, Result};
use crate::image::{Elements, Handler, Image, Record};

/// The section, and what code refers to in it.
#[derive(Debug)]
pub(super) struct Program {
    /// Content; the descriptor stands at its start.
    pub(super) bytes: Vec<u8>,
    /// What the linker fills in.
    pub(super) references: Vec<Reference>,
    /// Content of the section of code maps.
    pub(super) maps: Vec<u8>,
    /// Offset of the first record, and number of records.
    records: (u64, u32),
    /// Offsets of the constant tables.
    const_tables: Vec<u64>,
}

impl Program {
    /// Offset of the record with this index in [`Image::records`].
    pub(super) fn record(&self, index: u32) -> Result<u64> {
        let (start, len) = self.records;
        if index >= len {
            return Err(Error::internal(format!("reference to function record {index} of {len}")));
        }
        Ok(start + u64::from(index) * size_of::<FuncRecord>() as u64)
    }

    /// Offset of the table with this index in [`Image::const_tables`].
    pub(super) fn const_table(&self, index: u32) -> Result<u64> {
        let found = self.const_tables.get(index as usize).copied();
        found.ok_or_else(|| Error::internal(format!("reference to table {index} of {}", self.const_tables.len())))
    }
}

/// Alignment of the section in bytes.
pub(super) const ALIGN: u64 = 16;

/// Writes the section.
pub(super) fn write(image: &Image<'_>, layout: &Layout, initial: &Initial, page_bytes: u64) -> Result<Program> {
    let mut blob = Blob::default();
    let program = blob.alloc::<ProgramDescriptor>(1);
    if image.interface.is_none() {
        // Keeps the version check alive: the archive must define the symbol that carries this version. Who loads a
        // library reads the version from its descriptor.
        let anchor = blob.alloc::<Rel<u8>>(1);
        blob.refer(anchor, Target::Runtime(symbols::ABI_ANCHOR.to_owned()), 0);
        write_layout(&mut blob, program + offset_of!(ProgramDescriptor, layout), image, page_bytes)?;
    }
    write_head(&mut blob, program, image, layout)?;
    write_memories(&mut blob, program + offset_of!(ProgramDescriptor, memories), image);
    write_tables(&mut blob, program + offset_of!(ProgramDescriptor, tables), image);
    write_initial(&mut blob, program, initial);
    write_invoke(&mut blob, program + offset_of!(ProgramDescriptor, invoke), image);

    let records = write_records(&mut blob, layout, &image.records)?;
    let mut const_tables = Vec::with_capacity(image.const_tables.len());
    for table in &image.const_tables {
        const_tables.push(write_const_table(&mut blob, layout, table)? as u64);
    }
    write_call_sites(&mut blob, program, image, layout);
    if let Some(interface) = &image.interface {
        interface::write(&mut blob, program + offset_of!(ProgramDescriptor, interface), interface, layout)?;
    }
    write_element_segments(&mut blob, program + offset_of!(ProgramDescriptor, element_segments), image, records)?;
    write_data_segments(&mut blob, program + offset_of!(ProgramDescriptor, data_segments), image);
    let maps = write_code_maps(&mut blob, program, image, layout)?;

    let (bytes, references) = blob.finish()?;
    Ok(Program { bytes, references, maps, records: (records as u64, image.records.len() as u32), const_tables })
}

fn write_head(blob: &mut Blob, at: usize, image: &Image<'_>, layout: &Layout) -> Result<()> {
    let segments = image.segment_count();
    blob.put_u32(at + offset_of!(ProgramDescriptor, abi_version), ABI_VERSION);
    blob.put_u32(at + offset_of!(ProgramDescriptor, cpu_features), image.cpu_features);
    blob.put_u32(at + offset_of!(ProgramDescriptor, context_bytes), image.context_bytes);
    blob.put_u32(at + offset_of!(ProgramDescriptor, segment_count), segments);
    blob.put_u64(at + offset_of!(ProgramDescriptor, stack_bytes), image.stack_bytes);
    blob.refer(at + offset_of!(ProgramDescriptor, text), Target::Text, 0);
    blob.put_u32(at + offset_of!(ProgramDescriptor, text_bytes), layout.len_bytes);
    let entries = [
        (offset_of!(ProgramDescriptor, entry), image.entry),
        (offset_of!(ProgramDescriptor, invoke_entry), image.invoke_entry),
        (offset_of!(ProgramDescriptor, thread_entry), image.thread_entry),
    ];
    for (field, function) in entries {
        if let Some(function) = function {
            blob.refer(at + field, Target::Text, u64::from(layout.offset(function)?));
        }
    }
    Ok(())
}

fn write_layout(blob: &mut Blob, at: usize, image: &Image<'_>, page_bytes: u64) -> Result<()> {
    let segment_count = image.segment_count();
    let memory0 = image.memories.first().filter(|m| !m.is_pointed());
    let memory0 = memory0.map_or([0; 3], |m| [m.initial_bytes, m.reserve_bytes, m.guard_bytes]);
    let (context_bytes, stack_bytes) = (image.context_bytes, image.stack_bytes);
    let layout = InstanceLayout::of(&Parts { context_bytes, segment_count, stack_bytes, memory0, page_bytes })
        .ok_or_else(|| {
            Error::input("stack and memory 0 of the program exceed the address space")
                .hint("--stack-size and --max-memory set lower limits")
        })?;
    blob.put_u64(at + offset_of!(InstanceLayout, stack_top), layout.stack_top);
    blob.put_u64(at + offset_of!(InstanceLayout, vmctx), layout.vmctx);
    blob.put_u64(at + offset_of!(InstanceLayout, usable_end), layout.usable_end);
    blob.put_u64(at + offset_of!(InstanceLayout, total_bytes), layout.total_bytes);
    Ok(())
}

fn write_memories(blob: &mut Blob, field: usize, image: &Image<'_>) {
    let start = blob.alloc::<MemoryPlan>(image.memories.len());
    blob.link_slice(field, start, image.memories.len());
    for (i, plan) in image.memories.iter().enumerate() {
        let at = start + i * size_of::<MemoryPlan>();
        blob.put_u32(at + offset_of!(MemoryPlan, context_offset), plan.context_offset.cast_unsigned());
        blob.put_u16(at + offset_of!(MemoryPlan, page_size_log2), plan.page_size_log2);
        blob.put_u16(at + offset_of!(MemoryPlan, flags), plan.flags);
        blob.put_u64(at + offset_of!(MemoryPlan, initial_bytes), plan.initial_bytes);
        blob.put_u64(at + offset_of!(MemoryPlan, maximum_bytes), plan.maximum_bytes);
        blob.put_u64(at + offset_of!(MemoryPlan, reserve_bytes), plan.reserve_bytes);
        blob.put_u64(at + offset_of!(MemoryPlan, guard_bytes), plan.guard_bytes);
    }
}

fn write_tables(blob: &mut Blob, field: usize, image: &Image<'_>) {
    let start = blob.alloc::<TablePlan>(image.tables.len());
    blob.link_slice(field, start, image.tables.len());
    for (i, plan) in image.tables.iter().enumerate() {
        let at = start + i * size_of::<TablePlan>();
        blob.put_u32(at + offset_of!(TablePlan, context_offset), plan.context_offset.cast_unsigned());
        blob.put_u32(at + offset_of!(TablePlan, flags), plan.flags);
        blob.put_u64(at + offset_of!(TablePlan, initial_elements), plan.initial_elements);
        blob.put_u64(at + offset_of!(TablePlan, maximum_elements), plan.maximum_elements);
    }
}

/// Adds what is decided last, hooks and policy, to the section.
pub(super) fn write_terms(blob: &mut Blob, terms: &Terms<'_>, fuel_offset: Option<i32>) {
    let start = blob.alloc::<Rel<u8>>(terms.hooks.len());
    blob.link_slice(offset_of!(ProgramDescriptor, hooks), start, terms.hooks.len());
    for (i, &hook) in terms.hooks.iter().enumerate() {
        blob.refer(start + i * size_of::<Rel<u8>>(), Target::Runtime(hook.to_owned()), 0);
    }
    policy::write(blob, offset_of!(ProgramDescriptor, policy), terms, fuel_offset);
}

fn write_initial(blob: &mut Blob, program: usize, initial: &Initial) {
    let copies = blob.alloc::<CopyChunk>(initial.copies.len());
    blob.link_slice(program + offset_of!(ProgramDescriptor, copies), copies, initial.copies.len());
    let maps = blob.alloc::<MapChunk>(initial.maps.len());
    blob.link_slice(program + offset_of!(ProgramDescriptor, maps), maps, initial.maps.len());
    for (i, (dest, bytes)) in initial.copies.iter().enumerate() {
        let at = copies + i * size_of::<CopyChunk>();
        blob.put_u64(at + offset_of!(CopyChunk, dest_offset), dest.cast_unsigned());
        blob.link_bytes(at + offset_of!(CopyChunk, bytes), bytes);
    }
    let mut source = 0;
    for (i, pages) in initial.maps.iter().enumerate() {
        let at = maps + i * size_of::<MapChunk>();
        let len_bytes = pages.end - pages.start;
        blob.put_u64(at + offset_of!(MapChunk, dest_offset), pages.start);
        blob.put_u64(at + offset_of!(MapChunk, len_bytes), len_bytes);
        blob.refer(at + offset_of!(MapChunk, source), Target::Image, source);
        source += len_bytes;
    }
}

fn write_invoke(blob: &mut Blob, field: usize, image: &Image<'_>) {
    let Some(invoke) = &image.invoke else { return };
    let at = blob.alloc::<InvokePlan>(1);
    blob.link(field, at);
    let params: Vec<u8> = invoke.params.iter().map(|&t| t as u8).collect();
    let results: Vec<u8> = invoke.results.iter().map(|&t| t as u8).collect();
    blob.link_bytes(at + offset_of!(InvokePlan, name), invoke.name.as_bytes());
    blob.link_bytes(at + offset_of!(InvokePlan, params), &params);
    blob.link_bytes(at + offset_of!(InvokePlan, results), &results);
}

fn write_record(blob: &mut Blob, at: usize, code_offset: u32, type_id: u32) {
    blob.put_u32(at + offset_of!(FuncRecord, code_offset), code_offset);
    blob.put_u32(at + offset_of!(FuncRecord, type_id), type_id);
}

/// Records start at a multiple of their size, so that none straddles a cache line.
fn alloc_records(blob: &mut Blob, count: usize) -> usize {
    blob.align(size_of::<FuncRecord>());
    blob.alloc::<FuncRecord>(count)
}

fn write_records(blob: &mut Blob, layout: &Layout, records: &[Record]) -> Result<usize> {
    let start = alloc_records(blob, records.len());
    for (i, record) in records.iter().enumerate() {
        write_record(blob, start + i * size_of::<FuncRecord>(), layout.offset(record.function)?, record.type_id);
    }
    Ok(start)
}

fn write_const_table(blob: &mut Blob, layout: &Layout, table: &[Option<Record>]) -> Result<usize> {
    let start = alloc_records(blob, table.len());
    for (i, element) in table.iter().enumerate() {
        let at = start + i * size_of::<FuncRecord>();
        match element {
            Some(record) => write_record(blob, at, layout.offset(record.function)?, record.type_id),
            None => write_record(blob, at, FuncRecord::NULL.code_offset, FuncRecord::NULL.type_id),
        }
    }
    Ok(start)
}

fn write_element_segments(blob: &mut Blob, field: usize, image: &Image<'_>, records: usize) -> Result<()> {
    let segments = blob.alloc::<ElementSegment>(image.element_segments.len());
    blob.link_slice(field, segments, image.element_segments.len());
    for (i, elements) in image.element_segments.iter().enumerate() {
        let Elements::Records(elements) = elements else {
            return Err(Error::internal("elements of a program that are not known when it is compiled"));
        };
        let at = segments + i * size_of::<ElementSegment>();
        let start = blob.alloc::<Rel<FuncRecord>>(elements.len());
        blob.link_slice(at + offset_of!(ElementSegment, elements), start, elements.len());
        for (j, element) in elements.iter().enumerate() {
            let Some(record) = *element else { continue };
            if record as usize >= image.records.len() {
                return Err(Error::internal(format!("element segment {i} refers to function record {record}")));
            }
            blob.link(start + j * size_of::<Rel<FuncRecord>>(), records + record as usize * size_of::<FuncRecord>());
        }
    }
    Ok(())
}

fn write_data_segments(blob: &mut Blob, field: usize, image: &Image<'_>) {
    let segments = blob.alloc::<DataSegment>(image.data_segments.len());
    blob.link_slice(field, segments, image.data_segments.len());
    for (i, bytes) in image.data_segments.iter().enumerate() {
        blob.link_bytes(segments + i * size_of::<DataSegment>() + offset_of!(DataSegment, bytes), bytes);
    }
}

/// The calls that exception handlers reach, sorted by return address as functions and calls in them are in order.
fn write_call_sites(blob: &mut Blob, program: usize, image: &Image<'_>, layout: &Layout) {
    blob.put_u32(program + offset_of!(ProgramDescriptor, exception_payload_bytes), image.exception_payload_bytes);
    let sites = || {
        let functions = image.functions.iter().zip(&layout.offsets);
        functions.flat_map(|(f, &start)| f.call_sites.iter().map(move |site| (start, site)))
    };
    let (count, handler_count) = (sites().count(), sites().map(|(_, site)| site.handlers.len()).sum());
    let mut site_at = blob.alloc::<CallSite>(count);
    blob.link_slice(program + offset_of!(ProgramDescriptor, call_sites), site_at, count);
    let mut handler_at = blob.alloc::<ExceptionHandler>(handler_count);
    blob.link_slice(program + offset_of!(ProgramDescriptor, handlers), handler_at, handler_count);
    let mut first_handler = 0;
    for (start, site) in sites() {
        blob.put_u32(site_at + offset_of!(CallSite, return_offset), start + site.return_offset);
        blob.put_u32(site_at + offset_of!(CallSite, frame_bytes), site.frame_bytes);
        blob.put_u32(site_at + offset_of!(CallSite, first_handler), first_handler);
        blob.put_u32(site_at + offset_of!(CallSite, handler_count), site.handlers.len() as u32);
        for &handler in &site.handlers {
            let (tag, offset) = match handler {
                Handler::Context(offset) => (ExceptionHandler::CONTEXT, offset),
                Handler::Tag(tag, landing) => (tag, start + landing),
                Handler::All(landing) => (ExceptionHandler::ALL, start + landing),
            };
            blob.put_u32(handler_at + offset_of!(ExceptionHandler, tag), tag);
            blob.put_u32(handler_at + offset_of!(ExceptionHandler, landing_offset), offset);
            handler_at += size_of::<ExceptionHandler>();
        }
        site_at += size_of::<CallSite>();
        first_handler += site.handlers.len() as u32;
    }
}

/// What is only read after a trap goes into a section of its own: the code map, and positions in source files.
fn write_code_maps(blob: &mut Blob, program: usize, image: &Image<'_>, layout: &Layout) -> Result<Vec<u8>> {
    let mut maps = text::code_map(image, layout);
    let too_long = |_| Error::input("what backtraces need of the program exceeds 4 GiB");
    let code_map_len = u32::try_from(maps.len()).map_err(too_long)?;
    if code_map_len > 0 {
        let field = program + offset_of!(ProgramDescriptor, code_map);
        blob.refer(field, Target::Maps, 0);
        blob.put_u32(field + size_of::<Rel<u8>>(), code_map_len);
    }
    if !image.positions.is_empty() {
        let len = u32::try_from(image.positions.len()).map_err(too_long)?;
        maps.extend(&image.positions);
        u32::try_from(maps.len()).map_err(too_long)?;
        let positions = blob.alloc::<Positions>(1);
        blob.link(program + offset_of!(ProgramDescriptor, positions), positions);
        let table = positions + offset_of!(Positions, table);
        blob.refer(table, Target::Maps, code_map_len.into());
        blob.put_u32(table + size_of::<Rel<u8>>(), len);
        if image.interface.is_none() {
            let print = Target::Runtime(symbols::PRINT_POSITIONS.to_owned());
            blob.refer(positions + offset_of!(Positions, print), print, 0);
        }
    }
    Ok(maps)
}
