//! Text that cannot be trusted, such as names in a module or of a file, made fit for a message. The result is one line,
//! does not control a terminal, and does not change how the rest of the line reads.

use std::fmt::{self, Display, Write as _};

/// Shows text with escapes in place of line breaks, other control characters, and whatever cannot be seen: characters that
/// turn the direction of writing, of no width, or of no meaning. What was escaped once stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_seen(c) { f.write_char(c)? } else { write!(f, "{}", c.escape_default())? }
        }
        Ok(())
    }
}

/// Whether a character shows as itself: what the standard library's `Debug` of a string leaves alone, and quotes.
fn is_seen(c: char) -> bool {
    // Behind a letter, marks that combine with it are left alone as well.
    const LETTER: char = 'a';
    let mut bytes = [0; 8];
    let (first, rest) = bytes.split_at_mut(LETTER.len_utf8());
    LETTER.encode_utf8(first);
    let len = LETTER.len_utf8() + c.encode_utf8(rest).len();
    let shown = std::str::from_utf8(&bytes[..len]).is_ok_and(|text| text.escape_debug().skip(1).eq([c]));
    shown || matches!(c, '"' | '\'' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_and_nothing_hides() {
        for (text, shown) in [
            ("plain `text` \"x\" 'y' \\n", "plain `text` \"x\" 'y' \\n"),
            ("a\x1b[2Jb\r\nü\tz", "a\\u{1b}[2Jb\\r\\nü\\tz"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a\\u{202e}b\\u{2066}c\\u{200f}"),
            ("a\u{200b}b\u{feff}c\u{ad}\u{e0041}", "a\\u{200b}b\\u{feff}c\\u{ad}\\u{e0041}"),
            ("a\u{2028}b\u{85}\u{9b}", "a\\u{2028}b\\u{85}\\u{9b}"),
            ("e\u{301} नमस्ते 日本 👍", "e\u{301} नमस्ते 日本 👍"),
        ] {
            assert_eq!(Plain(text).to_string(), shown);
            assert_eq!(Plain(shown).to_string(), shown);
        }
    }
}
