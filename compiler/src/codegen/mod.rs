//! CLIF to machine code, one function at a time, into owned data.

mod effort;
mod isa;
mod loops;
mod placement;

use cranelift_codegen::binemit::CodeOffset;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName, Function, LibCall};
use cranelift_codegen::{
    CodegenError, CodegenResult, CompiledCode, Context, ExceptionContextLoc, FinalizedMachExceptionHandler,
    FinalizedRelocTarget, MachTrap,
};
use cranelift_entity::EntityRef as _;
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::host::host_functions;
use wasmelt_abi::layout::MAX_FRAME_BYTES;

use crate::debug::SourceMap;
use crate::error::{Error, Result, ResultExt as _};
use crate::image::{CallSite, FunctionDebug, Handler, ImageFunction, InlinedSite, Reloc, RelocTarget, Scope};
use crate::options::Shape;
use crate::program::{FuncId, Piece, Program};
use crate::translate::{self, Clif, Locals, Name, Origins, Place};
use crate::workbench::Workbench;

use effort::Effort;

pub use isa::{DEFAULT_X86_64_CPU, Isas, cpu_features, cpu_names, known_cpu_features};
pub use loops::Improvements;

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

/// What all functions are compiled with.
#[derive(Clone, Copy)]
pub struct Codegen<'a> {
    /// The program.
    pub program: &'a Program<'a>,
    /// The target, for each effort.
    pub isas: &'a Isas,
    /// What is wanted besides code.
    pub listing: Listing,
    /// One for each instance, from which functions get lines; none without debug information.
    pub source_maps: &'a [SourceMap],
    /// See [`crate::options::Options::placement_seed`].
    pub placement_seed: Option<u64>,
    /// What is done with loops; none where nothing is.
    pub loops: Option<Improvements>,
    /// See [`crate::options::Options::raises_traps`].
    pub raises_traps: bool,
}

/// A function that was compiled.
#[derive(Debug)]
pub struct Compiled {
    /// Its code.
    pub function: ImageFunction,
    /// The listing that was asked for.
    pub listing: Option<String>,
    /// It is compiled with less effort than the options ask for.
    pub has_least_effort: bool,
}

