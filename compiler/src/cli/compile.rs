//! `wasmelt compile`: a module to an executable, an object, or a text that shows a stage in between.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use target_lexicon::{Environment, HOST, OperatingSystem};

use super::args::CommonArgs;
use super::input::Input;
use super::progress::{self, Times};
use super::values::Suggesting;
use super::wasmtime::Asked;
use super::{grants, print_note, print_warning, run, targets};
use crate::driver::{self, ForHosts};
use crate::error::{Error, Result};
use crate::identify;
use crate::options::{Emit, Options, Preinit};
use crate::output::Output;
use crate::profile::Profile;

/// Compile a module to a native executable or object
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(super) struct CompileArgs {
    /// Module as `.wasm` or `.wat`; `-` is standard input
    #[arg(value_name = "INPUT")]
    pub(super) input: PathBuf,

    /// Where the result goes; `-` is standard output [default: the input's name without its extension]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What comes out
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = EmitArg::Exe)]
    emit: EmitArg,

    /// Where the result runs [default: this machine], see `wasmelt targets`
    #[arg(long, value_name = "TRIPLE", hide_possible_values = true,
        value_parser = Suggesting { parse: NonEmptyStringValueParser::new(), names: targets::names })]
    target: Option<String>,

    /// Compile as a library, for `--emit cdylib`, `staticlib` or `obj`: the name by which a host finds it [default: the input's]
    #[arg(long, value_name = "NAME")]
    library_name: Option<String>,

    /// What a component becomes: a command that runs, or a server for HTTP that calls it (`wasi:http/proxy`)
    #[arg(long, value_enum, default_value = "command")]
    world: WorldArg,

    /// Write a C header as well, with a function for each one that the library exports
    #[arg(long, value_name = "FILE")]
    header: Option<PathBuf>,

    /// Write Rust bindings as well, for hosts with `wasmelt-embed`: a method for each export, a trait for the imported functions
    #[arg(long, value_name = "FILE")]
    bindings: Option<PathBuf>,

    /// Run an export while compiling: the program starts with what the instance is like then. It takes and returns
    /// nothing, and has what the program is granted [default: `wizer-initialize`]
    #[arg(long, value_name = "EXPORT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    preinit: Option<String>,

    /// Let the initialiser draw random numbers, which are the same in each run of the program then
    #[arg(long, requires = "preinit")]
    preinit_random: bool,

    /// Let the program count how often its parts are executed, and write a profile when it ends: to `default.wasmprof`, or
    /// where `$WASMELT_PROFILE` says
    #[arg(long, conflicts_with = "profile_use")]
    profile_generate: bool,

    /// Arrange code by profiles of earlier runs of the module, separated by commas, which are added up
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
    profile_use: Vec<PathBuf>,

    /// Keep functions in the cache of `run`: when the module has changed, only what changed is compiled again
    #[arg(long)]
    cache: bool,

    /// Leave out the symbol table; backtraces keep their names
    #[arg(long)]
    strip: bool,

    /// Let the executable carry its code, compressed, so that `wasmelt grant` can give it other capabilities
    #[arg(long)]
    grantable: bool,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum EmitArg {
    /// An executable
    Exe,
    /// A relocatable object
    Obj,
    /// A shared library for a host program that embeds the module with wasmelt's runtime
    Cdylib,
    /// A static library for such a program
    Staticlib,
    /// Cranelift's intermediate form as text
    Clif,
    /// Assembly as text
    Asm,
    /// The module in the text format of WebAssembly
    Wat,
}

impl From<EmitArg> for Emit {
    fn from(arg: EmitArg) -> Self {
        match arg {
            EmitArg::Exe => Self::Exe,
            EmitArg::Obj => Self::Obj,
            EmitArg::Cdylib => Self::Cdylib,
            EmitArg::Staticlib => Self::Staticlib,
            EmitArg::Clif => Self::Clif,
            EmitArg::Asm => Self::Asm,
            EmitArg::Wat => Self::Wat,
        }
    }
}

