//! A [`State`] to a module that starts in it.

use super::State;
use crate::module::{ConstExpr, ConstValue, DataSegment, ElementMode, ElementSegment, MemoryIndex, Module, TableIndex};
use cranelift_entity::EntityRef as _;

impl State {
    /// Lets instances of `module` start in this state: nothing is left to do but what it says.
    pub(crate) fn apply<'data>(&'data self, module: &mut Module<'data>) {
        module.start = None;
        for (&index, &value) in &self.globals {
            module.globals[index].init = Some(ConstExpr::value(value));
        }
        self.apply_to_memories(module);
        self.apply_to_tables(module);
    }

    fn apply_to_memories<'data>(&'data self, module: &mut Module<'data>) {
        // An active segment is dropped once it was applied.
        const DROPPED: DataSegment<'_> = DataSegment { active: None, bytes: &[] };
        module.data.values_mut().filter(|segment| segment.active.is_some()).for_each(|segment| *segment = DROPPED);
        self.dropped_data.iter().for_each(|&index| module.data[index] = DROPPED);
        for (index, state) in self.memories.iter().enumerate() {
            let index = MemoryIndex::new(index);
            let memory = &mut module.memories[index];
            memory.minimum_pages = state.len_bytes >> memory.page_size_log2;
            for (offset, bytes) in &state.pieces {
                let offset = ConstExpr::value(address(memory.index_64, *offset));
                module.data.push(DataSegment { active: Some((index, offset)), bytes });
            }
        }
    }

    fn apply_to_tables(&self, module: &mut Module<'_>) {
        for &index in &self.dropped_elements {
            // An active segment of a table that cannot change is what the table holds, whether it was dropped or not.
            if !matches!(module.elements[index].mode, ElementMode::Active(..)) {
                module.elements[index] = ElementSegment { mode: ElementMode::Passive, elements: Vec::new() };
            }
        }
        for segment in module.elements.values_mut() {
            let is_known = |table: TableIndex| self.tables.contains_key(&table);
            if matches!(segment.mode, ElementMode::Active(table, _) if is_known(table)) {
                // It was applied, and is dropped: as an empty one.
                *segment = ElementSegment { mode: ElementMode::Passive, elements: Vec::new() };
            }
        }
        for (&index, elements) in &self.tables {
            let table = &mut module.tables[index];
            table.minimum = elements.len() as u64;
            table.init = None;
            let offset = ConstExpr::value(address(table.index_64, 0));
            let value = |func: &Option<_>| ConstExpr::value(func.map_or(ConstValue::Null, ConstValue::Func));
            // Nulls at the end are there without being given.
            let given = elements.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            if given > 0 {
                let elements = elements[..given].iter().map(value).collect();
                module.elements.push(ElementSegment { mode: ElementMode::Active(index, offset), elements });
            }
        }
    }
}

/// An offset as a constant of the index type.
fn address(index_64: bool, offset: u64) -> ConstValue {
    // An offset into a memory or table with 32-bit indices has 32 bits.
    if index_64 { ConstValue::I64(offset.cast_signed()) } else { ConstValue::I32((offset as u32).cast_signed()) }
}
