//! Names of functions as people read them: in goes a name of the module or of its debug information, out comes what
//! backtraces show.
//!
//! Compilers make symbols of scopes and types; those of Rust and C++ are turned back. Names come from whoever made the
//! module, so the result is cut to a moderate length and holds nothing that controls a terminal.

use std::fmt::{self, Write};

use wasmelt_abi::text::escape;

/// Mangled names that are longer stay as they are: their authors are not compilers, or nobody reads the result.
const MAX_MANGLED_BYTES: usize = 2048;

/// How much of a name is kept, in bytes before it is escaped.
const MAX_BYTES: usize = 256;

/// The name of a function for people.
pub(crate) fn function_name(name: &str) -> String {
    cut(&demangle(name).unwrap_or_else(|| name.to_owned()))
}

/// Text for people: what is too long is cut, and what could do harm is escaped.
pub(crate) fn cut(text: &str) -> String {
    match text.len() > MAX_BYTES {
        true => format!("{}...", escape(&text[..text.floor_char_boundary(MAX_BYTES)])),
        false => escape(text).to_string(),
    }
}

/// What a mangled name stands for, or at least the start of that; `None` for other names.
fn demangle(name: &str) -> Option<String> {
    let is_mangled = ["_Z", "__Z", "_R", "__R"].iter().any(|prefix| name.starts_with(prefix));
    if !is_mangled || name.len() > MAX_MANGLED_BYTES {
        return None;
    }
    let mut shown = Start(String::new());
    // Errors are those of `Start`, which has enough.
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        // Without the hash, which no reader needs.
        let _ = write!(shown, "{rust:#}");
    } else {
        let symbol = cpp_demangle::Symbol::new(name).ok()?;
        let _ = symbol.structured_demangle(&mut shown, &cpp_demangle::DemangleOptions::new().no_return_type());
    }
    Some(shown.0).filter(|shown| !shown.is_empty())
}

/// Keeps the start of what is written, and ends the writing: a short name may stand for a text of any length.
struct Start(String);

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(&text[..text.floor_char_boundary(MAX_BYTES + 1)]);
        if self.0.len() > MAX_BYTES { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_source() {
        for (mangled, name) in [
            ("_ZN1t3oob17h86aa81139e20542bE", "t::oob"),
            (
                "_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h0123456789abcdefE",
                "core::ptr::drop_in_place<alloc::string::String>",
            ),
            ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
            ("_ZN3app5parseERKNSt3__212basic_stringIcEEi", "app::parse(std::__2::basic_string<char> const&, int)"),
            ("_Z3maxIiET_S0_S0_", "max<int>(int, int)"),
            ("main", "main"),
            ("_start", "_start"),
            ("_Znope", "_Znope"),
            ("$s4main5helloSSyYaKF", "$s4main5helloSSyYaKF"),
        ] {
            assert_eq!(function_name(mangled), name);
        }
    }

    #[test]
    fn names_are_harmless_and_short() {
        assert_eq!(function_name("a\nerror: b\u{202e}"), "a\\nerror: b\\u{202e}");
        assert_eq!(function_name(&"é".repeat(200)), format!("{}...", "é".repeat(128)));
        // A few bytes that stand for terabytes: each type is a pair of the one before.
        let pairs: String = ('1'..='9').chain('A'..='Z').map(|i| format!("S_IS{i}_S{i}_E")).collect();
        let shown = function_name(&format!("_Z1fSt4pairI1aS0_E{pairs}"));
        assert!(shown.starts_with("f(std::pair<a, a>, std::pair<std::pair<a, a>, std::pair<a, a> >,"), "{shown}");
        assert_eq!(shown.len(), MAX_BYTES + 3);
        let long = format!("_ZN{}E", "1a".repeat(900));
        assert_eq!(function_name(&long).len(), MAX_BYTES + 3);
    }
}