impl Codegen<'_> {
    /// Compiles a function, with the allocations of `bench`.
    pub(crate) fn compile(self, clif: Clif, bench: &mut Workbench) -> Result<Compiled> {
        let Clif { id, func, locals, origins } = clif;
        let place = || self.program.describe(id);
        let Workbench { context, registers, .. } = bench;
        context.func = *func;
        let mut listing =
            (self.listing == Listing::Clif).then(|| format!(";; {}\n{}", place(), context.func.display()));
        context.set_disasm(self.listing == Listing::Asm);
        let effort = self.effort(id, locals, &context.func);
        let code = self.generate(effort, context, registers).map_err(|e| codegen_error(&e).context(place()))?;
        if self.raises_traps && !self.program.functions.piece(id).is_trampoline() {
            check_frame(&code).context(place)?;
        }
        if self.listing == Listing::Asm {
            let asm = code.vcode.as_deref().unwrap_or_default();
            listing = Some(format!("# {}\n{}:\n{asm}", place(), self.program.symbol(id)));
        }
        let mut function = self.image_function(id, &code, &context.func, &origins).context(place)?;
        function.debug = self.debug(id, &code);
        Ok(Compiled { function, listing, has_least_effort: effort != Effort::Full })
    }

    /// Optimises a function and generates its code.
    fn generate(
        &self,
        effort: Effort,
        context: &mut Context,
        registers: &mut regalloc2::Ctx,
    ) -> CodegenResult<CompiledCode> {
        let (isa, control) = (self.isas.of(effort), &mut ControlPlane::default());
        context.optimize(isa, control)?;
        if let Some(improvements) = self.loops.filter(|_| effort == Effort::Full) {
            loops::improve(context, improvements);
            context.verify_if(isa)?;
        }
        let Context { func, domtree, want_disasm, .. } = context;
        let stencil = isa.compile_function(func, domtree, registers, *want_disasm, control)?;
        Ok(stencil.apply_params(&func.params))
    }

    fn effort(self, id: FuncId, locals: Locals, func: &Function) -> Effort {
        match self.program.functions.piece(id) {
            Piece::Function(instance, defined) => {
                Effort::of_body(&self.program.instances[instance].module.bodies[defined].facts, locals, func)
            }
            _ => Effort::of(func),
        }
    }

    /// Lines of a function; units count through those of all instances.
    fn debug(self, id: FuncId, code: &CompiledCode) -> Option<FunctionDebug> {
        let Piece::Function(instance, func) = self.program.functions.piece(id) else { return None };
        let source_map = self.source_maps.get(instance.index())?;
        let places = code.buffer.get_srclocs_sorted().iter();
        let places = places.map(|place| (place.start, (!place.loc.is_default()).then(|| place.loc.bits())));
        let body = &self.program.instances[instance].module.bodies[func];
        let mut debug = source_map.function(body.range.clone(), places);
        let before = &self.source_maps[..instance.index()];
        debug.unit += before.iter().map(|map| map.units.len() as u32).sum::<u32>();
        Some(debug)
    }

    fn image_function(
        self,
        id: FuncId,
        code: &CompiledCode,
        func: &Function,
        origins: &Origins,
    ) -> Result<ImageFunction> {
        let piece = self.program.functions.piece(id);
        let (index, name) = self.program.frame(id).unzip();
        let is_library = piece.instance().is_some_and(|i| self.program.instances[i].shape == Shape::Many);
        let relocs = code
            .buffer
            .relocs()
            .iter()
            .map(|reloc| {
                let target = match &reloc.target {
                    // They call the runtime through their context.
                    FinalizedRelocTarget::ExternalName(ExternalName::LibCall(call)) if is_library => {
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
        let unwind = code
            .create_unwind_info(&*self.isas.full)
            .map_err(|e| Error::internal(format!("no unwind information: {e}")))?;
        let sites = sites(code, origins);
        Ok(ImageFunction {
            id: id.as_u32(),
            symbol: self.program.symbol(id),
            name: name.unwrap_or_default(),
            index,
            code: code.code_buffer().to_vec(),
            start: placement::start(&*self.isas.full, code, self.placement_seed, id),
            relocs,
            traps,
            body: match piece {
                Piece::Function(instance, f) => self.program.instances[instance].module.bodies[f].range.start as u32,
                _ => 0,
            },
            operators: sites.iter().map(|&(offset, place)| (offset, origins.outermost(place))).collect(),
            inlined: sites.iter().filter_map(inlined_site).collect(),
            scopes: origins.scopes().iter().map(scope).collect(),
            call_sites: call_sites(code)?,
            unwind,
            debug: None,
        })
    }
}

/// Refuses a function whose frame is larger than what code that raises its traps knows to be there.
fn check_frame(code: &CompiledCode) -> Result<()> {
    let bytes = code.buffer.frame_layout().map_or(0, |frame| frame.frame_to_fp_offset);
    if bytes <= MAX_FRAME_BYTES {
        return Ok(());
    }
    Err(Error::input(format!(
        "the function needs {bytes} bytes of stack, of which `--bounds-checks explicit` allows {MAX_FRAME_BYTES} in libraries"
    ))
    .hint("without the option, the end of the stack is found by a signal, and functions may need more"))
}

fn codegen_error(error: &CodegenError) -> Error {
    match error {
        CodegenError::CodeTooLarge => Error::input("the function is too large for the code generator"),
        CodegenError::ImplLimitExceeded => Error::input("the function exceeds a limit of the code generator"),
        CodegenError::Verifier(errors) => Error::internal(format!("invalid CLIF: {errors}")),
        other => Error::internal(format!("code generation failed: {other}")),
    }
}

/// Which operators calls and instructions that can trap come from, see [`ImageFunction::operators`].
fn sites(code: &CompiledCode, origins: &Origins) -> Vec<(u32, Place)> {
    let places = code.buffer.get_srclocs_sorted();
    let traps = code.buffer.traps().iter().map(|trap| trap.offset);
    let calls = code.buffer.call_sites().filter_map(|call| call.ret_addr.checked_sub(1));
    let mut offsets: Vec<u32> = traps.chain(calls).collect();
    offsets.sort_unstable();
    offsets.dedup();
    let site = |offset| {
        let place = places[..places.partition_point(|place| place.start <= offset)].last()?;
        let origin = origins.place(place.loc).filter(|_| offset < place.end)?;
        Some((offset, origin))
    };
    offsets.into_iter().filter_map(site).collect()
}

fn inlined_site(&(offset, Place { operator, scope }): &(u32, Place)) -> Option<InlinedSite> {
    Some(InlinedSite { offset, operator, scope: scope? })
}

fn scope(scope: &translate::Scope) -> Scope {
    Scope { function: scope.function.as_u32(), call: scope.call.operator, parent: scope.call.scope }
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
                Name::Function(id) => RelocTarget::Function(id.as_u32()),
                Name::Builtin(i) => RelocTarget::Builtin(Builtin::ALL[i as usize]),
                Name::Host(i) => RelocTarget::Host(
                    host_functions().nth(i as usize).ok_or_else(|| Error::internal("an unknown host function"))?,
                ),
                Name::Text => RelocTarget::Text,
                Name::Record(instance, i) => RelocTarget::Record(instance.as_u32(), i),
                Name::ConstTable(instance, i) => RelocTarget::ConstTable(instance.as_u32(), i),
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
