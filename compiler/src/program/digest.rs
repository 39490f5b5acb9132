//! What code depends on in a program, besides the bodies of functions.

// ---------------------------------------------------------------------------------------------------------------
// Security: code that was made for another program is taken for this one's where all these parts are equal (`reuse/`).
// All fields of a program, an instance and a module are named here. Whoever adds a field adds it to the parts, unless it is
// certain that code does not depend on the field.
// ---------------------------------------------------------------------------------------------------------------

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use super::{Components, Instance, Program};
use crate::module::Module;

impl Program<'_> {
    /// Gives all parts to `add`, in an order that does not change; their debug forms hold every field.
    pub(crate) fn parts_that_decide_code(&self, add: &mut dyn FnMut(&dyn Debug)) {
        let Self {
            instances,
            // What calls functions of the program is always compiled.
            entry: _,
            functions,
            layout,
            has_wide_records,
            components,
            straying,
        } = self;
        add(&(layout, has_wide_records, straying.iter().collect::<BTreeSet<_>>()));
        // Code knows functions by their numbers.
        functions.ids().for_each(|id| add(&functions.piece(id)));
        let Components { lowerings, tables, may_leave, reallocs } = components;
        add(&(lowerings, tables));
        add(&(may_leave.iter().collect::<BTreeMap<_, _>>(), reallocs.iter().collect::<BTreeMap<_, _>>()));
        for (index, instance) in instances {
            add(&index);
            instance.parts_that_decide_code(add);
        }
    }
}

impl Instance<'_> {
    fn parts_that_decide_code(&self, add: &mut dyn FnMut(&dyn Debug)) {
        let Self {
            name,
            module,
            distance,
            owners,
            type_numbers,
            imported_constants,
            initialize,
            in_threads,
            has_wide_records,
            first,
            shape,
            visible,
            callees,
            types,
            type_ids,
            globals,
            global_homes,
            tables,
            memories,
            table_plans,
            const_tables,
            records,
            // It follows from `records`.
            record_of: _,
            live,
            thunks,
            // It follows from `thunks`.
            has_thunk: _,
            element_segments,
            func_refs_offset,
            // Code names data segments by their indices; the runtime has their contents.
            data_segments: _,
            context_bytes,
            // What the runtime copies.
            initial: _,
            // The entry performs them, and is always compiled.
            actions: _,
            fuel_offset,
            // Functions that count are not kept.
            counters: _,
        } = self;
        add(&(name, distance, owners, type_numbers, imported_constants, initialize, in_threads, has_wide_records));
        add(&(first, shape, visible, callees, types, type_ids, globals, global_homes, tables));
        add(&(memories, table_plans, const_tables, records, live, thunks, element_segments));
        add(&(func_refs_offset, context_bytes, fuel_offset));
        let Module {
            name: _,
            // Each is part of a function's own key, as bodies are.
            func_names: _,
            bodies: _,
            types,
            canonical_types,
            imports,
            funcs,
            imported_funcs,
            tables,
            imported_tables,
            memories,
            imported_memories,
            globals,
            imported_globals,
            tags,
            exports,
            // The entry calls it.
            start: _,
            elements,
            // As `data_segments`.
            data: _,
            // Functions with lines are not kept.
            debug: _,
        } = module;
        add(&(types, canonical_types, funcs, imported_funcs, tables, imported_tables, memories, imported_memories));
        add(&(globals, imported_globals, tags, exports, elements));
        // Not their offsets in the module, which are for messages.
        imports.iter().for_each(|import| add(&(import.module, import.name, import.entity)));
    }
}
