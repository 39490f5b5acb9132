//! The pipeline: one line per stage, and the only place that knows their order.

use std::borrow::Cow;
use std::mem;
use std::time::{Duration, Instant};

use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_frontend::FunctionBuilderContext;

use crate::codegen::{self, Codegen, Compiled, Listing};
use crate::debug::SourceMap;
use crate::emit;
use crate::error::{Error, Result};
use crate::identify;
use crate::image::{DebugInfo, Image, ImageFunction};
use crate::link;
use crate::module::{self, Entity, FuncIndex, Module};
use crate::optimize;
use crate::options::{Emit, Options, Policy, Shape};
use crate::parallel;
use crate::program::{FuncId, Needs, Piece, Program};
use crate::report;
use crate::text;
use crate::translate::{self, Clif, FuncEnv};
use crate::unlinked::Unlinked;

pub use crate::progress::{NoProgress, Progress};

/// What came out of a compilation.
#[derive(Debug)]
pub struct Compilation {
    /// The output: executable, object or text, by [`Options::emit`].
    pub bytes: Vec<u8>,
    /// What it was linked from; `None` where nothing was compiled.
    pub unlinked: Option<Box<Unlinked>>,
    /// How long each stage took, in order.
    pub timings: Vec<(&'static str, Duration)>,
    /// What the user should know although it is no error.
    pub notes: Vec<&'static str>,
}

/// Compiles one module: `input` are the bytes of a `.wasm` or `.wat` file, `source_name` is its name for messages and
/// for the report in the output.
pub fn compile(input: &[u8], source_name: &str, options: &Options, progress: &dyn Progress) -> Result<Compilation> {
    with_stages(source_name, options, progress, |stages| match stages.compile(input, source_name, options)? {
        Made::Text(text) => Ok((text, None)),
        Made::Program(unlinked) => Ok((stages.link(&unlinked, options)?, Some(unlinked))),
    })
}

/// Links a program once more, with the policy of `options`. `source_name` is its name for messages.
pub fn link(unlinked: &Unlinked, source_name: &str, options: &Options, progress: &dyn Progress) -> Result<Compilation> {
    with_stages(source_name, options, progress, |stages| Ok((stages.link(unlinked, options)?, None)))
}

/// Runs stages on as many threads as the options say.
fn with_stages(
    source_name: &str,
    options: &Options,
    progress: &dyn Progress,
    run: impl FnOnce(&mut Stages<'_>) -> Result<(Vec<u8>, Option<Box<Unlinked>>)> + Send,
) -> Result<Compilation> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .build()
        .map_err(|e| Error::internal(format!("cannot start threads: {e}")))?;
    let passes = optimize::passes(options);
    let mut stages = Stages { progress, passes, timings: Vec::new(), notes: Vec::new() };
    let (bytes, unlinked) = pool.install(|| run(&mut stages)).map_err(|e| e.context(source_name))?;
    Ok(Compilation { bytes, unlinked, timings: stages.timings, notes: stages.notes })
}

/// What there is before anything is linked.
enum Made {
    Text(Vec<u8>),
    Program(Box<Unlinked>),
}

struct Stages<'p> {
    progress: &'p dyn Progress,
    passes: Vec<optimize::Pass>,
    timings: Vec<(&'static str, Duration)>,
    notes: Vec<&'static str>,
}

impl Stages<'_> {
    /// Compiles up to the linker: text where that is asked for, else an object without its policy.
    fn compile(&mut self, input: &[u8], source_name: &str, options: &Options) -> Result<Made> {
        let wasm = self.stage("read", || read(input, source_name))?;
        if options.emit == Emit::Wat {
            self.stage("parse", || module::parse(&wasm, options.features))?;
            return self.stage("print", || print(&wasm)).map(Made::Text);
        }
        if options.shape() == Shape::Many && options.policy != Policy::default() {
            return Err(Error::usage("a library has the capabilities and limits of its host, none of its own")
                .hint("options such as `--dir`, `--timeout` and `--harden` are for executables"));
        }
        if options.debug_info && !options.strip && !options.writes_debug_info() && options.emit.is_linked() {
            self.notes.push(
                "lines are written for backtraces alone: on macOS, what debuggers read stays in objects, `--emit obj`",
            );
        }
        let mut module = self.stage("parse", || module::parse(&wasm, options.features))?;
        let options = &*self.options_for(&module, options);
        let isa = codegen::isa(options)?;
        if !options.branch_hinting {
            module.ignore_branch_hints();
        }
        let provenance = report::Provenance::build(&wasm, source_name, &module, options, &*isa)?.to_json();
        let program = self.stage("plan", || match options.shape() {
            Shape::Single => Program::single(module, options),
            Shape::Many => Program::library(module, options),
        })?;
        let listing = match options.emit {
            Emit::Clif => Listing::Clif,
            Emit::Asm => Listing::Asm,
            _ => Listing::None,
        };
        // On macOS, debug information stays in objects, but backtraces have their lines.
        let source_map = match options.debug_info && !options.strip && listing == Listing::None {
            true => Some(self.stage("lines", || Ok(source_map(&program, &wasm, source_name)))?),
            false => None,
        };
        let env = FuncEnv {
            program: &program,
            index: program.entry.instance,
            instance: program.main(),
            isa: &*isa,
            shape: options.shape(),
            spectre_mitigations: options.spectre_mitigations,
            relaxed_simd_deterministic: options.relaxed_simd_deterministic || options.nan_canonicalization,
        };
        let codegen = Codegen { program: &program, isa: &*isa, listing, source_map: source_map.as_ref() };
        let compiled = self.functions(env, codegen)?;
        if listing != Listing::None {
            let listings: Vec<_> = compiled.into_iter().filter_map(|compiled| compiled.listing).collect();
            return Ok(Made::Text(listings.join("\n").into_bytes()));
        }
        let functions = compiled.into_iter().map(|compiled| compiled.function).collect();
        let mut image = image(&program, functions, options, codegen::cpu_features(&*isa)?)?;
        if let Some(map) = source_map {
            if map.is_damaged {
                self.notes.push("the module's debug information is damaged: some functions have no source lines");
            }
            image.positions = positions(&program, &map, &image);
            let producer = format!("wasmelt {}", env!("CARGO_PKG_VERSION"));
            image.debug = options.writes_debug_info().then_some(DebugInfo { producer, units: map.units });
        }
        let code = self.stage("emit", || emit::Code::write(&image, &options.target))?;
        let needs = Needs::of(&program);
        Ok(Made::Program(Box::new(Unlinked { code, needs, provenance, strip: options.strip })))
    }

