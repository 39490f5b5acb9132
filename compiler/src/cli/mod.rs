//! The command line: arguments in, exit code out. One file per subcommand; what they share is in `args`.
//!
//! Exit codes: 0, 1 for a bad input or a refusal of the system, 2 for a wrong command line, 3 for a compilation beyond
//! the limits of the command line, 70 for a bug in wasmelt.
//! `run` replaces the process by the guest, whose exit code it then is. README.md lists all of them.

mod args;
mod bench;
mod cache;
mod compile;
mod completions;
mod compose;
mod embed;
mod grant;
mod grants;
mod image;
mod input;
mod inspect;
mod limits;
mod man_pages;
mod message;
mod policy_file;
mod progress;
mod run;
mod targets;
mod values;
mod wasmtime;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::builder::styling::{AnsiColor, Style, Styles};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::error::{Error, ErrorKind, Result};
use crate::plain::Plain;

/// Exit code after a bug in wasmelt: `EX_SOFTWARE` of `sysexits.h(3)`.
const BUG_EXIT_CODE: u8 = 70;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// The command line.
#[derive(Parser, Debug)]
#[command(name = "wasmelt", version, long_version = LONG_VERSION.as_str(), styles = STYLES, arg_required_else_help = true,
    about = "Turns WebAssembly modules into native executables, with the sandbox and without an engine",
    after_help = "Without a command, `wasmelt [OPTIONS] app.wasm [ARGS]..` is `wasmelt run`.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    messages: message::MessageArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    Compile(Box<compile::CompileArgs>),
    Run(Box<run::RunArgs>),
    Grant(Box<grant::GrantArgs>),
    Compose(compose::ComposeArgs),
    Inspect(inspect::InspectArgs),
    Image(image::ImageArgs),
    Bench(Box<bench::BenchArgs>),
    Targets(targets::TargetsArgs),
    Cache(cache::CacheArgs),
    Completions(completions::CompletionsArgs),
    ManPages(man_pages::ManPagesArgs),
}

/// Runs wasmelt with the arguments of this process.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        print_error(&Error::internal(format!("panic{place}: {message}")));
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            backtrace.to_string().lines().for_each(print_note);
        }
    }));
    // The hook has printed what there is to say.
    std::panic::catch_unwind(|| execute(std::env::args_os().collect())).unwrap_or(BUG_EXIT_CODE.into())
}

fn execute(args: Vec<OsString>) -> ExitCode {
    // Before anything that takes time: it would be measured.
    if args.get(1).is_some_and(|first| bench::MEASURE.iter().any(|name| first == name)) {
        return finish(bench::measure_one(&args[1..]));
    }
    let mut command = Cli::command();
    // Gives the options of all commands to each of them.
    command.build();
    let args = prepare(&command, args);
    let cli = match command.try_get_matches_from(&args).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            message::MessageArgs::apply_from(&args);
            if let Some(text) = wasmtime::asked_for(&error) {
                return finish(print_text(text));
            }
            // Help and version go to standard output and are not failures. Whether they can be written does not matter.
            let _ = message::usage(&error) || error.print().is_ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    cli.messages.apply();
    finish(match cli.command {
        Command::Compile(args) => compile::execute(&args),
        Command::Run(args) => run::execute(&args),
        Command::Grant(args) => grant::execute(&args),
        Command::Compose(args) => compose::execute(&args),
        Command::Inspect(args) => inspect::execute(&args),
        Command::Image(args) => image::execute(&args),
        Command::Bench(args) => bench::execute(&args),
        Command::Targets(args) => targets::execute(&args),
        Command::Cache(args) => cache::execute(&args),
        Command::Completions(args) => completions::execute(&args),
        Command::ManPages(args) => man_pages::execute(&args),
    })
}

/// Prints an error and makes an exit code of a result.
fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Inserts `run` where it is meant, and rewrites what clap cannot express.
fn prepare(command: &clap::Command, mut args: Vec<OsString>) -> Vec<OsString> {
    let first = 1 + message::count_leading(&args);
    if args.get(first).is_some_and(|name| implies_run(command, name)) {
        args.insert(first, "run".into());
    }
    if let Some(name @ ("compile" | "run" | "bench")) = args.get(first).and_then(|name| name.to_str()) {
        let guest_args = name == "run";
        if let Some(subcommand) = command.find_subcommand(name) {
            let rest = args.split_off(first + 1);
            args.extend(args::normalise(subcommand, rest, guest_args));
        }
    }
    args
}

