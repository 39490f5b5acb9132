//! The program descriptor and everything that is read with it: records, constant tables, segments. What goes in is the
//! image, what comes out one section whose format is [`wasmelt_abi::descriptor`].
//!
//! What a program reads when it starts comes first, so that it lies on as few pages as possible; data that only
//! `memory.init` or `table.init` read comes later. Last are hooks and policy, which are not known before the program is
//! linked.

use std::mem::offset_of;

use wasmelt_abi::context::{FuncRecord, WideRecord};
use wasmelt_abi::descriptor::{
    BacktraceTable, CallSite, Code, CopyChunk, DataSegment, ElementSegment, ExceptionHandler, InstancePlan, InvokePlan,
    MapChunk, ProgramDescriptor, ValueType,
};
use wasmelt_abi::profile::{CounterRange, ProfilePlan};
use wasmelt_abi::{ABI_VERSION, record, symbols};

use super::blob::{Blob, Link, Linked, Links, Room};
use super::initial::Initial;
use super::inlined;
use super::interface;
use super::policy::{self, Terms};
use super::reloc::{Reference, Target};
use super::text::{self, Layout};
use crate::error::{Error, Result};
use crate::image::{Elements, Handler, Image, InstanceImage, Invoke, Profile, Record, RecordIndex};

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
}

/// What code refers to of an instance.
#[derive(Debug)]
struct Referred {
    records: Records,
    const_tables: Vec<Room<FuncRecord>>,
}

/// The records of an instance.
#[derive(Debug)]
enum Records {
    Narrow(Room<FuncRecord>),
    Wide(Room<WideRecord>),
}

impl Records {
    /// Offset of the record with this index, or the error that it does not exist.
    fn offset(&self, index: u32) -> Result<usize> {
        let (found, len) = match self {
            Self::Narrow(room) => (room.offset(index as usize), room.len()),
            Self::Wide(room) => (room.offset(index as usize), room.len()),
        };
        found.ok_or_else(|| Error::internal(format!("reference to function record {index} of {len}")))
    }
}

/// What is referred to of the instance with this number.
fn referred(instances: &[Referred], instance: u32) -> Result<&Referred> {
    let found = instances.get(instance as usize);
    found.ok_or_else(|| Error::internal(format!("reference to instance {instance} of {}", instances.len())))
}

impl Program {
    /// Offset of the record with this index in [`InstanceImage::records`].
    pub(super) fn record(&self, instance: u32, index: u32) -> Result<u64> {
        Ok(referred(&self.instances, instance)?.records.offset(index)? as u64)
    }

    /// Offset of the table with this index in [`InstanceImage::const_tables`].
    pub(super) fn const_table(&self, instance: u32, index: u32) -> Result<u64> {
        let tables = &referred(&self.instances, instance)?.const_tables;
        let found = tables.get(index as usize).map(|table| table.start() as u64);
        found.ok_or_else(|| Error::internal(format!("reference to table {index} of {}", tables.len())))
    }
}

/// Alignment of the section in bytes.
pub(super) const ALIGN: u64 = 16;

