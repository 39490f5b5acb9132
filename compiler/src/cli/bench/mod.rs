//! `wasmelt bench`: the executable of a module against the engines that are on `PATH`, measured in turn.

mod complaint;
mod contender;
mod figures;
mod measure;
mod report;
mod svg;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{fs, mem};

use clap::Args;
use target_lexicon::HOST;

pub(super) use measure::{MEASURE, measure_one};

use super::args::CommonArgs;
use super::input::Input;
use super::{print_note, print_text, progress};
use crate::error::{Error, Result};
use crate::options::{Cpu, Emit};
use crate::output::Output;
use crate::{component, driver};
use contender::{Contender, Modules, Task};
use figures::Figures;
use measure::Sample;
use report::{Report, Row};

/// Compare a program with the same module on other engines
///
/// Runs the executable, and wasmtime, wasmer, WasmEdge, WAMR (`iwasm`) and node where they are on PATH, in turn. Engines
/// get the granted directories and variables, and wasmtime also `--preload`, `--invoke` and `-W`; other capabilities and
/// limits are the executable's alone. What they print has to be the same.
#[derive(Args, Debug)]
#[command(args_override_self = true, override_usage = "wasmelt bench [OPTIONS] MODULE [-- ARGS]...")]
pub(super) struct BenchArgs {
    /// Module as `.wasm` or `.wat`
    #[arg(value_name = "MODULE")]
    module: PathBuf,

    /// The guest's arguments
    #[arg(value_name = "ARGS", last = true)]
    args: Vec<OsString>,

    /// Runs of each contender [default: 10, with `--startup` 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: Option<u32>,

    /// Compare starts: many runs, and an empty program for comparison; give arguments with which the program does little
    #[arg(long)]
    startup: bool,

    /// Standard input of each run [default: empty]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,

    /// Print Markdown
    #[arg(long)]
    markdown: bool,

    /// Draw the comparison as well
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    #[command(flatten)]
    common: CommonArgs,
}

/// An empty program: what the system needs to start and end a process.
const EMPTY: &str = "(module (memory 1) (func (export \"_start\")))";

/// A contender and its runs so far.
struct Entry {
    contender: Contender,
    samples: Vec<Sample>,
    note: Option<String>,
}

/// Does it.
pub(super) fn execute(args: &BenchArgs) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("wasmelt-bench-").tempdir();
    let folder = folder.map_err(|e| Error::io("cannot create a temporary folder", &e))?;
    let mut input = Input::open(&args.module)?;
    let bytes = input.read()?;
    let mut entries = contenders(args, &bytes, &input.name, folder.path())?;
    check(args, &mut entries)?;
    run_in_turn(args, &mut entries)?;
    let report = report(args, entries);
    if let Some(path) = &args.svg {
        fs::write(path, svg::draw(&report)).map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))?;
    }
    match (args.json, args.markdown) {
        (true, _) => {
            let json = serde_json::to_string_pretty(&report).map_err(|e| Error::internal(e.to_string()))?;
            print_text(&(json + "\n"))
        }
        (_, true) => print_text(&report.markdown()),
        _ => print_text(&report.text()),
    }
}

/// Compiles the module, and finds the engines.
fn contenders(args: &BenchArgs, module: &[u8], name: &str, folder: &Path) -> Result<Vec<Entry>> {
    let mut options = args.common.ask(HOST)?.options;
    // It runs here and nowhere else, as what the engines compile.
    if options.cpu == Cpu::Default {
        options.cpu = Cpu::Native;
    }
    let composed;
    let module = match mem::take(&mut options.plugs) {
        plugs if plugs.is_empty() => module,
        plugs => {
            composed = component::compose(&driver::read(module, name)?, name, &plugs)?.bytes;
            &composed
        }
    };
    let compile = |name: &str, bytes: &[u8], row: &'static str, file: &str| -> Result<Contender> {
        let path = folder.join(file);
        let start = Instant::now();
        let sink = Output::create(&path, Emit::Exe, None)?;
        sink.write(&progress::compile(bytes, name, &options, &args.common)?.bytes)?;
        let preparation = Some(start.elapsed().as_secs_f64());
        let version = format!("wasmelt {}", env!("CARGO_PKG_VERSION"));
        Ok(Contender { name: row, version, command: Ok(Command::new(path)), preparation })
    };
    let mut ours = compile(name, module, "wasmelt", "program")?;
    if let Ok(command) = &mut ours.command {
        command.args(&args.args);
    }
    let mut found = vec![ours];
    if args.startup {
        found.push(compile("empty.wat", EMPTY.as_bytes(), "wasmelt, empty program", "empty")?);
    }
    let write = |file: &str, bytes: &[u8], name: &str| -> Result<PathBuf> {
        let path = folder.join(file);
        let binary = driver::read(bytes, name)?;
        fs::write(&path, binary).map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))?;
        Ok(path)
    };
    let preloads = options.preloads.iter().enumerate().map(|(number, preload)| {
        let path = write(&format!("preload-{number}.wasm"), &preload.bytes, &preload.source_name)?;
        Ok((preload.name.clone(), path))
    });
    let modules = Modules { preloads: preloads.collect::<Result<_>>()?, main: write("module.wasm", module, name)? };
    let task = Task { modules: &modules, folder, options: &options, args: &args.args };
    found.extend(contender::engines(&task));
    Ok(found.into_iter().map(|contender| Entry { contender, samples: Vec::new(), note: None }).collect())
}

