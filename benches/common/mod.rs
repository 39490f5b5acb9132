//! What the benches share: measured processes, medians, tables, the corpus and the peers that are on PATH.
//!
//! A bench takes `--runs N` and words that select rows: `cargo bench --bench runtime -- --runs 5 matmul`.

#![allow(dead_code, reason = "shared by several benches")]
#![allow(unreachable_pub, reason = "a module of benches, which export nothing")]

#[path = "../../tests/support/mod.rs"]
pub mod support;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use nix::sys::resource::{UsageWho, getrusage};
use sha2::{Digest as _, Sha256};

/// Width of a column with a number.
const WIDTH: usize = 13;

/// First argument of a bench that measures one command for another instance of itself.
const MEASURE: &str = "--measure-one";

/// A failure that ends a bench.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the command line of a bench says.
pub struct Arguments {
    pub runs: usize,
    /// `--placements N`: how many executables are made that differ in where functions start; 0 for the usual one.
    pub placements: usize,
    words: Vec<String>,
}

impl Arguments {
    /// Whether a row with this name was asked for.
    pub fn select(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }
}

/// Runs a bench, or measures a command for one.
pub fn main(default_runs: usize, bench: fn(&Arguments) -> Result) -> Result {
    let mut args: Vec<OsString> = env::args_os().skip(1).collect();
    if args.first().is_some_and(|first| first == MEASURE) {
        return measure_one(&args.split_off(1));
    }
    let mut arguments = Arguments { runs: default_runs, placements: 0, words: Vec::new() };
    let mut rest = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            // What `cargo bench` adds.
            "--bench" => {}
            "--runs" => arguments.runs = rest.next().ok_or("`--runs` needs a number")?.parse()?,
            "--placements" => {
                arguments.placements = rest.next().ok_or("`--placements` needs a number")?.parse()?;
            }
            option if option.starts_with('-') => return Err(format!("there is no option `{option}`").into()),
            _ => arguments.words.push(arg),
        }
    }
    if arguments.runs == 0 {
        return Err("`--runs` must be at least 1".into());
    }
    bench(&arguments)
}

/// What one process took.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
    /// Largest resident set, in bytes.
    pub peak_bytes: f64,
}

/// A process that was measured.
pub struct Measured {
    pub sample: Sample,
    pub exit_code: Option<i32>,
    /// SHA-256 of its standard output.
    pub sha256: String,
}

/// Runs a command in a process of its own, so that the system's account of its children is the command's alone.
pub fn measure(command: &Command, stdin: Option<&Path>) -> Result<Measured> {
    let mut wrapper = Command::new(env::current_exe()?);
    wrapper.arg(MEASURE).arg(stdin.unwrap_or(Path::new("/dev/null"))).arg(command.get_program());
    wrapper.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    let output = wrapper.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [cpu, wall, peak, exit_code, sha256] = fields[..] else {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    };
    let sample = Sample { cpu_seconds: cpu.parse()?, wall_seconds: wall.parse()?, peak_bytes: peak.parse()? };
    Ok(Measured { sample, exit_code: exit_code.parse().ok(), sha256: sha256.to_owned() })
}

/// The other side of [`measure`]: prints CPU seconds, wall seconds, peak bytes, exit code and hash of the output.
fn measure_one(args: &[OsString]) -> Result {
    let [stdin, program, args @ ..] = args else { return Err("nothing to measure".into()) };
    let mut command = Command::new(program);
    command.args(args).stdin(fs::File::open(stdin)?).stderr(Stdio::inherit());
    let start = Instant::now();
    let output = command.output()?;
    let wall = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    let exit_code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    println!("{cpu} {wall} {} {exit_code} {}", usage.max_rss() * 1024, sha256(&output.stdout));
    Ok(())
}

/// Wall time of a process with nothing to read and nobody who reads, in microseconds.
pub fn start_up_micros(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let micros = start.elapsed().as_secs_f64() * 1e6;
    if status.success() { Ok(micros) } else { Err(format!("{command:?}: {status}").into()) }
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The mean of ratios.
pub fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// A row of cells to a line: the first one to the left, the others to the right.
pub fn print_row(cells: &[String]) {
    let mut line = String::new();
    for (column, cell) in cells.iter().enumerate() {
        line += &if column == 0 { format!("{cell:<30}") } else { format!("{cell:>WIDTH$}") };
    }
    println!("{}", line.trim_end());
}

/// A peer on PATH. A missing peer is reported.
pub fn peer(name: &str) -> Option<PathBuf> {
    let found = support::find_program(name);
    if found.is_none() {
        println!("{name} is not on PATH: left out");
    }
    found
}

/// A program of the corpus, with its full arguments.
pub struct Program {
    pub name: String,
    pub is_kernel: bool,
    pub wasm: PathBuf,
    pub wasm_bytes: u64,
    pub args: Vec<String>,
    pub stdin: Option<String>,
    pub dirs: Vec<String>,
    pub sha256: String,
    /// What wasmtime needs to run it; none where wasmtime cannot.
    pub wasmtime_flags: Option<Vec<String>>,
}

/// The folder of the corpus: `WASMELT_CORPUS`, or `../shared/corpus` beside the repository.
pub fn corpus_folder() -> PathBuf {
    env::var_os("WASMELT_CORPUS").map_or_else(|| support::repository().join("../shared/corpus"), PathBuf::from)
}

/// All programs of the corpus; none, with a word about it, where there is no corpus.
pub fn corpus() -> Result<Vec<Program>> {
    let root = corpus_folder();
    let Ok(manifest) = fs::read_to_string(root.join("manifest.tsv")) else {
        println!("there is no {}: nothing to measure", root.join("manifest.tsv").display());
        return Ok(Vec::new());
    };
    let mut lines = manifest.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let mut programs = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let get = |name: &str| {
            let column = header.iter().position(|&h| h == name).ok_or(format!("there is no column `{name}`"))?;
            let field = *fields.get(column).ok_or(format!("`{line}` has no `{name}`"))?;
            Ok::<&str, String>(if field == "-" { "" } else { field })
        };
        let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let wasm = root.join(get("path")?);
        programs.push(Program {
            name: get("name")?.to_owned(),
            is_kernel: get("group")? == "kernel",
            wasm_bytes: fs::metadata(&wasm)?.len(),
            wasm,
            args: support::shell_words(get("argv")?)?,
            stdin: Some(get("stdin")?).filter(|name| !name.is_empty()).map(ToOwned::to_owned),
            dirs: words(get("dirs")?),
            sha256: get("sha256_bench")?.to_owned(),
            wasmtime_flags: Some(get("wasmtime_s")?).filter(|s| !s.is_empty()).and(Some(words(get("wasmtime_flags")?))),
        });
    }
    Ok(programs)
}

/// The hash of what a program has printed, as in [`Program::sha256`].
pub fn sha256(output: &[u8]) -> String {
    hex(&Sha256::digest(output))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
