//! Files that are not modules: in come the bytes and the name of a file, out comes an error that says what the file is
//! and how to get a module from it.

use object::{FileKind, Object as _};

use crate::emit::note::read_note;
use crate::error::{Error, Result};
use crate::report::Provenance;

/// Sources by the extension of the file: the language, and what compiles it.
const SOURCES: &[(&[&str], &str, &str)] = &[
    (&["c"], "C source", "`clang --target=wasm32-wasip1` of wasi-sdk, or `zig cc -target wasm32-wasi`, makes a module"),
    (
        &["cc", "cpp", "cxx", "C", "c++"],
        "C++ source",
        "`clang++ --target=wasm32-wasip1` of wasi-sdk, or `zig c++ -target wasm32-wasi`, makes a module",
    ),
    (
        &["rs"],
        "Rust source",
        "`rustc --target wasm32-wasip1`, or `cargo build --target wasm32-wasip1` in a package, makes a module",
    ),
    (&["go"], "Go source", "`GOOS=wasip1 GOARCH=wasm go build -o app.wasm` makes a module"),
    (&["zig"], "Zig source", "`zig build-exe -target wasm32-wasi` makes a module"),
    (&["ts"], "TypeScript source", "for AssemblyScript, `asc` with `@assemblyscript/wasi-shim` makes a module"),
    (
        &["js", "mjs", "cjs", "py", "rb", "lua", "php"],
        "a script",
        "compile an interpreter that is a module itself, and give it the script: `wasmelt run --dir . qjs.wasm app.js`",
    ),
    (&["ll"], "LLVM IR", "`clang --target=wasm32-wasip1` makes a module"),
    (&["s", "S", "asm"], "assembly", "only text in the format of WebAssembly, which starts with `(module`, is read"),
];

/// Beginnings of files that are not code.
const CONTAINERS: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "compressed by gzip", "decompress it first: `gunzip`"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "decompress it first: `unzstd`"),
    (b"\xfd7zXZ\0", "compressed by xz", "decompress it first: `unxz`"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it first: `unzip`"),
    (b"BC\xc0\xde", "LLVM bitcode", "`clang --target=wasm32-wasip1` makes a module of it"),
];

/// What is text shows within so many characters.
const TEXT_SAMPLE_CHARS: usize = 4096;

/// Whether bytes are meant as the text format: UTF-8 that starts, after blanks, with a parenthesis or a comment. Where there
/// are only blanks, the name of the file tells a text from a module that got lost.
pub(crate) fn is_text_format(bytes: &[u8], name: &str) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match text.trim_start_matches('\u{feff}').trim_start().chars().next() {
        Some(first) => matches!(first, '(' | ';'),
        None => name.ends_with(".wat"),
    }
}

/// An error where the file is known to be something else than a module.
pub(crate) fn expect_module(bytes: &[u8], name: &str) -> Result<()> {
    if bytes.is_empty() || bytes.starts_with(b"\0asm") || is_text_format(bytes, name) {
        return Ok(());
    }
    not_a_module(bytes, name).map_or(Ok(()), |error| Err(error.context(name)))
}

/// The error for a file that starts neither like the binary format nor like the text format; `None` where there is
/// nothing to say about it.
pub(crate) fn not_a_module(bytes: &[u8], name: &str) -> Option<Error> {
    let error = |what: &str, hint: &str| Some(Error::input(format!("not a WebAssembly module, but {what}")).hint(hint));
    if let Ok(kind) = FileKind::parse(bytes) {
        return Some(native(bytes, kind));
    }
    if let Some((_, what, hint)) = CONTAINERS.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return error(what, hint);
    }
    let is_plain = |c: char| !c.is_control() || c.is_ascii_whitespace();
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.chars().take(TEXT_SAMPLE_CHARS).all(is_plain))?;
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if let Some((_, what, hint)) = SOURCES.iter().find(|(extensions, ..)| extensions.contains(&extension)) {
        return error(what, hint);
    }
    if text.starts_with("#!") {
        return error("a script", "give the module that the script runs");
    }
    let start = text.trim_start();
    if start.starts_with("<!") || start.starts_with("<html") {
        return error("a web page", "a download may have answered with an error page: look into the file");
    }
    error("other text", "text in the format of WebAssembly starts with `(module`")
}

/// The error for an executable, object or library.
fn native(bytes: &[u8], kind: FileKind) -> Error {
    let format = match kind {
        FileKind::Archive => "an archive of objects",
        FileKind::Elf32 | FileKind::Elf64 => "an ELF file",
        FileKind::MachO32 | FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64 => "a Mach-O file",
        FileKind::Pe32 | FileKind::Pe64 => "a program or library for Windows",
        _ => "an object file",
    };
    let not = |what: &str| Error::input(format!("not a WebAssembly module, but {what}"));
    let own = read_note(bytes).ok().flatten().and_then(|note| Provenance::from_json(&note).ok());
    if let Some(own) = own {
        let error = not(&format!("{format} that wasmelt made from `{}`", own.source.name));
        return error.hint("an executable runs as it is, without `wasmelt run`; `wasmelt inspect` shows what it holds");
    }
    let file = object::File::parse(bytes).ok();
    if file.is_some_and(|file| file.section_by_name(".wasmtime.engine").is_some()) {
        return not("what wasmtime precompiled (.cwasm)").hint("give the .wasm file that it was made from");
    }
    not(format).hint("wasmelt takes modules and components: code that a compiler made for the target `wasm32-wasip1` or `wasm32-wasip2`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        let what = |bytes: &[u8], name| not_a_module(bytes, name).map(|error| error.to_string()).unwrap_or_default();
        assert!(what(b"int main(void) { return 0; }", "a.c").ends_with("but C source"));
        assert!(what(b"fn main() {}", "src/main.rs").ends_with("but Rust source"));
        assert!(what(b"#!/bin/sh\n", "tool").ends_with("but a script"));
        assert!(what(b"<!DOCTYPE html>", "app.wasm").ends_with("but a web page"));
        assert!(what(b"hello", "app.wasm").ends_with("but other text"));
        assert!(what(b"\x1f\x8b\x08\0", "app.wasm.gz").ends_with("but compressed by gzip"));
        assert!(what(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], "a").ends_with("but an ELF file"));
        assert!(what(b"!<arch>\nxxxxxxxx", "a").ends_with("but an archive of objects"));
        assert_eq!(what(&[0xff, 0xfe, 1, 2], "a"), "");
        assert_eq!(what(&[0; 100], "a.c"), "");
    }

    #[test]
    fn text_starts_with_a_parenthesis_or_a_comment() {
        let is_text = |bytes: &[u8]| is_text_format(bytes, "module.wasm");
        assert!(is_text(b"\xef\xbb\xbf \n(module)") && is_text(b";; a comment"));
        assert!(!is_text(b"") && !is_text(b"int f(void);") && !is_text(b"(\xff"));
        assert!(is_text_format(b" \n", "module.wat") && !is_text_format(b"x", "module.wat"));
    }
}
