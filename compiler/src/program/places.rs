//! Where globals, memories, tables and function references of an instance lie: the module and what is known about its
//! code go in, places in the context come out, and what the entry has to do about them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cranelift_entity::{EntityRef as _, PrimaryMap};
use rayon::prelude::*;
use wasmelt_abi::context::{FuncRef, MEMORY0_LENGTH_OFFSET};
use wasmelt_abi::descriptor::{MemoryPlan as MemoryFlags, TablePlan as TableFlags};
use wasmparser::ValType;

use super::{
    Action, Callee, ConstTable, ContextRegion, Counted, Counters, Entry, GUARD_PLAN_GUARD_BYTES,
    GUARD_PLAN_RESERVE_BYTES, GlobalPlace, Instance, InstanceIndex, TablePlace,
};
use crate::error::{Error, Result};
use crate::image::{MemoryPlan, TablePlan};
use crate::module::{ConstValue, ElementMode, MAX_MEMORY64_BYTES, MEMORY64_PAGES, TABLE_ELEMENTS, TableIndex};
use crate::options::{BoundsChecks, Options, Shape};
use crate::profile::Outline;

/// A table that never changes becomes read-only data where its length is at most this, or where at least one element in
/// [`TABLE_MAX_DILUTION`] is given by a segment. Otherwise it is made when the program starts: files grow with modules,
/// not with the numbers in them.
const SMALL_TABLE_ELEMENTS: u64 = 4096;
const TABLE_MAX_DILUTION: u64 = 4;

