//! Calls that lend handles, the innermost one last. What was lent for a call must be given back before it ends, and whoever
//! lends cannot give away meanwhile.
//! Source: component model, "Canonical ABI" (`lift_borrow`, `lower_borrow`, `exit_call`).

use wasmelt_runtime::component::handles::Tables;

use super::guest::trap;
use crate::Result;

/// The most handles that are lent at one moment, and the most calls that lend.
const MAX_LEN: usize = 1 << 20;

/// The calls that have begun. The host's own is always there: an instance is not entered while it is being called, so there is
/// one at most.
#[derive(Debug)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// Handles that own, and have lent: component instance and handle, those of the innermost call last.
    lenders: Vec<(u32, u32)>,
}

#[derive(Debug, Default)]
struct Call {
    /// Handles that the callee was lent and has not dropped.
    lent: u32,
    /// How many lenders there were before.
    lenders_before: usize,
}

impl Default for Calls {
    fn default() -> Self {
        Self { calls: vec![Call::default()], lenders: Vec::new() }
    }
}

impl Calls {
    /// Begins a call of one component by another.
    pub(super) fn enter(&mut self) -> Result<()> {
        if self.calls.len() >= MAX_LEN {
            return Err(trap("too many calls that lend"));
        }
        self.calls.push(Call { lent: 0, lenders_before: self.lenders.len() });
        Ok(())
    }

    /// Ends the innermost call of one component by another: what it has lent is back.
    pub(super) fn exit(&mut self, tables: &mut Tables) -> Result<()> {
        self.check()?;
        if self.calls.len() > 1
            && let Some(call) = self.calls.pop()
        {
            let ended = self.lenders.drain(call.lenders_before..);
            ended.for_each(|(component, handle)| tables.end_loan(component, handle));
        }
        Ok(())
    }

    /// Checks that all is back that the innermost call has lent.
    pub(super) fn check(&self) -> Result<()> {
        match self.calls.last() {
            Some(call) if call.lent > 0 => Err(trap("borrow handles still remain at the end of the call")),
            _ => Ok(()),
        }
    }

    /// Records that the innermost call borrows from this handle, which owns.
    pub(super) fn borrow_from(&mut self, component: u32, handle: u32) -> Result<()> {
        if self.lenders.len() >= MAX_LEN {
            return Err(trap("cannot lend resource: too many active lends"));
        }
        self.lenders.push((component, handle));
        Ok(())
    }

    /// Records that the innermost call lends a handle: the number of the call, from 1 on.
    pub(super) fn lend(&mut self) -> u32 {
        if let Some(call) = self.calls.last_mut() {
            call.lent += 1;
        }
        self.calls.len() as u32
    }

    /// Records that a handle was dropped which the call of this number has lent.
    pub(super) fn give_back(&mut self, call: u32) {
        let index = (call as usize).wrapping_sub(1);
        if let Some(call) = self.calls.get_mut(index) {
            call.lent = call.lent.saturating_sub(1);
        }
    }
}