    /// Gives an object its policy, and links it where that is asked for.
    fn link(&mut self, unlinked: &Unlinked, options: &Options) -> Result<Vec<u8>> {
        let object = self.stage("emit", || unlinked.object(options))?;
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

    /// The functions from their bodies to machine code. Where no pass needs to see all of them, each goes its way alone.
    fn functions(&mut self, env: FuncEnv<'_>, codegen: Codegen<'_>) -> Result<Vec<Compiled>> {
        let (program, progress) = (env.program, self.progress);
        let ids: Vec<FuncId> = program.functions.ids().collect();
        let size = |&id: &FuncId| program.body_bytes(id);
        if self.passes.is_empty() {
            let new = || (FunctionBuilderContext::new(), Context::new());
            return self.stage("compile", || {
                parallel::map(ids, size, new, progress, |(builder_context, context), id| {
                    context.clear();
                    let func = mem::replace(&mut context.func, Function::new());
                    codegen.compile(translate::translate(env, id, builder_context, func)?, context)
                })
            });
        }
        let functions = self.stage("translate", || {
            parallel::map(ids, size, FunctionBuilderContext::new, &NoProgress, |builder_context, id| {
                translate::translate(env, id, builder_context, Function::new())
            })
        })?;
        let passes = mem::take(&mut self.passes);
        let functions = self.stage("optimize", || optimize::run(program, &passes, functions))?;
        self.stage("compile", || {
            let size = |clif: &Clif| clif.func.dfg.num_insts();
            parallel::map(functions, size, Context::new, progress, |context, clif| {
                context.clear();
                codegen.compile(clif, context)
            })
        })
    }

    /// The options, but those of a library where code is shown of a module that cannot be a program.
    fn options_for<'o>(&mut self, module: &Module<'_>, options: &'o Options) -> Cow<'o, Options> {
        if !options.emit.is_text() || is_program(module, options) {
            return Cow::Borrowed(options);
        }
        self.notes.push("the module exports no function `_start`, so the listing shows the code of a library");
        Cow::Owned(Options { library: Some("_".to_owned()), policy: Policy::default(), ..options.clone() })
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

/// Whether there is something to run, or whether something was asked for that says so if there is not.
fn is_program(module: &Module<'_>, options: &Options) -> bool {
    options.library.is_some() || options.invoke.is_some() || matches!(module.export("_start"), Some(Entity::Func(_)))
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

/// Where in source files the operators are at which code can stop, encoded.
fn positions(program: &Program<'_>, map: &SourceMap, image: &Image<'_>) -> Vec<u8> {
    let body = |piece| match piece {
        Piece::Function(instance, f) => Some(program.instances[instance].module.bodies[f].range.clone()),
        _ => None,
    };
    let functions: Vec<_> = image
        .functions
        .iter()
        .filter_map(|function| {
            let body = body(program.functions.piece(FuncId::from_u32(function.id)))?;
            let mut operators: Vec<u32> = function.operators.iter().map(|&(_, operator)| operator).collect();
            operators.sort_unstable();
            operators.dedup();
            Some((body, operators))
        })
        .collect();
    map.positions(functions.iter().map(|(body, operators)| (body.clone(), operators.as_slice())))
}

/// The module's bytes: as they are, or assembled from text.
pub(crate) fn read<'a>(input: &'a [u8], source_name: &str) -> Result<Cow<'a, [u8]>> {
    if input.starts_with(b"\0asm") {
        return Ok(Cow::Borrowed(input));
    }
    if !identify::is_text_format(input, source_name) {
        return identify::not_a_module(input, source_name).map_or(Ok(Cow::Borrowed(input)), Err);
    }
    text::assemble(input, source_name).map(Cow::Owned)
}

fn print(wasm: &[u8]) -> Result<Vec<u8>> {
    wasmprinter::print_bytes(wasm)
        .map(String::into_bytes)
        .map_err(|e| Error::input(format!("cannot print the module as text: {e}")))
}

/// Everything that goes into the object.
fn image<'a>(
    program: &'a Program<'a>,
    mut functions: Vec<ImageFunction>,
    options: &'a Options,
    cpu_features: u32,
) -> Result<Image<'a>> {
    let instance = program.main();
    let table = |table: &Vec<Option<FuncIndex>>| {
        table
            .iter()
            .map(|f| f.map(|f| program.record(program.entry.instance, f)).transpose())
            .collect::<Result<Vec<_>>>()
    };
    let library = options.library.as_ref();
    let interface = library.map(|name| instance.interface(name, program, program.entry.instance));
    let number = |piece| program.functions.id(piece).map(|id| id.as_u32());
    let is_library = interface.is_some();
    if options.strip {
        // Backtraces show the offsets of functions then.
        functions.iter_mut().for_each(|function| function.operators = Vec::new());
    }
    Ok(Image {
        interface: interface.transpose()?,
        functions,
        entry: number(Piece::Entry),
        invoke_entry: number(Piece::InvokeEntry),
        invoke: program.entry.invoke.as_ref().map(|(_, invoke)| invoke.clone()),
        thread_entry: number(Piece::ThreadEntry),
        records: match is_library {
            false => {
                instance.records.iter().map(|&f| program.record(program.entry.instance, f)).collect::<Result<_>>()?
            }
            true => Vec::new(),
        },
        const_tables: instance.const_tables.iter().map(table).collect::<Result<_>>()?,
        context_bytes: instance.context_bytes,
        memories: instance.memories.values().copied().collect(),
        tables: instance.table_plans.clone(),
        data_segments: instance.data_segments.values().map(|&bytes| Cow::Borrowed(bytes)).collect(),
        element_segments: instance.element_segments.values().filter(|_| !is_library).cloned().collect(),
        initial: instance.initial.clone(),
        fuel_offset: instance.fuel_offset,
        exception_payload_bytes: instance.exception_payload_bytes(),
        cpu_features,
        stack_bytes: options.stack_bytes,
        debug: None,
        positions: Vec::new(),
    })
}

