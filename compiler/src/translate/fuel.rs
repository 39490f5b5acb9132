//! `--fuel`: code counts the operators that it executes, and traps when there were as many as allowed; in a library it asks the
//! runtime, which may allow more.
//!
//! The counter lies in the context. It starts at the negative budget and counts up, so that a check is a comparison
//! with zero. Code keeps it in a local variable between calls; straight code adds once, at its end. It is checked where
//! code can go on without end: at the start of functions and loops, and before bulk operations.
//!
//! SECURITY: whoever sets a budget relies on it: no loop and no recursion may go around the checks.
//!
//! Costs and places of checks are those of wasmtime, so that a budget means the same in both: an operator costs 1,
//! structure and `drop` nothing, an entry into a function 1, a bulk operation 1 for each byte or element.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder as _, Value, types};
use cranelift_frontend::Variable;
use wasmelt_abi::context::StoreState;
use wasmelt_abi::trap::Trap;
use wasmparser::Operator;

use super::FuncTranslator;
use crate::module::{Effect, FuncIndex};
use crate::program::Callee;

/// The counter of the function at hand.
pub(super) struct Fuel {
    counter: Variable,
    /// Where it lies between calls: all count in one place.
    home: Home,
    /// Operators that were translated since it was added to.
    pending: i64,
}

/// Where the counter lies.
#[derive(Clone, Copy)]
enum Home {
    /// In the context of the program's first instance, at this offset from `vmctx`.
    FirstContext(i32),
    /// In the state of the store, which instances of several libraries share.
    Store,
}

/// Bulk operations of a constant length up to this one are not checked on their own.
const SMALL_BULK_COST: i64 = 128;

fn cost(op: &Operator<'_>) -> i64 {
    match op {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Unreachable
        | Operator::Return
        | Operator::Else
        | Operator::End => 0,
        // They only begin a clause.
        Operator::Try { .. } | Operator::Catch { .. } | Operator::CatchAll | Operator::Delegate { .. } => 0,
        _ => 1,
    }
}

impl FuncTranslator<'_, '_> {
    /// At the start of a function that was compiled from the module.
    pub(super) fn fuel_at_entry(&mut self) {
        let home = match self.env.program.fuel_offset() {
            Some(offset) => Home::FirstContext(offset),
            None if self.env.stops.fuel => Home::Store,
            None => return,
        };
        let counter = self.builder.declare_var(types::I64);
        // A function without operators costs something as well.
        self.fuel = Some(Fuel { counter, home, pending: 1 });
        self.fuel_reload();
        self.fuel_check();
    }

    /// Before an operator that can be reached.
    pub(super) fn fuel_before(&mut self, op: &Operator<'_>) {
        let Some(fuel) = &mut self.fuel else { return };
        fuel.pending += cost(op);
        match Effect::of(op) {
            // The rest of the function, if any, is another's: the counter must be where everybody finds it.
            Effect::Call | Effect::TailCall | Effect::Throw | Effect::Delegate => {
                self.fuel_add();
                if !self.calls_host(op) {
                    self.fuel_save();
                }
            }
            // The host sees what was executed before a trap that the guest asks for.
            Effect::Branch if matches!(op, Operator::Unreachable) && self.env.stops.fuel => {
                self.fuel_add();
                self.fuel_save();
            }
            // Straight code ends.
            Effect::Branch | Effect::Fork | Effect::Loop | Effect::Clause => self.fuel_add(),
            Effect::End => {
                self.fuel_add();
                // At the end of a legacy `try`, what no clause wanted is thrown on.
                if self.control.last().is_some_and(|frame| frame.kind.throws_at_end()) {
                    self.fuel_save();
                }
            }
            // The runtime's functions count nothing.
            Effect::Plain | Effect::Refers | Effect::Runtime | Effect::Block | Effect::Unknown => {}
        }
    }

