//! Text that somebody else wrote, such as names in a module, on its way to a terminal or a log: what could control the
//! terminal, start a line of its own or reorder or hide the text around it is escaped.

use core::fmt::{self, Write as _};

/// The text with what must not be shown as it is escaped, as Rust writes characters: `\n`, `\u{202e}`.
///
/// Escaped are controls, line and paragraph separators, bidirectional and zero-width characters, combining marks, and
/// all that Unicode does not assign. Other text, quotes and backslashes included, stays as it is.
pub fn escape(text: &str) -> Escape<'_> {
    Escape(text)
}

/// See [`escape`].
#[derive(Clone, Copy, Debug)]
pub struct Escape<'a>(&'a str);

impl fmt::Display for Escape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write_char(f, c))
    }
}

/// Writes one character, escaped where it has to be.
fn write_char(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        // `escape_debug` escapes these for the sake of quoting, which is not ours.
        '\\' | '\'' | '"' => f.write_char(c),
        // It decides by the standard library's tables of Unicode.
        _ => write!(f, "{}", c.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn what_forges_or_hides_text_is_escaped() {
        let shown = |text: &str| escape(text).to_string();
        assert_eq!(shown("Größe<'a>::\"x\" \\ 名前 🦀"), "Größe<'a>::\"x\" \\ 名前 🦀");
        assert_eq!(shown("a\nerror: b\r\t\0"), "a\\nerror: b\\r\\t\\0");
        assert_eq!(shown("\x1b[2J\u{9b}\x7f"), "\\u{1b}[2J\\u{9b}\\u{7f}");
        for c in "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\
                  \u{2028}\u{2029}\u{85}\u{e0041}\u{fff9}\u{180e}\u{300}\u{fe0f}\u{e000}"
            .chars()
        {
            assert_eq!(shown(&c.to_string()), std::format!("\\u{{{:x}}}", c as u32));
        }
    }
}
