//! CLIF to machine code: every live function and the entries, in parallel, each into owned data.
//!
//! What comes out does not depend on the number of threads: each function is compiled by itself and put in its place.

mod effort;
mod isa;

use std::collections::HashMap;

use cranelift_codegen::binemit::CodeOffset;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName, Function, LibCall};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::settings::OptLevel;
use cranelift_codegen::{
    CompiledCode, Context, ExceptionContextLoc, FinalizedMachExceptionHandler, FinalizedRelocTarget, MachTrap,
};
use cranelift_frontend::FunctionBuilderContext;
use rayon::prelude::*;
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::host::host_functions;

use crate::debug::SourceMap;
use crate::emit::image::{CallSite, Handler, ImageFunction, Reloc, RelocTarget};
use crate::error::{Error, Result, ResultExt as _};
use crate::module::{DefinedFuncIndex, FuncIndex, TypeIndex};
use crate::options::Shape;
use crate::program::{self, Trampolines, TypeId};
use crate::progress::Progress;
use crate::translate::{self, FuncEnv, Name};

use effort::Effort;

pub use isa::{DEFAULT_X86_64_CPU, Isas, cpu_features, known_cpu_features};

/// One piece of code to make.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Function(DefinedFuncIndex),
    Thunk(FuncIndex),
    Entry,
    InvokeEntry,
    ToWasm(TypeId),
    ToHost(TypeId),
    ThreadEntry,
}

/// Which text a compilation is to give besides code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// None.
    None,
    /// CLIF, as it was translated.
    Clif,
    /// Assembly, as it was generated.
    Asm,
}

/// What was compiled.
#[derive(Debug)]
pub struct Compiled {
    /// Live functions in order, then thunks of imports, the entries, and a library's trampolines.
    pub functions: Vec<ImageFunction>,
    /// Index of the entry.
    pub entry: u32,
    /// Index of the entry for `--invoke`.
    pub invoke_entry: Option<u32>,
    /// Indices of a library's trampolines by type: [`Trampolines::to_wasm`], then [`Trampolines::to_host`].
    pub trampolines: [HashMap<TypeId, u32>; 2],
    /// Index of the entry of threads.
    pub thread_entry: Option<u32>,
    /// The listing that was asked for, one text per function.
    pub listings: Vec<String>,
    /// Functions that were compiled with less effort than the options ask for.
    pub least_effort: Vec<String>,
}

/// Compiles all live functions of the instance, and its entries.
///
/// With a source map, functions get lines.
pub fn compile(
    env: FuncEnv<'_>,
    isas: &Isas,
    listing: Listing,
    source_map: Option<&SourceMap>,
    progress: &dyn Progress,
) -> Result<Compiled> {
    let live = &env.instance.live;
    let mut pieces: Vec<_> = live.iter().map(|&f| Piece::Function(f)).collect();
    pieces.extend(env.instance.thunks.iter().map(|&f| Piece::Thunk(f)));
    let entry = pieces.len() as u32;
    pieces.push(Piece::Entry);
    let invoke_entry = env.program.entry.invoke.as_ref().map(|_| {
        pieces.push(Piece::InvokeEntry);
        pieces.len() as u32 - 1
    });
    let thread_entry = env.program.entry.thread_start.map(|_| {
        pieces.push(Piece::ThreadEntry);
        pieces.len() as u32 - 1
    });
    let types = program::types_by_number(&env.instance.module);
    let compiler = Compiler { env, isas, types, listing, source_map };
    let mut trampolines = [HashMap::new(), HashMap::new()];
    if env.shape == Shape::Many {
        let Trampolines { to_wasm, to_host } = env.instance.trampolines();
        let [places_to_wasm, places_to_host] = &mut trampolines;
        for ty in to_wasm {
            places_to_wasm.insert(ty, pieces.len() as u32);
            pieces.push(Piece::ToWasm(ty));
        }
        for ty in to_host {
            places_to_host.insert(ty, pieces.len() as u32);
            pieces.push(Piece::ToHost(ty));
        }
    }

    // Large functions first, so that no thread is left alone with one at the end.
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(size(env, pieces[i])));
    let done = std::sync::atomic::AtomicUsize::new(0);
    let mut results: Vec<_> = order
        .into_par_iter()
        .with_max_len(1)
        .map_init(
            || (Context::new(), FunctionBuilderContext::new()),
            |(context, builder_context), i| {
                context.clear();
                let result = compiler.compile(pieces[i], context, builder_context);
                let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                progress.functions(done, pieces.len());
                (i, result)
            },
        )
        .collect();
    results.sort_unstable_by_key(|(i, _)| *i);

    // The first error in order wins, so that messages do not depend on the threads.
    let mut functions = Vec::with_capacity(results.len());
    let (mut listings, mut least_effort) = (Vec::new(), Vec::new());
    for (i, result) in results {
        let CompiledPiece { function, listing, effort } = result?;
        functions.push(function);
        listings.extend(listing);
        if effort != Effort::Full {
            least_effort.push(describe(env, pieces[i]));
        }
    }
    Ok(Compiled { functions, entry, invoke_entry, thread_entry, trampolines, listings, least_effort })
}