/// The hash of what a run printed.
fn hash(sample: &Sample) -> Option<&str> {
    sample.output.as_ref().map(|output| output.hash.as_str())
}

/// Runs each contender once, which also warms the system's caches: who fails is left out, and who prints something else is
/// marked.
fn check(args: &BenchArgs, entries: &mut [Entry]) -> Result<()> {
    let mut reference: Option<Sample> = None;
    for entry in entries {
        let command = match &entry.contender.command {
            Ok(command) => command,
            Err(why) => {
                entry.note = Some(why.clone());
                continue;
            }
        };
        let sample = measure::measure(command, args.input.as_deref(), true)?;
        let Some(expected) = &reference else {
            reference = Some(sample);
            continue;
        };
        // The empty program is one of ours, and not the same one.
        if entry.contender.name.ends_with("empty program") {
            continue;
        }
        if sample.exit_code != expected.exit_code {
            let code = |code: Option<i32>| code.map_or("a signal".to_owned(), |code| code.to_string());
            let (found, expected) = (code(sample.exit_code), code(expected.exit_code));
            let complaint = sample.output.map(|output| output.complaint).unwrap_or_default();
            let why = format!("ends with {found}, wasmelt with {expected}: {complaint}");
            entry.note = Some(why.trim_end_matches(": ").to_owned());
            entry.contender.command = Err(why);
        } else if hash(&sample) != hash(expected) {
            entry.note = Some("prints something else than wasmelt".to_owned());
        }
    }
    Ok(())
}

/// Runs all contenders in rounds, so that what disturbs the machine disturbs all of them; each round begins with another
/// one.
fn run_in_turn(args: &BenchArgs, entries: &mut [Entry]) -> Result<()> {
    /// How many times slower a contender is that needs a tenth of the runs, when starts are compared.
    const SLOW: f64 = 20.0;
    let runs = args.runs.map_or(if args.startup { 200 } else { 10 }, |runs| runs as usize);
    let count = entries.len();
    let mut first = f64::NAN;
    for round in 0..runs {
        for turn in 0..count {
            let index = (turn + round) % count;
            let Entry { contender, samples, .. } = &mut entries[index];
            let Ok(command) = &contender.command else { continue };
            let is_slow = samples.first().is_some_and(|sample: &Sample| sample.wall > first * SLOW);
            if args.startup && is_slow && !round.is_multiple_of(10) {
                continue;
            }
            let sample = measure::measure(command, args.input.as_deref(), false)?;
            if index == 0 && round == 0 {
                first = sample.wall;
            }
            samples.push(sample);
        }
        if args.common.report.verbose {
            print_note(&format!("round {} of {runs}", round + 1));
        }
    }
    Ok(())
}

fn report(args: &BenchArgs, entries: Vec<Entry>) -> Report {
    let mut base = f64::NAN;
    let mut rows = Vec::new();
    for Entry { contender, samples, note } in entries {
        let figures = (!samples.is_empty()).then(|| Figures::of(&samples));
        let wall = figures.as_ref().map(|figures| figures.wall.median);
        base = if base.is_nan() { wall.unwrap_or(f64::NAN) } else { base };
        rows.push(Row {
            name: contender.name.to_owned(),
            version: contender.version,
            preparation: contender.preparation,
            figures,
            ratio: wall.map(|wall| wall / base),
            note,
        });
    }
    Report {
        module: args.module.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        arguments: args.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        startup: args.startup,
        rows,
    }
}
