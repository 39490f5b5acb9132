//! The pipeline: one line per stage. No other file knows the order of the stages.

mod for_hosts;
mod incremental;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem;
use std::time::{Duration, Instant};

use cranelift_codegen::ir::Function;
use wasmparser::WasmFeatures;

use crate::codegen::{self, Codegen, Compiled, Improvements, Listing};
use crate::component::{self, FlatComponent, World};
use crate::debug::{SourceMap, positions};
use crate::emit;
use crate::error::{Error, Result};
use crate::identify;
use crate::image::{DebugInfo, Image, ImageFunction, Positions};
use crate::link;
use crate::module::{self, Entity, Module};
use crate::optimize::{self, inline};
use crate::options::{Emit, OptLevel, Options, Policy, Preinit, Preload, Shape, Stops};
use crate::parallel;
use crate::preinit;
use crate::profile::{self, Guide};
use crate::program::{FuncId, Linked, Needs, Piece, Program};
use crate::report;
use crate::reuse;
use crate::text;
use crate::translate::{self, Clif, FuncEnv};
use crate::unlinked::Unlinked;
use crate::workbench::Workbenches;

pub use self::for_hosts::{ForHosts, for_hosts};
pub use crate::progress::{NoProgress, Progress};

/// What came out of a compilation.
#[derive(Debug)]
pub struct Compilation {
    /// The output: executable, object or text, by [`Options::emit`].
    pub bytes: Vec<u8>,
    /// What it was linked from, where that is kept.
    pub unlinked: Option<Box<Unlinked>>,
    /// How long each stage took, in order.
    pub timings: Vec<(&'static str, Duration)>,
    /// What the user should know although it is not an error.
    pub notes: Vec<&'static str>,
    /// What may interest the user who asks for details.
    pub details: Vec<String>,
}

/// Compiles one module: `input` are the bytes of a `.wasm` or `.wat` file, `source_name` is its name for messages and
/// for the report in the output.
pub fn compile(input: &[u8], source_name: &str, options: &Options, progress: &dyn Progress) -> Result<Compilation> {
    with_stages(source_name, options, progress, |stages| match stages.compile(input, source_name, options)? {
        Made::Output(bytes) => Ok((bytes, None)),
        Made::Program(unlinked) => {
            let object = stages.object_of(&unlinked, options)?;
            // The linker takes memory of its own.
            drop(unlinked);
            Ok((stages.link(object, options)?, None))
        }
    })
}

/// As [`compile`], and keeps what the output was linked from.
pub fn compile_to_link_again(
    input: &[u8],
    source_name: &str,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Compilation> {
    with_stages(source_name, options, progress, |stages| match stages.compile(input, source_name, options)? {
        Made::Output(bytes) => Ok((bytes, None)),
        Made::Program(unlinked) => {
            let object = stages.object_of(&unlinked, options)?;
            Ok((stages.link(object, options)?, Some(unlinked)))
        }
    })
}

/// Links a program once more, with the policy of `options`. `source_name` is its name for messages.
pub fn link(unlinked: &Unlinked, source_name: &str, options: &Options, progress: &dyn Progress) -> Result<Compilation> {
    with_stages(source_name, options, progress, |stages| {
        let object = stages.object_of(unlinked, options)?;
        Ok((stages.link(object, options)?, None))
    })
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
    let mut stages = Stages {
        progress,
        timings: Vec::new(),
        notes: Vec::new(),
        details: Vec::new(),
        share: profile::Share::default(),
    };
    let (bytes, unlinked) = pool.install(|| run(&mut stages)).map_err(|e| e.context(source_name))?;
    Ok(Compilation { bytes, unlinked, timings: stages.timings, notes: stages.notes, details: stages.details })
}

/// A function to be compiled.
enum Work {
    Translate(FuncId),
    Compile(Box<Clif>),
}

impl Work {
    fn id(&self) -> FuncId {
        match self {
            Self::Translate(id) => *id,
            Self::Compile(clif) => clif.id,
        }
    }
}

/// Compiles functions, which take `bodies` into themselves.
fn compile_all(
    work: Vec<Work>,
    env: FuncEnv<'_>,
    codegen: Codegen<'_>,
    bodies: &inline::Bodies<'_>,
    benches: &Workbenches,
    progress: &dyn Progress,
) -> Result<Vec<Compiled>> {
    let size = |work: &Work| env.program.body_bytes(work.id());
    parallel::map(work, size, progress, |work| {
        benches.with(size(&work), |bench| {
            let mut clif = match work {
                Work::Compile(clif) => clif,
                Work::Translate(id) => {
                    let func = mem::replace(&mut bench.context.func, Function::new());
                    Box::new(translate::translate(env, id, &mut bench.builder, Box::new(func))?)
                }
            };
            bodies.inline_into(&mut clif)?;
            optimize::finish(&mut clif, &env)?;
            codegen.compile(*clif, bench)
        })
    })
}

/// What there is before anything is linked.
enum Made {
    /// What is not linked in the end: text, or several libraries, which are linked already.
    Output(Vec<u8>),
    Program(Box<Unlinked>),
}

struct Stages<'p> {
    progress: &'p dyn Progress,
    timings: Vec<(&'static str, Duration)>,
    notes: Vec<&'static str>,
    details: Vec<String>,
    /// With a profile, how much of what was compiled it knows.
    share: profile::Share,
}

impl Stages<'_> {
    /// As [`Self::compile_input`]; a profile that knows nothing of all that was compiled is an error.
    fn compile(&mut self, input: &[u8], source_name: &str, options: &Options) -> Result<Made> {
        let made = self.compile_input(input, source_name, options)?;
        if options.profile.is_some() {
            self.notes.extend(self.share.judge()?);
            self.details.push(self.share.to_string());
        }
        Ok(made)
    }

    /// Compiles up to the linker: text where that is asked for, else an object without its policy.
    fn compile_input(&mut self, input: &[u8], source_name: &str, options: &Options) -> Result<Made> {
        let wasm = self.stage("read", || read(input, source_name))?;
        let wasm = match options.plugs.is_empty() {
            true => wasm,
            false => {
                Cow::Owned(self.stage("compose", || component::compose(&wasm, source_name, &options.plugs))?.bytes)
            }
        };
        if options.preinit.is_some() {
            refuse_preinit(&wasm, options)?;
        }
        profile::refuse(options)?;
        if options.emit == Emit::Wat {
            self.stage("parse", || match component::is_component(&wasm) {
                true => component::flatten(&wasm, world_of(options), options.features).map(drop),
                false => module::parse(&wasm, options.features).map(drop),
            })?;
            return self.stage("print", || print(&wasm)).map(Made::Output);
        }
        refuse_stops(options)?;
        if component::is_component(&wasm) {
            return self.component(&wasm, source_name, options);
        }
        refuse_policy(options)?;
        if options.is_server {
            return Err(Error::usage("`--world proxy` makes a server of a component, and this is a module")
                .hint("build it for `wasm32-wasip2`, with bindings of `wasi:http/proxy`"));
        }
        if options.shape() == Shape::Many && options.trace_wasi {
            return Err(Error::usage(
                "a library has no functions of WASI but those of its host, which `--trace` cannot see",
            )
            .hint("the host can print what its functions are called with"));
        }
        if options.debug_info && !options.strip && !options.writes_debug_info() && options.emit.is_linked() {
            self.notes.push(
                "lines are written for backtraces alone: on macOS, what debuggers read stays in objects, `--emit obj`",
            );
        }
        if options.shape() == Shape::Many && !options.preloads.is_empty() {
            return self.libraries(&wasm, source_name, options).map(Made::Output);
        }
        let state = match &options.preinit {
            Some(preinit) => self.initialised(&wasm, source_name, preinit, options)?,
            None => preinit::State::default(),
        };
        let sources = self.stage("read", || sources(&wasm, source_name, options))?;
        let mut modules = self.stage("parse", || parse_all(&sources, options))?;
        let mut main = modules.pop().ok_or_else(|| Error::internal("no main module"))?;
        if let Some(preinit) = &options.preinit {
            preinit::replace_exports(preinit, &mut main.module)?;
            state.apply(&mut main.module);
        }
        let options = &*self.options_for(&main.module, options);
        let isas = codegen::Isas::new(options)?;
        let provenance = report::Provenance::build(&wasm, source_name, &main.module, options, &*isas.full)?;
        let provenance = report::Provenance { modules: linked_modules(&sources)?, ..provenance }.to_json();
        let program = self.stage("plan", || match options.shape() {
            Shape::Single => Program::executable(modules, main, options),
            Shape::Many => Program::library(main.module, options),
        })?;
        self.program(&program, &sources, provenance, &isas, options)
    }

    /// What the instance of a module is like when its initialiser has run, which happens here.
    fn initialised(
        &mut self,
        wasm: &[u8],
        source_name: &str,
        preinit: &Preinit,
        options: &Options,
    ) -> Result<preinit::State> {
        let sources = sources(wasm, source_name, options)?;
        let mut modules = parse_all(&sources, options)?;
        let main = modules.pop().ok_or_else(|| Error::internal("no main module"))?;
        let options = preinit::options_of_initialiser(preinit, &main.module, options)?;
        let isas = codegen::Isas::new(&options)?;
        let provenance = report::Provenance::build(wasm, source_name, &main.module, &options, &*isas.full)?.to_json();
        let program = self.stage("plan", || Program::executable(Vec::new(), main, &options))?;
        let Made::Program(unlinked) = self.program(&program, &sources, provenance, &isas, &options)? else {
            return Err(Error::internal("an initialiser that is not a program"));
        };
        let object = self.object_of(&unlinked, &options)?;
        let executable = self.link(object, &options)?;
        self.stage("initialise", || {
            let snapshot = preinit::run(&executable, &options, &program.main().module)?;
            preinit::State::read(&snapshot, &program, &unlinked.code)
        })
    }

    /// Compiles a component, which is one program.
    fn component(&mut self, wasm: &[u8], source_name: &str, options: &Options) -> Result<Made> {
        if options.is_server {
            return self.server(wasm, source_name, options).map(Made::Output);
        }
        refuse_for_components(options)?;
        let flat = self.stage("flatten", || component::flatten(wasm, world_of(options), options.features))?;
        if options.shape() == Shape::Many {
            return self.component_library(wasm, &flat, source_name, options).map(Made::Output);
        }
        let sources = component_sources(&flat, source_name, options);
        let modules = self.stage("parse", || parse_all(&sources, options))?;
        let isas = codegen::Isas::new(options)?;
        let contents: Vec<_> =
            sources.iter().zip(&modules).map(|(source, linked)| (&*source.wasm, &linked.module)).collect();
        let provenance =
            report::Provenance::of_component(wasm, source_name, &flat, &contents, options, &*isas.full)?.to_json();
        let program = self.stage("plan", || Program::component(&flat, modules, options))?;
        self.program(&program, &sources, provenance, &isas, options)
    }

    /// A server: a library of the component, linked with what speaks HTTP.
    fn server(&mut self, wasm: &[u8], source_name: &str, options: &Options) -> Result<Vec<u8>> {
        refuse_for_servers(options)?;
        let flat = self.stage("flatten", || component::flatten(wasm, World::Library, options.features))?;
        if !flat.lifted.iter().any(|lifted| lifted.interface.starts_with("wasi:http/incoming-handler@0.2.")) {
            let exports: Vec<_> = flat.exports.iter().map(|name| format!("`{name}`")).collect();
            let exports = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
            return Err(Error::input(format!(
                "the component exports no `wasi:http/incoming-handler@0.2`, which a server calls: it exports {exports}"
            ))
            .hint("leave out `--world proxy`: a command becomes an executable"));
        }
        // The server stops guests at their deadlines.
        let stops = Stops { interrupt: true, ..options.stops };
        let library = Some("server".to_owned());
        let options = Options { library, stops, is_server: false, ..options.clone() };
        let (objects, _) = self.component_objects(wasm, &flat, source_name, true, &options)?;
        self.stage("link", || link::server(&objects, &link_options(&options)))
    }

    /// A library of a component.
    fn component_library(
        &mut self,
        wasm: &[u8],
        flat: &FlatComponent,
        source_name: &str,
        options: &Options,
    ) -> Result<Vec<u8>> {
        let is_static = options.emit == Emit::Staticlib;
        let (objects, names) = self.component_objects(wasm, flat, source_name, is_static, options)?;
        self.stage("link", || match is_static {
            true => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let objects: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
                link::static_library(&objects, &names, &options.target)
            }
            false => link::shared_library(objects, &link_options(options)),
        })
    }