fn size(env: FuncEnv<'_>, piece: Piece) -> usize {
    match piece {
        Piece::Function(f) => env.instance.module.bodies[f].range.len(),
        _ => 0,
    }
}

fn describe(env: FuncEnv<'_>, piece: Piece) -> String {
    match piece {
        Piece::Function(f) => {
            let module = &env.instance.module;
            module.describe_func(module.func_index(f))
        }
        Piece::Thunk(f) => format!("the thunk of imported {}", env.instance.module.describe_func(f)),
        Piece::Entry => "the entry".to_owned(),
        Piece::InvokeEntry => "the entry for `--invoke`".to_owned(),
        Piece::ToWasm(ty) => format!("the trampoline to functions of type {ty}"),
        Piece::ToHost(ty) => format!("the trampoline to host functions of type {ty}"),
        Piece::ThreadEntry => "the entry of threads".to_owned(),
    }
}

/// What all pieces are compiled with.
struct Compiler<'a> {
    env: FuncEnv<'a>,
    isas: &'a Isas,
    /// Each different type, by its number.
    types: Vec<TypeIndex>,
    listing: Listing,
    source_map: Option<&'a SourceMap>,
}

/// What becomes of a piece.
struct CompiledPiece {
    function: ImageFunction,
    listing: Option<String>,
    effort: Effort,
}

impl Compiler<'_> {
    fn compile(
        &self,
        piece: Piece,
        context: &mut Context,
        builder_context: &mut FunctionBuilderContext,
    ) -> Result<CompiledPiece> {
        let env = self.env;
        let place = || describe(env, piece);
        let effort = self.translate(piece, builder_context, &mut context.func).context(place)?;
        let mut listing =
            (self.listing == Listing::Clif).then(|| format!(";; {}\n{}", place(), context.func.display()));
        context.set_disasm(self.listing == Listing::Asm);
        let isa = self.isas.of(effort);
        context.compile(isa, &mut ControlPlane::default()).map_err(|e| codegen_error(&e).context(place()))?;
        let Some(code) = context.take_compiled_code() else {
            return Err(Error::internal("Cranelift compiled nothing").context(place()));
        };
        if self.listing == Listing::Asm {
            let asm = code.vcode.as_deref().unwrap_or_default();
            listing = Some(format!("# {}\n{}:\n{asm}", place(), symbol(env, piece)));
        }
        let mut function = image_function(env, piece, &code, &context.func).context(place)?;
        if let (Some(source_map), Piece::Function(f)) = (self.source_map, piece) {
            let places = code.buffer.get_srclocs_sorted().iter();
            let places = places.map(|place| (place.start, (!place.loc.is_default()).then(|| place.loc.bits())));
            function.debug = Some(source_map.function(env.instance.module.bodies[f].range.clone(), places));
        }
        Ok(CompiledPiece { function, listing, effort })
    }

    /// Translates a piece, and says how much is to be done for it then.
    fn translate(&self, piece: Piece, context: &mut FunctionBuilderContext, func: &mut Function) -> Result<Effort> {
        let env = self.env;
        let type_of = |id: TypeId| &env.instance.module.types[self.types[id as usize]];
        match piece {
            Piece::Function(f) => {
                let locals = translate::translate_function(env, f, context, func)?;
                return Ok(Effort::of_body(&env.instance.module.bodies[f].facts, locals, func));
            }
            Piece::Thunk(f) => translate::translate_thunk(env, f, context, func),
            Piece::Entry => translate::translate_entry(env, context, func),
            Piece::InvokeEntry => translate::translate_invoke_entry(env, context, func),
            Piece::ToWasm(id) => translate::translate_to_wasm(env, id, type_of(id), context, func),
            Piece::ToHost(id) => translate::translate_to_host(env, type_of(id), context, func),
            Piece::ThreadEntry => translate::translate_thread_entry(env, context, func),
        }?;
        Ok(Effort::of(func))
    }
}

