//! Options that `compile` and `run` share, and what they mean: command line to [`Options`].

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use target_lexicon::Triple;

use crate::codegen;
use crate::error::{Error, Result};
use crate::features::FEATURES;
use crate::network::{AddressGrant, NameGrant, Network};
use crate::options::{
    BoundsChecks, Cpu, DEFAULT_STACK_BYTES, DirFrom, DirGrant, EmbeddedFile, EnvGrant, FileGrant, Linker, Options,
    Policy, Preload, Runtime, Stdio, Stops, UnknownImports,
};

use super::embed::Embed;
use super::input::Input;
use super::limits::LimitArgs;
use super::policy_file::PolicyFile;
use super::wasmtime::{Asked, CODEGEN, DEBUG, ForeignArgs, GroupParser, OPTIMIZE, WASI, WASM};
use super::{compose, embed, grants, print_note, values, wasmtime};

/// How code is generated.
#[derive(Args, Debug)]
#[command(next_help_heading = "Code")]
pub(super) struct CodeArgs {
    /// Optimise: `-O0` not at all, `-O` for speed (the default), `-Os` for size as well; `-O help` lists keys of wasmtime
    #[arg(short = 'O', long = "optimize", value_name = "LEVEL", value_parser = GroupParser(&OPTIMIZE))]
    optimize: Vec<String>,

    /// How code is generated, as in wasmtime: `-C parallel-compilation=n`; `-C help` lists the keys
    #[arg(short = 'C', long = "codegen", value_name = "KEY[=VALUE],..", value_parser = GroupParser(&CODEGEN))]
    codegen: Vec<String>,

    /// Instructions that may be used: `baseline` runs on every CPU of the target, `native` on this machine, `x86-64-v1`
    /// to `x86-64-v4`, or a CPU's name [default: x86-64-v3, on aarch64 the baseline; for `run` native]
    #[arg(long, value_name = "CPU", hide_possible_values = true,
        value_parser = values::Suggesting { parse: values::cpu, names: codegen::cpu_names })]
    pub(super) cpu: Option<Cpu>,

    /// Switch proposals on or off, set limits: `-W simd=n,max-memory-size=64M`; `-W help` lists the keys
    #[arg(short = 'W', long = "wasm", value_name = "KEY[=VALUE],..", value_parser = GroupParser(&WASM),
        long_help = wasm_help())]
    wasm: Vec<String>,

    /// Write debug information (DWARF): functions, and source lines where the module has debug information
    #[arg(short = 'g', long = "debug-info")]
    debug_info: bool,

    /// The same, as in wasmtime: `-D debug-info`; `-D help` lists the keys
    #[arg(short = 'D', long = "debug", value_name = "KEY[=VALUE],..", value_parser = GroupParser(&DEBUG))]
    debug: Vec<String>,

    /// How memory accesses are checked
    #[arg(long, value_name = "HOW", value_enum, default_value_t = BoundsChecksArg::Guard)]
    bounds_checks: BoundsChecksArg,

    /// Mask indices against speculative execution past bounds checks
    #[arg(long, value_name = "y|n", value_parser = values::yes_no, default_value = "y", action = ArgAction::Set)]
    spectre_mitigations: bool,

    /// Make all NaN results the canonical one, and relaxed SIMD deterministic
    #[arg(long)]
    nan_canonicalization: bool,

    /// What becomes of imports that nothing provides
    #[arg(long, value_name = "HOW", value_enum, default_value_t = UnknownImportsArg::Deny)]
    unknown_imports: UnknownImportsArg,

    /// Print each call of WASI to standard error when the program runs, with arguments and errors, and which grant was missing
    #[arg(long, value_name = "WHAT", value_enum)]
    trace: Option<TraceArg>,

    /// Link a module whose exports later modules import under this name; modules are instantiated in order, the main one last
    #[arg(long = "preload", value_name = "NAME=PATH", value_parser = values::preload)]
    preloads: Vec<(String, PathBuf)>,

    /// Compose with a component that exports what this one imports, as `wasmelt compose` does
    #[arg(long = "plug", value_name = "PATH")]
    plugs: Vec<PathBuf>,

    /// Call this export instead of `_start`, with arguments from the command line, and print its results
    #[arg(long, value_name = "NAME")]
    invoke: Option<String>,
}