/// Writes the section.
pub(super) fn write(image: &Image<'_>, layout: &Layout, initial: &[Initial]) -> Result<Program> {
    let mut blob = Blob::default();
    let program = blob.reserve::<ProgramDescriptor>(1);
    let others = blob.reserve::<InstancePlan>(image.instances.len().saturating_sub(1));
    let mut pages = 0;
    let plans = image.instances.iter().zip(initial);
    let mut plans: Vec<_> = plans.map(|(instance, initial)| plan(&mut blob, instance, initial, &mut pages)).collect();
    let invoke = image.invoke.as_ref().map_or(Link::NONE, |invoke| write_invoke(&mut blob, invoke));

    let mut instances = Vec::with_capacity(image.instances.len());
    for instance in &image.instances {
        let records = write_records(&mut blob, layout, instance, image.has_wide_records)?;
        let tables = instance.const_tables.iter().map(|table| write_const_table(&mut blob, layout, table));
        instances.push(Referred { records, const_tables: tables.collect::<Result<_>>()? });
    }
    let (call_sites, handlers) = write_call_sites(&mut blob, image, layout);
    let mut interface = Link::NONE;
    for (instance, plan) in image.instances.iter().zip(&mut plans) {
        if let Some(library) = &instance.interface {
            interface = interface::write(&mut blob, library, layout)?;
        }
        plan.element_segments = write_element_segments(&mut blob, instance, &instances)?;
        plan.data_segments = write_data_segments(&mut blob, instance);
    }
    let mut maps = text::code_map(image, layout);
    let code_map = Links::outside(Target::Maps, 0, maps_len(&maps)?);
    let lines = text::position_table(&image.positions, layout)?;
    let positions = write_table(&mut blob, &mut maps, image, &lines, symbols::PRINT_POSITIONS)?;
    let inlined = inlined::table(image, layout);
    let inlined = write_table(&mut blob, &mut maps, image, &inlined, symbols::PRINT_INLINED)?;

    let mut plans = plans.into_iter();
    let first = plans.next().ok_or_else(|| Error::internal("a program without an instance"))?;
    for (i, plan) in plans.enumerate() {
        blob.fill(&others, i, &plan);
    }
    let descriptor = ProgramDescriptor {
        abi_version: ABI_VERSION,
        cpu_features: image.cpu_features,
        stack_bytes: image.stack_bytes,
        first,
        others: others.links(),
        layout: image.layout.unwrap_or_default(),
        code: Code {
            text: Link::outside(Target::Text, 0u32),
            text_bytes: layout.len_bytes,
            code_map,
            positions,
            inlined,
            call_sites,
            handlers,
            exception_payload_bytes: image.exception_payload_bytes,
        },
        entry: function(layout, image.entry)?,
        invoke_entry: function(layout, image.invoke_entry)?,
        thread_entry: function(layout, image.thread_entry)?,
        invoke,
        hooks: Links::NONE,
        policy: policy::nothing(),
        interface,
        // Keeps the version check alive: the archive must define the symbol that carries this version. Who loads a
        // library reads the version from its descriptor.
        anchor: if image.is_library() { Link::NONE } else { runtime(symbols::ABI_ANCHOR) },
        profile: image.profile.as_ref().map_or(Link::NONE, |profile| write_profile(&mut blob, profile)),
    };
    blob.fill(&program, 0, &descriptor);
    let (bytes, references) = blob.finish()?;
    Ok(Program { bytes, references, maps, instances })
}

/// A reference to the code of this function.
pub(super) fn function(layout: &Layout, function: Option<u32>) -> Result<Link<u8>> {
    function.map_or(Ok(Link::NONE), |function| Ok(Link::outside(Target::Text, layout.offset(function)?)))
}

/// A reference to a symbol of the runtime.
fn runtime<T>(symbol: &str) -> Link<T> {
    Link::outside(Target::Runtime(symbol.to_owned()), 0u32)
}

/// Adds what is decided last, hooks and policy, to the section.
pub(super) fn write_terms(blob: &mut Blob, terms: &Terms<'_>, fuel_offset: Option<i32>) {
    let hooks: Vec<Link<u8>> = terms.hooks.iter().map(|&hook| runtime(hook)).collect();
    let hooks = blob.add(&hooks);
    record::Record::write(&hooks, offset_of!(ProgramDescriptor, hooks), blob);
    let policy = policy::write(blob, terms, fuel_offset);
    record::Record::write(&policy, offset_of!(ProgramDescriptor, policy), blob);
}

/// Writes what a start reads of an instance. Its pages begin at `source` in the section for pages. Segments follow.
fn plan(blob: &mut Blob, instance: &InstanceImage<'_>, initial: &Initial, source: &mut u64) -> InstancePlan<Linked> {
    let memories = blob.add(&instance.memories);
    let tables = blob.add(&instance.tables);
    let (copies, maps) = write_initial(blob, initial, source);
    InstancePlan {
        distance: instance.distance,
        context_bytes: instance.context_bytes,
        segment_count: instance.segment_count(),
        memories,
        tables,
        copies,
        maps,
        data_segments: Links::NONE,
        element_segments: Links::NONE,
    }
}

/// Writes the initial bytes of an instance: what is copied, and what is mapped.
fn write_initial(blob: &mut Blob, initial: &Initial, source: &mut u64) -> (Links<CopyChunk>, Links<MapChunk>) {
    let copies = blob.reserve(initial.copies.len());
    let maps = blob.reserve(initial.maps.len());
    for (i, (dest_offset, bytes)) in initial.copies.iter().enumerate() {
        let chunk = CopyChunk { dest_offset: *dest_offset, bytes: blob.add_bytes(bytes) };
        blob.fill(&copies, i, &chunk);
    }
    for (i, pages) in initial.maps.iter().enumerate() {
        let len_bytes = pages.end - pages.start;
        let first = Link::outside(Target::Image, *source);
        blob.fill(&maps, i, &MapChunk { dest_offset: pages.start, len_bytes, source: first, reserved: 0 });
        *source += len_bytes;
    }
    (copies.links(), maps.links())
}

fn write_invoke(blob: &mut Blob, invoke: &Invoke) -> Link<InvokePlan> {
    let room = blob.reserve(1);
    let types = |types: &[ValueType]| types.iter().map(|&t| t as u8).collect::<Vec<_>>();
    let plan = InvokePlan {
        name: blob.add_bytes(invoke.name.as_bytes()),
        params: blob.add_bytes(&types(&invoke.params)),
        results: blob.add_bytes(&types(&invoke.results)),
    };
    blob.fill(&room, 0, &plan);
    room.link()
}

