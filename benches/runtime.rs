//! Run time: the kernels of the corpus at their full arguments, against `wasmtime` with a precompiled module, and
//! against `--cpu baseline`.
//!
//! CPU seconds (user and system) of whole processes, run in turn; every output is checked.

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
    common::print_row(&["", "wasmelt", "baseline", "ratio", "wasmtime", "ratio"].map(ToOwned::to_owned));
    let (mut baselines, mut ratios, mut failures) = (Vec::new(), Vec::new(), 0);
    for program in common::corpus()?.iter().filter(|p| p.is_kernel && arguments.select(&p.name)) {
        match measure(program, wasmtime.as_deref(), arguments.runs, folder.path()) {
            Ok(Medians { wasmelt, baseline, wasmtime }) => {
                let mut cells = vec![program.name.clone(), format!("{wasmelt:.3}")];
                baselines.push(baseline / wasmelt);
                cells.extend([format!("{baseline:.3}"), format!("{:.3}", baseline / wasmelt)]);
                if let Some(wasmtime) = wasmtime {
                    ratios.push(wasmelt / wasmtime);
                    cells.extend([format!("{wasmtime:.3}"), format!("{:.3}", wasmelt / wasmtime)]);
                }
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
    baseline: f64,
    wasmtime: Option<f64>,
}

fn measure(program: &Program, wasmtime: Option<&Path>, runs: usize, folder: &Path) -> Result<Medians> {
    let mut contenders: Vec<(Command, Vec<f64>)> = Vec::new();
    let dirs = program.dirs.iter().flat_map(|dir| ["--dir", dir.as_str()]);
    for (suffix, cpu) in [("", "default"), ("-baseline", "baseline")] {
        let executable = folder.join(format!("{}{suffix}", program.name));
        let mut compile = support::wasmelt();
        compile.arg("compile").arg(&program.wasm).arg("-o").arg(&executable).args(["--quiet", "--cpu", cpu]);
        must_work(compile.args(dirs.clone()))?;
        contenders.push((Command::new(executable), Vec::new()));
    }
    if let Some((wasmtime, flags)) = wasmtime.zip(program.wasmtime_flags.as_ref()) {
        let precompiled: PathBuf = folder.join(format!("{}.cwasm", program.name));
        must_work(Command::new(wasmtime).arg("compile").args(flags).arg(&program.wasm).arg("-o").arg(&precompiled))?;
        let mut run = Command::new(wasmtime);
        run.args(["run", "--allow-precompiled"]).args(flags).args(dirs).arg(precompiled);
        contenders.push((run, Vec::new()));
    }
    for (command, _) in &mut contenders {
        command.args(&program.args).current_dir(common::corpus_folder());
    }
    for _ in 0..runs {
        for (command, seconds) in &mut contenders {
            let stdin = program.stdin.as_ref().map(|name| common::corpus_folder().join(name));
            let measured = common::measure(command, stdin.as_deref())?;
            if measured.exit_code != Some(0) || measured.sha256 != program.sha256 {
                return Err(format!("wrong output or exit code of {}", command.get_program().display()).into());
            }
            seconds.push(measured.sample.cpu_seconds);
        }
    }
    let median = |index: usize| contenders.get(index).map(|(_, seconds)| common::median(seconds));
    let [wasmelt, baseline] = [0, 1].map(|index| median(index).unwrap_or(f64::NAN));
    Ok(Medians { wasmelt, baseline, wasmtime: median(2) })
}

fn must_work(command: &mut Command) -> Result {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(stderr.lines().next().unwrap_or("no message").to_owned().into())
}
