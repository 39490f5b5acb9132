//! Branch hints: which way a branch is likely to go, from the custom section `metadata.code.branch_hint`
//! (<https://github.com/WebAssembly/branch-hinting>).
//!
//! Hints do not change what a program does, so nothing in them is an error. A hint that cannot be read is ignored, with
//! all hints after it, and a hint that does not belong to a branch has no effect.

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
    /// Hints by offsets from the body's start; of several at one offset, the first counts.
    pub fn new(mut hints: Vec<(u32, bool)>) -> Self {
        hints.sort_by_key(|&(offset, _)| offset);
        hints.dedup_by_key(|&mut (offset, _)| offset);
        Self { hints: hints.into() }
    }

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
            let hints = hints.map(|BranchHint { func_offset, taken }| (func_offset, taken)).collect();
            (FuncIndex::from_u32(function.func), BranchHints::new(hints))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        BranchHint, BranchHints as Section, CodeSection, CustomSection, Function, FunctionSection, Instruction, Module,
        TypeSection,
    };

    use super::super::DefinedFuncIndex;
    use crate::features::default_features;

    const NAME: &str = "metadata.code.branch_hint";

    /// What is known of offsets 1 to 3 in each of two functions; `before` and `after` stand around the code section.
    fn hints<'a>(before: &[&'a [u8]], after: &[&'a [u8]]) -> [[Option<bool>; 3]; 2] {
        let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
        types.ty().function([], []);
        for _ in 0..2 {
            functions.function(0);
            code.function(Function::new([]).instruction(&Instruction::End));
        }
        let mut module = Module::new();
        module.section(&types).section(&functions);
        let section = |&data: &&'a [u8]| CustomSection { name: NAME.into(), data: data.into() };
        for section in before.iter().map(section) {
            module.section(&section);
        }
        module.section(&code);
        for section in after.iter().map(section) {
            module.section(&section);
        }
        let wasm = module.finish();
        let module = crate::module::parse(&wasm, default_features()).expect("custom sections are never an error");
        [0, 1].map(|f| [1, 2, 3].map(|offset| module.bodies[DefinedFuncIndex::from_u32(f)].hints.likely(offset)))
    }

    const NONE: [Option<bool>; 3] = [None; 3];
    /// Function 1: offset 1 is not taken, offset 3 is.
    const SECTION: &[u8] = &[1, 1, 2, 1, 1, 0, 3, 1, 1];
    const MEANING: [[Option<bool>; 3]; 2] = [NONE, [Some(false), None, Some(true)]];

    #[test]
    fn hints_belong_to_offsets_of_functions() {
        let mut section = Section::new();
        let hint = |branch_func_offset, branch_hint_value| BranchHint { branch_func_offset, branch_hint_value };
        section.function_hints(1, [hint(1, 0), hint(3, 1)]);
        let mut module = Module::new();
        module.section(&section);
        assert!(module.finish().ends_with(SECTION));
        assert_eq!(hints(&[SECTION], &[]), MEANING);
        assert_eq!(hints(&[], &[]), [NONE; 2]);
        // Offset 9 and function 7 do not exist.
        assert_eq!(hints(&[&[2, 1, 1, 9, 1, 1, 7, 1, 1, 1, 1]], &[]), [NONE; 2]);
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        for end in 0..SECTION.len() {
            assert_eq!(hints(&[&SECTION[..end]], &[]), [NONE; 2], "{end} bytes");
        }
        // A value that is neither 0 nor 1 in the second function, and a length that is not 1.
        assert_eq!(hints(&[&[2, 1, 2, 1, 1, 0, 3, 1, 1, 0, 1, 1, 1, 2]], &[]), MEANING);
        assert_eq!(hints(&[&[1, 0, 1, 1, 2, 0, 0]], &[]), [NONE; 2]);
        assert_eq!(hints(&[&[0xff; 32]], &[]), [NONE; 2]);
    }

    #[test]
    fn there_is_one_section_before_the_code() {
        assert_eq!(hints(&[], &[SECTION]), [NONE; 2]);
        assert_eq!(hints(&[SECTION, &[1, 0, 1, 1, 1, 0]], &[]), MEANING);
    }
}
