//! Values of options: text from the command line to the data of [`crate::options`].
//!
//! Every function is a clap value parser: it takes one argument and returns what it means or a message that says what
//! was expected.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};

use super::embed::Embed;
use crate::options::{Cpu, DirFrom, EnvGrant, Linker, OptLevel, Stdio};

/// A size in bytes: a number, alone or with `K`, `M`, `G`, `T`, `KB`, `KiB` and so on, in either case. All of them are
/// powers of 1024, as with `ulimit`, `dd` and `ld`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let expected = || format!("expected a number of bytes such as `65536`, `512K`, `64MiB` or `2G`, found `{text}`");
    let number: u64 = number.parse().map_err(|_| expected())?;
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(expected()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("`{text}` is more than 64 bits can count"))
}

/// What `--fuel` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fuel {
    /// The number of instructions.
    Budget(u64),
    /// The host of a library sets the number.
    OfHost,
}

/// The value of `--fuel` where none is given.
pub(super) const OF_HOST: &str = "host";

/// A number of instructions, or [`OF_HOST`].
pub(super) fn fuel(text: &str) -> Result<Fuel, String> {
    match text.parse() {
        Ok(budget) => Ok(Fuel::Budget(budget)),
        Err(_) if text == OF_HOST => Ok(Fuel::OfHost),
        Err(_) => Err(format!("expected a number of instructions, found `{text}`")),
    }
}

/// A folder to embed: `DIR::GUEST`.
pub(super) fn embed(text: &str) -> Result<Embed, String> {
    match text.split_once("::") {
        Some((host, guest)) if !host.is_empty() && !guest.is_empty() => {
            Ok(Embed { host: host.to_owned(), guest: guest.to_owned() })
        }
        _ => Err(format!("expected `DIR::GUEST`, found `{text}`")),
    }
}

/// A module to instantiate before the main one: `NAME=PATH`.
pub(super) fn preload(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err(format!("expected `NAME=PATH`, found `{text}`")),
    }
}

/// A granted environment variable: `NAME[=VALUE]`.
pub(super) fn env(text: &str) -> Result<EnvGrant, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("the variable's name is empty: expected `NAME[=VALUE]`".to_owned());
    }
    Ok(EnvGrant { name: name.to_owned(), value })
}

/// A time span: a number with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let expected = || format!("expected a time span such as `500ms`, `5s`, `2m` or `1h`, found `{text}`");
    let number: u64 = number.parse().map_err(|_| expected())?;
    let nanoseconds = match unit {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(expected()),
    };
    match number.checked_mul(nanoseconds) {
        Some(0) => Err("a program that may take no time cannot run".to_owned()),
        Some(nanoseconds) => Ok(Duration::from_nanos(nanoseconds)),
        None => Err(format!("`{text}` is more than 64 bits of nanoseconds can count")),
    }
}

/// An address to listen on: nothing is resolved, because a name would mean another address elsewhere.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("expected an address with a port, such as `127.0.0.1:8080` or `[::1]:8080`, found `{text}`")
    })
}

/// The name of a container image: a registry perhaps, folders and a name in lower case, a tag perhaps.
/// Source: OCI Distribution Specification 1.1, "Pulling manifests".
pub(super) fn image_name(text: &str) -> Result<String, String> {
    let expected = || Err(format!("expected the name of an image, such as `registry.example/app:1.0`, found `{text}`"));
    let mut parts: Vec<&str> = text.split('/').collect();
    let last = parts.pop().unwrap_or_default();
    let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
    let has_registry = parts.first().is_some_and(|first| first.contains(['.', ':']) || *first == "localhost");
    let registry = if has_registry { Some(parts.remove(0)) } else { None };
    let is_registry_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_part = |part: &str| {
        let inner = |c: char| is_lower(c) || matches!(c, '.' | '_' | '-');
        part.starts_with(is_lower) && part.ends_with(is_lower) && part.chars().all(inner)
    };
    let is_tag = |tag: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        tag.len() <= 128 && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && tag.chars().all(inner)
    };
    let is_name = registry.is_none_or(|registry| registry.chars().all(is_registry_part))
        && parts.into_iter().chain([last]).all(is_part)
        && tag.is_none_or(is_tag);
    if is_name { Ok(text.to_owned()) } else { expected() }
}

/// A user by number, and the group; the group is the user's own where none is given.
pub(super) fn user(text: &str) -> Result<(u32, u32), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    number(user)
        .zip(number(group))
        .ok_or_else(|| format!("expected numbers such as `1000` or `1000:1000`, found `{text}`"))
}

/// A label of an image.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("expected `NAME=VALUE`, found `{text}`")),
    }
}

/// What a standard stream of the guest is.
pub(super) fn stdio(text: &str) -> Result<Stdio, String> {
    match text {
        "inherit" => Ok(Stdio::Inherit),
        "null" => Ok(Stdio::Null),
        _ => Err(format!("expected `inherit` or `null`, found `{text}`")),
    }
}

/// Where relative host paths start.
pub(super) fn dir_from(text: &str) -> Result<DirFrom, String> {
    match text {
        "cwd" => Ok(DirFrom::Cwd),
        "exe" => Ok(DirFrom::Exe),
        _ => Err(format!("expected `cwd` or `exe`, found `{text}`")),
    }
}

