//! Generated code, compared with golden files: `cases/*.wat` hold a module and, at their ends, what becomes of it.
//!
//! ```text
//! ;;! flags = "--emit clif --invoke f"
//! ;;! flags = "--emit clif --invoke f --bounds-checks explicit"
//! ;;! only = "f g"
//! (module ...)
//!
//! ;;= --emit clif --invoke f
//! ;; function u0:0(i32) -> i32 tail {
//! ```
//!
//! Each `flags` line is one compilation, by default for the target and CPU below. Functions of the module are shown,
//! all or those that `only` names; the code around them (entries, thunks) when `only` names it, see `SECTIONS`. Offsets
//! of operators in the file and notes for unwinders are left out. `BLESS=1` writes what comes out into the files.

#[path = "../support/mod.rs"]
mod support;

mod diff;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Failed, Trial};
use wasmelt_abi::trap::Trap;

/// What flags do not say.
const DEFAULTS: &[(&str, &str)] =
    &[("--target", "x86_64-unknown-linux-gnu"), ("--cpu", "x86-64-v3"), ("-C", "inlining=n")];

/// Code that is not a function of the module: how its heading begins, and what `only` calls it.
const SECTIONS: &[(&str, &str)] =
    &[("the entry for `--invoke`", "(invoke-entry)"), ("the entry", "(entry)"), ("the thunk of ", "(thunks)")];

/// Begins the expectation of one compilation; its flags follow.
const EXPECTATION: &str = ";;= ";

fn main() -> ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    let trials = match case_files() {
        Ok(files) => files.into_iter().map(trial).collect(),
        Err(e) => vec![Trial::test("cases", move || Err(e.to_string().into()))],
    };
    support::skips::run(&args, trials).exit_code()
}

fn case_files() -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(support::repository().join("tests/clif/cases"))?;
    let mut files = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wat"));
    files.sort();
    Ok(files)
}

fn trial(file: PathBuf) -> Trial {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Trial::test(name, move || check(&file))
}

fn check(file: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(file)?;
    let (input, expected) = split(&text);
    let directives = Directives::parse(input)?;
    let mut found = String::new();
    for flags in &directives.flags {
        let listing = compile(file, flags)?;
        found += &format!("\n{EXPECTATION}{flags}\n{}", comment(&directives.select(&listing)?));
    }
    if found.trim_start() == expected {
        return Ok(());
    }
    if support::switch("BLESS") {
        return Ok(fs::write(file, format!("{}\n{found}", input.trim_end()))?);
    }
    let name = file.strip_prefix(support::repository()).unwrap_or(file).display();
    let changes = diff::unified(expected, found.trim_start());
    Err(format!("--- {name}, expected\n+++ found\n{changes}(BLESS=1 cargo test --test clif accepts what was found)")
        .into())
}

/// The module with its directives, and what is expected of it.
fn split(text: &str) -> (&str, &str) {
    let at =
        if text.starts_with(EXPECTATION) { Some(0) } else { text.find(&format!("\n{EXPECTATION}")).map(|at| at + 1) };
    text.split_at(at.unwrap_or(text.len()))
}

/// What the first lines of a file ask for.
struct Directives {
    /// Arguments of each compilation.
    flags: Vec<String>,
    /// Names of what is shown; all functions of the module when there are none.
    only: Vec<String>,
}

impl Directives {
    fn parse(input: &str) -> Result<Self, Failed> {
        let mut directives = Self { flags: Vec::new(), only: Vec::new() };
        for line in input.lines().filter_map(|line| line.strip_prefix(";;!")) {
            let (key, value) = line.split_once('=').ok_or_else(|| format!("`;;!{line}` is not `KEY = \"VALUE\"`"))?;
            let value = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = value.ok_or_else(|| format!("the value in `;;!{line}` needs quotes"))?;
            match key.trim() {
                "flags" => directives.flags.push(value.to_owned()),
                "only" => directives.only.extend(value.split_whitespace().map(ToOwned::to_owned)),
                key => return Err(format!("there is no directive `{key}`").into()),
            }
        }
        if directives.flags.is_empty() {
            return Err("the file needs a line `;;! flags = \"--emit clif ..\"`".into());
        }
        Ok(directives)
    }

    /// Whether a part of the listing with this heading is shown.
    fn wants(&self, heading: &str) -> bool {
        match SECTIONS.iter().find(|(beginning, _)| heading.starts_with(beginning)) {
            Some((_, name)) => self.only.iter().any(|only| only == name),
            None => self.only.is_empty() || self.only.iter().any(|only| heading.ends_with(&format!("`{only}`"))),
        }
    }

    /// Parts of the listing that are shown, without what only says where an operator stands in the file.
    fn select(&self, listing: &str) -> Result<String, Failed> {
        let (mut out, mut shown) = (String::new(), false);
        for line in listing.lines() {
            let heading = line.strip_prefix(";; ").or_else(|| line.strip_prefix("# "));
            if let Some(heading) = heading {
                shown = self.wants(heading);
            }
            // What an unwinder reads is noise here.
            if shown && !line.starts_with("  unwind ") {
                out += &heading.map_or_else(|| with_trap_names(&without_offset(line)), |heading| format!("{heading}:"));
                out += "\n";
            }
        }
        if out.is_empty() {
            return Err(format!("nothing of what was generated is shown:\n{listing}").into());
        }
        Ok(out)
    }
}

/// Takes the offset away that stands before an instruction, and the indentation that makes room for it.
fn without_offset(line: &str) -> String {
    const ROOM: usize = "@0000                               ".len();
    match line.strip_prefix('@') {
        Some(rest) => {
            let code = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).trim_start();
            format!("    {code}").trim_end().to_owned()
        }
        None if line.starts_with(&" ".repeat(ROOM)) => format!("    {}", line.trim()),
        None if line.trim_start().starts_with("block") => line.trim().to_owned(),
        None => line.trim_end().to_owned(),
    }
}

/// Says which trap it is where Cranelift prints a number.
fn with_trap_names(line: &str) -> String {
    let mut parts = line.split("user");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        match part[..digits].parse().ok().and_then(Trap::from_u8) {
            Some(trap) => format!("{text}{trap:?}{}", &part[digits..]),
            None => format!("{text}user{part}"),
        }
    })
}

fn compile(file: &Path, flags: &str) -> Result<String, Failed> {
    let mut command = support::wasmelt();
    command.arg("compile").arg(file).args(["-o", "-"]);
    let words = support::shell_words(flags)?;
    for (flag, value) in DEFAULTS {
        if !words.iter().any(|word| word == flag) {
            command.args([flag, value]);
        }
    }
    let outcome = support::run(command.args(words), b"")?.expect_code(0)?;
    Ok(outcome.stdout())
}

/// Each line as a comment of the text format.
fn comment(text: &str) -> String {
    text.trim_end().lines().map(|line| format!(";; {line}").trim_end().to_owned() + "\n").collect()
}