/// What the guest may do.
#[derive(Args, Debug)]
#[command(next_help_heading = "Capabilities and limits (nothing is granted unasked)")]
pub(super) struct PolicyArgs {
    /// Grant a directory, under another name for the guest, read-only: `--dir ./data::/data:ro`
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro]", value_parser = grants::dir)]
    dirs: Vec<DirGrant>,

    /// Grant a single file, under another name for the guest, read-only: `--file app.conf::/etc/app.conf:ro`
    #[arg(long = "file", value_name = "HOST[::GUEST][:ro]", value_parser = grants::file)]
    files: Vec<FileGrant>,

    /// Store a directory in the executable, which the guest finds and can only read: `--embed assets::/assets`
    #[arg(long = "embed", value_name = "DIR::GUEST", value_parser = values::embed)]
    embeds: Vec<Embed>,

    /// Grant an environment variable; without a value it is the one at run time
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = values::env)]
    env: Vec<EnvGrant>,

    /// Grant the whole environment
    #[arg(long)]
    inherit_env: bool,

    /// What a guest of WASI gets, as in wasmtime: `-S inherit-env`; `-S help` lists the keys
    #[arg(short = 'S', long = "wasi", value_name = "KEY[=VALUE],..", value_parser = GroupParser(&WASI))]
    wasi: Vec<String>,

    /// The guest's name for itself, `argv[0]`
    #[arg(long, value_name = "NAME", alias = "argv0")]
    pub(super) arg0: Option<String>,

    /// Listen on a TCP address before the guest runs: `127.0.0.1:8080`
    #[arg(long = "tcplisten", value_name = "ADDRESS", value_parser = values::listen)]
    tcp_listen: Vec<SocketAddr>,

    /// Let a component connect by TCP: to an address, a range of them, or all: `10.0.0.0/8:443`, `[::1]:8000-8010`, `*:80`
    #[arg(long, value_name = "HOST:PORT")]
    tcp_connect: Vec<AddressGrant>,

    /// Let a component bind to addresses and listen there by TCP; port 0 is any free one
    #[arg(long = "tcp-listen", value_name = "HOST:PORT")]
    tcp_listen_on: Vec<AddressGrant>,

    /// Let a component bind to addresses by UDP, and exchange datagrams with them
    #[arg(long, value_name = "HOST:PORT")]
    udp: Vec<AddressGrant>,

    /// Let a component look up a name: `example.org`, `*.example.org` for all names below it, or `*`
    #[arg(long, value_name = "NAME")]
    resolve: Vec<NameGrant>,

    /// Where relative host paths start at run time: at the working directory (`cwd`), or at the executable's (`exe`)
    #[arg(long, value_name = "WHERE", value_parser = values::dir_from)]
    dir_from: Option<DirFrom>,

    /// The guest's standard input: `inherit`, or `null` for none
    #[arg(long, value_name = "STREAM", value_parser = values::stdio)]
    stdin: Option<Stdio>,

    /// The guest's standard output
    #[arg(long, value_name = "STREAM", value_parser = values::stdio)]
    stdout: Option<Stdio>,

    /// The guest's standard error
    #[arg(long, value_name = "STREAM", value_parser = values::stdio)]
    stderr: Option<Stdio>,

    /// Make the operating system refuse all that the program cannot need (Linux: seccomp and Landlock)
    #[arg(long)]
    harden: bool,

    /// Read capabilities and limits from a file; options add to its lists and replace its other values
    #[arg(long = "policy", value_name = "FILE")]
    policy_file: Option<PathBuf>,

    /// Upper limit of each linear memory: `64M`, `2GiB`
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    max_memory: Option<u64>,

    /// Descriptors that the guest may have open, besides the standard streams
    #[arg(long, value_name = "N")]
    max_open_files: Option<u32>,

    /// Elements that each table may have
    #[arg(long, value_name = "N")]
    max_table_elements: Option<u64>,

    /// Memory for exceptions, of all threads together [default: 256M]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    max_exception_memory: Option<u64>,

    /// Threads that may run at once, besides the first one; each takes a call stack [default: 1024]
    #[arg(long, value_name = "N")]
    max_threads: Option<u32>,

    /// Trap after this time: `500ms`, `5s`, `2m`
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    timeout: Option<Duration>,

    /// Trap after this many instructions; in a library, whose host sets the number, `--fuel` alone
    #[arg(long, value_name = "N", value_parser = values::fuel)]
    fuel: Option<values::Fuel>,

    /// The library's host can interrupt its code from another thread, and at deadlines
    #[arg(long)]
    interruptible: bool,

    /// Clocks, random and floating-point numbers are the same in each run
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    deterministic: Option<u64>,

    /// Address space for each linear memory, where there is little (`ulimit -v`): below 6G accesses are checked by
    /// instructions, and memory ends there
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory_reserve: Option<u64>,

    /// The guest's call stack
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    stack_size: Option<u64>,
}

