//! Element and data segments: applied at compile time where everything about them is known, by the entry otherwise; and
//! kept for the code that can still use them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use cranelift_entity::{EntityRef as _, PrimaryMap};
use wasmelt_abi::trap::Trap;

use super::{Action, ContextRegion, Instance, InstanceIndex, TablePlace};
use crate::error::{Error, Result};
use crate::image::{Elements, RecordIndex};
use crate::module::{ConstExpr, ConstOp, ConstValue, ElemIndex, ElementMode, FuncIndex};

impl<'data> Instance<'data> {
    /// Applies active element segments: at compile time to tables that never change, by code to the others.
    pub(super) fn place_elements(&mut self, earlier: &PrimaryMap<InstanceIndex, Self>) -> Result<()> {
        let mut used_later = vec![false; self.module.elements.len()];
        for facts in self.live_facts() {
            facts.elements_used.iter().for_each(|e| used_later[e.index()] = true);
        }
        let mut inits = Vec::new();
        for index in self.module.elements.keys().collect::<Vec<_>>() {
            let segment = self.module.elements[index].clone();
            let ElementMode::Active(table, offset) = segment.mode else { continue };
            let len = segment.elements.len() as u32;
            match self.tables[table] {
                TablePlace::Dynamic(_) | TablePlace::Foreign(..) => {
                    self.place_segment_elements(index, earlier)?;
                    let drop = used_later[index.index()];
                    inits.push(Action::InitTable { table, segment: index, offset, len, drop });
                }
                place => {
                    let offset = self.evaluate(&offset).and_then(ConstValue::as_unsigned).unwrap_or(u64::MAX);
                    if offset.saturating_add(u64::from(len)) > self.module.tables[table].minimum {
                        inits.push(Action::Trap(Trap::TableOutOfBounds));
                        break;
                    }
                    let TablePlace::Const(place) = place else { continue };
                    for (i, element) in segment.elements.iter().enumerate() {
                        let func = self.evaluate(element).and_then(ConstValue::as_func);
                        func.into_iter().for_each(|func| self.refer(func));
                        self.const_tables[place as usize].elements[offset as usize + i] = func;
                    }
                }
            }
        }
        self.place_passive_elements(earlier)?;
        // The elements of all segments are evaluated before any segment is applied.
        self.actions.append(&mut inits);
        Ok(())
    }

    /// Keeps the elements of a segment for code: as records, or in the context where they are not known yet.
    fn place_segment_elements(&mut self, index: ElemIndex, earlier: &PrimaryMap<InstanceIndex, Self>) -> Result<()> {
        let segment = self.module.elements[index].clone();
        segment.elements.iter().flat_map(ConstExpr::funcs).for_each(|func| _ = self.record(func));
        let own = InstanceIndex::new(earlier.len());
        let values: Option<Vec<_>> = segment.elements.iter().map(|e| self.reference(own, e, earlier)).collect();
        self.element_segments[index] = match values {
            Some(values) => {
                let record = |value: Option<(InstanceIndex, FuncIndex)>| {
                    let Some((instance, func)) = value else { return Ok(None) };
                    let record = match earlier.get(instance) {
                        None => self.record(func),
                        // It has one, because a global of that instance refers to the function.
                        Some(other) => *other.record_of.get(&func).ok_or_else(|| {
                            Error::internal(format!("a global of `{}` has no function to refer to", other.name))
                        })?,
                    };
                    Ok(Some(RecordIndex { instance: instance.as_u32(), record }))
                };
                Elements::Records(values.into_iter().map(record).collect::<Result<_>>()?)
            }
            None => {
                let len = segment.elements.len() as u32;
                let offset = self.reserve_context(len.saturating_mul(8))?;
                for (i, value) in segment.elements.into_iter().enumerate() {
                    let context_offset = offset + 8 * i as i32;
                    self.actions.push(Action::SetContext { region: ContextRegion::Element, context_offset, value });
                }
                Elements::Context { offset, len }
            }
        };
        Ok(())
    }

    /// What a constant expression of this instance refers to: a function of an instance, or null. `None` where only code
    /// knows the reference.
    fn reference(
        &self,
        own: InstanceIndex,
        expr: &ConstExpr,
        earlier: &PrimaryMap<InstanceIndex, Self>,
    ) -> Option<Option<(InstanceIndex, FuncIndex)>> {
        if let Some(value) = self.evaluate(expr) {
            return Some(value.as_func().map(|func| (own, func)));
        }
        // A constant expression reads only globals that never change, so their initial values are what it reads.
        let [ConstOp::GlobalGet(global)] = expr.ops() else { return None };
        let (owner, global) = self.owners.globals[*global];
        let instance = earlier.get(owner).unwrap_or(self);
        instance.reference(owner, instance.module.globals[global].init.as_ref()?, earlier)
    }

