//! The command line.

use std::path::PathBuf;

#[derive(Debug, clap::Parser)]
#[command(name = "wasmelt-fuzz", about = "Generated modules against wasmelt")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Damaged modules into the compiler: no panic, bounded memory and time
    Bytes(Run),
    /// Valid modules into the compiler: they compile in every configuration
    Smith(Run),
    /// Executables against wasmtime: same results, traps and state
    Exec(Run),
    /// Libraries in this process against wasmtime: the same, with imports and after traps
    Library(Run),
    /// Modules that use each other, as one executable and as libraries, against wasmtime
    Pairs(Run),
    /// One input again; its extension is the mode
    Repeat {
        /// The file that a run wrote
        file: PathBuf,
    },
    /// A share of a run, in a process of its own
    #[command(hide = true)]
    Worker(Share),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Run {
    /// What all inputs follow from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Number of the first input
    #[arg(long, default_value_t = 0)]
    pub(crate) start: u64,
    /// Number of inputs
    #[arg(long, default_value_t = 1000)]
    pub(crate) count: u64,
    /// Processes at one time
    #[arg(long, default_value_t = 1)]
    pub(crate) jobs: u64,
    /// Folder with further `.wasm` files, for `bytes`
    #[arg(long)]
    pub(crate) corpus: Option<PathBuf>,
    /// Folder for inputs that show a bug
    #[arg(long, default_value = "fuzz-findings")]
    pub(crate) findings: PathBuf,
    /// Findings after which the run ends
    #[arg(long, default_value_t = 20)]
    pub(crate) max_findings: u64,
}

/// Inputs `first`, `first + step`, ... below `end`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Share {
    pub(crate) mode: String,
    pub(crate) seed: u64,
    pub(crate) first: u64,
    pub(crate) step: u64,
    pub(crate) end: u64,
    #[arg(long)]
    pub(crate) corpus: Option<PathBuf>,
}
