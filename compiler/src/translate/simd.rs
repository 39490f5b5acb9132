//! Vector operators.

use wasmparser::Operator;

use super::FuncTranslator;
use crate::error::Result;

impl FuncTranslator<'_, '_> {
    /// Translates a vector operator; `false` when it is none.
    pub(super) fn simd_operator(&mut self, _op: &Operator<'_>) -> Result<bool> {
        Ok(false)
    }
}
