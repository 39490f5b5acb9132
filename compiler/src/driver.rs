//! The pipeline: one line per stage, and the only place that knows their order.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::codegen::{self, Listing};
use crate::debug::SourceMap;
use crate::emit::image::{DebugInfo, Image};
use crate::emit::{self};
use crate::error::{Error, Result};
use crate::harden;
use crate::link;
use crate::module::{self, Module};
use crate::options::{Emit, Options, Policy, Shape};
use crate::program::{ConstTable, Program};
use crate::report;
use crate::translate::FuncEnv;
use crate::trees;

pub use crate::progress::{NoProgress, Progress};

/// What came out of a compilation.
#[derive(Debug)]
pub struct Compilation {
    /// The output: executable, object or text, by [`Options::emit`].
    pub bytes: Vec<u8>,
    /// How long each stage took, in order.
    pub timings: Vec<(&'static str, Duration)>,
    /// What the user should know although it is no error.
    pub notes: Vec<&'static str>,
    /// What may interest the user who asks for details.
    pub details: Vec<String>,
}

/// Compiles one module: `input` are the bytes of a `.wasm` or `.wat` file, `source_name` is its name for messages and
/// for the report in the output.
pub fn compile(input: &[u8], source_name: &str, options: &Options, progress: &dyn Progress) -> Result<Compilation> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .build()
        .map_err(|e| Error::internal(format!("cannot start threads: {e}")))?;
    let mut stages = Stages { progress, timings: Vec::new(), notes: Vec::new(), details: Vec::new() };
    let bytes = pool.install(|| stages.run(input, source_name, options)).map_err(|e| e.context(source_name))?;
    Ok(Compilation { bytes, timings: stages.timings, notes: stages.notes, details: stages.details })
}

struct Stages<'p> {
    progress: &'p dyn Progress,
    timings: Vec<(&'static str, Duration)>,
    notes: Vec<&'static str>,
    details: Vec<String>,
}

impl Stages<'_> {
    fn run(&mut self, input: &[u8], source_name: &str, options: &Options) -> Result<Vec<u8>> {
        let wasm = self.stage("read", || read(input, source_name))?;
        if options.emit == Emit::Wat {
            self.stage("parse", || module::parse(&wasm, options.features))?;
            return self.stage("print", || print(&wasm));
        }
        if options.shape() == Shape::Many && options.policy != Policy::default() {
            return Err(Error::usage("a library has the capabilities and limits of its host, none of its own")
                .hint("options such as `--dir`, `--timeout` and `--harden` are for executables"));
        }
        if options.debug_info && !options.strip && !options.writes_debug_info() && options.emit.is_linked() {
            self.notes.push("no debug information is written: on macOS it stays in objects, `--emit obj`");
        }
        let isas = codegen::Isas::new(options)?;
        let isa = &*isas.full;
        let mut module = self.stage("parse", || module::parse(&wasm, options.features))?;
        if !options.branch_hinting {
            module.ignore_branch_hints();
        }
        let note = report::Provenance::build(&wasm, source_name, &module, options, isa)?.to_json();
        let program = self.stage("plan", || match options.shape() {
            Shape::Single => Program::single(module, options),
            Shape::Many => Program::library(module, options),
        })?;
        let env = FuncEnv {
            program: &program,
            instance: program.main(),
            isa,
            shape: options.shape(),
            spectre_mitigations: options.spectre_mitigations,
            relaxed_simd_deterministic: options.relaxed_simd_deterministic || options.nan_canonicalization,
        };
        let listing = match options.emit {
            Emit::Clif => Listing::Clif,
            Emit::Asm => Listing::Asm,
            _ => Listing::None,
        };
        let source_map = match options.writes_debug_info() && listing == Listing::None {
            true => Some(self.stage("lines", || Ok(source_map(&program, &wasm, source_name)))?),
            false => None,
        };
        let progress = self.progress;
        let compiled =
            self.stage("compile", || codegen::compile(env, &isas, listing, source_map.as_ref(), progress))?;
        self.details.extend(compiled.least_effort.iter().map(|function| {
            format!("{function} is compiled without optimisation: it is too large to optimise in reasonable time")
        }));
        if listing != Listing::None {
            return Ok(compiled.listings.join("\n").into_bytes());
        }
        let mut image = image(&program, compiled, options, codegen::cpu_features(isa)?, note)?;
        image.debug = source_map.map(|map| {
            if map.is_damaged {
                self.notes.push("the module's debug information is damaged: some functions have no source lines");
            }
            DebugInfo { producer: format!("wasmelt {}", env!("CARGO_PKG_VERSION")), units: map.units }
        });
        let object = self.stage("emit", || emit::object(&image, &options.target))?;
        drop(image);
        drop(program);
        if options.emit == Emit::Obj {
            return Ok(object);
        }
        self.stage("link", || match options.emit {
            Emit::Staticlib => {
                link::static_library(&object, options.library.as_deref().unwrap_or("_"), &options.target)
            }
            Emit::Cdylib => link::shared_library(&[&object], &link_options(options)),
            _ => link::executable(&object, &link_options(options)),
        })
    }

    fn stage<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.progress.stage(name);
        let start = Instant::now();
        let result = work();
        self.timings.push((name, start.elapsed()));
        result
    }
}

