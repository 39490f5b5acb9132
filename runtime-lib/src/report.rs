//! Messages to the user, put together without an allocator and without `core::fmt`, whose code is larger than the
//! rest of a small program's runtime.

use core::fmt;
use core::mem::MaybeUninit;

use crate::sys::{self, Stream};

/// Bytes that are gathered before they are written.
///
/// A larger buffer would make each function that has one probe the stack.
const CAPACITY: usize = 2048;

/// Text on its way to a stream, written in one piece where it fits the buffer.
///
/// The buffer comes last, so that the other fields are reached by short instructions.
#[repr(C)]
pub struct Report {
    len: usize,
    stream: Stream,
    buffer: [MaybeUninit<u8>; CAPACITY],
}

impl Report {
    /// Nothing so far. Made where it is used: it is too large to be moved.
    #[inline(always)]
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: [const { MaybeUninit::uninit() }; CAPACITY], len: 0 }
    }

    /// Begins a message about why the program does not run: `wasmelt: ...`.
    pub fn failure(&mut self) -> &mut Self {
        self.text("wasmelt: ")
    }

    /// Writes what has been gathered as a line, and ends the process.
    #[inline(never)]
    pub fn exit(&mut self, code: i32) -> ! {
        self.text("\n").flush();
        sys::exit(code)
    }

    /// What has been gathered.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the first `len` bytes were written, and `len` is at most the buffer's length.
        unsafe { core::slice::from_raw_parts(self.buffer.as_ptr().cast(), self.len) }
    }

    /// Adds bytes as they are.
    #[inline(never)]
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for &byte in bytes {
            self.byte(byte);
        }
        self
    }

    #[inline(never)]
    fn byte(&mut self, byte: u8) {
        if self.len == CAPACITY {
            self.flush();
        }
        if let Some(place) = self.buffer.get_mut(self.len) {
            place.write(byte);
            self.len += 1;
        }
    }

    /// Adds text.
    #[inline(always)]
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds the entry with this index of a list whose entries end with a newline each. Such a list holds no addresses,
    /// and takes less room than a table of strings.
    #[inline(never)]
    pub fn entry(&mut self, list: &str, mut index: usize) -> &mut Self {
        for &byte in list.as_bytes() {
            if byte == b'\n' {
                index = index.wrapping_sub(1);
            } else if index == 0 {
                self.byte(byte);
            }
        }
        self
    }

    /// Adds a number in decimal, with spaces before it up to `width` characters.
    pub fn decimal(&mut self, value: u64, width: usize) -> &mut Self {
        self.number(value, 10, width)
    }

    /// Adds a number in hexadecimal with `0x` before it.
    #[inline(never)]
    pub fn hexadecimal(&mut self, value: u64) -> &mut Self {
        self.text("0x").number(value, 16, 0)
    }

    /// Each digit but the last is the number before it, so this is called at most 20 times within itself.
    fn number(&mut self, value: u64, base: u64, width: usize) -> &mut Self {
        if value >= base {
            self.number(value / base, base, width.saturating_sub(1));
        } else {
            for _ in 1..width {
                self.byte(b' ');
            }
        }
        self.digit((value % base) as u8);
        self
    }

    /// Adds a digit, hexadecimal or smaller.
    #[inline(never)]
    fn digit(&mut self, value: u8) {
        self.byte(if value < 10 { b'0' + value } else { b'a' - 10 + value });
    }

    /// Adds at most `limit` bytes of text that somebody else wrote: all but printable ASCII is escaped, so that it can
    /// neither control a terminal nor reorder the text around it, and `...` stands for what was left out.
    #[inline(never)]
    pub fn untrusted(&mut self, text: &[u8], limit: usize) -> &mut Self {
        let shown = text.get(..limit).unwrap_or(text);
        for &byte in shown {
            if matches!(byte, b' '..=b'~') {
                self.byte(byte);
            } else {
                self.text("\\x").digit(byte >> 4);
                self.digit(byte & 15);
            }
        }
        if shown.len() < text.len() {
            self.text("...");
        }
        self
    }

    /// Writes what has been gathered. An error is dropped: there is no better place to report it.
    #[inline(never)]
    pub fn flush(&mut self) {
        let _ = sys::write(self.stream, self.as_bytes());
        self.len = 0;
    }
}

impl fmt::Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("stream", &self.stream).field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn shown(build: impl FnOnce(&mut Report)) -> String {
        let mut report = Report::new(Stream::Error);
        build(&mut report);
        String::from_utf8(report.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_written_in_both_bases() {
        assert_eq!(shown(|r| _ = r.decimal(0, 0)), "0");
        assert_eq!(shown(|r| _ = r.decimal(u64::MAX, 3)), "18446744073709551615");
        assert_eq!(shown(|r| _ = r.decimal(12, 5)), "   12");
        assert_eq!(shown(|r| _ = r.hexadecimal(0xdead_beef)), "0xdeadbeef");
    }

    #[test]
    fn entries_are_found_by_index() {
        let entry = |index| shown(|r| _ = r.entry("a\nbc\n\nd\n", index));
        assert_eq!([entry(0), entry(1), entry(2), entry(3), entry(4)], ["a", "bc", "", "d", ""]);
    }

    #[test]
    fn guest_text_cannot_reach_the_terminal() {
        assert_eq!(shown(|r| _ = r.untrusted(b"a\x1b[2Jb\n", 99)), "a\\x1b[2Jb\\x0a");
        assert_eq!(shown(|r| _ = r.untrusted("é\u{202e}x".as_bytes(), 99)), "\\xc3\\xa9\\xe2\\x80\\xaex");
        assert_eq!(shown(|r| _ = r.untrusted(b"abcdef", 4)), "abcd...");
    }
}
