//! The text format: bytes of a file that is meant as text come in, a module in the binary format comes out.

use crate::error::{Error, ErrorKind, Result};
use crate::plain::Plain;

/// A module with no section.
const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Assembles a text; `name` is for messages.
pub(crate) fn assemble(text: &[u8], name: &str) -> Result<Vec<u8>> {
    wat::parse_bytes(text).map(Into::into).or_else(|mut e| {
        // A text without fields is a module, though the parser wants one.
        if e.to_string().contains("expected at least one module field") {
            return Ok(EMPTY_MODULE.to_owned());
        }
        e.set_path(Plain(name).to_string());
        let error = Error::with_details(ErrorKind::Input, &e.to_string());
        if !has_folded_try(text) {
            return Err(error);
        }
        Err(error
            .hint("legacy exceptions are read as `try .. catch $tag .. end`, not folded as `(try (do ..) (catch $tag ..))`")
            .hint("`wat2wasm --enable-exceptions` of WABT makes a binary module of folded ones"))
    })
}

/// Whether a text has `(do`, which only stands in a folded `try` of the legacy exceptions.
fn has_folded_try(text: &[u8]) -> bool {
    let ends_word = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'(' | b')');
    text.windows(4).any(|window| matches!(window, [b'(', b'd', b'o', end] if ends_word(*end)))
}
