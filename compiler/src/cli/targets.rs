//! `wasmelt targets`, and what `--target` accepts.

use clap::Args;
use target_lexicon::{Architecture, HOST, OperatingSystem, Triple};

use super::print_text;
use crate::error::{Error, Result};

/// List the targets
#[derive(Args, Debug)]
pub(super) struct TargetsArgs {}

/// Something that executables can be made for.
struct Target {
    /// Its usual name.
    triple: &'static str,
    /// What an executable for it is.
    executable: &'static str,
    architecture: Architecture,
    operating_system: OperatingSystem,
}

/// Executables need no libc, so `-gnu`, `-musl` and others behind `linux` are one target.
const TARGETS: &[Target] = &[Target {
    triple: "x86_64-unknown-linux-gnu",
    executable: "static position-independent ELF, no libc, any distribution",
    architecture: Architecture::X86_64,
    operating_system: OperatingSystem::Linux,
}];

impl Target {
    fn is(&self, triple: &Triple) -> bool {
        (self.architecture, self.operating_system) == (triple.architecture, triple.operating_system)
    }
}

/// Prints the table.
pub(super) fn execute(TargetsArgs {}: &TargetsArgs) -> Result<()> {
    let width = TARGETS.iter().map(|target| target.triple.len()).max().unwrap_or(0);
    let mut text = format!("{:<width$}  HOST  EXECUTABLE\n", "TARGET");
    for target in TARGETS {
        let host = if target.is(&HOST) { "yes" } else { "" };
        text += &format!("{:<width$}  {host:<4}  {}\n", target.triple, target.executable);
    }
    print_text(&text)
}

/// The value of `--target`.
pub(super) fn parse(text: &str) -> Result<Triple> {
    let unknown = |why: String| {
        let known: Vec<_> = TARGETS.iter().map(|target| target.triple).collect();
        Error::usage(why).hint(format!("supported targets: {}", known.join(", ")))
    };
    let triple: Triple = text.parse().map_err(|e| unknown(format!("unknown target `{text}`: {e}").to_lowercase()))?;
    if TARGETS.iter().any(|target| target.is(&triple)) {
        Ok(triple)
    } else {
        Err(unknown(format!("the target `{text}` is not supported yet")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_parsed_and_checked() {
        for target in TARGETS {
            assert!(target.is(&parse(target.triple).unwrap()));
        }
        assert!(parse("x86_64-unknown-linux-musl").is_ok());
        assert!(parse("z80-unknown-cpm").unwrap_err().to_string().contains("unknown target `z80-unknown-cpm`"));
        assert!(parse("x86_64-pc-windows-gnu").unwrap_err().to_string().contains("not supported"));
    }
}
