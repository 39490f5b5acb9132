//! Branch hints: which way a branch is likely to go, from the custom section `metadata.code.branch_hint`
//! (<https://github.com/WebAssembly/branch-hinting>).
//!
//! Hints say nothing about what a program does, so that nothing in them is an error: what cannot be read is ignored
//! with all that follows it, and a hint that stands at no branch is never asked for.

use std::collections::HashMap;

use wasmparser::{BranchHint, BranchHintSectionReader};

use super::FuncIndex;

/// Hints of one function body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BranchHints {
    /// Sorted by offset, each once.
    hints: Box<[(u32, bool)]>,
}

impl BranchHints {
    /// Whether the branch at this offset from the body's start is likely to be taken; `None` where nothing is known.
    pub fn likely(&self, offset: usize) -> Option<bool> {
        let offset = u32::try_from(offset).ok()?;
        let at = self.hints.binary_search_by_key(&offset, |&(offset, _)| offset).ok()?;
        Some(self.hints[at].1)
    }
}

/// Reads the section.
pub(super) fn read(functions: BranchHintSectionReader<'_>) -> HashMap<FuncIndex, BranchHints> {
    let functions = functions.into_iter().map_while(Result::ok);
    functions
        .map(|function| {
            let hints = function.hints.into_iter().map_while(Result::ok);
            let mut hints: Vec<_> = hints.map(|BranchHint { func_offset, taken }| (func_offset, taken)).collect();
            hints.sort_by_key(|&(offset, _)| offset);
            hints.dedup_by_key(|&mut (offset, _)| offset);
            (FuncIndex::from_u32(function.func), BranchHints { hints: hints.into() })
        })
        .collect()
}