/// Whether a command line with this first argument is `run` without the word: it is an option of `run`, or a file.
/// Anything else is for clap, which knows what was meant by `wasmelt complie`.
fn implies_run(command: &clap::Command, first: &OsStr) -> bool {
    match first.to_str() {
        Some("-h" | "--help" | "-V" | "--version" | "help") => false,
        Some(name) if command.find_subcommand(name).is_some() => false,
        Some(name) => name.starts_with('-') || name.contains(['.', '/', '\\']) || Path::new(name).exists(),
        None => true,
    }
}

/// What `--version` says: everything that decides the bytes of an output.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\nCranelift {}\nABI {}\nhost {}",
        env!("CARGO_PKG_VERSION"),
        cranelift_codegen::VERSION,
        wasmelt_abi::ABI_VERSION,
        target_lexicon::HOST
    )
});

/// Prints an error and its hints to standard error, in colour on a terminal.
fn print_error(error: &Error) {
    if message::error(error) {
        return;
    }
    print_line(*STYLES.get_error(), "error", &error.to_string());
    for hint in error.hints() {
        print_line(*STYLES.get_valid(), "hint", hint);
    }
    if error.kind() == ErrorKind::Internal {
        let report = format!(
            "this is a bug in wasmelt; please report it at {}/issues with the command line, the module if you can \
             share it, and: wasmelt {}",
            env!("CARGO_PKG_REPOSITORY"),
            LONG_VERSION.replace('\n', ", ")
        );
        print_line(*STYLES.get_valid(), "hint", &report);
    }
}

/// Prints a warning to standard error.
fn print_warning(error: &Error) {
    if message::warning(error) {
        return;
    }
    print_line(AnsiColor::Yellow.on_default().bold(), "warning", &error.to_string());
    for hint in error.hints() {
        print_line(*STYLES.get_valid(), "hint", hint);
    }
}

fn print_line(style: Style, label: &str, text: &str) {
    // There is nowhere to complain about a standard error that is closed.
    let _ = writeln!(anstream::stderr(), "{style}{label}:{style:#} {text}");
}

/// Prints a line to standard error that is neither an error nor a warning.
fn print_note(text: &str) {
    if message::note(text) {
        return;
    }
    let _ = writeln!(anstream::stderr(), "{}", Plain(text));
}

/// Prints text to standard output. A reader may close the pipe when it has seen enough.
fn print_text(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("cannot write standard output", &e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(args: &[&str]) -> Vec<String> {
        let args = std::iter::once("wasmelt").chain(args.iter().copied()).map(OsString::from).collect();
        let out = prepare(&Cli::command(), args);
        out[1..].iter().map(|arg| arg.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_implied_by_options_and_files() {
        assert_eq!(prepared(&["app.wasm", "x"]), ["run", "app.wasm", "x"]);
        assert_eq!(prepared(&["--dir=.", "app.wasm"]), ["run", "--dir=.", "app.wasm"]);
        assert_eq!(prepared(&["-O", "app", "-O"]), ["run", "-Ospeed", "app", "-O"]);
        assert_eq!(prepared(&["./app"]), ["run", "./app"]);
        assert_eq!(prepared(&["--color", "never", "app.wasm"]), ["--color", "never", "run", "app.wasm"]);
        assert_eq!(prepared(&["--color=never", "-O", "a.wasm"]), ["--color=never", "run", "-Ospeed", "a.wasm"]);
        assert_eq!(prepared(&["--color", "never", "inspect", "a"]), ["--color", "never", "inspect", "a"]);
        assert_eq!(prepared(&["--color"]), ["--color"]);
        for args in [&["compile", "x.wasm"][..], &["--version"], &["-h"], &["help", "run"], &["complie", "x.wasm"]] {
            assert_eq!(prepared(args), args);
        }
    }
}