    /// Places active data segments into the initial bytes where memory and offset are known, otherwise by code; one that
    /// does not fit makes instantiation trap.
    pub(super) fn place_data(&mut self) -> Result<()> {
        if self.actions.iter().any(|action| matches!(action, Action::Trap(_))) {
            return Ok(());
        }
        let mut used_later = vec![false; self.module.data.len()];
        for facts in self.live_facts() {
            facts.data_used.iter().for_each(|d| used_later[d.index()] = true);
        }
        let mut pieces: Vec<(u64, &'data [u8])> = Vec::new();
        let mut ordered = true;
        for (index, segment) in self.module.data.clone() {
            let Some((memory, offset)) = segment.active else { continue };
            let known = self.evaluate(&offset).map(|value| value.as_unsigned().unwrap_or(u64::MAX));
            let plan = self.memories[memory];
            if let Some(offset) = known
                && plan.is_private()
                && offset.saturating_add(segment.bytes.len() as u64) > plan.initial_bytes
            {
                self.actions.push(Action::Trap(Trap::MemoryOutOfBounds));
                break;
            }
            match known {
                // What a segment with an unknown offset writes, later ones may write again; and what is placed in memory 0
                // can be placed once, while each instance of a thread has it written by code.
                Some(offset) if memory.as_u32() == 0 && plan.is_private() && ordered && !self.in_threads => {
                    if !segment.bytes.is_empty() {
                        pieces.push((offset, segment.bytes));
                    }
                }
                _ => {
                    ordered &= memory.as_u32() != 0 || !plan.is_private();
                    let len = segment.bytes.len() as u32;
                    let drop = used_later[index.index()];
                    self.data_segments[index] = segment.bytes;
                    self.actions.push(Action::InitMemory { memory, segment: index, offset, len, drop });
                }
            }
        }
        self.initial.extend(without_overlaps(pieces).into_iter().map(|(offset, bytes)| (offset as i64, bytes)));
        Ok(())
    }

    /// Keeps the passive data segments that code can still use.
    pub(super) fn collect_segments(&mut self) {
        let used: Vec<_> = self.live_facts().flat_map(|facts| facts.data_used.iter().copied()).collect();
        for index in used {
            let segment = &self.module.data[index];
            // An active segment is dropped once it was applied.
            if segment.active.is_none() {
                self.data_segments[index] = segment.bytes;
            }
        }
    }

    /// Keeps the passive element segments that code can still use.
    fn place_passive_elements(&mut self, earlier: &PrimaryMap<InstanceIndex, Self>) -> Result<()> {
        let used: BTreeSet<_> = self.live_facts().flat_map(|facts| facts.elements_used.iter().copied()).collect();
        for index in used {
            if matches!(self.module.elements[index].mode, ElementMode::Passive) {
                self.place_segment_elements(index, earlier)?;
            }
        }
        Ok(())
    }
}

/// Segments in order of their offset without overlaps, where a later segment replaces what an earlier one wrote.
fn without_overlaps(pieces: Vec<(u64, &[u8])>) -> Vec<(u64, Cow<'_, [u8]>)> {
    let ordered = pieces.is_sorted_by(|(a, bytes), (b, _)| a + bytes.len() as u64 <= *b);
    if ordered {
        return pieces.into_iter().map(|(offset, bytes)| (offset, Cow::Borrowed(bytes))).collect();
    }
    let mut by_offset: Vec<usize> = (0..pieces.len()).collect();
    by_offset.sort_by_key(|&i| pieces[i].0);
    let mut out: Vec<(u64, Cow<'_, [u8]>)> = Vec::new();
    let mut cluster: Vec<usize> = Vec::new();
    let mut cluster_end = 0;
    let mut flush = |cluster: &mut Vec<usize>| {
        match cluster[..] {
            [] => {}
            [only] => out.push((pieces[only].0, Cow::Borrowed(pieces[only].1))),
            [first, ..] => {
                let start = pieces[first].0;
                let end = cluster.iter().map(|&i| pieces[i].0 + pieces[i].1.len() as u64).max().unwrap_or(start);
                let mut bytes = vec![0; (end - start) as usize];
                cluster.sort_unstable();
                for &i in cluster.iter() {
                    let at = (pieces[i].0 - start) as usize;
                    bytes[at..at + pieces[i].1.len()].copy_from_slice(pieces[i].1);
                }
                out.push((start, Cow::Owned(bytes)));
            }
        }
        cluster.clear();
    };
    for i in by_offset {
        let (offset, bytes) = pieces[i];
        if offset >= cluster_end {
            flush(&mut cluster);
        }
        cluster.push(i);
        cluster_end = cluster_end.max(offset + bytes.len() as u64);
    }
    flush(&mut cluster);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_segments_replace_earlier_ones() {
        let pieces: Vec<(u64, &[u8])> = vec![(4, b"abcd"), (20, b"z"), (2, b"12345"), (6, b"!")];
        let merged = without_overlaps(pieces);
        assert_eq!(merged.len(), 2);
        assert_eq!((merged[0].0, &*merged[0].1), (2, &b"1234!d"[..]));
        assert_eq!((merged[1].0, &*merged[1].1), (20, &b"z"[..]));
    }
}
