//! The environment variable `WASMELT_POLICY`: with it, whoever starts the program takes grants away and lowers limits.
//!
//! In come the variables of the process; out come the words of this one. Whoever makes a grant asks here whether a word
//! takes the grant away. [`super::restrict`] checks before the guest runs that every word means something.

use crate::process;

use super::words;

/// The variable. The guest never sees it.
pub const VARIABLE: &[u8] = b"WASMELT_POLICY";

/// The words of the variable.
pub(super) fn items() -> impl Iterator<Item = &'static [u8]> {
    let variable = process::env().find_map(|variable| variable.strip_prefix(VARIABLE)?.strip_prefix(b"="));
    variable.unwrap_or_default().split(|&b| b == b';').filter(|item| !item.is_empty())
}

/// Whether the variable has `word=name`, or `word=*`.
pub fn names(word: &[u8], name: &[u8]) -> bool {
    items().any(|item| {
        words::split_once(item, b'=').is_some_and(|(found, value)| found == word && (value == name || value == b"*"))
    })
}

/// Whether the variable has a word by itself.
pub fn has(word: &[u8]) -> bool {
    items().any(|item| item == word)
}