/// What a component becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WorldArg {
    /// An executable that calls `wasi:cli/run`
    Command,
    /// A server for HTTP that calls `wasi:http/incoming-handler` for each request
    Proxy,
}

impl CompileArgs {
    /// What is asked for, except that it is a library.
    pub(super) fn ask(&self) -> Result<Asked> {
        let target = self.target.as_deref().map_or(Ok(HOST), targets::parse)?;
        let mut asked = self.common.ask(target)?;
        asked.options.emit = self.emit.into();
        asked.options.strip |= self.strip;
        asked.options.grantable = self.grantable;
        asked.options.profile_generate = self.profile_generate;
        asked.options.profile = self.profile()?;
        asked.options.is_server = self.world == WorldArg::Proxy;
        asked.options.preinit = self.preinit.as_ref().map(|export| Preinit {
            export: Some(export.clone()).filter(|export| !export.is_empty()),
            random: self.preinit_random,
        });
        if self.grantable && asked.options.is_server {
            return Err(Error::usage(
                "`--grantable` is for programs whose policy is compiled in, and a server's is not",
            )
            .hint("leave out `--grantable`: a server gets its limits and grants when it starts"));
        }
        if self.grantable && asked.options.emit != Emit::Exe {
            return Err(Error::usage("`--grantable` is for executables"));
        }
        Ok(asked)
    }

    /// The profiles that are to be used, added up.
    fn profile(&self) -> Result<Option<Profile>> {
        if self.profile_use.is_empty() {
            return Ok(None);
        }
        let files = self.profile_use.iter().map(|path| {
            let mut input = Input::open(path)?;
            Ok((input.read()?, input.name))
        });
        let files = files.collect::<Result<Vec<_>>>()?;
        Profile::read(files.iter().map(|(bytes, name)| (name.as_str(), bytes.as_slice()))).map(Some)
    }
}

/// Does it.
pub(super) fn execute(args: &CompileArgs) -> Result<()> {
    let mut options = args.ask()?.options;
    if options.emit.is_library() || args.library_name.is_some() {
        if options.emit == Emit::Exe {
            return Err(Error::usage("`--library-name` makes a library, which is not executable")
                .hint("`--emit cdylib` makes a shared library, `--emit staticlib` a static one, `--emit obj` an object of one"));
        }
        options.library = Some(library_name(args)?);
    }
    let report = &args.common.report;
    let mut times = Times::start();
    let mut input = Input::open(&args.input)?;
    let output = match &args.output {
        Some(output) => output.clone(),
        None => default_output(&args.input, &options)?,
    };
    let bytes = input.read()?;
    // An executable that was given by mistake is not complained about as the output's own name.
    identify::expect_module(&bytes, &input.name)?;
    let sink = Output::create(&output, options.emit, Some(&input.file))?;
    let texts = texts_for_hosts(args, &bytes, &input, &options)?;
    times.stage("read");
    let cache = if args.cache { run::open_cache(report) } else { None };
    let functions = cache.as_ref().and_then(|cache| cache.reuse(&args.input, &mut options));
    let compilation = progress::compile(&bytes, &input.name, &options, &args.common)?;
    if let Some((cache, functions)) = cache.zip(functions) {
        run::note_failure(cache.store_functions(&functions, &options), report);
    }
    times.stages(&compilation.timings);
    if !report.quiet {
        grants::missing(&options.policy, &options.target).iter().for_each(print_warning);
    }
    sink.write(&compilation.bytes)?;
    for (sink, text) in texts {
        sink.write(text.as_bytes())?;
    }
    times.stage("write");
    if report.time {
        times.print();
    }
    if report.verbose {
        let (from, to) = (bytes.len(), compilation.bytes.len());
        print_note(&format!(
            "{} ({from} bytes) -> {} ({to} bytes) for {}",
            input.name,
            output.display(),
            options.target
        ));
    }
    Ok(())
}