/// Links objects of libraries (compiled with [`Options::library`] and [`Emit::Obj`], each with a name of its own) into
/// one shared library, for hosts that want to load several at once.
pub fn link_libraries(objects: &[&[u8]], options: &Options) -> Result<Vec<u8>> {
    link::shared_library(objects, &link_options(options))
}

fn link_options(options: &Options) -> link::LinkOptions<'_> {
    link::LinkOptions {
        target: &options.target,
        linker: &options.linker,
        runtime: options.runtime,
        runtime_dir: options.runtime_dir.as_deref(),
        strip: options.strip,
        debug_info: options.writes_debug_info(),
    }
}

/// The source lines of the functions that are compiled.
fn source_map(program: &Program<'_>, wasm: &[u8], source_name: &str) -> SourceMap {
    let instance = program.main();
    let bodies: Vec<_> = instance.live.iter().map(|&f| instance.module.bodies[f].range.clone()).collect();
    SourceMap::read(&instance.module, wasm, report::file_name(source_name), &bodies)
}

/// The module's bytes: as they are, or assembled from text.
fn read<'a>(input: &'a [u8], source_name: &str) -> Result<Cow<'a, [u8]>> {
    if input.starts_with(b"\0asm") || !looks_like_text(input) {
        return Ok(Cow::Borrowed(input));
    }
    wat::parse_bytes(input).map_err(|mut e| {
        e.set_path(source_name);
        Error::input(e.to_string())
    })
}

/// Whether these bytes are meant as the text format: UTF-8 that starts, after blanks and comments, with a parenthesis.
fn looks_like_text(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    matches!(text.trim_start_matches('\u{feff}').trim_start().chars().next(), Some('(' | ';'))
}

fn print(wasm: &[u8]) -> Result<Vec<u8>> {
    wasmprinter::print_bytes(wasm)
        .map(String::into_bytes)
        .map_err(|e| Error::input(format!("cannot print the module as text: {e}")))
}

/// Everything that goes into the object.
fn image<'a>(
    program: &'a Program<'a>,
    compiled: codegen::Compiled,
    options: &'a Options,
    cpu_features: u32,
    note: String,
) -> Result<Image<'a>> {
    let instance = program.main();
    let table = |table: &ConstTable| {
        table.elements.iter().map(|f| f.map(|f| instance.image_record(f)).transpose()).collect::<Result<Vec<_>>>()
    };
    let [to_wasm, to_host] = &compiled.trampolines;
    let interface = options
        .library
        .as_ref()
        .map(|name| instance.interface(name, &|ty| to_wasm.get(&ty).copied(), &|ty| to_host.get(&ty).copied()));
    let is_library = interface.is_some();
    Ok(Image {
        interface: interface.transpose()?,
        functions: compiled.functions,
        entry: Some(compiled.entry),
        invoke_entry: compiled.invoke_entry,
        invoke: program.entry.invoke.as_ref().map(|(_, invoke)| invoke.clone()),
        thread_entry: compiled.thread_entry,
        records: match is_library {
            false => instance.records.iter().map(|&f| instance.image_record(f)).collect::<Result<_>>()?,
            true => Vec::new(),
        },
        const_tables: instance.const_tables.iter().map(table).collect::<Result<_>>()?,
        context_bytes: instance.context_bytes,
        memories: instance.memories.values().copied().collect(),
        tables: instance.table_plans.clone(),
        data_segments: instance.data_segments.values().map(|&bytes| Cow::Borrowed(bytes)).collect(),
        element_segments: instance.element_segments.values().filter(|_| !is_library).cloned().collect(),
        initial: instance.initial.clone(),
        hooks: if is_library { Vec::new() } else { program.hooks(options) },
        policy: options.policy.clone(),
        fuel_offset: instance.fuel_offset,
        filter: harden::filter(program, options)?,
        trees: trees::plan(&options.policy, &options.embedded_files)?,
        embedded_files: &options.embedded_files,
        exception_payload_bytes: instance.exception_payload_bytes(),
        cpu_features,
        stack_bytes: options.stack_bytes,
        note,
        debug: None,
    })
}

/// Facts of a module for people, without compiling it: used by `inspect`.
pub fn parse<'data>(wasm: &'data [u8], options: &Options) -> Result<Module<'data>> {
    module::parse(wasm, options.features)
}
