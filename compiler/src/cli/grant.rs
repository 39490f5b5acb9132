//! `wasmelt grant`: links an executable again with other capabilities, from the code that it carries.

use std::path::PathBuf;

use clap::Args;
use target_lexicon::HOST;

use super::args::{LinkArgs, PolicyArgs, ReportArgs};
use super::input::Input;
use super::progress::{self, Times};
use super::wasmtime::Asked;
use super::{grants, print_warning};
use crate::error::{Error, Result};
use crate::inspect::{self, Report};
use crate::options::{BoundsChecks, Emit, OptLevel, Options, Policy, UnknownImports};
use crate::output::Output;
use crate::report::Provenance;
use crate::unlinked::Unlinked;

/// Give an executable other capabilities without compiling it again
///
/// The executable must have been made with `wasmelt compile --grantable`. What is granted here replaces all that was
/// granted before: a capability that is not named is gone. The code stays as it is, and with it the limits that are part
/// of the code: `--max-memory`, `--fuel`, `--deterministic`, `--memory-reserve` and `--stack-size`. The result is the
/// same as if the module were compiled with these capabilities.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(super) struct GrantArgs {
    /// An executable that was made with `--grantable`
    #[arg(value_name = "EXECUTABLE")]
    input: PathBuf,

    /// Where the result goes; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    report: ReportArgs,
}

/// Does it.
pub(super) fn execute(args: &GrantArgs) -> Result<()> {
    let mut times = Times::start();
    let mut input = Input::open(&args.input)?;
    let sink = Output::create(&args.output, Emit::Exe, Some(&input.file))?;
    let bytes = input.read()?;
    let unlinked = unlinked(&bytes, &input.name)?;
    let options = options(args, &unlinked).map_err(|e| e.context(input.name.clone()))?;
    if !args.report.quiet {
        grants::missing(&options.policy, &options.target).iter().for_each(print_warning);
    }
    times.stage("read");
    let linked = progress::link(&unlinked, &input.name, &options, &args.report)?;
    times.stages(&linked.timings);
    sink.write(&linked.bytes)?;
    times.stage("write");
    if args.report.time {
        times.print();
    }
    Ok(())
}

/// What an executable carries.
fn unlinked(bytes: &[u8], name: &str) -> Result<Unlinked> {
    let report = match inspect::inspect(bytes, name)? {
        Report::Native(report) => report,
        Report::Module(_) | Report::Component(_) => {
            return Err(Error::usage(format!("{name} is a module: capabilities are granted when it is compiled"))
                .hint("`wasmelt compile --grantable` makes an executable whose capabilities can be changed"));
        }
    };
    Unlinked::read(bytes).map_err(|e| e.context(name))?.ok_or_else(|| {
        Error::input(format!("{name} does not carry its code"))
            .hint(format!("compile the module again: `{}`", how_to_compile(&report.provenance)))
    })
}

/// How it is linked.
fn options(args: &GrantArgs, unlinked: &Unlinked) -> Result<Options> {
    let granted = args.policy.read(&unlinked.options()?.target)?;
    let mut asked = Asked { options: Options { policy: granted.policy, ..unlinked.options()? }, ..Asked::default() };
    args.policy.apply_wasi(&mut asked)?;
    let mut options = asked.options;
    let is_of_code = options.policy.of_code() != Policy::default();
    if is_of_code || granted.max_memory_bytes.is_some() || args.policy.asks_for_code() {
        return Err(Error::usage("a limit that is part of the code cannot be changed without compiling").hint(
            "`--max-memory`, `--memory-reserve`, `--stack-size`, `--fuel` and `--deterministic` are for `compile`",
        ));
    }
    options.embedded_files = granted.embedded_files;
    options.grantable = true;
    options.threads = args.report.threads;
    args.link.apply_to_linked(&mut options)?;
    Ok(options)
}

/// The command that makes such an executable, with what decides about its code.
fn how_to_compile(made_by: &Provenance) -> String {
    let mut words = vec!["wasmelt compile".to_owned(), made_by.source.name.clone(), "--grantable".to_owned()];
    let mut add = |is_given: bool, word: &str| words.extend(is_given.then(|| word.to_owned()));
    add(made_by.opt_level == OptLevel::None, "-O0");
    add(made_by.opt_level == OptLevel::Size, "-Os");
    add(made_by.debug_info, "-g");
    add(made_by.cpu != "default", &format!("--cpu {}", made_by.cpu));
    add(made_by.target != HOST.to_string(), &format!("--target {}", made_by.target));
    add(made_by.bounds_checks == BoundsChecks::Explicit, "--bounds-checks explicit");
    add(!made_by.spectre_mitigations, "--spectre-mitigations n");
    add(made_by.nan_canonicalization, "--nan-canonicalization");
    add(made_by.unknown_imports == UnknownImports::Trap, "--unknown-imports trap");
    if let Some(name) = &made_by.preinit {
        add(true, &if name.is_empty() { "--preinit".to_owned() } else { format!("--preinit={name}") });
    }
    if let Some(name) = &made_by.invoke {
        add(true, &format!("--invoke {name}"));
    }
    words.join(" ")
}