    /// After an operator, unless what follows it cannot be reached.
    pub(super) fn fuel_after(&mut self, op: &Operator<'_>) {
        match Effect::of(op) {
            Effect::Call if !self.calls_host(op) => self.fuel_reload(),
            Effect::Loop => self.fuel_check(),
            _ => {}
        }
    }

    /// Host functions of an executable never touch the counter. Those of a library may set it, and call guests.
    fn calls_host(&self, op: &Operator<'_>) -> bool {
        let Operator::Call { function_index } = op else { return false };
        matches!(self.env.instance.callees[FuncIndex::from_u32(*function_index)], Callee::Host(_))
    }

    /// Before a bulk operation of `units` bytes or elements.
    pub(super) fn fuel_for_bulk(&mut self, units: Value) {
        let known = self.known(units).map(|units| i64::try_from(units).unwrap_or(i64::MAX));
        let Some(fuel) = &mut self.fuel else { return };
        match known {
            Some(units) => {
                fuel.pending = fuel.pending.saturating_add(units);
                if units <= SMALL_BULK_COST {
                    return;
                }
            }
            None => {
                self.fuel_add();
                let units = self.zero_extend(units);
                // No length makes the counter wrap around: it is at most 2^63 - 1, and so is what is added.
                let most = self.ins().iconst(types::I64, i64::MAX);
                let units = self.ins().umin(units, most);
                self.fuel_add_value(units);
            }
        }
        self.fuel_check();
    }

    /// Where an exception is caught: what threw it has counted on.
    pub(super) fn fuel_reload(&mut self) {
        let Some(&Fuel { counter, home, .. }) = self.fuel.as_ref() else { return };
        let ((address, offset), flags) = (self.fuel_place(home), self.trusted_region(super::Region::Fuel));
        let value = self.ins().load(types::I64, flags, address, offset);
        self.builder.def_var(counter, value);
    }

    /// Before the function is left.
    pub(super) fn fuel_save(&mut self) {
        let Some(&Fuel { counter, home, .. }) = self.fuel.as_ref() else { return };
        let ((address, offset), flags) = (self.fuel_place(home), self.trusted_region(super::Region::Fuel));
        let value = self.builder.use_var(counter);
        self.ins().store(flags, value, address, offset);
    }

    /// Where the counter lies: an address and an offset from it.
    fn fuel_place(&mut self, home: Home) -> (Value, i32) {
        match home {
            Home::FirstContext(offset) => (self.first_vmctx(), offset),
            Home::Store => (self.store_state(), offset_of!(StoreState, fuel) as i32),
        }
    }

    /// What follows cannot be reached, so nothing is to be added there.
    pub(super) fn fuel_forget(&mut self) {
        if let Some(fuel) = &mut self.fuel {
            fuel.pending = 0;
        }
    }

    /// Adds what was executed since.
    fn fuel_add(&mut self) {
        let Some(fuel) = &mut self.fuel else { return };
        let pending = std::mem::take(&mut fuel.pending);
        if pending != 0 {
            let pending = self.ins().iconst(types::I64, pending);
            self.fuel_add_value(pending);
        }
    }

    fn fuel_add_value(&mut self, units: Value) {
        let Some(counter) = self.fuel.as_ref().map(|fuel| fuel.counter) else { return };
        let value = self.builder.use_var(counter);
        let sum = self.ins().iadd(value, units);
        self.builder.def_var(counter, sum);
    }

    /// Traps where the budget is used up, and no more is allowed.
    fn fuel_check(&mut self) {
        self.fuel_add();
        let Some(&Fuel { counter, home, .. }) = self.fuel.as_ref() else { return };
        let value = self.builder.use_var(counter);
        let used_up = self.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, value, 0);
        match home {
            Home::FirstContext(_) => self.trap_if(used_up, Trap::OutOfFuel),
            Home::Store => self.pause_if(used_up, Trap::OutOfFuel, Self::fuel_save, Self::fuel_reload),
        }
    }
}
