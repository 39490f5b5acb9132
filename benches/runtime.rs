//! Run time: the kernels of the corpus at their full arguments, against `wasmtime` with a precompiled module, and
//! against `--cpu baseline`.
//!
//! CPU seconds (user and system) of whole processes, run in turn; every output is checked. Where a function starts in a line
//! of the CPU's cache changes how fast a loop is, for better and worse: with `--placements N` there are N executables of
//! each program, which differ in that alone, and the median is that of their runs.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Program, Result, support};

fn main() -> Result {
    common::main(3, bench)
}

fn bench(arguments: &common::Arguments) -> Result {
    let folder = support::scratch();
    let wasmtime = common::peer("wasmtime");
    println!("run time: CPU seconds of the corpus' kernels, medians of {} runs in turn", arguments.runs);
    common::print_row(&["", "wasmelt", "baseline", "ratio", "wasmtime", "ratio", "spread"].map(ToOwned::to_owned));
    let (mut baselines, mut ratios, mut failures) = (Vec::new(), Vec::new(), 0);
    for program in common::corpus()?.iter().filter(|p| p.is_kernel && arguments.select(&p.name)) {
        match measure(program, wasmtime.as_deref(), arguments, folder.path()) {
            Ok(Medians { wasmelt, spread, baseline, wasmtime }) => {
                let mut cells = vec![program.name.clone(), format!("{wasmelt:.3}")];
                baselines.push(baseline / wasmelt);
                cells.extend([format!("{baseline:.3}"), format!("{:.3}", baseline / wasmelt)]);
                if let Some(wasmtime) = wasmtime {
                    ratios.push(wasmelt / wasmtime);
                    cells.extend([format!("{wasmtime:.3}"), format!("{:.3}", wasmelt / wasmtime)]);
                }
                cells.resize(6, String::new());
                cells.push(format!("{spread:.3}"));
                common::print_row(&cells);
            }
            Err(e) => {
                failures += 1;
                common::print_row(&[program.name.clone(), format!("failed: {e}")]);
            }
        }
    }
    for (name, ratios) in [("baseline / wasmelt", &baselines), ("wasmelt / wasmtime", &ratios)] {
        if !ratios.is_empty() {
            let worst = ratios.iter().copied().fold(0.0, f64::max);
            let mean = common::geometric_mean(ratios);
            println!("{name}: geometric mean {mean:.3} of {}, worst {worst:.3}", ratios.len());
        }
    }
    if failures > 0 { Err(format!("{failures} programs failed").into()) } else { Ok(()) }
}

/// CPU seconds.
struct Medians {
    wasmelt: f64,
    /// The slowest run divided by the fastest one.
    spread: f64,
    baseline: f64,
    wasmtime: Option<f64>,
}

/// Commands that do the same, which run in turn, and what each run took.
struct Contender {
    commands: Vec<Command>,
    seconds: Vec<f64>,
}

impl Contender {
    fn new(commands: Vec<Command>) -> Self {
        Self { commands, seconds: Vec::new() }
    }
}

fn measure(
    program: &Program,
    wasmtime: Option<&Path>,
    arguments: &common::Arguments,
    folder: &Path,
) -> Result<Medians> {
    let dirs = program.dirs.iter().flat_map(|dir| ["--dir", dir.as_str()]);
    let compiled = |suffix: &str, options: &[&str]| -> Result<Command> {
        let executable = folder.join(format!("{}{suffix}", program.name));
        let mut compile = support::wasmelt();
        compile.arg("compile").arg(&program.wasm).arg("-o").arg(&executable).arg("--quiet").args(options);
        must_work(compile.args(dirs.clone()))?;
        Ok(Command::new(executable))
    };
    let placed = |seed| compiled(&format!("-{seed}"), &["-C", &format!("placement={seed}")]);
    let wasmelt = match arguments.placements {
        0 => vec![compiled("", &[])?],
        placements => (1..=placements).map(placed).collect::<Result<_>>()?,
    };
    let baseline = vec![compiled("-baseline", &["--cpu", "baseline"])?];
    let mut contenders = vec![Contender::new(wasmelt), Contender::new(baseline)];
    if let Some((wasmtime, flags)) = wasmtime.zip(program.wasmtime_flags.as_ref()) {
        let precompiled: PathBuf = folder.join(format!("{}.cwasm", program.name));
        must_work(Command::new(wasmtime).arg("compile").args(flags).arg(&program.wasm).arg("-o").arg(&precompiled))?;
        let mut run = Command::new(wasmtime);
        run.args(["run", "--allow-precompiled"]).args(flags).args(dirs).arg(precompiled);
        contenders.push(Contender::new(vec![run]));
    }
    for command in contenders.iter_mut().flat_map(|contender| &mut contender.commands) {
        command.args(&program.args).current_dir(common::corpus_folder());
    }
    for run in 0..arguments.runs.max(arguments.placements) {
        for Contender { commands, seconds } in &mut contenders {
            let command = &commands[run % commands.len()];
            let stdin = program.stdin.as_ref().map(|name| common::corpus_folder().join(name));
            let measured = common::measure(command, stdin.as_deref())?;
            if measured.exit_code != Some(0) || measured.sha256 != program.sha256 {
                return Err(format!("wrong output or exit code of {}", command.get_program().display()).into());
            }
            seconds.push(measured.sample.cpu_seconds);
        }
    }
    let median = |index: usize| contenders.get(index).map(|contender| common::median(&contender.seconds));
    let [wasmelt, baseline] = [0, 1].map(|index| median(index).unwrap_or(f64::NAN));
    let runs = || contenders[0].seconds.iter().copied();
    let spread = runs().fold(0.0, f64::max) / runs().fold(f64::INFINITY, f64::min);
    Ok(Medians { wasmelt, spread, baseline, wasmtime: median(2) })
}

fn must_work(command: &mut Command) -> Result {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(stderr.lines().next().unwrap_or("no message").to_owned().into())
}
