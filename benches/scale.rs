//! How time and memory of a compilation grow with the module: each shape of `tests/growth` is doubled until its
//! compilation takes a while. The exponent is that of the last doubling: 1 where twice the module takes twice the time.

mod common;
#[path = "../tests/growth/shapes.rs"]
mod shapes;

use std::fs;
use std::path::Path;

use common::{Measured, Result, Sample, support};
use shapes::{SHAPES, Shape};

/// A shape is doubled until it takes so long.
const ENOUGH_SECONDS: f64 = 0.5;

/// So often at most: then it is linear with a small factor.
const MOST_DOUBLINGS: usize = 10;

/// What a shape should stay below.
const GOAL: f64 = 1.3;

fn main() -> Result {
    common::main(3, bench)
}

fn bench(arguments: &common::Arguments) -> Result {
    let folder = support::scratch();
    println!("growth of a compilation: medians of {} runs, CPU seconds and MiB; the goal is {GOAL}", arguments.runs);
    common::print_row(&["", "n", "CPU s", "memory", "2 n: CPU s", "memory", "exponent"].map(str::to_owned));
    let mut beyond = Vec::new();
    for shape in SHAPES.iter().filter(|shape| arguments.select(shape.name)) {
        let nothing = measure(shape, 1, folder.path(), arguments.runs)?.ok_or("the smallest module is not compiled")?;
        let (mut points, mut n) = (Vec::new(), shape.start);
        while points.len() <= MOST_DOUBLINGS {
            // Beyond an implementation limit there is nothing to measure.
            let Some(sample) = measure(shape, n, folder.path(), arguments.runs)? else { break };
            points.push((n, sample));
            n *= 2;
            if sample.cpu_seconds >= ENOUGH_SECONDS {
                break;
            }
        }
        let [.., (n, small), (_, large)] = points[..] else { return Err(format!("{}: nothing", shape.name).into()) };
        let seconds = |sample: Sample| sample.cpu_seconds - nothing.cpu_seconds;
        let exponent = (seconds(large) / seconds(small)).log2();
        // What ends at a limit before it takes a while is bounded by the limit.
        if exponent > GOAL && large.cpu_seconds >= ENOUGH_SECONDS {
            beyond.push(shape.name);
        }
        let shown = |sample: Sample| [format!("{:.2}", sample.cpu_seconds), mib(sample)];
        let [cpu, memory] = shown(small);
        let [large_cpu, large_memory] = shown(large);
        let name = shape.name.to_owned();
        common::print_row(&[name, n.to_string(), cpu, memory, large_cpu, large_memory, format!("{exponent:.2}")]);
    }
    match beyond[..] {
        [] => println!("all below {GOAL}"),
        _ => println!("beyond {GOAL}: {}", beyond.join(", ")),
    }
    Ok(())
}

fn mib(sample: Sample) -> String {
    format!("{:.0}", sample.peak_bytes / f64::from(1 << 20))
}

/// What the module of a size takes; `None` where it exceeds a limit.
fn measure(shape: &Shape, n: usize, folder: &Path, runs: usize) -> Result<Option<Sample>> {
    let (module, output) = (folder.join("module.wasm"), folder.join("output"));
    fs::write(&module, wat::parse_str((shape.module)(n))?)?;
    let mut command = support::wasmelt();
    command.arg("compile").arg(&module).arg("-o").arg(&output).args(["--emit", "obj", "--threads", "1"]);
    let mut samples = Vec::new();
    for _ in 0..runs {
        let Measured { sample, exit_code, .. } = common::measure(&command, None)?;
        if exit_code != Some(0) {
            return Ok(None);
        }
        samples.push(sample);
    }
    samples.sort_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds));
    Ok(samples.get(samples.len() / 2).copied())
}