/// `y` or `n`, with the other spellings that wasmtime takes.
pub(super) fn yes_no(text: &str) -> Result<bool, String> {
    match text {
        "y" | "yes" | "true" | "on" => Ok(true),
        "n" | "no" | "false" | "off" => Ok(false),
        _ => Err(format!("expected `y` or `n`, found `{text}`")),
    }
}

/// An optimisation level: the argument of `-O` as in C compilers.
pub(super) fn opt_level(text: &str) -> Result<OptLevel, String> {
    match text {
        "0" | "none" => Ok(OptLevel::None),
        "1" | "2" | "3" | "speed" => Ok(OptLevel::Speed),
        "s" | "z" | "size" | "speed_and_size" => Ok(OptLevel::Size),
        _ => Err(format!("expected `0`, `1`, `2`, `3`, `s` or `z`, found `{text}`")),
    }
}

/// A value parser that names values for completions, and takes others as well.
#[derive(Clone)]
pub(super) struct Suggesting<P> {
    pub(super) parse: P,
    pub(super) names: fn() -> Vec<&'static str>,
}

impl<T, P> TypedValueParser for Suggesting<P>
where
    T: Clone + Send + Sync + 'static,
    P: TypedValueParser<Value = T>,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        self.parse.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.names)().into_iter().map(PossibleValue::new)))
    }
}

/// A CPU.
pub(super) fn cpu(text: &str) -> Result<Cpu, String> {
    match text {
        "" => Err("expected `native`, `baseline`, `x86-64-v1` to `x86-64-v4`, or the name of a CPU".to_owned()),
        "native" => Ok(Cpu::Native),
        "baseline" => Ok(Cpu::Baseline),
        "default" => Ok(Cpu::Default),
        name => Ok(Cpu::Named(name.to_owned())),
    }
}

/// A linker: `embedded`, `cc`, or a program.
pub(super) fn linker(text: &str) -> Result<Linker, String> {
    match text {
        "" => Err("expected `embedded`, `cc`, or a program that takes the arguments of `ld`".to_owned()),
        "embedded" => Ok(Linker::Embedded),
        "cc" => Ok(Linker::Cc),
        program => Ok(Linker::Program(program.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65536),
            ("64K", 64 << 10),
            ("64k", 64 << 10),
            ("1M", 1 << 20),
            ("16MiB", 16 << 20),
            ("16 MiB", 16 << 20),
            ("2gb", 2 << 30),
            ("1T", 1 << 40),
            ("12B", 12),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "1.5G", "1X", "1KK", "0x10", "18446744073709551616", "16777216T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn time_spans_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "5", "s", "0s", "1.5s", "-1s", "99999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_numeric() {
        assert!(listen("127.0.0.1:0").is_ok() && listen("[::1]:80").is_ok());
        for text in ["", "localhost:80", "127.0.0.1", ":80", "127.0.0.1:65536"] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn env_has_a_name_and_maybe_a_value() {
        let grant = |name: &str, value: Option<&str>| {
            Ok(EnvGrant { name: name.to_owned(), value: value.map(ToOwned::to_owned) })
        };
        assert_eq!(env("LANG"), grant("LANG", None));
        assert_eq!(env("A="), grant("A", Some("")));
        assert_eq!(env("A=b=c d"), grant("A", Some("b=c d")));
        assert!(env("").is_err());
        assert!(env("=x").is_err());
    }

    #[test]
    fn images_have_names_as_registries_want_them() {
        for name in ["app", "app:1.0", "team/app", "localhost:5000/app", "Registry.example/a/b-c_d.e:V1_2-3"] {
            assert_eq!(image_name(name), Ok(name.to_owned()));
        }
        for name in
            ["", "App", "app:", "app:.1", "/app", "app/", "a//b", "-app", "app-", "a b", "app:1:2", "ex ample.org/a"]
        {
            assert!(image_name(name).is_err(), "{name}");
        }
        assert_eq!((user("0"), user("1000:50")), (Ok((0, 0)), Ok((1000, 50))));
        for text in ["", "root", "1:", ":1", "+1", "1:2:3", "4294967296"] {
            assert!(user(text).is_err(), "{text}");
        }
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(label("a").is_err() && label("=b").is_err());
    }

    #[test]
    fn levels_are_those_of_c_compilers() {
        for (text, level) in [
            ("0", OptLevel::None),
            ("speed", OptLevel::Speed),
            ("2", OptLevel::Speed),
            ("3", OptLevel::Speed),
            ("s", OptLevel::Size),
            ("z", OptLevel::Size),
        ] {
            assert_eq!(opt_level(text), Ok(level), "{text}");
        }
        for text in ["", "4", "fast", "opt-level=0"] {
            assert!(opt_level(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpu_and_linker_have_names() {
        assert_eq!(cpu("native"), Ok(Cpu::Native));
        assert_eq!(cpu("baseline"), Ok(Cpu::Baseline));
        assert_eq!(cpu("x86-64-v3"), Ok(Cpu::Named("x86-64-v3".into())));
        assert_eq!(linker("cc"), Ok(Linker::Cc));
        assert_eq!(linker("ld.lld"), Ok(Linker::Program("ld.lld".into())));
        assert!(cpu("").is_err() && linker("").is_err());
    }
}