/// Facts of a module for people, without compiling it: used by `inspect`.
pub fn parse<'data>(wasm: &'data [u8], options: &Options) -> Result<Module<'data>> {
    module::parse(wasm, options.features)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"(module
        (table funcref (elem $kept))
        (func $kept) (func $called)
        (func (export "_start") (call $called) (call_indirect (i32.const 0))))"#;

    fn object(passes: Vec<optimize::Pass>) -> Vec<u8> {
        let options = Options { emit: Emit::Obj, threads: 1, ..Options::default() };
        let mut stages = Stages { progress: &NoProgress, passes, timings: Vec::new(), notes: Vec::new() };
        let Made::Program(unlinked) = stages.compile(MODULE.as_bytes(), "test.wat", &options).unwrap() else {
            panic!()
        };
        stages.link(&unlinked, &options).unwrap()
    }

    fn forget_calls(_: &Program<'_>, functions: &mut Vec<Clif>) -> Result<()> {
        for Clif { func, .. } in functions {
            let blocks = func.layout.blocks();
            let direct: Vec<_> = blocks
                .flat_map(|block| func.layout.block_insts(block))
                .filter(|&inst| func.dfg.insts[inst].opcode() == cranelift_codegen::ir::Opcode::Call)
                .collect();
            direct.into_iter().for_each(|inst| func.layout.remove_inst(inst));
        }
        Ok(())
    }

    #[test]
    fn gathering_the_functions_changes_nothing() {
        assert!(object(Vec::new()) == object(vec![|_, _| Ok(())]));
    }

    #[test]
    fn what_no_function_calls_any_more_is_dropped() {
        let names = |object: &[u8], name: &str| object.windows(name.len()).any(|w| w == name.as_bytes());
        let (before, after) = (object(Vec::new()), object(vec![forget_calls]));
        assert!(names(&before, "called") && names(&before, "kept"));
        assert!(!names(&after, "called") && names(&after, "kept"));
    }
}
