//! The program descriptor and everything that is read with it: records, constant tables, segments. What goes in is the
//! image, what comes out one section whose format is [`wasmelt_abi::descriptor`].
//!
//! What a program reads when it starts comes first, so that it lies on as few pages as possible; data that only
//! `memory.init` or `table.init` read comes later. Last are hooks and policy, which are not known before the program is
//! linked.

use std::mem::offset_of;

use wasmelt_abi::context::{FuncRecord, WideRecord};
use wasmelt_abi::descriptor::{
    CallSite, Code, CopyChunk, DataSegment, ElementSegment, ExceptionHandler, InstancePlan, InvokePlan, MapChunk,
    Positions, ProgramDescriptor, Rel,
};
use wasmelt_abi::{ABI_VERSION, symbols};

use super::blob::Blob;
use super::initial::Initial;
use super::interface;
use super::policy::{self, Terms};
use super::reloc::{Reference, Target};
use super::text::{self, Layout};
use crate::error::{Error, Result};
use crate::image::{Elements, Handler, Image, InstanceImage, Record, RecordIndex};

/// The section, and what code refers to in it.
#[derive(Debug)]
pub(super) struct Program {
    /// Content; the descriptor stands at its start.
    pub(super) bytes: Vec<u8>,
    /// What the linker fills in.
    pub(super) references: Vec<Reference>,
    /// Content of the section of code maps.
    pub(super) maps: Vec<u8>,
    /// What code refers to of each instance.
    instances: Vec<Referred>,
    /// Length of a record in bytes.
    record_bytes: u64,
}

/// What code refers to of an instance.
#[derive(Debug)]
struct Referred {
    /// Offset of the first record, and number of records.
    records: (usize, usize),
    /// Offsets of the constant tables.
    const_tables: Vec<u64>,
}

impl Program {
    fn instance(&self, instance: u32) -> Result<&Referred> {
        let found = self.instances.get(instance as usize);
        found.ok_or_else(|| Error::internal(format!("reference to instance {instance} of {}", self.instances.len())))
    }

    /// Offset of the record with this index in [`InstanceImage::records`].
    pub(super) fn record(&self, instance: u32, index: u32) -> Result<u64> {
        let (start, len) = self.instance(instance)?.records;
        if index as usize >= len {
            return Err(Error::internal(format!("reference to function record {index} of {len}")));
        }
        Ok(start as u64 + u64::from(index) * self.record_bytes)
    }

    /// Offset of the table with this index in [`InstanceImage::const_tables`].
    pub(super) fn const_table(&self, instance: u32, index: u32) -> Result<u64> {
        let tables = &self.instance(instance)?.const_tables;
        let found = tables.get(index as usize).copied();
        found.ok_or_else(|| Error::internal(format!("reference to table {index} of {}", tables.len())))
    }
}

/// Alignment of the section in bytes.
pub(super) const ALIGN: u64 = 16;

/// Writes the section.
pub(super) fn write(image: &Image<'_>, layout: &Layout, initial: &[Initial]) -> Result<Program> {
    let mut blob = Blob::default();
    let program = blob.alloc::<ProgramDescriptor>(1);
    if !image.is_library() {
        // Keeps the version check alive: the archive must define the symbol that carries this version. Who loads a
        // library reads the version from its descriptor.
        blob.refer(program + offset_of!(ProgramDescriptor, anchor), Target::Runtime(symbols::ABI_ANCHOR.to_owned()), 0);
    }
    write_head(&mut blob, program, image, layout)?;
    let others = image.instances.len().saturating_sub(1);
    let plans = blob.alloc::<InstancePlan>(others);
    blob.link_slice(program + offset_of!(ProgramDescriptor, others), plans, others);
    let plan = |index: usize| match index.checked_sub(1) {
        None => program + offset_of!(ProgramDescriptor, first),
        Some(index) => plans + index * size_of::<InstancePlan>(),
    };
    let mut pages = 0;
    for (index, (instance, initial)) in image.instances.iter().zip(initial).enumerate() {
        let plan = plan(index);
        blob.put_u64(plan + offset_of!(InstancePlan, distance), instance.distance);
        blob.put_u32(plan + offset_of!(InstancePlan, context_bytes), instance.context_bytes);
        blob.put_u32(plan + offset_of!(InstancePlan, segment_count), instance.segment_count());
        blob.link_records(plan + offset_of!(InstancePlan, memories), &instance.memories);
        blob.link_records(plan + offset_of!(InstancePlan, tables), &instance.tables);
        write_initial(&mut blob, plan, initial, &mut pages);
    }
    write_invoke(&mut blob, program + offset_of!(ProgramDescriptor, invoke), image);

    let mut instances = Vec::with_capacity(image.instances.len());
    for instance in &image.instances {
        let wide = image.has_wide_records.then_some(instance.distance);
        let records = write_records(&mut blob, layout, &instance.records, wide)?;
        let tables = instance.const_tables.iter().map(|table| write_const_table(&mut blob, layout, table));
        let const_tables = tables.map(|at| at.map(|at| at as u64)).collect::<Result<_>>()?;
        instances.push(Referred { records: (records, instance.records.len()), const_tables });
    }
    write_call_sites(&mut blob, program + offset_of!(ProgramDescriptor, code), image, layout);
    let record_bytes = if image.has_wide_records { size_of::<WideRecord>() } else { size_of::<FuncRecord>() };
    for (index, instance) in image.instances.iter().enumerate() {
        let plan = plan(index);
        if let Some(interface) = &instance.interface {
            interface::write(&mut blob, program + offset_of!(ProgramDescriptor, interface), interface, layout)?;
        }
        write_element_segments(&mut blob, plan, instance, &instances, record_bytes)?;
        write_data_segments(&mut blob, plan + offset_of!(InstancePlan, data_segments), instance);
    }
    let maps = write_code_maps(&mut blob, program + offset_of!(ProgramDescriptor, code), image, layout)?;

    let (bytes, references) = blob.finish()?;
    Ok(Program { bytes, references, maps, instances, record_bytes: record_bytes as u64 })
}