fn codegen_error(error: &cranelift_codegen::CompileError<'_>) -> Error {
    use cranelift_codegen::CodegenError;
    match &error.inner {
        CodegenError::CodeTooLarge => Error::input("the function is too large for the code generator"),
        CodegenError::ImplLimitExceeded => Error::input("the function exceeds a limit of the code generator"),
        CodegenError::Verifier(errors) => Error::internal(format!("invalid CLIF: {errors}")),
        other => Error::internal(format!("code generation failed: {other}")),
    }
}

/// Symbol of a function: what the name section calls it, else its index.
fn symbol(env: FuncEnv<'_>, piece: Piece) -> String {
    match piece {
        Piece::Function(f) => {
            let module = &env.instance.module;
            let index = module.func_index(f);
            match module.func_names.get(&index) {
                // Symbol tables end a name at the first NUL.
                Some(name) if !name.is_empty() && !name.contains('\0') => (*name).to_owned(),
                _ => format!("wasm_func_{}", index.as_u32()),
            }
        }
        Piece::Thunk(f) => format!("wasmelt_thunk_{}", f.as_u32()),
        Piece::Entry => "wasmelt_entry".to_owned(),
        Piece::InvokeEntry => "wasmelt_invoke_entry".to_owned(),
        Piece::ToWasm(ty) => format!("wasmelt_to_wasm_{ty}"),
        Piece::ToHost(ty) => format!("wasmelt_to_host_{ty}"),
        Piece::ThreadEntry => "wasmelt_thread_entry".to_owned(),
    }
}

