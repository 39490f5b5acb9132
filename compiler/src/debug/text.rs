//! Lines of a module's text: for functions without debug information, a debugger shows what `wasmelt compile --emit wat`
//! prints.

use std::io;
use std::ops::Range;

use wasmprinter::{Config, Print};

use crate::image::{DebugFile, DebugUnit};

/// `DW_LANG_Mips_Assembler`, the number that assemblers of all architectures use.
const ASSEMBLER: u16 = 0x8001;

/// The unit of the text: its name is that of the module, its file the text.
pub(super) fn unit(source_name: &str) -> DebugUnit {
    let name = source_name.replace('\0', "?");
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let file = DebugFile { directory: [][..].into(), name: format!("{stem}.wat").into_bytes().into() };
    DebugUnit { name: name.into_bytes(), directory: Vec::new(), language: Some(ASSEMBLER), files: vec![file] }
}

/// Offsets in the file and lines, in order of both, for all that lies in the code section; a function's own line stands
/// at the offset of its body.
pub(super) fn lines(wasm: &[u8], code: Range<usize>) -> Vec<(u32, u32)> {
    let mut printer = Lines { code, line: 1, is_done: false, found: Vec::new() };
    // It stops behind the code with an error. The module is valid, so there is no other; and if there were, lines would
    // be missing.
    let _ = Config::new().print(wasm, &mut printer);
    printer.found
}

/// Counts lines, and keeps nothing of their text.
struct Lines {
    code: Range<usize>,
    line: u32,
    is_done: bool,
    found: Vec<(u32, u32)>,
}

impl Print for Lines {
    fn write_str(&mut self, text: &str) -> io::Result<()> {
        // Texts of custom sections and comments may have line ends within.
        self.line = self.line.saturating_add(text.bytes().filter(|&b| b == b'\n').count() as u32);
        if self.is_done { Err(io::Error::other("all lines are known")) } else { Ok(()) }
    }

    fn start_line(&mut self, binary_offset: Option<usize>) {
        let Some(offset) = binary_offset else { return };
        self.is_done |= !self.found.is_empty() && offset >= self.code.end;
        let offset_32 = offset as u32;
        if self.code.contains(&offset) && self.found.last().is_none_or(|&(last, _)| last < offset_32) {
            self.found.push((offset_32, self.line));
        }
    }
}
