//! `-O help` and its like: the keys of a group, with what each means here, and the parser of clap that finds the word.

use std::ffi::OsStr;

use clap::builder::{StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::keys::{Group, Key, Meaning, Value};
use crate::features::{FEATURES, Feature};

/// Takes the value of an option group; `help` prints the keys and is not a failure.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct GroupParser(pub(in crate::cli) &'static Group);

impl TypedValueParser for GroupParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let text = StringValueParser::new().parse_ref(command, arg, value)?;
        if is_help(&text) {
            let mut error = clap::Error::new(ErrorKind::DisplayHelp);
            error.insert(ContextKind::Custom, ContextValue::String(list(self.0)));
            return Err(error);
        }
        Ok(text)
    }
}

/// The text that [`GroupParser`] found to be asked for, where an error of clap only asks for help.
pub(in crate::cli) fn asked_for(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::Custom) {
        Some(ContextValue::String(text)) if error.kind() == ErrorKind::DisplayHelp => Some(text),
        _ => None,
    }
}

/// Whether the value of a group asks for its keys. wasmtime has a long form, which says the same.
pub(super) fn is_help(text: &str) -> bool {
    matches!(text, "help" | "help-long")
}

/// A part of the list: its title, and what belongs into it.
type Part = (&'static str, fn(&Meaning) -> bool);

/// The keys of a group.
fn list(group: &Group) -> String {
    let mut text = format!("{}\n", group.about);
    let sections: [Part; 3] = [
        ("Obeyed", |meaning| !matches!(meaning, Meaning::None | Meaning::Refused(_))),
        ("Accepted, and without an effect on results", |meaning| matches!(meaning, Meaning::None)),
        ("Refused", |meaning| matches!(meaning, Meaning::Refused(_))),
    ];
    for (title, belongs) in sections {
        let keys: Vec<_> = group.keys.iter().filter(|key| belongs(&key.meaning)).collect();
        let width = keys.iter().map(|key| key.shown().len()).max().unwrap_or(0);
        if !keys.is_empty() {
            text += &format!("\n{title}:\n");
        }
        for key in keys {
            let except = match key.meaning {
                Meaning::Refused(words) if !words.is_empty() => format!(" (accepted: {})", words.join(", ")),
                _ => String::new(),
            };
            text += &format!("  -{} {:width$}  {}{except}\n", group.letter, key.shown(), key.text);
        }
    }
    if group.letter == 'W' {
        text += &proposals();
    }
    text
}

/// The proposals, each of which is a key.
fn proposals() -> String {
    let names = |belongs: fn(&Feature) -> bool| {
        FEATURES.iter().filter(|feature| belongs(feature)).map(|feature| feature.name).collect::<Vec<_>>().join(", ")
    };
    format!(
        "\nProposals, `-W NAME[=y|n]`:\n  on             {}\n  off            {}\n  not supported  {}\n  all of them    \
         all-proposals\n",
        names(|feature| feature.default_on),
        names(|feature| feature.supported && !feature.default_on),
        names(|feature| !feature.supported)
    )
}

impl Key {
    /// The key with its value.
    fn shown(&self) -> String {
        format!("{}{}", self.name, if self.name == "cranelift-CPU" { String::new() } else { self.value.shown() })
    }
}

impl Value {
    /// What stands behind the name of the key.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Switch(words) => format!("[={}]", [&["y", "n"], *words].concat().join("|")),
            Self::Word(words) => format!("={}", words.join("|")),
            Self::Number => "=N".to_owned(),
            Self::Size => "=SIZE".to_owned(),
            Self::Time => "=TIME".to_owned(),
            Self::Text => "=VALUE".to_owned(),
        }
    }
}
