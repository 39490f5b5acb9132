//! Compilation: CPU seconds, wall seconds and peak memory for the largest programs of the corpus, against
//! `wasmtime compile`, both with as many threads as there are cores.

mod common;

use std::process::Command;

use common::{Measured, Result, Sample, support};

/// So many of the largest programs.
const PROGRAMS: usize = 5;

fn main() -> Result {
    common::main(3, bench)
}

fn bench(arguments: &common::Arguments) -> Result {
    let folder = support::scratch();
    let output = folder.path().join("output");
    let wasmtime = common::peer("wasmtime");
    let mut programs = common::corpus()?;
    programs.sort_by_key(|program| std::cmp::Reverse(program.wasm_bytes));
    println!("compilation: medians of {} runs in turn; memory in MiB", arguments.runs);
    let head = ["", "module KiB", "CPU s", "wasmtime", "ratio", "wall s", "wasmtime", "memory", "wasmtime", "ratio"];
    common::print_row(&head.map(ToOwned::to_owned));
    let (mut cpu_ratios, mut memory_ratios) = (Vec::new(), Vec::new());
    for program in programs.iter().filter(|program| arguments.select(&program.name)).take(PROGRAMS) {
        let mut ours = support::wasmelt();
        ours.arg("compile").arg(&program.wasm).arg("-o").arg(&output);
        let mut commands = vec![ours];
        if let Some((wasmtime, flags)) = wasmtime.as_ref().zip(program.wasmtime_flags.as_ref()) {
            let mut theirs = Command::new(wasmtime);
            theirs.arg("compile").args(flags).arg(&program.wasm).arg("-o").arg(&output);
            commands.push(theirs);
        }
        let mut samples = vec![Vec::new(); commands.len()];
        for _ in 0..arguments.runs {
            for (command, samples) in commands.iter().zip(&mut samples) {
                let Measured { sample, exit_code, .. } = common::measure(command, None)?;
                if exit_code != Some(0) {
                    return Err(format!("{command:?} failed").into());
                }
                samples.push(sample);
            }
        }
        let median = |engine: usize, value: fn(&Sample) -> f64| {
            samples.get(engine).map_or(f64::NAN, |all| common::median(&all.iter().map(value).collect::<Vec<_>>()))
        };
        let cpu = [0, 1].map(|engine| median(engine, |sample| sample.cpu_seconds));
        let wall = [0, 1].map(|engine| median(engine, |sample| sample.wall_seconds));
        let memory = [0, 1].map(|engine| median(engine, |sample| sample.peak_bytes / f64::from(1 << 20)));
        cpu_ratios.push(cpu[0] / cpu[1]);
        memory_ratios.push(memory[0] / memory[1]);
        common::print_row(&[
            program.name.clone(),
            (program.wasm_bytes / 1024).to_string(),
            format!("{:.2}", cpu[0]),
            format!("{:.2}", cpu[1]),
            format!("{:.2}", cpu[0] / cpu[1]),
            format!("{:.2}", wall[0]),
            format!("{:.2}", wall[1]),
            format!("{:.0}", memory[0]),
            format!("{:.0}", memory[1]),
            format!("{:.2}", memory[0] / memory[1]),
        ]);
    }
    if wasmtime.is_some() && !cpu_ratios.is_empty() {
        let (cpu, memory) = (common::geometric_mean(&cpu_ratios), common::geometric_mean(&memory_ratios));
        println!("wasmelt / wasmtime: CPU {cpu:.2}, memory {memory:.2} (geometric means of {})", cpu_ratios.len());
    }
    Ok(())
}