    /// The objects of a library of a component, with their names: one of each core module, and the plan by which a host
    /// connects them.
    fn component_objects(
        &mut self,
        wasm: &[u8],
        flat: &FlatComponent,
        source_name: &str,
        is_static: bool,
        options: &Options,
    ) -> Result<(Vec<Vec<u8>>, Vec<String>)> {
        let library = options.library.as_deref().unwrap_or("_");
        let sources = component_sources(flat, source_name, options);
        let (plan, note) = {
            let modules = self.stage("parse", || parse_all(&sources, options))?;
            let contents: Vec<_> =
                sources.iter().zip(&modules).map(|(source, linked)| (&*source.wasm, &linked.module)).collect();
            let isas = codegen::Isas::new(options)?;
            let provenance =
                report::Provenance::of_component(wasm, source_name, flat, &contents, options, &*isas.full)?;
            let modules: Vec<_> = contents.iter().map(|(_, module)| *module).collect();
            (self.stage("plan", || component::plan_of(flat, &modules))?, provenance.to_note())
        };
        let mut objects = Vec::new();
        let mut names: Vec<_> = (0..plan.module_count).map(|module| format!("{library}.{module}")).collect();
        for (module, name) in flat.used_modules().into_iter().zip(&names) {
            let is_adapter = flat.instances.iter().any(|instance| instance.is_adapter && instance.module == module);
            let library = Some(name.clone());
            let features = core_features(is_adapter, options);
            let options = Options { emit: Emit::Obj, library, plugs: Vec::new(), features, ..options.clone() };
            objects.push(match self.compile(&flat.modules[module], source_name, &options)? {
                Made::Output(bytes) => bytes,
                Made::Program(unlinked) => self.stage("emit", || unlinked.part(&options))?,
            });
        }
        objects.push(self.stage("emit", || emit::component(&plan, library, &note, is_static, &options.target))?);
        names.push(library.to_owned());
        Ok((objects, names))
    }