fn write_head(blob: &mut Blob, at: usize, image: &Image<'_>, layout: &Layout) -> Result<()> {
    blob.put_u32(at + offset_of!(ProgramDescriptor, abi_version), ABI_VERSION);
    blob.put_u32(at + offset_of!(ProgramDescriptor, cpu_features), image.cpu_features);
    blob.put_u64(at + offset_of!(ProgramDescriptor, stack_bytes), image.stack_bytes);
    let code = at + offset_of!(ProgramDescriptor, code);
    blob.refer(code + offset_of!(Code, text), Target::Text, 0);
    blob.put_u32(code + offset_of!(Code, text_bytes), layout.len_bytes);
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
    if let Some(layout) = &image.layout {
        blob.put(at + offset_of!(ProgramDescriptor, layout), layout);
    }
    Ok(())
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

/// Writes the initial bytes of an instance, whose pages start at `source` in the section for pages.
fn write_initial(blob: &mut Blob, plan: usize, initial: &Initial, source: &mut u64) {
    let copies = blob.alloc::<CopyChunk>(initial.copies.len());
    blob.link_slice(plan + offset_of!(InstancePlan, copies), copies, initial.copies.len());
    let maps = blob.alloc::<MapChunk>(initial.maps.len());
    blob.link_slice(plan + offset_of!(InstancePlan, maps), maps, initial.maps.len());
    for (i, (dest, bytes)) in initial.copies.iter().enumerate() {
        let at = copies + i * size_of::<CopyChunk>();
        blob.put_u64(at + offset_of!(CopyChunk, dest_offset), dest.cast_unsigned());
        blob.link_bytes(at + offset_of!(CopyChunk, bytes), bytes);
    }
    for (i, pages) in initial.maps.iter().enumerate() {
        let at = maps + i * size_of::<MapChunk>();
        let len_bytes = pages.end - pages.start;
        blob.put_u64(at + offset_of!(MapChunk, dest_offset), pages.start);
        blob.put_u64(at + offset_of!(MapChunk, len_bytes), len_bytes);
        blob.refer(at + offset_of!(MapChunk, source), Target::Image, *source);
        *source += len_bytes;
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

fn func_record(record: &Record, layout: &Layout) -> Result<FuncRecord> {
    Ok(FuncRecord { code_offset: layout.offset(record.function)?, type_id: record.type_id })
}

/// Records start at a multiple of their size, so that none straddles a cache line.
fn alloc_records(blob: &mut Blob, count: usize) -> usize {
    blob.align(size_of::<FuncRecord>());
    blob.alloc::<FuncRecord>(count)
}

/// Writes records; `distance` says where the functions run, in wide ones.
fn write_records(blob: &mut Blob, layout: &Layout, records: &[Record], distance: Option<u64>) -> Result<usize> {
    let Some(distance) = distance else {
        let start = alloc_records(blob, records.len());
        for (i, record) in records.iter().enumerate() {
            blob.put(start + i * size_of::<FuncRecord>(), &func_record(record, layout)?);
        }
        return Ok(start);
    };
    blob.align(size_of::<WideRecord>());
    let start = blob.alloc::<WideRecord>(records.len());
    for (i, record) in records.iter().enumerate() {
        let distance = record.distance.unwrap_or(distance);
        let record = func_record(record, layout)?;
        blob.put(start + i * size_of::<WideRecord>(), &WideRecord { record, distance });
    }
    Ok(start)
}

fn write_const_table(blob: &mut Blob, layout: &Layout, table: &[Option<Record>]) -> Result<usize> {
    let start = alloc_records(blob, table.len());
    for (i, element) in table.iter().enumerate() {
        let record = element.as_ref().map_or(Ok(FuncRecord::NULL), |record| func_record(record, layout))?;
        blob.put(start + i * size_of::<FuncRecord>(), &record);
    }
    Ok(start)
}

fn write_element_segments(
    blob: &mut Blob,
    plan: usize,
    instance: &InstanceImage<'_>,
    instances: &[Referred],
    record_bytes: usize,
) -> Result<()> {
    let segments = blob.alloc::<ElementSegment>(instance.element_segments.len());
    blob.link_slice(plan + offset_of!(InstancePlan, element_segments), segments, instance.element_segments.len());
    for (i, elements) in instance.element_segments.iter().enumerate() {
        let Elements::Records(elements) = elements else {
            return Err(Error::internal("elements of a program that are not known when it is compiled"));
        };
        let at = segments + i * size_of::<ElementSegment>();
        let start = blob.alloc::<Rel<FuncRecord>>(elements.len());
        blob.link_slice(at + offset_of!(ElementSegment, elements), start, elements.len());
        for (j, element) in elements.iter().enumerate() {
            let Some(RecordIndex { instance, record }) = *element else { continue };
            let owner = instances.get(instance as usize).filter(|owner| (record as usize) < owner.records.1);
            let Some(owner) = owner else {
                return Err(Error::internal(format!("element segment {i} refers to function record {record}")));
            };
            blob.link(start + j * size_of::<Rel<FuncRecord>>(), owner.records.0 + record as usize * record_bytes);
        }
    }
    Ok(())
}

fn write_data_segments(blob: &mut Blob, field: usize, instance: &InstanceImage<'_>) {
    let segments = blob.alloc::<DataSegment>(instance.data_segments.len());
    blob.link_slice(field, segments, instance.data_segments.len());
    for (i, bytes) in instance.data_segments.iter().enumerate() {
        blob.link_bytes(segments + i * size_of::<DataSegment>() + offset_of!(DataSegment, bytes), bytes);
    }
}

/// The calls that exception handlers reach, sorted by return address as functions and calls in them are in order.
fn write_call_sites(blob: &mut Blob, code: usize, image: &Image<'_>, layout: &Layout) {
    blob.put_u32(code + offset_of!(Code, exception_payload_bytes), image.exception_payload_bytes);
    let sites = || {
        let functions = image.functions.iter().zip(&layout.offsets);
        functions.flat_map(|(f, &start)| f.call_sites.iter().map(move |site| (start, site)))
    };
    let mut handlers = Vec::new();
    let call_sites: Vec<_> = sites()
        .map(|(start, site)| {
            let first_handler = handlers.len() as u32;
            handlers.extend(site.handlers.iter().map(|&handler| match handler {
                Handler::Context(offset) => ExceptionHandler { tag: ExceptionHandler::CONTEXT, landing_offset: offset },
                Handler::Tag(tag, landing) => ExceptionHandler { tag, landing_offset: start + landing },
                Handler::All(landing) => {
                    ExceptionHandler { tag: ExceptionHandler::ALL, landing_offset: start + landing }
                }
            }));
            CallSite {
                return_offset: start + site.return_offset,
                frame_bytes: site.frame_bytes,
                first_handler,
                handler_count: site.handlers.len() as u32,
            }
        })
        .collect();
    blob.link_records(code + offset_of!(Code, call_sites), &call_sites);
    blob.link_records(code + offset_of!(Code, handlers), &handlers);
}

/// What is only read after a trap goes into a section of its own: the code map, and positions in source files.
fn write_code_maps(blob: &mut Blob, code: usize, image: &Image<'_>, layout: &Layout) -> Result<Vec<u8>> {
    let mut maps = text::code_map(image, layout);
    let too_long = |_| Error::input("what backtraces need of the program exceeds 4 GiB");
    let code_map_len = u32::try_from(maps.len()).map_err(too_long)?;
    if code_map_len > 0 {
        let field = code + offset_of!(Code, code_map);
        blob.refer(field, Target::Maps, 0);
        blob.put_u32(field + size_of::<Rel<u8>>(), code_map_len);
    }
    let lines = text::position_table(&image.positions, layout)?;
    if !lines.is_empty() {
        let len = u32::try_from(lines.len()).map_err(too_long)?;
        maps.extend(lines);
        u32::try_from(maps.len()).map_err(too_long)?;
        let positions = blob.alloc::<Positions>(1);
        blob.link(code + offset_of!(Code, positions), positions);
        let table = positions + offset_of!(Positions, table);
        blob.refer(table, Target::Maps, code_map_len.into());
        blob.put_u32(table + size_of::<Rel<u8>>(), len);
        if !image.is_library() {
            let print = Target::Runtime(symbols::PRINT_POSITIONS.to_owned());
            blob.refer(positions + offset_of!(Positions, print), print, 0);
        }
    }
    Ok(maps)
}