fn image_function(env: FuncEnv<'_>, piece: Piece, code: &CompiledCode, func: &Function) -> Result<ImageFunction> {
    let module = &env.instance.module;
    let index = match piece {
        Piece::Function(f) => Some(module.func_index(f)),
        _ => None,
    };
    let relocs = code
        .buffer
        .relocs()
        .iter()
        .map(|reloc| {
            let target = match &reloc.target {
                // They call the runtime through their context.
                FinalizedRelocTarget::ExternalName(ExternalName::LibCall(call)) if env.shape == Shape::Many => {
                    return Err(missing_operation(*call));
                }
                FinalizedRelocTarget::ExternalName(name) => target(name, func)?,
                FinalizedRelocTarget::Func(_) => {
                    return Err(Error::internal("a relocation within a function is not supported"));
                }
            };
            Ok(Reloc { offset: reloc.offset, kind: reloc.kind, target, addend: reloc.addend })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut traps: Vec<_> = code
        .buffer
        .traps()
        .iter()
        .filter_map(|&MachTrap { offset, code }| translate::trap_of(code).map(|trap| (offset as CodeOffset, trap)))
        .collect();
    traps.sort_unstable();
    let unwind =
        code.create_unwind_info(env.isa).map_err(|e| Error::internal(format!("no unwind information: {e}")))?;
    Ok(ImageFunction {
        symbol: symbol(env, piece),
        name: index.and_then(|i| module.func_names.get(&i)).map_or_else(String::new, |n| (*n).to_owned()),
        index: index.map(|i| i.as_u32()),
        code: code.code_buffer().to_vec(),
        align: alignment(env.isa, code),
        relocs,
        traps,
        call_sites: call_sites(code)?,
        unwind,
        debug: None,
    })
}

/// Alignment of a function: what the CPU likes, or just what it needs where size counts.
fn alignment(isa: &dyn TargetIsa, code: &CompiledCode) -> u32 {
    let alignment = isa.function_alignment();
    let wanted = match isa.flags().opt_level() {
        OptLevel::SpeedAndSize => alignment.minimum,
        OptLevel::None | OptLevel::Speed => alignment.preferred,
    };
    code.buffer.alignment.max(wanted)
}

/// Calls within the reach of exception handlers.
fn call_sites(code: &CompiledCode) -> Result<Vec<CallSite>> {
    let mut sites = Vec::new();
    for site in code.buffer.call_sites().filter(|site| !site.exception_handlers.is_empty()) {
        let handlers = site.exception_handlers.iter().map(|handler| match *handler {
            FinalizedMachExceptionHandler::Tag(tag, offset) => Ok(Handler::Tag(tag.as_u32(), offset)),
            FinalizedMachExceptionHandler::Default(offset) => Ok(Handler::All(offset)),
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::SPOffset(offset)) => {
                Ok(Handler::Context(offset))
            }
            // No register survives a call under the `tail` convention when it can throw.
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::GPR(_)) => {
                Err(Error::internal("the context of a frame with exception handlers is in a register"))
            }
        });
        sites.push(CallSite {
            return_offset: site.ret_addr,
            frame_bytes: site.frame_offset.ok_or_else(|| Error::internal("a call site without its frame's size"))?,
            handlers: handlers.collect::<Result<_>>()?,
        });
    }
    sites.sort_unstable_by_key(|site| site.return_offset);
    Ok(sites)
}

/// What a relocation refers to.
fn target(name: &ExternalName, func: &Function) -> Result<RelocTarget> {
    match name {
        ExternalName::User(name) => {
            let name = Name::from_clif(&func.params.user_named_funcs()[*name]);
            Ok(match name.ok_or_else(|| Error::internal("an unknown external name"))? {
                Name::Function(i) => RelocTarget::Function(i),
                Name::Builtin(i) => RelocTarget::Builtin(Builtin::ALL[i as usize]),
                Name::Host(i) => RelocTarget::Host(
                    host_functions().nth(i as usize).ok_or_else(|| Error::internal("an unknown host function"))?,
                ),
                Name::Text => RelocTarget::Text,
                Name::Record(i) => RelocTarget::Record(i),
                Name::ConstTable(i) => RelocTarget::ConstTable(i),
            })
        }
        ExternalName::LibCall(call) => libcall(*call).map(RelocTarget::Builtin),
        other => Err(Error::internal(format!("an external name that nothing provides: {other:?}"))),
    }
}

/// The runtime function behind an operation for which the CPU has no instruction.
fn libcall(call: LibCall) -> Result<Builtin> {
    Ok(match call {
        LibCall::CeilF32 => Builtin::ceil_f32,
        LibCall::CeilF64 => Builtin::ceil_f64,
        LibCall::FloorF32 => Builtin::floor_f32,
        LibCall::FloorF64 => Builtin::floor_f64,
        LibCall::TruncF32 => Builtin::trunc_f32,
        LibCall::TruncF64 => Builtin::trunc_f64,
        LibCall::NearestF32 => Builtin::nearest_f32,
        LibCall::NearestF64 => Builtin::nearest_f64,
        LibCall::FmaF32 => Builtin::fma_f32,
        LibCall::FmaF64 => Builtin::fma_f64,
        other => return Err(missing_operation(other)),
    })
}

/// Nothing provides a symbol of this name.
fn missing_operation(call: LibCall) -> Error {
    Error::input(format!("the code needs an operation that the chosen CPU lacks ({call})"))
        .hint("choose a newer one, for example `--cpu x86-64-v3`")
}