/// The texts for hosts that are asked for, and where they go.
fn texts_for_hosts(
    args: &CompileArgs,
    module: &[u8],
    input: &Input,
    options: &Options,
) -> Result<Vec<(Output, String)>> {
    let asked = [(ForHosts::Header, "header", &args.header), (ForHosts::Bindings, "bindings", &args.bindings)];
    let mut taken = Vec::from_iter(args.output.as_ref().map(|output| ("library", output)));
    let mut texts = Vec::new();
    for (kind, name, path) in asked {
        let Some(path) = path else { continue };
        if let Some((other, _)) = taken.iter().find(|(_, other)| *other == path) {
            return Err(Error::usage(format!("{} cannot be both the {other} and the {name}", path.display())));
        }
        taken.push((name, path));
        let text = driver::for_hosts(kind, module, &input.name, options)?;
        // It is text, as this is.
        texts.push((Output::create(path, Emit::Wat, Some(&input.file))?, text));
    }
    Ok(texts)
}

/// The name of a library: what `--library-name` says, or the input's name with all but letters and digits as `_`.
fn library_name(args: &CompileArgs) -> Result<String> {
    let is_part = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if let Some(name) = &args.library_name {
        return match name.is_empty() || !name.chars().all(is_part) {
            false => Ok(name.clone()),
            true => Err(Error::usage(format!("`--library-name {name}`: a name is made of letters, digits and `_`"))),
        };
    }
    let stem = args.input.file_stem().unwrap_or_default().to_string_lossy();
    let name: String = stem.chars().map(|c| if is_part(c) { c } else { '_' }).collect();
    Ok(if name.is_empty() { "_".to_owned() } else { name })
}

/// The name of the output where none is given: that of the input in the working directory, as compilers do it.
fn default_output(input: &Path, options: &Options) -> Result<PathBuf> {
    let stem = input.file_stem().filter(|_| input != Path::new("-"));
    let mut name = stem.map(PathBuf::from).ok_or_else(|| {
        Error::usage("the output needs a name when the module comes from standard input").hint("`-o FILE` names it")
    })?;
    let extension = match options.emit {
        Emit::Exe if options.target.operating_system == OperatingSystem::Windows => "exe",
        Emit::Exe => return Ok(name),
        Emit::Obj => "o",
        Emit::Cdylib => match options.target.operating_system {
            OperatingSystem::Windows => "dll",
            system if system.is_like_darwin() => "dylib",
            _ => "so",
        },
        Emit::Staticlib => {
            let is_msvc = options.target.environment == Environment::Msvc;
            let (start, end) = if is_msvc { ("", ".lib") } else { ("lib", ".a") };
            let mut library = OsString::from(start);
            library.push(name);
            library.push(end);
            return Ok(library.into());
        }
        Emit::Clif => "clif",
        Emit::Asm => "s",
        Emit::Wat => "wat",
    };
    // Not `set_extension`: `a.b.wasm` becomes `a.b.o`.
    name.as_mut_os_string().push(".");
    name.as_mut_os_string().push(extension);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_after_inputs() {
        let target: target_lexicon::Triple = "x86_64-unknown-linux-gnu".parse().unwrap();
        let options = |emit| Options { emit, target: target.clone(), ..Options::default() };
        let name = |input: &str, emit| default_output(Path::new(input), &options(emit));
        assert_eq!(name("dir/app.wasm", Emit::Exe).unwrap(), Path::new("app"));
        assert_eq!(name("app.wasm", Emit::Obj).unwrap(), Path::new("app.o"));
        assert_eq!(name("a.b.wasm", Emit::Asm).unwrap(), Path::new("a.b.s"));
        assert_eq!(name("app.wat", Emit::Wat).unwrap(), Path::new("app.wat"));
        assert_eq!(name("dir/app.wat", Emit::Staticlib).unwrap(), Path::new("libapp.a"));
        assert!(name("-", Emit::Exe).is_err());
        assert!(name("..", Emit::Exe).is_err());
        let windows = Options { target: "x86_64-pc-windows-msvc".parse().unwrap(), ..options(Emit::Exe) };
        assert_eq!(default_output(Path::new("a.b.wasm"), &windows).unwrap(), Path::new("a.b.exe"));
    }
}
