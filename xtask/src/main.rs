//! Tasks of the project that are more than one command: runtime archives for any target, the compiler for any host, the
//! folder of a release, and the crates.

#[path = "../../compiler/build/archive.rs"]
mod archive;
mod c_api;
mod compiler;
mod dist;
#[path = "../../compiler/build/member.rs"]
mod member;
mod package;
#[path = "../../compiler/build/runtime.rs"]
mod runtime;
mod runtimes;
mod server;
mod zig;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

/// Tasks of the project
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build runtime archives
    Runtime(RuntimeArgs),
    /// Build the archive of servers, for `wasmelt compile --world proxy`
    Server(ServerArgs),
    /// Build the compiler itself, for another system with Zig
    Compiler(CompilerArgs),
    /// Make the folder of a release, which works wherever it is moved to
    Dist(DistArgs),
    /// Make the C libraries and their headers
    CApi(CApiArgs),
    /// Pack the crates as they are published
    Package(PackageArgs),
}

/// Which C libraries.
#[derive(clap::Args)]
struct CApiArgs {
    /// With the compiler: `libwasmelt` instead of `libwasmelt-runtime`
    #[arg(long)]
    compiler: bool,

    /// Where they go: `DIR/include` and `DIR/lib`
    #[arg(long, value_name = "DIR", default_value = "target/c-api")]
    out: PathBuf,
}

/// Which archives.
#[derive(clap::Args)]
struct RuntimeArgs {
    /// For this target [default: all]
    #[arg(long = "target", value_name = "TRIPLE")]
    targets: Vec<String>,

    /// Where they go, each to `DIR/TRIPLE/`
    #[arg(long, value_name = "DIR", default_value = "target/runtime")]
    out: PathBuf,

    /// Build Rust's standard library from source, for targets that rustup has none for
    #[arg(long)]
    build_std: bool,

    /// Build the portable runtime also for targets that have a freestanding one
    #[arg(long)]
    portable: bool,
}

/// Which archive of servers.
#[derive(clap::Args)]
struct ServerArgs {
    /// For this target of Linux [default: this machine]
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,

    /// Where it goes, to `DIR/TRIPLE/`
    #[arg(long, value_name = "DIR", default_value = "target/runtime")]
    out: PathBuf,
}

/// Which compiler.
#[derive(clap::Args)]
struct CompilerArgs {
    /// Where it runs, a target of Rust [default: this machine]
    #[arg(long, value_name = "TRIPLE")]
    host: Option<String>,

    /// Only check that it could be built
    #[arg(long)]
    check: bool,
}

/// What a release has.
#[derive(clap::Args)]
struct DistArgs {
    /// Where it runs, a target of Rust [default: this machine]
    #[arg(long, value_name = "TRIPLE")]
    host: Option<String>,

    /// Bring the runtime of this target [default: all]
    #[arg(long = "target", value_name = "TRIPLE")]
    targets: Vec<String>,

    /// Where the folder is made
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    out: PathBuf,
}

/// What becomes of the crates.
#[derive(clap::Args)]
struct PackageArgs {
    /// Build the compiler from its packed crate
    #[arg(long)]
    build: bool,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// Runs a command to its end.
fn run(command: &mut Command) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}").into()),
        Err(e) => Err(format!("cannot run {command:?}: {e}").into()),
    }
}

fn main() -> ExitCode {
    if let Some(target) = env::var_os(zig::TARGET) {
        return zig::compile_or_link(&target);
    }
    let result = match Cli::parse().task {
        Task::Runtime(args) => runtimes::execute(&args.targets, &args.out, args.build_std, args.portable),
        Task::Compiler(args) => compiler::build(args.host.as_deref(), args.check).map(|program| {
            if !args.check {
                println!("{}", program.display());
            }
        }),
        Task::Dist(args) => dist::execute(args.host.as_deref(), &args.targets, &args.out),
        Task::CApi(args) => c_api::execute(args.compiler, &args.out),
        Task::Server(args) => server::execute(args.target.as_deref(), &args.out),
        Task::Package(args) => package::execute(args.build),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