impl Instance<'_> {
    pub(super) fn place_globals(&mut self) -> Result<()> {
        let mut written = vec![false; self.module.globals.len()];
        for facts in self.live_facts() {
            facts.globals_set.iter().for_each(|g| written[g.index()] = true);
        }
        let referenced: Vec<_> = self.live_facts().flat_map(|f| f.ref_funcs.iter().copied()).collect();
        for func in referenced {
            self.record(func);
        }
        for index in self.module.globals.keys().collect::<Vec<_>>() {
            let global = self.module.globals[index].clone();
            let visible = self.visible.globals.contains(&index);
            let value_bytes = if global.ty == ValType::V128 { 16 } else { 8 };
            let Some(init) = &global.init else {
                self.globals[index] = match (self.shape, self.imported_constants.get(&index)) {
                    (Shape::Single, Some(&value)) => GlobalPlace::Const(value),
                    (Shape::Single, None) => {
                        let (owner, global) = self.owners.globals[index];
                        GlobalPlace::Foreign(owner, global)
                    }
                    (Shape::Many, _) if global.mutable => GlobalPlace::Imported(self.reserve_context(8)?),
                    (Shape::Many, _) => GlobalPlace::Context(self.reserve_context(value_bytes)?),
                };
                continue;
            };
            init.funcs().for_each(|func| _ = self.record(func));
            let changes = global.mutable && (visible || written[index.index()]);
            let value = self.evaluate(init);
            if let Some(ConstValue::Func(func)) = value {
                self.record(func);
            }
            if let Some(value) = value
                && !changes
            {
                self.globals[index] = GlobalPlace::Const(value);
                // Other instances of the program know the number as well.
                if !visible || (self.shape == Shape::Single && value.as_func().is_none()) {
                    continue;
                }
            }
            let offset = self.reserve_context(value_bytes)?;
            if changes || value.is_none() {
                self.globals[index] = GlobalPlace::Context(offset);
            }
            if visible {
                self.global_homes.insert(index, offset);
            }
            let bytes = match value {
                Some(value) if value.as_func().is_none() => value.to_bytes(),
                _ => {
                    let region = ContextRegion::Global(index);
                    self.actions.push(Action::SetContext { region, context_offset: offset, value: init.clone() });
                    Vec::new()
                }
            };
            if bytes.iter().any(|&b| b != 0) {
                self.initial.push((i64::from(offset), Cow::Owned(bytes)));
            }
        }
        Ok(())
    }

    /// The counter of operators starts at the negative budget, and counts up.
    pub(super) fn place_fuel(&mut self, entry: &Entry, options: &Options) -> Result<()> {
        let Some(budget) = options.policy.fuel else { return Ok(()) };
        if entry.thread_start.is_some() {
            return Err(Error::input("`--fuel` cannot limit a program that starts threads: each would count alone")
                .hint("`--timeout` limits all threads together"));
        }
        let offset = self.reserve_context(8)?;
        let start = -i64::try_from(budget).unwrap_or(i64::MAX);
        self.initial.push((i64::from(offset), Cow::Owned(start.to_le_bytes().to_vec())));
        self.fuel_offset = Some(offset);
        Ok(())
    }

    /// Each part of a function that can be reached has a counter, which starts at zero.
    pub(super) fn place_counters(&mut self, entry: &Entry) -> Result<()> {
        if entry.thread_start.is_some() {
            return Err(Error::input("`--profile-generate`: the module starts threads, and each would count alone")
                .hint("compile it without threads for the program that counts: the profile fits functions that are the same"));
        }
        let outlines = self.live.par_iter().map(|&func| Ok((func, Outline::of(&self.module, func)?)));
        let outlines = outlines.collect::<Result<Vec<_>>>()?;
        let counts = outlines.iter().map(|(_, outline)| outline.regions.len());
        let count = u32::try_from(counts.sum::<usize>()).unwrap_or(u32::MAX);
        let offset = self.reserve_context(count.saturating_mul(8))?;
        let mut functions = BTreeMap::new();
        let mut next = offset;
        for (func, outline) in outlines {
            let bytes = 8 * outline.regions.len() as i32;
            functions.insert(func, Counted { offset: next, outline });
            next += bytes;
        }
        self.counters = Counters { offset, count, functions };
        Ok(())
    }

    pub(super) fn place_memories(
        &mut self,
        earlier: &PrimaryMap<InstanceIndex, Self>,
        options: &Options,
    ) -> Result<()> {
        for (index, memory) in self.module.memories.clone() {
            let (owner, theirs) = self.owners.memories[index];
            if let Some(owner) = earlier.get(owner) {
                let plan = owner.memories[theirs];
                self.memories.push(MemoryPlan { flags: plan.flags | MemoryFlags::FOREIGN, ..plan });
                continue;
            }
            let imported = index.index() < self.module.imported_memories;
            // Threads of a program share what their instances import: the program's own. A shared memory that the module
            // defines is each instance's own, unless others import it.
            let foreign = self.shape == Shape::Many && imported;
            let visible = self.shape == Shape::Many || self.visible.memories.contains(&index);
            let pointed = foreign || (memory.shared && (imported || visible));
            let context_offset = match index.as_u32() {
                0 if !pointed => MEMORY0_LENGTH_OFFSET - 8,
                _ => self.reserve_context(16)?,
            };
            let flags =
                if pointed { MemoryFlags::POINTED } else { 0 } | if memory.shared { MemoryFlags::SHARED } else { 0 };
            let addressable = if memory.index_64 { MAX_MEMORY64_BYTES } else { 1 << 32 };
            let bytes =
                |pages: u64| pages.checked_shl(memory.page_size_log2).filter(|b| b >> memory.page_size_log2 == pages);
            let initial_bytes = bytes(memory.minimum_pages).unwrap_or(u64::MAX);
            let type_maximum = memory.maximum_pages.and_then(bytes).unwrap_or(addressable);
            // A reservation that is too small for the guard plan is all that the memory can ever have.
            let guard_plan = type_maximum.min(addressable).max(GUARD_PLAN_RESERVE_BYTES) + GUARD_PLAN_GUARD_BYTES;
            let small_plan = options.memory_reserve_bytes.filter(|&bytes| !foreign && bytes < guard_plan);
            let limits = [options.max_memory_bytes, small_plan];
            let limit = limits.into_iter().flatten().filter(|_| !foreign).min().unwrap_or(u64::MAX);
            if initial_bytes > limit {
                return Err(Error::input(format!(
                    "memory {} needs {initial_bytes} bytes from the start, more than the limit of {limit} bytes",
                    index.as_u32()
                ))
                .hint(if small_plan.is_some() {
                    "raise `--memory-reserve`"
                } else {
                    "raise `--max-memory`"
                }));
            }
            if initial_bytes > addressable && self.shape == Shape::Single {
                let place = format!("memory {}", index.as_u32());
                return Err(MEMORY64_PAGES.error_in(Some(initial_bytes.div_ceil(1 << 16)), place));
            }
            // Code relies on memories that end before the last index does (`translate/sums.rs`). Who asks for all of it gets it.
            let keeps_last_page = options.address_sums
                && self.shape == Shape::Single
                && options.bounds_checks == BoundsChecks::Guard
                && !memory.index_64
                && memory.page_size_log2 == 16
                && memory.maximum_pages.is_none();
            let kept = if keeps_last_page { 1 << 16 } else { 0 };
            // A library is compiled, but no instance of it can be made, where nothing has so much memory.
            let maximum_bytes = type_maximum.min(addressable - kept).min(limit) & !((1 << memory.page_size_log2) - 1);
            let maximum_bytes = maximum_bytes.max(initial_bytes);
            let (reserve_bytes, guard_bytes) = match options.bounds_checks {
                // Inaccessible pages cannot end a memory within a page.
                BoundsChecks::Guard if small_plan.is_some() => (maximum_bytes, 0),
                _ if memory.page_size_log2 < 16 => (if foreign { 0 } else { maximum_bytes }, 0),
                // What code relies on: the guard alone where addresses have 64 bits.
                BoundsChecks::Guard if foreign && memory.index_64 => (0, GUARD_PLAN_GUARD_BYTES),
                BoundsChecks::Guard if foreign => (GUARD_PLAN_RESERVE_BYTES, GUARD_PLAN_GUARD_BYTES),
                BoundsChecks::Explicit if foreign => (0, 0),
                BoundsChecks::Guard => (maximum_bytes.max(GUARD_PLAN_RESERVE_BYTES), GUARD_PLAN_GUARD_BYTES),
                BoundsChecks::Explicit => (maximum_bytes, 0),
            };
            self.memories.push(MemoryPlan {
                context_offset,
                page_size_log2: memory.page_size_log2 as u16,
                flags,
                initial_bytes,
                maximum_bytes,
                reserve_bytes,
                guard_bytes,
            });
        }
        Ok(())
    }

    pub(super) fn place_tables(&mut self, earlier: &PrimaryMap<InstanceIndex, Self>, options: &Options) -> Result<()> {
        let mut used = vec![false; self.module.tables.len()];
        let mut changes = used.clone();
        for facts in self.live_facts() {
            facts.tables_used.iter().for_each(|t| used[t.index()] = true);
            facts.tables_written.iter().for_each(|t| changes[t.index()] = true);
            // Elements of a table that never changes are not references that could leave the instance.
            let read = facts.tables_read.iter().filter(|_| self.shape == Shape::Many || self.has_wide_records);
            read.for_each(|t| changes[t.index()] = true);
        }
        let given = self.given_elements();
        for index in self.module.tables.keys().collect::<Vec<_>>() {
            let (owner, theirs) = self.owners.tables[index];
            if let Some(table) = earlier.get(owner).map(|owner| owner.tables[theirs]) {
                let TablePlace::Dynamic(place) = table else {
                    return Err(Error::internal(
                        "a table that another instance uses was taken for one that never changes",
                    ));
                };
                self.tables[index] = TablePlace::Foreign(owner, place);
                continue;
            }
            let table = self.module.tables[index].clone();
            let is_sparse =
                table.minimum > SMALL_TABLE_ELEMENTS && table.minimum / TABLE_MAX_DILUTION > given[index.index()];
            let imported = index.index() < self.module.imported_tables;
            let limit = options.policy.max_table_elements.filter(|_| !imported).unwrap_or(u64::MAX);
            if table.minimum > limit {
                let (number, elements) = (index.as_u32(), table.minimum);
                return Err(Error::input(format!(
                    "table {number} has {elements} elements from the start, more than the limit of {limit}"
                ))
                .hint("raise `--max-table-elements`"));
            }
            let is_func = table.element.is_func_ref();
            if self.is_shared_table(index)
                || changes[index.index()]
                || (used[index.index()] && (!is_func || is_sparse || !self.is_known_table(index)))
                || self.has_unknown_offset(index)
                || (used[index.index()] && self.has_foreign_elements(index))
            {
                let context_offset = self.reserve_context(16)?;
                self.tables[index] = TablePlace::Dynamic(self.table_plans.len() as u32);
                self.table_plans.push(TablePlan {
                    context_offset,
                    flags: if imported { TableFlags::IMPORTED } else { 0 },
                    initial_elements: table.minimum,
                    maximum_elements: table.maximum.unwrap_or(u64::MAX).min(TABLE_ELEMENTS.maximum).min(limit),
                });
                if let Some(init) = table.init
                    && self.evaluate(&init) != Some(ConstValue::Null)
                {
                    init.funcs().for_each(|func| _ = self.record(func));
                    self.actions.push(Action::FillTable { table: index, value: init, len: table.minimum });
                }
            } else if used[index.index()] {
                let fill = table.init.as_ref().and_then(|init| self.evaluate(init)).and_then(ConstValue::as_func);
                fill.into_iter().for_each(|func| self.refer(func));
                self.tables[index] = TablePlace::Const(self.const_tables.len() as u32);
                self.const_tables.push(ConstTable::new(vec![fill; table.minimum as usize]));
            }
        }
        self.place_elements(earlier)?;
        self.const_tables.iter_mut().for_each(|table| table.finish(&self.type_ids));
        Ok(())
    }

    /// How many elements the segments give to each table at instantiation.
    fn given_elements(&self) -> Vec<u64> {
        let mut given = vec![0; self.module.tables.len()];
        for segment in self.module.elements.values() {
            if let ElementMode::Active(table, _) = segment.mode {
                given[table.index()] += segment.elements.len() as u64;
            }
        }
        given
    }

    /// Whether only an instance knows where a segment is placed, and whether it fits.
    pub(super) fn has_unknown_offset(&self, table: TableIndex) -> bool {
        let is_unknown = |mode: &ElementMode| match mode {
            ElementMode::Active(t, offset) => *t == table && self.evaluate(offset).is_none(),
            ElementMode::Passive | ElementMode::Declared => false,
        };
        self.module.elements.values().any(|segment| is_unknown(&segment.mode))
    }

    /// Whether functions of other instances are among the elements that a table starts with.
    fn has_foreign_elements(&self, table: TableIndex) -> bool {
        self.module.table_funcs(table).any(|func| matches!(self.callees[func], Callee::Foreign(..)))
    }

    /// Whether the contents of a table are known now, as far as it is not changed by code.
    fn is_known_table(&self, table: TableIndex) -> bool {
        let module = &self.module;
        module.tables[table].init.iter().all(|init| self.evaluate(init).is_some())
            && module.elements.values().all(|segment| match &segment.mode {
                ElementMode::Active(t, offset) if *t == table => {
                    self.evaluate(offset).is_some() && segment.elements.iter().all(|e| self.evaluate(e).is_some())
                }
                _ => true,
            })
    }

    /// Gives each record its [`FuncRef`], in libraries.
    pub(super) fn place_func_refs(&mut self) -> Result<()> {
        if self.shape == Shape::Many {
            for func in self.visible.funcs.clone() {
                self.record(func);
            }
            let bytes = (self.records.len() * size_of::<FuncRef>()).next_multiple_of(16);
            self.func_refs_offset = match u32::try_from(bytes) {
                Ok(0) => 0,
                bytes => self.reserve_context(bytes.unwrap_or(u32::MAX))?,
            };
        }
        Ok(())
    }
}
