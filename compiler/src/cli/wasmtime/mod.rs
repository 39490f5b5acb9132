//! Options of wasmtime's command line: the groups `-O`, `-C`, `-D`, `-W`, `-S` and `-R`, each a comma-separated list of
//! `KEY[=VALUE]`, and the options without a counterpart here.
//!
//! What has a meaning for an executable is applied to the options. What changes no result is accepted, and `-v` says so.
//! What cannot be obeyed is refused by name, so that nobody believes in a limit or a capability that does not exist.
//! `spellings.txt` lists all that wasmtime takes with the answer; a test gives each line to the parser.

mod foreign;
mod help;
mod keys;

use std::time::Duration;

use self::keys::{Group, Key, Meaning, Value};
use super::values;
use crate::error::{Error, Result};
use crate::features::{self, FEATURES};
use crate::options::Options;

pub(super) use foreign::ForeignArgs;
pub(super) use help::{GroupParser, asked_for};
pub(super) use keys::{CODEGEN, DEBUG, OPTIMIZE, RECORD, WASI, WASM};

/// What a command line asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// How to compile.
    pub(super) options: Options,
    /// Neither read nor write the cache.
    pub(super) no_cache: bool,
    /// What has no meaning here, for `-v`.
    pub(super) notes: Vec<String>,
}

/// The value of a key.
enum Given<'a> {
    Switch(bool),
    Number(u64),
    Time(Duration),
    Text(&'a str),
}

/// Applies a list of `KEY[=VALUE]` to what is asked for.
pub(super) fn apply(asked: &mut Asked, group: &Group, list: &str) -> Result<()> {
    let mut items = list.split(',').map(str::trim).filter(|item| !item.is_empty()).peekable();
    if items.peek().is_none() {
        let letter = group.letter;
        return Err(Error::usage(format!("`-{letter}` needs at least one `KEY[=VALUE]`"))
            .hint(format!("`-{letter} help` lists the keys")));
    }
    items.try_for_each(|item| apply_item(asked, group, item))
}

fn apply_item(asked: &mut Asked, group: &Group, item: &str) -> Result<()> {
    let (name, value) = item.split_once('=').map_or((item, None), |(name, value)| (name, Some(value)));
    let letter = group.letter;
    if let Some(setting) = name.strip_prefix("cranelift-").filter(|_| letter == 'C' && name != DEBUG_VERIFIER) {
        return apply_cranelift(asked, setting, value);
    }
    let Some(key) = group.keys.iter().find(|key| key.name == name) else {
        if letter == 'W' && is_proposal(name) {
            return features::parse_flag(&mut asked.options.features, item);
        }
        return Err(unknown_key(group, name));
    };
    let given = key.read(letter, value)?;
    let is_harmless = |words: &[&str]| match given {
        Given::Switch(on) => words.contains(&if on { "y" } else { "n" }),
        Given::Text(text) => words.contains(&text),
        Given::Number(_) | Given::Time(_) => false,
    };
    match (&key.meaning, &given) {
        (Meaning::Switch(apply), Given::Switch(on)) => apply(asked, *on),
        (Meaning::Number(apply), Given::Number(number)) => apply(asked, *number),
        (Meaning::Time(apply), Given::Time(time)) => apply(asked, *time),
        (Meaning::Text(apply), Given::Text(text)) => apply(asked, text)?,
        (Meaning::Text(apply), Given::Number(number)) => apply(asked, &number.to_string())?,
        (Meaning::Refused(words), _) if !is_harmless(words) => {
            return Err(Error::usage(format!("`-{letter} {name}` of wasmtime is not supported")).hint(key.text));
        }
        _ => asked.notes.push(format!("`-{letter} {item}` changes nothing: {}", key.text)),
    }
    Ok(())
}

/// A key of `-C` that starts like a setting of Cranelift but is not one.
const DEBUG_VERIFIER: &str = "cranelift-debug-verifier";