fn write_profile(blob: &mut Blob, profile: &Profile) -> Link<ProfilePlan> {
    let range = |&(distance, count): &(i64, u64)| CounterRange { distance, count };
    let counters: Vec<_> = profile.counters.iter().map(range).collect();
    let plan = ProfilePlan { head: blob.add_bytes(&profile.head), counters: blob.add(&counters) };
    blob.add_one(&plan)
}

fn func_record(record: &Record, layout: &Layout) -> Result<FuncRecord> {
    Ok(FuncRecord { code_offset: layout.offset(record.function)?, type_id: record.type_id })
}

/// Room for records that start at a multiple of their size, so that none straddles a cache line.
fn reserve_records<T>(blob: &mut Blob, len: usize) -> Room<T> {
    blob.align(size_of::<T>());
    blob.reserve(len)
}

/// Writes the records of an instance; wide ones say where the functions run.
fn write_records(blob: &mut Blob, layout: &Layout, instance: &InstanceImage<'_>, wide: bool) -> Result<Records> {
    let records = &instance.records;
    if !wide {
        let room = reserve_records(blob, records.len());
        for (i, record) in records.iter().enumerate() {
            blob.fill(&room, i, &func_record(record, layout)?);
        }
        return Ok(Records::Narrow(room));
    }
    let room = reserve_records(blob, records.len());
    for (i, record) in records.iter().enumerate() {
        let distance = record.distance.unwrap_or(instance.distance);
        blob.fill(&room, i, &WideRecord { record: func_record(record, layout)?, distance });
    }
    Ok(Records::Wide(room))
}

fn write_const_table(blob: &mut Blob, layout: &Layout, table: &[Option<Record>]) -> Result<Room<FuncRecord>> {
    let room = reserve_records(blob, table.len());
    for (i, element) in table.iter().enumerate() {
        let record = element.as_ref().map_or(Ok(FuncRecord::NULL), |record| func_record(record, layout))?;
        blob.fill(&room, i, &record);
    }
    Ok(room)
}

fn write_element_segments(
    blob: &mut Blob,
    instance: &InstanceImage<'_>,
    instances: &[Referred],
) -> Result<Links<ElementSegment>> {
    let segments = blob.reserve(instance.element_segments.len());
    for (i, elements) in instance.element_segments.iter().enumerate() {
        let Elements::Records(elements) = elements else {
            return Err(Error::internal("elements of a program that are not known when it is compiled"));
        };
        let link = |element: &Option<RecordIndex>| match *element {
            Some(RecordIndex { instance, record }) => {
                // A wide record begins with the other kind.
                Ok(Link::<FuncRecord>::here(referred(instances, instance)?.records.offset(record)?))
            }
            None => Ok(Link::NONE),
        };
        let links = elements.iter().map(link).collect::<Result<Vec<_>>>()?;
        let segment = ElementSegment { elements: blob.add(&links) };
        blob.fill(&segments, i, &segment);
    }
    Ok(segments.links())
}

fn write_data_segments(blob: &mut Blob, instance: &InstanceImage<'_>) -> Links<DataSegment> {
    let segments = blob.reserve(instance.data_segments.len());
    for (i, bytes) in instance.data_segments.iter().enumerate() {
        let segment = DataSegment { bytes: blob.add_bytes(bytes) };
        blob.fill(&segments, i, &segment);
    }
    segments.links()
}

/// The calls that exception handlers reach, sorted by return address as functions and calls in them are in order.
fn write_call_sites(blob: &mut Blob, image: &Image<'_>, layout: &Layout) -> (Links<CallSite>, Links<ExceptionHandler>) {
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
    (blob.add(&call_sites), blob.add(&handlers))
}

/// Length of the section of code maps.
fn maps_len(maps: &[u8]) -> Result<u32> {
    u32::try_from(maps.len()).map_err(|_| Error::input("what backtraces need of the program exceeds 4 GiB"))
}

/// What is only read after a trap is in a section of its own: positions in source files and inlined functions follow the
/// code map there, with the function that reads them.
fn write_table(
    blob: &mut Blob,
    maps: &mut Vec<u8>,
    image: &Image<'_>,
    bytes: &[u8],
    print: &str,
) -> Result<Link<BacktraceTable>> {
    if bytes.is_empty() {
        return Ok(Link::NONE);
    }
    let start = maps_len(maps)?;
    maps.extend(bytes);
    maps_len(maps)?;
    let print = if image.is_library() { Link::NONE } else { runtime(print) };
    let table = Links::outside(Target::Maps, start, maps_len(bytes)?);
    Ok(blob.add_one(&BacktraceTable { table, print }))
}