/// How to link.
#[derive(Args, Debug)]
#[command(next_help_heading = "Linking")]
pub(super) struct LinkArgs {
    /// Who links: `embedded` (the default), `cc`, or a program that takes the arguments of `ld`
    #[arg(long, value_name = "LINKER", value_parser = values::linker, default_value = "embedded",
        hide_default_value = true)]
    linker: Linker,

    /// What executables stand on: `freestanding` is the operating system alone, `portable` its C library
    #[arg(long, value_name = "RUNTIME", value_enum, hide_possible_values = true)]
    runtime: Option<RuntimeArg>,

    /// Folder with runtime archives, `<target>/libwasmelt_start.a`
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
}

/// What is printed while it works.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output of wasmelt itself")]
pub(super) struct ReportArgs {
    /// Print the time of each stage
    #[arg(long)]
    pub(super) time: bool,

    /// Print nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// Print what is done
    #[arg(short, long)]
    pub(super) verbose: bool,

    /// Number of threads; 0 is one per core
    #[arg(short = 'j', long, alias = "jobs", value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) threads: usize,
}

/// What `run` takes and `compile` takes with more.
#[derive(Args, Debug)]
pub(super) struct CommonArgs {
    #[command(flatten)]
    pub(super) policy: PolicyArgs,
    #[command(flatten)]
    pub(super) code: CodeArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) report: ReportArgs,
    #[command(flatten)]
    foreign: ForeignArgs,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum BoundsChecksArg {
    /// By inaccessible pages where the memory's type allows it
    Guard,
    /// By instructions: no large reservation of address space, and libraries that need no signals
    Explicit,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum RuntimeArg {
    /// System calls and nothing else
    Freestanding,
    /// The C library of the system, linked by `cc`
    Portable,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum UnknownImportsArg {
    /// They are an error
    Deny,
    /// Calls to them trap
    Trap,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TraceArg {
    /// Calls of WASI
    Wasi,
}

/// What options and the policy file grant together.
pub(super) struct Granted {
    pub(super) policy: Policy,
    pub(super) embedded_files: Vec<EmbeddedFile>,
    pub(super) max_memory_bytes: Option<u64>,
}

impl PolicyArgs {
    /// Reads the policy file and the files to embed.
    pub(super) fn read(&self, target: &Triple) -> Result<Granted> {
        let file = self.policy_file.as_deref().map(PolicyFile::read).transpose()?.unwrap_or_default();
        let max_memory_bytes = self.max_memory.or(file.max_memory);
        let embeds: Vec<_> = file.embed.iter().chain(&self.embeds).cloned().collect();
        let mut policy = self.add_to(file.into_policy());
        grants::check_drives(&policy, target)?;
        let mut embedded_files = Vec::new();
        for (tree, embed) in embeds.iter().enumerate() {
            policy.embedded.push(embed::read(embed, tree, &mut embedded_files)?);
        }
        Ok(Granted { policy, embedded_files, max_memory_bytes })
    }

    /// Applies the keys of `-S`.
    pub(super) fn apply_wasi(&self, asked: &mut Asked) -> Result<()> {
        self.wasi.iter().try_for_each(|list| wasmtime::apply(asked, &WASI, list))
    }

    /// Whether it asks for what code is generated for, besides what is in the policy.
    pub(super) fn asks_for_code(&self) -> bool {
        self.memory_reserve.is_some()
            || self.stack_size.is_some()
            || self.interruptible
            || self.fuel == Some(values::Fuel::OfHost)
    }

    /// Options add to the lists of a policy file and replace its other values.
    fn add_to(&self, mut policy: Policy) -> Policy {
        policy.dirs.extend_from_slice(&self.dirs);
        policy.files.extend_from_slice(&self.files);
        policy.env.extend_from_slice(&self.env);
        policy.tcp_listen.extend_from_slice(&self.tcp_listen);
        policy.network.extend(&Network {
            tcp_connect: self.tcp_connect.clone(),
            tcp_listen: self.tcp_listen_on.clone(),
            udp: self.udp.clone(),
            resolve: self.resolve.clone(),
        });
        policy.inherit_env |= self.inherit_env;
        policy.harden |= self.harden;
        policy.arg0 = self.arg0.clone().or(policy.arg0);
        policy.dir_from = self.dir_from.unwrap_or(policy.dir_from);
        for (stream, asked) in policy.stdio.iter_mut().zip([self.stdin, self.stdout, self.stderr]) {
            *stream = asked.unwrap_or(*stream);
        }
        policy.max_open_files = self.max_open_files.or(policy.max_open_files);
        policy.max_table_elements = self.max_table_elements.or(policy.max_table_elements);
        policy.max_exception_bytes = self.max_exception_memory.or(policy.max_exception_bytes);
        policy.max_threads = self.max_threads.or(policy.max_threads);
        policy.timeout = self.timeout.or(policy.timeout);
        if let Some(values::Fuel::Budget(budget)) = self.fuel {
            policy.fuel = Some(budget);
        }
        policy.deterministic = self.deterministic.or(policy.deterministic);
        policy
    }
}

impl LinkArgs {
    /// Who links a program again, with which archives; the runtime is that of the program.
    pub(super) fn apply_to_linked(&self, options: &mut Options) -> Result<()> {
        if self.runtime.is_some() {
            return Err(Error::usage("`--runtime` is decided when a module is compiled"));
        }
        options.linker = self.linker.clone();
        options.runtime_dir.clone_from(&self.runtime_dir);
        Ok(())
    }
}

impl CommonArgs {
    /// What was asked for, as data. Groups of wasmtime come last: they are the more specific ones.
    pub(super) fn ask(&self, target: Triple) -> Result<Asked> {
        let mut asked = Asked { options: self.to_options(target)?, ..Asked::default() };
        let (code, policy) = (&self.code, &self.policy);
        for value in &code.optimize {
            match values::opt_level(value) {
                Ok(level) => asked.options.opt_level = level,
                Err(_) if wasmtime::is_optimize_list(value) => wasmtime::apply(&mut asked, &OPTIMIZE, value)?,
                Err(why) => return Err(Error::usage(format!("`-O{value}`: {why}")).hint("`-O help` lists the keys")),
            }
        }
        for (group, lists) in [(&CODEGEN, &code.codegen), (&WASM, &code.wasm), (&DEBUG, &code.debug)] {
            lists.iter().try_for_each(|list| wasmtime::apply(&mut asked, group, list))?;
        }
        policy.apply_wasi(&mut asked)?;
        self.foreign.apply(&mut asked)?;
        if self.report.verbose {
            asked.notes.iter().for_each(|note| print_note(&format!("note: {note}")));
        }
        Ok(asked)
    }

    /// What the options of wasmelt itself ask for.
    fn to_options(&self, target: Triple) -> Result<Options> {
        let (code, policy, link) = (&self.code, &self.policy, &self.link);
        let granted = policy.read(&target)?;
        let deterministic = granted.policy.deterministic.is_some();
        let preloads = code.preloads.iter().map(|(name, path)| {
            let mut input = Input::open(path)?;
            Ok(Preload { name: name.clone(), bytes: input.read()?, source_name: input.name })
        });
        Ok(Options {
            cpu: code.cpu.clone().unwrap_or(Cpu::Default),
            policy: granted.policy,
            embedded_files: granted.embedded_files,
            preloads: preloads.collect::<Result<_>>()?,
            plugs: compose::read(&code.plugs)?,
            max_memory_bytes: granted.max_memory_bytes,
            memory_reserve_bytes: policy.memory_reserve,
            stack_bytes: policy.stack_size.unwrap_or(DEFAULT_STACK_BYTES),
            bounds_checks: match code.bounds_checks {
                BoundsChecksArg::Guard => BoundsChecks::Guard,
                BoundsChecksArg::Explicit => BoundsChecks::Explicit,
            },
            spectre_mitigations: code.spectre_mitigations,
            nan_canonicalization: code.nan_canonicalization || deterministic,
            debug_info: code.debug_info,
            stops: Stops { fuel: policy.fuel == Some(values::Fuel::OfHost), interrupt: policy.interruptible },
            invoke: code.invoke.clone(),
            trace_wasi: code.trace.is_some(),
            unknown_imports: match code.unknown_imports {
                UnknownImportsArg::Deny => UnknownImports::Deny,
                UnknownImportsArg::Trap => UnknownImports::Trap,
            },
            linker: link.linker.clone(),
            runtime: match link.runtime {
                None => Runtime::default_for(&target),
                Some(RuntimeArg::Freestanding) if Runtime::default_for(&target) != Runtime::Freestanding => {
                    return Err(Error::usage(format!("`--runtime freestanding` is for Linux, not for {target}"))
                        .hint("leave it out: other systems have the portable runtime"));
                }
                Some(RuntimeArg::Freestanding) => Runtime::Freestanding,
                Some(RuntimeArg::Portable) => Runtime::Portable,
            },
            target,
            runtime_dir: link.runtime_dir.clone(),
            threads: self.report.threads,
            ..Options::default()
        })
    }
}

/// Long help of `-W`, from the table of proposals.
fn wasm_help() -> String {
    let names = |on: bool| {
        let names = FEATURES.iter().filter(|f| f.supported && f.default_on == on).map(|f| f.name);
        names.collect::<Vec<_>>().join(", ")
    };
    let off = match names(false) {
        list if list.is_empty() => String::new(),
        list => format!("\nOff: {list}"),
    };
    format!(
        "Switch proposals on or off, set limits: `-W simd=n,max-memory-size=64M`\n\nOn: {}, branch-hinting{off}\nLimits \
         and others: max-memory-size=SIZE, max-table-elements=N, max-wasm-stack=SIZE, nan-canonicalization, \
         relaxed-simd-deterministic (also with nan-canonicalization), unknown-imports-trap",
        names(true)
    )
}

/// Rewrites what clap cannot express: `-O` alone is `-O` with its default level, although `-O KEY=VALUE` takes the next
/// argument, and `--fuel` takes it where it is a number. `command` is the subcommand; what follows its first positional argument is left alone where it belongs to
/// a guest (`guest_args`).
pub(super) fn normalise(command: &clap::Command, args: Vec<OsString>, guest_args: bool) -> Vec<OsString> {
    let mut out = Vec::with_capacity(args.len());
    let mut rest = args.into_iter().peekable();
    while let Some(arg) = rest.next() {
        if arg == "--" || (guest_args && !is_option(&arg)) {
            out.push(arg);
            break;
        }
        if arg == "-O" {
            let next_is_key = rest.peek().and_then(|next| next.to_str()).is_some_and(wasmtime::is_optimize_list);
            out.push(if next_is_key { arg } else { "-Ospeed".into() });
            if next_is_key {
                out.extend(rest.next());
            }
            continue;
        }
        if arg == "--fuel" && rest.peek().and_then(|next| next.to_str()).is_none_or(|next| next.parse::<u64>().is_err())
        {
            out.push(format!("--fuel={}", values::OF_HOST).into());
            continue;
        }
        let takes_next = takes_next(command, &arg);
        out.push(arg);
        if takes_next {
            out.extend(rest.next());
        }
    }
    out.extend(rest);
    out
}

/// Whether an argument is an option (`-` alone is standard input).
fn is_option(arg: &OsStr) -> bool {
    arg.as_encoded_bytes().starts_with(b"-") && arg != "-"
}

/// Whether an option's value is the next argument: `--dir .` and `-o x`, but not `--dir=.`, `-ox` or `-q`.
fn takes_next(command: &clap::Command, arg: &OsStr) -> bool {
    let Some(arg) = arg.to_str().filter(|arg| is_option(OsStr::new(arg))) else { return false };
    let find = |wanted: &dyn Fn(&clap::Arg) -> bool| {
        command.get_arguments().find(|a| !a.is_positional() && wanted(a)).is_some_and(|a| a.get_action().takes_values())
    };
    match arg.strip_prefix("--") {
        Some(long) => {
            find(&|a| a.get_long() == Some(long) || a.get_all_aliases().is_some_and(|aliases| aliases.contains(&long)))
        }
        None => {
            // In a cluster such as `-qo` the first one that takes a value takes the rest, or the next argument.
            let mut flags = arg.chars().skip(1).peekable();
            while let Some(flag) = flags.next() {
                if find(&|a| a.get_short() == Some(flag)) {
                    return flags.peek().is_none();
                }
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OptLevel;
    use clap::CommandFactory as _;

    fn rewritten(args: &[&str], subcommand: &str) -> Vec<String> {
        let command = crate::cli::Cli::command();
        let command = command.find_subcommand(subcommand).unwrap();
        let out = normalise(command, args.iter().map(OsString::from).collect(), subcommand == "run");
        out.into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn a_lone_o_takes_no_value() {
        assert_eq!(rewritten(&["-O", "a.wasm"], "compile"), ["-Ospeed", "a.wasm"]);
        assert_eq!(rewritten(&["a.wasm", "-O"], "compile"), ["a.wasm", "-Ospeed"]);
        assert_eq!(rewritten(&["-O", "opt-level=s", "a.wasm"], "compile"), ["-O", "opt-level=s", "a.wasm"]);
        assert_eq!(rewritten(&["-O", "a=b.wasm"], "compile"), ["-Ospeed", "a=b.wasm"]);
        assert_eq!(rewritten(&["-Os", "-O0"], "compile"), ["-Os", "-O0"]);
        assert_eq!(rewritten(&["--", "-O"], "compile"), ["--", "-O"]);
    }

    #[test]
    fn arguments_of_the_guest_are_its_own() {
        assert_eq!(rewritten(&["-O", "a.wasm", "-O"], "run"), ["-Ospeed", "a.wasm", "-O"]);
        assert_eq!(rewritten(&["--dir", ".", "-O", "a.wasm", "-O"], "run")[2..], ["-Ospeed", "a.wasm", "-O"]);
        assert_eq!(rewritten(&["--dir=.", "a.wasm", "-O"], "run"), ["--dir=.", "a.wasm", "-O"]);
        assert_eq!(rewritten(&["-O", "table-lazy-init=y", "a", "-O"], "run"), ["-O", "table-lazy-init=y", "a", "-O"]);
        assert_eq!(rewritten(&["--argv0", "-O", "-", "-O"], "run"), ["--argv0", "-O", "-", "-O"]);
        assert_eq!(rewritten(&["-qW", "-O", "-O", "a"], "run"), ["-qW", "-O", "-Ospeed", "a"]);
    }

    #[test]
    fn values_of_options_are_left_alone() {
        assert_eq!(rewritten(&["-o", "-O", "a.wasm"], "compile"), ["-o", "-O", "a.wasm"]);
        assert_eq!(rewritten(&["-ox", "-O", "a.wasm"], "compile"), ["-ox", "-Ospeed", "a.wasm"]);
    }

    #[test]
    fn options_mean_what_they_say() {
        use clap::Parser as _;
        use target_lexicon::HOST;
        let options = |args: &[&str]| {
            #[derive(clap::Parser)]
            #[command(args_override_self = true)]
            struct Line {
                #[command(flatten)]
                common: CommonArgs,
            }
            Line::try_parse_from(std::iter::once(&"wasmelt").chain(args)).unwrap().common.ask(HOST).unwrap().options
        };
        assert_eq!(format!("{:?}", options(&[])), format!("{:?}", Options::default()));
        let all = options(&[
            "-Os",
            "-O0",
            "--cpu=x86-64-v2",
            "--bounds-checks",
            "explicit",
            "--spectre-mitigations",
            "n",
            "--nan-canonicalization",
            "--unknown-imports=trap",
            "--invoke=f",
            "--dir=.::/:ro",
            "--env=A=b",
            "--inherit-env",
            "--argv0=name",
            "--max-memory=64M",
            "--max-table-elements=100",
            "--max-exception-memory=1M",
            "--max-threads=3",
            "--stack-size=1M",
            "--linker=cc",
            "-j2",
            "-Wsimd=n,max-wasm-stack=2M",
        ]);
        assert_eq!((all.opt_level, all.cpu), (OptLevel::None, Cpu::Named("x86-64-v2".into())));
        assert_eq!((all.bounds_checks, all.unknown_imports), (BoundsChecks::Explicit, UnknownImports::Trap));
        assert!(!all.spectre_mitigations && all.nan_canonicalization && !all.features.simd());
        assert_eq!((all.invoke.as_deref(), all.linker, all.threads), (Some("f"), Linker::Cc, 2));
        assert_eq!((all.max_memory_bytes, all.stack_bytes), (Some(64 << 20), 2 << 20));
        assert_eq!((all.policy.max_table_elements, all.policy.max_exception_bytes), (Some(100), Some(1 << 20)));
        assert_eq!(all.policy.max_threads, Some(3));
        assert_eq!((all.policy.dirs.len(), all.policy.env.len(), all.policy.inherit_env), (1, 1, true));
        assert_eq!(all.policy.arg0.as_deref(), Some("name"));
    }
}
