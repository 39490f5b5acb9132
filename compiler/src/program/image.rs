//! The parts of the image that are known once a program is planned: its instances, and what it starts with.

use std::borrow::Cow;

use wasmelt_abi::context::MEMORY0_BASE_OFFSET;
use wasmelt_abi::descriptor::MemoryPlan as MemoryFlags;

use super::{ConstTable, Instance, InstanceIndex, Piece, Program};
use crate::error::Result;
use crate::image::{Image, InstanceImage, MemoryPlan, Profile};
use crate::options::Options;
use crate::profile;

impl<'data> Program<'data> {
    /// Everything of the image but code and debug information.
    pub fn image<'a>(&'a self, options: &'a Options) -> Result<Image<'a>> {
        let instances = self.instances.iter().map(|(index, instance)| self.instance_image(index, instance, options));
        let instances: Vec<_> = instances.collect::<Result<_>>()?;
        let number = |piece| self.functions.id(piece).map(|id| id.as_u32());
        let payloads = self.instances.values().map(Instance::exception_payload_bytes);
        Ok(Image {
            entry: number(Piece::Entry),
            invoke_entry: number(Piece::InvokeEntry),
            invoke: self.entry.invoke.as_ref().map(|(_, invoke)| invoke.clone()),
            thread_entry: number(Piece::ThreadEntry),
            trace_wasi: options.trace_wasi,
            fuel_offset: self.fuel_offset(),
            profile: options.profile_generate.then(|| self.profile_image()),
            exception_payload_bytes: payloads.max().unwrap_or(0),
            stack_bytes: options.stack_bytes,
            layout: self.layout,
            has_wide_records: self.has_wide_records,
            instances,
            ..Image::default()
        })
    }

    /// What the program writes about its own execution: functions are known by digests, counters by where they lie.
    fn profile_image(&self) -> Profile {
        let counters = || self.instances.values().map(|instance| (instance, &instance.counters));
        let functions: Vec<_> = counters().flat_map(|(_, counters)| counters.functions.values()).collect();
        let ranges = counters().map(|(instance, counters)| {
            (instance.distance.cast_signed() + i64::from(counters.offset), u64::from(counters.count))
        });
        Profile { head: profile::head(functions.iter().map(|counted| &counted.outline)), counters: ranges.collect() }
    }

    fn instance_image<'a>(
        &'a self,
        index: InstanceIndex,
        instance: &'a Instance<'data>,
        options: &Options,
    ) -> Result<InstanceImage<'a>> {
        let table = |table: &ConstTable| {
            table.elements.iter().map(|f| f.map(|f| self.record(index, f)).transpose()).collect::<Result<Vec<_>>>()
        };
        let library = options.library.as_ref();
        let interface = library.map(|name| instance.interface(name, self, index, options)).transpose()?;
        let is_library = interface.is_some();
        Ok(InstanceImage {
            distance: instance.distance,
            records: match is_library {
                false => instance.records.iter().map(|&f| self.record(index, f)).collect::<Result<_>>()?,
                true => Vec::new(),
            },
            const_tables: instance.const_tables.iter().map(table).collect::<Result<_>>()?,
            context_bytes: instance.context_bytes,
            memories: instance.memories.values().map(memory).collect(),
            tables: instance.table_plans.clone(),
            data_segments: instance.data_segments.values().map(|&bytes| Cow::Borrowed(bytes)).collect(),
            element_segments: instance.element_segments.values().filter(|_| !is_library).cloned().collect(),
            initial: instance.initial.clone(),
            interface,
        })
    }
}

/// A memory for the runtime, which has nothing to do with those of other instances.
fn memory(plan: &MemoryPlan) -> MemoryPlan {
    match plan.is_foreign() {
        false => *plan,
        true => MemoryPlan {
            context_offset: MEMORY0_BASE_OFFSET,
            page_size_log2: plan.page_size_log2,
            flags: MemoryFlags::FOREIGN,
            initial_bytes: 0,
            maximum_bytes: 0,
            reserve_bytes: 0,
            guard_bytes: 0,
        },
    }
}
