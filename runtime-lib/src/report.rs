//! Messages to the user, put together without an allocator and without `core::fmt`, whose code is larger than the
//! rest of a small program's runtime.

use core::fmt;

use wasmelt_abi::trap::{RUNTIME_BUG_EXIT_CODE, START_FAILED_EXIT_CODE};

use crate::sys::{self, Stream};

/// Bytes that are gathered before they are written.
const CAPACITY: usize = 4096;

/// Text on its way to a stream, written in one piece where it fits the buffer.
pub struct Report {
    stream: Stream,
    buffer: [u8; CAPACITY],
    len: usize,
}

impl Report {
    /// Nothing so far.
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: [0; CAPACITY], len: 0 }
    }

    /// What has been gathered.
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Adds bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for &byte in bytes {
            self.byte(byte);
        }
        self
    }

    fn byte(&mut self, byte: u8) {
        if self.len == CAPACITY {
            self.flush();
        }
        if let Some(place) = self.buffer.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a number in decimal, with spaces before it up to `width` characters.
    pub fn decimal(&mut self, value: u64, width: usize) -> &mut Self {
        self.number(value, 10, width)
    }

    /// Adds a number in hexadecimal with `0x` before it.
    pub fn hexadecimal(&mut self, value: u64) -> &mut Self {
        self.text("0x").number(value, 16, 0)
    }

    fn number(&mut self, mut value: u64, base: u64, width: usize) -> &mut Self {
        let mut digits = [b' '; 20];
        let mut count = 0;
        for place in digits.iter_mut().rev() {
            *place = b"0123456789abcdef"[(value % base) as usize & 15];
            count += 1;
            value /= base;
            if value == 0 {
                break;
            }
        }
        let len = digits.len();
        self.bytes(digits.get(len - count.max(width).min(len)..).unwrap_or_default())
    }

    /// Adds at most `limit` bytes of text that the guest wrote: whatever could mean something to a terminal is
    /// escaped, and `...` stands for what was left out.
    pub fn untrusted(&mut self, text: &[u8], limit: usize) -> &mut Self {
        let shown = text.get(..limit).unwrap_or(text);
        for chunk in shown.utf8_chunks() {
            for character in chunk.valid().chars() {
                self.untrusted_character(character);
            }
            // The rest of a character that the limit cut in two is left out.
            if !(chunk.invalid().is_empty() || shown.len() < text.len() && chunk.invalid().len() < 4) {
                self.text("\u{fffd}");
            }
        }
        if shown.len() < text.len() {
            self.text("...");
        }
        self
    }

    fn untrusted_character(&mut self, character: char) {
        // Control characters, and those that change the direction or the order of the text around them.
        let harmful = character.is_ascii_control()
            || matches!(character, '\u{80}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        if harmful {
            self.text("\\u{").number(u64::from(u32::from(character)), 16, 0).text("}");
        } else {
            let mut encoded = [0; 4];
            self.bytes(character.encode_utf8(&mut encoded).as_bytes());
        }
    }

    /// Writes what has been gathered. An error is dropped: there is no better place to report it.
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

/// Ends the process with `code` after a message of the form `wasmelt: <message>`.
#[cold]
pub fn fail(code: i32, message: impl FnOnce(&mut Report)) -> ! {
    let mut report = Report::new(Stream::Error);
    report.text("wasmelt: ");
    message(&mut report);
    report.text("\n").flush();
    sys::exit(code)
}

/// Ends the process because the program cannot be started here.
#[cold]
pub fn start_failed(message: impl FnOnce(&mut Report)) -> ! {
    fail(START_FAILED_EXIT_CODE, message)
}

/// Ends the process because of a bug in wasmelt.
#[cold]
pub fn runtime_bug(message: impl FnOnce(&mut Report)) -> ! {
    let mut report = Report::new(Stream::Error);
    report.text("wasmelt runtime bug: ");
    message(&mut report);
    report.text("\n").flush();
    sys::exit(RUNTIME_BUG_EXIT_CODE)
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
    fn guest_text_cannot_reach_the_terminal() {
        assert_eq!(shown(|r| _ = r.untrusted(b"a\x1b[2Jb\n", 99)), "a\\u{1b}[2Jb\\u{a}");
        assert_eq!(shown(|r| _ = r.untrusted("é\u{202e}\u{9b}x".as_bytes(), 99)), "é\\u{202e}\\u{9b}x");
        assert_eq!(shown(|r| _ = r.untrusted(b"ab\xff", 99)), "ab\u{fffd}");
        assert_eq!(shown(|r| _ = r.untrusted(b"abcdef", 4)), "abcd...");
        assert_eq!(shown(|r| _ = r.untrusted("abcé".as_bytes(), 4)), "abc...");
    }
}