/// Applies a setting of Cranelift: a CPU. Others are what the sandbox rests on, or have options of their own.
fn apply_cranelift(asked: &mut Asked, setting: &str, value: Option<&str>) -> Result<()> {
    let isa = cranelift_codegen::isa::lookup(asked.options.target.clone());
    let is_cpu = isa.is_ok_and(|isa| {
        isa.iter().any(|known| known.name == setting && known.kind == cranelift_codegen::settings::SettingKind::Preset)
    });
    if !is_cpu || value.is_some() {
        return Err(Error::usage(format!("`-C cranelift-{setting}` of wasmtime is not supported"))
            .hint("of Cranelift's settings, the names of CPUs are taken: `--cpu NAME` is the same")
            .hint("the other settings are what the sandbox rests on"));
    }
    let key = CODEGEN.keys.iter().find(|key| key.name == "cranelift-CPU");
    match key.map(|key| &key.meaning) {
        Some(Meaning::Text(apply)) => apply(asked, setting),
        _ => Err(Error::internal("the key `cranelift-CPU` is gone")),
    }
}

/// Whether `-W` takes this name as that of a proposal.
fn is_proposal(name: &str) -> bool {
    matches!(name, "all-proposals" | "all") || FEATURES.iter().any(|feature| feature.name == name)
}

/// The names that a group takes.
fn names(group: &Group) -> impl Iterator<Item = &'static str> {
    let proposals = FEATURES.iter().map(|feature| feature.name).chain(["all-proposals"]);
    group.keys.iter().map(|key| key.name).chain(proposals.filter(|_| group.letter == 'W'))
}

fn unknown_key(group: &Group, name: &str) -> Error {
    let letter = group.letter;
    let error = Error::usage(format!("`-{letter} {name}`: there is no such key"));
    let similar = names(group).map(|known| (strsim::jaro_winkler(known, name), known));
    let error = match similar.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, known)) => error.hint(format!("there is `-{letter} {known}`")),
        None => error,
    };
    error.hint(format!("`-{letter} help` lists the keys"))
}

/// Whether text is a list of keys for `-O`, whose value may also be a level or absent.
pub(super) fn is_optimize_list(text: &str) -> bool {
    let first = text.split(',').next().unwrap_or_default();
    let name = first.split_once('=').map_or(first, |(name, _)| name);
    let looks_like_key =
        first.contains('=') && name.contains('-') && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    looks_like_key || help::is_help(text) || OPTIMIZE.keys.iter().any(|key| key.name == name)
}

impl Key {
    /// The value, where it is one that the key can have.
    fn read<'a>(&self, letter: char, value: Option<&'a str>) -> Result<Given<'a>> {
        let name = self.name;
        let wrong = |why: String| Error::usage(format!("`-{letter} {name}`: {why}"));
        if let Value::Switch(words) = self.value {
            return match value {
                None => Ok(Given::Switch(true)),
                Some(value) if words.contains(&value) => Ok(Given::Text(value)),
                Some(value) => values::yes_no(value).map(Given::Switch).map_err(wrong),
            };
        }
        let value = value.ok_or_else(|| {
            Error::usage(format!("`-{letter} {name}` needs a value: `-{letter} {name}{}`", self.value.shown()))
        })?;
        match self.value {
            Value::Word(words) if words.contains(&value) => Ok(Given::Text(value)),
            Value::Word(words) => Err(wrong(format!("expected one of {}, found `{value}`", words.join(", ")))),
            Value::Number => number(value).map(Given::Number).ok_or_else(|| wrong(not_a_number(value))),
            Value::Size => match number(value) {
                Some(bytes) => Ok(Given::Number(bytes)),
                None => values::size(value).map(Given::Number).map_err(wrong),
            },
            Value::Time => time(value).map(Given::Time).map_err(wrong),
            Value::Text | Value::Switch(_) => Ok(Given::Text(value)),
        }
    }
}

fn not_a_number(value: &str) -> String {
    format!("expected a number, found `{value}`")
}

/// A number as wasmtime reads it: decimal or hexadecimal, with `_` between digits.
fn number(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// A time span as wasmtime reads it: seconds without a unit; and as `--timeout` does.
fn time(text: &str) -> Result<Duration, String> {
    let in_unit = |unit: &str| text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    match (text.parse(), in_unit("ns"), in_unit("μs")) {
        (Ok(seconds @ 1..), ..) => Ok(Duration::from_secs(seconds)),
        (_, Some(nanoseconds @ 1..), _) => Ok(Duration::from_nanos(nanoseconds)),
        (.., Some(microseconds @ 1..)) => Ok(Duration::from_micros(microseconds)),
        _ => values::duration(text),
    }
}

#[cfg(test)]
mod tests;
