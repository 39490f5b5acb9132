//! The driver: `wasmelt-fuzz MODE --seed S --count N` checks inputs 0 to N of a seed, `wasmelt-fuzz repeat FILE` one
//! input that was found. Work is done in processes of their own, so that a crash or an endless loop is a finding like
//! any other.

mod args;
mod summary;
mod supervisor;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;
use peak_alloc::PeakAlloc;

/// Counts what is held, for [`wasmelt_fuzz::memory_limit_bytes`].
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let result = match args::Args::parse().command {
        args::Command::Bytes(run) => supervisor::run(wasmelt_fuzz::Mode::Bytes, &run),
        args::Command::Smith(run) => supervisor::run(wasmelt_fuzz::Mode::Smith, &run),
        args::Command::Exec(run) => supervisor::run(wasmelt_fuzz::Mode::Exec, &run),
        args::Command::Library(run) => supervisor::run(wasmelt_fuzz::Mode::Library, &run),
        args::Command::Pairs(run) => supervisor::run(wasmelt_fuzz::Mode::Pairs, &run),
        args::Command::Repeat { file } => worker::repeat(&file),
        args::Command::Worker(share) => worker::run(&share),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}