    /// The part that programs of modules and of components have in common, from the plan on.
    fn program(
        &mut self,
        program: &Program<'_>,
        sources: &[Source<'_>],
        provenance: String,
        isas: &codegen::Isas,
        options: &Options,
    ) -> Result<Made> {
        let isa = &*isas.full;
        let listing = match options.emit {
            Emit::Clif => Listing::Clif,
            Emit::Asm => Listing::Asm,
            _ => Listing::None,
        };
        // On macOS, debug information stays in objects, but backtraces have their lines.
        let source_maps = match options.debug_info && !options.strip && listing == Listing::None {
            true => self.stage("lines", || Ok(source_maps(program, sources)))?,
            false => Vec::new(),
        };
        let guide = match &options.profile {
            Some(profile) => Some(self.stage("plan", || Guide::of(program, profile))?),
            None => None,
        };
        guide.iter().for_each(|guide| self.share.add(guide));
        let guide = guide.as_ref();
        let env = FuncEnv {
            program,
            index: program.entry.instance,
            instance: program.main(),
            isa,
            shape: options.shape(),
            spectre_mitigations: options.spectre_mitigations,
            stops: options.stops,
            raises_traps: options.raises_traps(),
            relaxed_simd_deterministic: options.relaxed_simd_deterministic || options.nan_canonicalization,
            guide,
            peepholes: options.peepholes,
            address_sums: options.address_sums && options.shape() == Shape::Single,
        };
        let placement_seed = options.placement_seed;
        let Options { loops, byte_scans, .. } = *options;
        let improvements = Improvements { loops, byte_scans: byte_scans && options.opt_level == OptLevel::Speed };
        let loops = (options.opt_level != OptLevel::None && (loops || byte_scans)).then_some(improvements);
        let raises_traps = options.raises_traps();
        let codegen =
            Codegen { program, isas, listing, source_maps: &source_maps, placement_seed, loops, raises_traps };
        let limits = inline::Limits::of(options);
        // Listings and lines are not kept, nor what counts or follows a profile.
        let keeps = listing == Listing::None && source_maps.is_empty() && guide.is_none() && !options.profile_generate;
        let compiled = match options.reuse.as_ref().filter(|_| keeps) {
            Some(reuse) => {
                let keys = reuse::Keys::of(program, options, isa, limits, reuse);
                let progress = self.progress;
                let (compiled, known) =
                    self.stage("compile", || incremental::functions(env, codegen, limits, (reuse, &keys), progress))?;
                self.details.push(format!("{known} of {} functions were compiled before", compiled.len()));
                compiled
            }
            None => self.functions(env, codegen, limits)?,
        };
        self.details.extend(compiled.iter().filter(|compiled| compiled.has_least_effort).map(|compiled| {
            let function = program.describe(FuncId::from_u32(compiled.function.id));
            format!("{function} is compiled without optimisation: it is too large to optimise in reasonable time")
        }));
        if listing != Listing::None {
            let listings: Vec<_> = compiled.into_iter().filter_map(|compiled| compiled.listing).collect();
            return Ok(Made::Output(listings.join("\n").into_bytes()));
        }
        let functions = compiled.into_iter().map(|compiled| compiled.function).collect();
        if source_maps.iter().any(|map| map.is_damaged) {
            self.notes.push("the module's debug information is damaged: some functions have no source lines");
        }
        let mut image = Image { functions, cpu_features: codegen::cpu_features(isa)?, ..program.image(options)? };
        if options.strip {
            // Backtraces show the offsets of functions then.
            image.functions.iter_mut().for_each(ImageFunction::forget_operators);
        }
        image.inlined = inlined(program, &image.functions);
        image.positions = positions(program, &source_maps, &image);
        if options.writes_debug_info() && !source_maps.is_empty() {
            let producer = format!("wasmelt {}", env!("CARGO_PKG_VERSION"));
            image.debug =
                Some(DebugInfo { producer, units: source_maps.into_iter().flat_map(|map| map.units).collect() });
        }
        let code = self.stage("emit", || emit::Code::write(&image, &options.target))?;
        let needs = Needs {
            is_traced: options.trace_wasi,
            snapshots: options.snapshot.is_some(),
            writes_profile: options.profile_generate,
            ..Needs::of(program)
        };
        Ok(Made::Program(Box::new(Unlinked { code, needs, provenance, strip: options.strip })))
    }

    /// The object of a program, with its policy.
    fn object_of(&mut self, unlinked: &Unlinked, options: &Options) -> Result<Vec<u8>> {
        self.stage("emit", || unlinked.object(options))
    }

    /// Links an object where that is asked for.
    fn link(&mut self, object: Vec<u8>, options: &Options) -> Result<Vec<u8>> {
        if options.emit == Emit::Obj {
            return Ok(object);
        }
        self.stage("link", || match options.emit {
            Emit::Staticlib => {
                let name = options.library.as_deref().unwrap_or("_");
                link::static_library(&[&object], &[name], &options.target)
            }
            Emit::Cdylib => link::shared_library(vec![object], &link_options(options)),
            _ => link::executable(object, &link_options(options)),
        })
    }

    /// The object of a module.
    fn object(&mut self, input: &[u8], source_name: &str, options: &Options) -> Result<Vec<u8>> {
        match self.compile(input, source_name, options)? {
            Made::Output(bytes) => Ok(bytes),
            Made::Program(unlinked) => self.object_of(&unlinked, options),
        }
    }

    /// One library that holds each module as a library of its own name, for a host to connect.
    fn libraries(&mut self, wasm: &[u8], source_name: &str, options: &Options) -> Result<Vec<u8>> {
        let object = |stages: &mut Self, bytes: &[u8], source_name: &str, name: Option<String>| {
            let options = Options { emit: Emit::Obj, library: name, preloads: Vec::new(), ..options.clone() };
            stages.object(bytes, source_name, &options)
        };
        if options.emit == Emit::Obj {
            return Err(Error::usage("an object of a library holds one module").hint("compile each module by itself"));
        }
        let mut objects = Vec::with_capacity(options.preloads.len() + 1);
        for Preload { name, source_name, bytes } in &options.preloads {
            objects.push(object(self, bytes, source_name, Some(name.clone())).map_err(|e| e.context(source_name))?);
        }
        objects.push(object(self, wasm, source_name, options.library.clone())?);
        self.stage("link", || match options.emit {
            Emit::Staticlib => {
                let names = options.preloads.iter().map(|preload| preload.name.as_str());
                let names: Vec<_> = names.chain(options.library.as_deref()).collect();
                let objects: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
                link::static_library(&objects, &names, &options.target)
            }
            _ => link::shared_library(objects, &link_options(options)),
        })
    }

    /// The functions from their bodies to machine code, each by itself, but those last that others took into themselves.
    fn functions(&mut self, env: FuncEnv<'_>, codegen: Codegen<'_>, limits: inline::Limits) -> Result<Vec<Compiled>> {
        let (program, progress) = (env.program, self.progress);
        self.stage("compile", || {
            let size = |&id: &FuncId| program.body_bytes(id);
            let benches = Workbenches::new();
            let small = inline::candidates(program, limits, env.guide);
            let small = parallel::map(small, size, &NoProgress, |id| {
                let func = Box::new(Function::new());
                benches.with(size(&id), |bench| translate::translate(env, id, &mut bench.builder, func).map(Box::new))
            })?;
            let (mut bodies, others) = inline::Bodies::new(program, limits, env.guide, small)?;
            let translated: HashSet<FuncId> = others.iter().map(|clif| clif.id).collect();
            let ids = program.functions.ids().filter(|id| !bodies.has(*id) && !translated.contains(id));
            let work = ids.map(Work::Translate).chain(others.into_iter().map(Work::Compile)).collect();
            let mut compiled = compile_all(work, env, codegen, &bodies, &benches, progress)?;
            let referred = compiled.iter().flat_map(|compiled| compiled.function.callees()).map(FuncId::from_u32);
            let work = bodies.take_needed(referred).into_iter().map(Work::Compile).collect();
            compiled.extend(compile_all(work, env, codegen, &bodies, &benches, progress)?);
            compiled.sort_unstable_by_key(|compiled| compiled.function.id);
            Ok(compiled)
        })
    }

    /// The options, but those of a library where code is shown of a module that cannot be a program.
    fn options_for<'o>(&mut self, module: &Module<'_>, options: &'o Options) -> Cow<'o, Options> {
        if !options.emit.is_text() || !options.preloads.is_empty() || is_program(module, options) {
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
pub fn link_libraries(objects: Vec<Vec<u8>>, options: &Options) -> Result<Vec<u8>> {
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

/// The bytes of a module and where they came from.
struct Source<'a> {
    /// The name that others import it by.
    name: String,
    /// For messages.
    source_name: &'a str,
    /// The module in the binary format.
    wasm: Cow<'a, [u8]>,
    /// What it may use.
    features: WasmFeatures,
}

/// The modules of a program in order of instantiation, the main one last.
fn sources<'a>(wasm: &'a [u8], source_name: &'a str, options: &'a Options) -> Result<Vec<Source<'a>>> {
    let preloads = options.preloads.iter().map(|preload| {
        let (name, source_name) = (preload.name.clone(), preload.source_name.as_str());
        Ok(Source { name, source_name, wasm: read(&preload.bytes, source_name)?, features: options.features })
    });
    let file = report::file_name(source_name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let main = Source { name: stem.to_owned(), source_name, wasm: Cow::Borrowed(wasm), features: options.features };
    preloads.chain([Ok(main)]).collect()
}

/// The core modules of a component, one for each instance.
fn component_sources<'a>(flat: &'a FlatComponent, source_name: &'a str, options: &Options) -> Vec<Source<'a>> {
    let source = |instance: &component::FlatInstance| {
        let wasm = Cow::Borrowed(flat.modules[instance.module].as_slice());
        let features = core_features(instance.is_adapter, options);
        Source { name: instance.name.clone(), source_name, wasm, features }
    };
    flat.instances.iter().map(source).collect()
}

/// What a core module of a component may use.
fn core_features(is_adapter: bool, options: &Options) -> WasmFeatures {
    let further = if is_adapter { component::ADAPTERS } else { WasmFeatures::empty() };
    options.features.union(further)
}

/// Refuses to let an executable's code be stopped as that of a library is.
fn refuse_stops(options: &Options) -> Result<()> {
    if options.shape() == Shape::Many {
        return Ok(());
    }
    if options.stops.fuel {
        return Err(Error::usage("`--fuel` of an executable has a number: the instructions that it may execute")
            .hint("a library counts for its host, which sets the number: `--emit cdylib --fuel`"));
    }
    if options.stops.interrupt {
        return Err(Error::usage("`--interruptible` is for libraries, whose hosts interrupt them")
            .hint("`--timeout` limits the time of an executable"));
    }
    Ok(())
}

/// Refuses to initialise what is not one module.
fn refuse_preinit(wasm: &[u8], options: &Options) -> Result<()> {
    if options.emit == Emit::Wat {
        return Err(Error::usage("`--emit wat` shows the module as it is, and `--preinit` runs a part of it")
            .hint("leave one of them out"));
    }
    if component::is_component(wasm) {
        return Err(Error::usage("`--preinit` initialises modules, and a component has instances of several")
            .hint("initialise the module before it becomes a component, for example with `wasmtime wizer`"));
    }
    if !options.preloads.is_empty() {
        return Err(Error::usage("`--preinit` initialises one module, and `--preload` links several")
            .hint("link them into one module before, or leave one of both out"));
    }
    Ok(())
}

/// What becomes of a component.
fn world_of(options: &Options) -> World {
    match options.shape() {
        Shape::Single => World::Command,
        Shape::Many => World::Library,
    }
}

/// Refuses what has no meaning for a server.
fn refuse_for_servers(options: &Options) -> Result<()> {
    if options.emit != Emit::Exe {
        return Err(Error::usage("`--world proxy` makes an executable").hint("leave out `--emit`"));
    }
    if options.target.operating_system != target_lexicon::OperatingSystem::Linux {
        return Err(Error::usage(format!("servers are for Linux, and {} is another system", options.target))
            .hint("`wasmelt_embed::component` runs components in host programs of every system"));
    }
    if options.policy != Policy::default() {
        return Err(Error::usage("a server gets its limits and grants when it starts: `--max-memory`, `--http-allow`")
            .hint("leave out options such as `--dir` and `--timeout`; `./server --help` shows the server's"));
    }
    refuse_for_components(&Options { library: None, ..options.clone() })
}

/// Refuses a policy of a library.
fn refuse_policy(options: &Options) -> Result<()> {
    if options.shape() == Shape::Many && options.policy != Policy::default() {
        return Err(Error::usage("a library has the capabilities and limits of its host, none of its own")
            .hint("options such as `--dir`, `--timeout` and `--harden` are for executables"));
    }
    Ok(())
}

/// Refuses what has no meaning for a component.
fn refuse_for_components(options: &Options) -> Result<()> {
    if options.shape() == Shape::Many && !matches!(options.emit, Emit::Cdylib | Emit::Staticlib) {
        return Err(Error::usage("a library of a component is several objects, and no text shows them all")
            .hint("`--emit cdylib` or `staticlib` makes the library; `--emit clif` shows the code of an executable"));
    }
    refuse_policy(options)?;
    if !options.preloads.is_empty() {
        return Err(Error::usage("`--preload` links modules, and a component cannot import any")
            .hint("`--plug PATH` composes it with a component"));
    }
    if options.invoke.is_some() {
        return Err(Error::usage("`--invoke` calls an export of a module, and a component's have other types")
            .hint("leave `--invoke` out: the component's `wasi:cli/run` is called"));
    }
    if options.trace_wasi {
        return Err(Error::usage("`--trace wasi` prints calls of preview 1, and a component makes those of WASI 0.2")
            .hint("leave `--trace wasi` out; `strace` shows what a program asks of Linux"));
    }
    Ok(())
}

/// What is said about the modules of a program of several.
fn linked_modules(sources: &[Source<'_>]) -> Result<Vec<report::LinkedModule>> {
    let mut modules = Vec::new();
    for source in sources.iter().filter(|_| sources.len() > 1) {
        let module = report::LinkedModule::build(&source.name, source.source_name, &source.wasm, &modules)?;
        modules.push(module);
    }
    Ok(modules)
}

fn parse_all<'a>(sources: &'a [Source<'_>], options: &Options) -> Result<Vec<Linked<'a>>> {
    let parse = |source: &'a Source<'_>| {
        let mut module = module::parse(&source.wasm, source.features)?;
        if !options.branch_hinting {
            module.ignore_branch_hints();
        }
        Ok(Linked { name: source.name.clone(), module })
    };
    let is_main = |place| place + 1 == sources.len();
    let parsed = sources.iter().enumerate().map(|(place, source)| {
        // The main module's errors are given its name for whatever happens to it.
        parse(source).map_err(|e: Error| if is_main(place) { e } else { e.context(source.source_name) })
    });
    parsed.collect()
}

/// The source lines of the functions that are compiled, for each instance.
fn source_maps(program: &Program<'_>, sources: &[Source<'_>]) -> Vec<SourceMap> {
    let maps = program.instances.values().zip(sources).map(|(instance, source)| {
        let bodies: Vec<_> = instance.live.iter().map(|&f| instance.module.bodies[f].range.clone()).collect();
        SourceMap::read(&instance.module, &source.wasm, report::file_name(source.source_name), &bodies)
    });
    maps.collect()
}

/// Index and name of the functions in whose bodies code of others can stop.
fn inlined(program: &Program<'_>, functions: &[ImageFunction]) -> BTreeMap<u32, (u32, String)> {
    let scopes = functions.iter().filter(|function| !function.inlined.is_empty()).flat_map(|function| &function.scopes);
    let ids: BTreeSet<u32> = scopes.map(|scope| scope.function).collect();
    ids.into_iter().filter_map(|id| Some((id, program.frame(FuncId::from_u32(id))?))).collect()
}

/// Where in source files the operators are at which code can stop.
fn positions(program: &Program<'_>, maps: &[SourceMap], image: &Image<'_>) -> Positions {
    let mut builder = positions::Builder::default();
    for ((index, instance), map) in program.instances.iter().zip(maps) {
        let functions = image.functions.iter().filter_map(|function| {
            let Piece::Function(of, f) = program.functions.piece(FuncId::from_u32(function.id)) else { return None };
            if of != index {
                return None;
            }
            let mut operators: Vec<u32> = function.operators.iter().map(|&(_, operator)| operator).collect();
            operators.sort_unstable();
            operators.dedup();
            Some((function.id, instance.module.bodies[f].range.clone(), operators))
        });
        builder.add(map, functions);
    }
    builder.finish()
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

/// Facts of a module for people, without compiling it: used by `inspect`.
pub fn parse<'data>(wasm: &'data [u8], options: &Options) -> Result<Module<'data>> {
    module::parse(wasm, options.features)
}
