//! `--profile-generate`: code counts how often each part of a function is executed, in counters in the context.
//! `--profile-use`: blocks that were never executed are cold.
//!
//! Parts are those of [`Outline`](crate::profile::Outline): both sides go by the same list.

use cranelift_codegen::ir::{InstBuilder as _, types};

use super::{FuncTranslator, Region};
use crate::profile::Guided;
use crate::program::Counted;

/// The counters of the function at hand.
pub(super) struct Counting<'a> {
    counted: &'a Counted,
    /// Where the body starts in the file.
    body: usize,
    /// How many parts have begun.
    begun: usize,
}

impl<'a> Counting<'a> {
    pub(super) fn new(counted: &'a Counted, body: usize) -> Self {
        Self { counted, body, begun: 0 }
    }
}

/// What is known of the function at hand.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    guided: &'a Guided,
    /// Where the body starts in the file.
    body: usize,
}

impl<'a> Known<'a> {
    /// `None` for a function that was never executed: all its parts are alike.
    pub(super) fn new(guided: &'a Guided, body: usize) -> Option<Self> {
        guided.is_executed().then_some(Self { guided, body })
    }

    /// Which way branches go.
    pub(super) fn hints(&self) -> &'a crate::module::BranchHints {
        &self.guided.hints
    }
}

impl FuncTranslator<'_, '_> {
    /// Counts where a part of the function begins behind the operator at this offset in the file; the first part begins at
    /// the start of the body.
    pub(super) fn count_behind(&mut self, offset: usize) {
        let Some(Counting { counted, body, begun }) = &mut self.counting else { return };
        let region = counted.outline.regions.get(*begun);
        if region.is_none_or(|region| *body + region.offset as usize != offset) {
            return;
        }
        let place = counted.offset + 8 * *begun as i32;
        *begun += 1;
        if self.reachable {
            let (vmctx, flags) = (self.vmctx(), self.trusted_region(Region::Counters));
            let count = self.ins().load(types::I64, flags, vmctx, place);
            let count = self.ins().iadd_imm_s(count, 1);
            self.ins().store(flags, count, vmctx, place);
        }
    }

    /// Whether the part that begins behind the operator at hand was never executed.
    pub(super) fn is_unused(&self) -> bool {
        let offset = self.builder.srcloc().bits() as usize;
        self.known
            .is_some_and(|known| offset.checked_sub(known.body).is_some_and(|at| known.guided.is_unused_behind(at)))
    }
}
