//! Which functions of a program can be reached, and which of them may return with the pinned register of another
//! instance.

use std::collections::{HashMap, HashSet};

use cranelift_entity::EntityRef as _;

use super::{Callee, Components, Entry, Instance, InstanceIndex};
use crate::module::{ConstExpr, DefinedFuncIndex, FuncIndex};

/// What has been seen of an instance.
struct Seen {
    funcs: Vec<bool>,
    tables: Vec<bool>,
    segments: Vec<bool>,
    bodies: Vec<DefinedFuncIndex>,
    /// Imports that nothing provides: their thunks trap.
    missing: Vec<FuncIndex>,
}

/// Finds the functions that can be reached from what the program calls or others can reach: through calls, references
/// that are taken, and tables that live code or others call through.
pub(super) fn find(instances: &mut [Instance<'_>], entry: &Entry, components: &Components) {
    let main = entry.instance.index();
    let mut queue: Vec<(usize, FuncIndex)> = Vec::new();
    queue.extend(entry.calls.iter().map(|&func| (main, func)));
    queue.extend(entry.invoke.as_ref().map(|(func, _)| (main, *func)));
    queue.extend(entry.thread_start.map(|func| (main, func)));
    let called = components.lowerings.values().filter_map(|lowering| lowering.calls());
    queue.extend(called.map(|(instance, func)| (instance.index(), func)));
    let mut seen: Vec<Seen> = Vec::with_capacity(instances.len());
    for (index, instance) in instances.iter().enumerate() {
        let module = &instance.module;
        queue.extend(module.start.iter().chain(&instance.initialize).map(|&func| (index, func)));
        queue.extend(instance.visible.funcs.iter().map(|&func| (index, func)));
        let mut tables = vec![false; module.tables.len()];
        let filled = |table| instance.is_shared_table(table) || instance.has_unknown_offset(table);
        for (table, _) in module.tables.iter().filter(|&(table, _)| filled(table)) {
            tables[table.index()] = true;
            queue.extend(module.table_funcs(table).map(|func| (index, func)));
        }
        // References in globals are few: take them as live.
        let globals = module.globals.values().filter_map(|g| g.init.as_ref());
        queue.extend(globals.flat_map(ConstExpr::funcs).map(|func| (index, func)));
        let (funcs, segments) = (vec![false; module.funcs.len()], vec![false; module.elements.len()]);
        seen.push(Seen { funcs, tables, segments, bodies: Vec::new(), missing: Vec::new() });
    }
    while let Some((index, func)) = queue.pop() {
        let (instance, seen) = (&instances[index], &mut seen[index]);
        if std::mem::replace(&mut seen.funcs[func.index()], true) {
            continue;
        }
        let defined = match instance.callees[func] {
            Callee::Defined(defined) => defined,
            Callee::Foreign(other, defined) => {
                queue.push((other.index(), instances[other.index()].module.func_index(defined)));
                continue;
            }
            Callee::Missing(_) => {
                seen.missing.push(func);
                continue;
            }
            Callee::Imported(_) | Callee::Host(_) | Callee::Lowered(_) => continue,
        };
        seen.bodies.push(defined);
        let module = &instance.module;
        let facts = &module.bodies[defined].facts;
        queue.extend(facts.calls.iter().chain(&facts.ref_funcs).map(|&func| (index, func)));
        for &table in facts.tables_used.iter().chain(&facts.tables_written) {
            if !std::mem::replace(&mut seen.tables[table.index()], true) {
                queue.extend(module.table_funcs(table).map(|func| (index, func)));
            }
        }
        for &segment in &facts.elements_used {
            if !std::mem::replace(&mut seen.segments[segment.index()], true) {
                let elements = module.elements[segment].elements.iter();
                queue.extend(elements.flat_map(ConstExpr::funcs).map(|func| (index, func)));
            }
        }
    }
    for (instance, mut seen) in instances.iter_mut().zip(seen) {
        seen.bodies.sort_unstable();
        instance.live = seen.bodies;
        seen.missing.sort_unstable();
        seen.missing.into_iter().for_each(|func| instance.refer(func));
    }
}

/// A function of the program.
type Func = (InstanceIndex, DefinedFuncIndex);

/// The functions that may return in another instance than they were called in, because they end with a tail call of a
/// function of another instance: its frame is all that is left. Their callers set the pinned register right.
pub(super) fn find_straying(instances: &[Instance<'_>], has_wide_records: bool) -> HashSet<Func> {
    let mut straying = HashSet::new();
    if instances.len() < 2 {
        return straying;
    }
    let mut tail_callers: HashMap<Func, Vec<Func>> = HashMap::new();
    let mut indirect = Vec::new();
    for (index, instance) in (0..).map(InstanceIndex::from_u32).zip(instances) {
        for &func in &instance.live {
            let facts = &instance.module.bodies[func].facts;
            if facts.tail_calls_references {
                indirect.push((index, func));
            }
            for &callee in &facts.tail_calls {
                match instance.callees[callee] {
                    Callee::Defined(callee) => tail_callers.entry((index, callee)).or_default().push((index, func)),
                    Callee::Foreign(..) => _ = straying.insert((index, func)),
                    Callee::Imported(_) | Callee::Host(_) | Callee::Lowered(_) | Callee::Missing(_) => {}
                }
            }
        }
    }
    // What a reference leads to is not known: another instance, or a function of this one that strays.
    if has_wide_records || !straying.is_empty() {
        straying.extend(indirect);
    }
    let mut queue: Vec<Func> = straying.iter().copied().collect();
    while let Some(func) = queue.pop() {
        let callers = tail_callers.get(&func).into_iter().flatten();
        queue.extend(callers.filter(|&&caller| straying.insert(caller)));
    }
    straying
}

/// Whether function references can get from one instance to another, so that records must say where functions run.
pub(super) fn exchange_references(instances: &[Instance<'_>]) -> bool {
    (0..).map(InstanceIndex::from_u32).zip(instances).any(|(index, instance)| {
        let module = &instance.module;
        let has_reference = |ty: &crate::module::FuncType| {
            ty.params.iter().chain(&ty.results).any(|ty| matches!(ty, wasmparser::ValType::Ref(_)))
        };
        let is_foreign = |func: FuncIndex| matches!(instance.callees[func], Callee::Foreign(..));
        let tables = instance.owners.tables.values().any(|(owner, _)| *owner != index);
        let globals = instance.owners.globals.iter().any(|(global, (owner, _))| {
            *owner != index && matches!(module.globals[global].ty, wasmparser::ValType::Ref(_))
        });
        let calls = module.funcs.keys().any(|func| is_foreign(func) && has_reference(module.func_type(func)));
        let tags = instance
            .owners
            .tags
            .iter()
            .any(|(tag, (owner, _))| *owner != index && has_reference(&module.types[module.tags[tag]]));
        let elements = module.elements.values().flat_map(|segment| segment.elements.iter().flat_map(ConstExpr::funcs));
        let in_globals = module.globals.values().filter_map(|g| g.init.as_ref()).flat_map(ConstExpr::funcs);
        let in_tables = module.tables.values().filter_map(|t| t.init.as_ref()).flat_map(ConstExpr::funcs);
        let in_code = instance.live_facts().flat_map(|facts| facts.ref_funcs.iter().copied());
        let taken = elements.chain(in_globals).chain(in_tables).chain(in_code).any(is_foreign);
        tables || globals || calls || tags || taken
    })
}
