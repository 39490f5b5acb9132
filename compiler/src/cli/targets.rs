//! `wasmelt targets`, and what `--target` accepts.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use target_lexicon::{Architecture, BinaryFormat, HOST, OperatingSystem, Triple};

use super::print_text;
use crate::error::{Error, Result};
use crate::link;

/// List the targets
#[derive(Args, Debug)]
pub(super) struct TargetsArgs {
    /// Folder with runtime archives, `<target>/libwasmelt_start.a`
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Something that executables can be made for.
struct Target {
    /// Its usual name.
    triple: &'static str,
    /// Other names that mean the same.
    others: &'static [&'static str],
    /// How the project's own tests use executables for it.
    tested: &'static str,
}

/// All of them. Executables for Linux need no libc, and those for Windows only what comes with it, so what stands behind
/// the system's name makes no difference there.
const TARGETS: &[Target] = &[
    Target { triple: "x86_64-unknown-linux-gnu", others: &["x86_64-unknown-linux-musl"], tested: "run" },
    Target { triple: "aarch64-unknown-linux-gnu", others: &["aarch64-unknown-linux-musl"], tested: "run in QEMU" },
    Target {
        triple: "x86_64-pc-windows-gnu",
        others: &["x86_64-pc-windows-msvc", "x86_64-pc-windows-gnullvm"],
        tested: "run in Wine",
    },
    Target { triple: "aarch64-pc-windows-gnullvm", others: &["aarch64-pc-windows-msvc"], tested: "linked" },
    Target { triple: "x86_64-apple-darwin", others: &[], tested: "linked" },
    Target { triple: "aarch64-apple-darwin", others: &[], tested: "linked" },
];

/// What makes targets different ones.
fn key(triple: &Triple) -> (Architecture, OperatingSystem) {
    let system = match triple.operating_system {
        system if system.is_like_darwin() => OperatingSystem::Darwin(None),
        system => system,
    };
    (triple.architecture, system)
}

impl Target {
    fn parsed(&self) -> Result<Triple> {
        self.triple.parse().map_err(|e| Error::internal(format!("target `{}`: {e}", self.triple)))
    }

    fn is(&self, triple: &Triple) -> bool {
        self.parsed().is_ok_and(|own| key(&own) == key(triple))
    }
}

/// A target with what is at hand for it here; the fields are the table's columns.
#[derive(Serialize)]
struct Row {
    target: &'static str,
    also: &'static [&'static str],
    host: bool,
    code: &'static str,
    format: &'static str,
    runtime: String,
    linker: String,
    tested: &'static str,
}

impl Row {
    fn new(target: &Target, runtime_dir: Option<&Path>) -> Result<Self> {
        let triple = target.parsed()?;
        Ok(Self {
            target: target.triple,
            also: target.others,
            host: target.is(&HOST),
            code: if triple.architecture == Architecture::X86_64 { "x86-64" } else { "aarch64" },
            format: match triple.binary_format {
                BinaryFormat::Macho => "Mach-O",
                BinaryFormat::Coff => "COFF",
                _ => "ELF",
            },
            runtime: link::runtime_place(&triple, runtime_dir).to_owned(),
            linker: link::linker_name(&triple),
            tested: target.tested,
        })
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        [
            self.target.to_owned(),
            self.also
                .iter()
                .map(|name| name.rsplit('-').next().unwrap_or(name))
                .map(|end| format!("-{end}"))
                .collect::<Vec<_>>()
                .join(" "),
            if self.host { "yes".to_owned() } else { String::new() },
            self.code.to_owned(),
            self.format.to_owned(),
            self.runtime.clone(),
            self.linker.clone(),
            self.tested.to_owned(),
        ]
    }
}

/// Columns of the table that say `missing`.
const RUNTIME: usize = 5;
const LINKER: usize = 6;

const COLUMNS: [&str; 8] = ["TARGET", "ALSO", "HOST", "CODE", "FORMAT", "RUNTIME", "LINKER", "TESTED"];

/// Prints the table.
pub(super) fn execute(args: &TargetsArgs) -> Result<()> {
    let rows =
        TARGETS.iter().map(|target| Row::new(target, args.runtime_dir.as_deref())).collect::<Result<Vec<_>>>()?;
    if args.json {
        let text = serde_json::to_string_pretty(&rows);
        return print_text(&(text.map_err(|e| Error::internal(format!("cannot write JSON: {e}")))? + "\n"));
    }
    let rows: Vec<_> = std::iter::once(COLUMNS.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    let widths: Vec<usize> =
        (0..COLUMNS.len()).map(|i| rows.iter().map(|row| row[i].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    let is_missing = |column: usize| rows.iter().any(|row| row[column] == "missing");
    print_text(&(text + &ways_to_add(is_missing(RUNTIME), is_missing(LINKER))))
}

/// The commands that add missing runtimes and a linker.
fn ways_to_add(runtime: bool, linker: bool) -> String {
    let mut text = String::new();
    if runtime {
        let folder = link::installed_dir().map_or("DIR".to_owned(), |folder| folder.display().to_string());
        let repository = env!("CARGO_PKG_REPOSITORY");
        text += &format!("  runtimes  cargo xtask runtime --out {folder}  (in a clone of {repository})\n");
    }
    if linker {
        text += "  linkers   python3 -m pip install ziglang\n";
    }
    if text.is_empty() { text } else { format!("\nWhat is missing is added by:\n{text}") }
}

/// Names of all targets, for completions.
pub(super) fn names() -> Vec<&'static str> {
    TARGETS.iter().flat_map(|target| std::iter::once(target.triple).chain(target.others.iter().copied())).collect()
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
        for name in names() {
            assert!(parse(name).is_ok(), "{name}");
        }
        for other in ["x86_64-unknown-linux-musl", "x86_64-pc-windows-msvc", "aarch64-pc-windows-msvc"] {
            assert!(parse(other).is_ok(), "{other}");
        }
        assert!(parse("z80-unknown-cpm").unwrap_err().to_string().contains("unknown target `z80-unknown-cpm`"));
        assert!(parse("riscv64gc-unknown-linux-gnu").unwrap_err().to_string().contains("not supported"));
        assert!(parse("x86_64-unknown-freebsd").unwrap_err().to_string().contains("not supported"));
    }
}
