//! The code of a function as it is kept. Offsets in the module are kept as distances from the function's body, because they
//! change with every function before it; names are left out, since they are known.

use cranelift_codegen::binemit::Reloc as RelocKind;
use cranelift_codegen::isa::unwind::UnwindInfo;
use serde::{Deserialize, Serialize};
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::host::host_functions;
use wasmelt_abi::trap::Trap;

use crate::codegen::Compiled;
use crate::error::{Error, Result};
use crate::image::{CallSite, Handler, ImageFunction, InlinedSite, Reloc, RelocTarget, Scope, Start};
use crate::program::{FuncId, Piece, Program};

/// See [`ImageFunction`], whose parts these are.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredFunction {
    #[serde(with = "crate::emit::bytes")]
    code: Vec<u8>,
    start: StoredStart,
    relocs: Vec<StoredReloc>,
    traps: Vec<(u32, u8)>,
    operators: Vec<(u32, i64)>,
    scopes: Vec<StoredScope>,
    inlined: Vec<(u32, i64, u32)>,
    call_sites: Vec<StoredCallSite>,
    unwind: Option<UnwindInfo>,
    has_least_effort: bool,
}

#[derive(Serialize, Deserialize)]
enum StoredStart {
    Aligned(u32),
    InLine(u32),
}

#[derive(Serialize, Deserialize)]
struct StoredReloc {
    offset: u32,
    kind: RelocKind,
    target: StoredTarget,
    addend: i64,
}

#[derive(Serialize, Deserialize)]
enum StoredTarget {
    Function(u32),
    Builtin(u32),
    /// Its place among all host functions.
    Host(u32),
    Text,
    Record(u32, u32),
    ConstTable(u32, u32),
}

#[derive(Serialize, Deserialize)]
struct StoredScope {
    function: u32,
    /// From the body that the call is in.
    call: i64,
    parent: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct StoredCallSite {
    return_offset: u32,
    frame_bytes: u32,
    handlers: Vec<StoredHandler>,
}

#[derive(Serialize, Deserialize)]
enum StoredHandler {
    Context(u32),
    Tag(u32, u32),
    All(u32),
}

/// Where the body of a function starts in its module; 0 for code that wasmelt made.
fn body_start(id: u32, program: &Program<'_>) -> i64 {
    match program.functions.piece(FuncId::from_u32(id)) {
        Piece::Function(instance, func) => program.instances[instance].module.bodies[func].range.start as i64,
        _ => 0,
    }
}

/// Where the body starts that a scope stands for, or that of the function itself.
fn start_of(own: u32, scopes: &[u32], scope: Option<u32>, program: &Program<'_>) -> Option<i64> {
    match scope {
        None => Some(body_start(own, program)),
        Some(scope) => Some(body_start(*scopes.get(scope as usize)?, program)),
    }
}

impl StoredFunction {
    pub(super) fn of(compiled: &Compiled, program: &Program<'_>) -> Result<Self> {
        let Compiled { function, listing: _, has_least_effort } = compiled;
        let ImageFunction {
            id,
            symbol: _,
            name: _,
            index: _,
            code,
            start,
            relocs,
            traps,
            body: _,
            operators,
            scopes,
            inlined,
            call_sites,
            unwind,
            debug: _,
        } = function;
        let functions: Vec<u32> = scopes.iter().map(|scope| scope.function).collect();
        let start_of = |scope| {
            start_of(*id, &functions, scope, program).ok_or_else(|| Error::internal("a scope that there is not"))
        };
        let own = body_start(*id, program);
        let stored_scope = |scope: &Scope| {
            Ok(StoredScope {
                function: scope.function,
                call: i64::from(scope.call) - start_of(scope.parent)?,
                parent: scope.parent,
            })
        };
        let stored_site =
            |site: &InlinedSite| Ok((site.offset, i64::from(site.operator) - start_of(Some(site.scope))?, site.scope));
        Ok(Self {
            code: code.clone(),
            start: match *start {
                Start::Aligned(align) => StoredStart::Aligned(align),
                Start::InLine(start) => StoredStart::InLine(start),
            },
            relocs: relocs.iter().map(StoredReloc::of).collect::<Result<_>>()?,
            traps: traps.iter().map(|&(offset, trap)| (offset, trap as u8)).collect(),
            operators: operators.iter().map(|&(offset, operator)| (offset, i64::from(operator) - own)).collect(),
            scopes: scopes.iter().map(stored_scope).collect::<Result<_>>()?,
            inlined: inlined.iter().map(stored_site).collect::<Result<_>>()?,
            call_sites: call_sites.iter().map(StoredCallSite::of).collect(),
            unwind: unwind.clone(),
            has_least_effort: *has_least_effort,
        })
    }

    /// The code as that of the function `id`; `None` where the parts do not fit together.
    pub(super) fn into_compiled(self, id: FuncId, program: &Program<'_>) -> Option<Compiled> {
        let functions: Vec<u32> = self.scopes.iter().map(|scope| scope.function).collect();
        let start_of = |scope| start_of(id.as_u32(), &functions, scope, program);
        let own = body_start(id.as_u32(), program);
        let scope = |scope: &StoredScope| {
            let call = u32::try_from(scope.call + start_of(scope.parent)?).ok()?;
            Some(Scope { function: scope.function, call, parent: scope.parent })
        };
        let site = |&(offset, operator, scope): &(u32, i64, u32)| {
            let operator = u32::try_from(operator + start_of(Some(scope))?).ok()?;
            Some(InlinedSite { offset, operator, scope })
        };
        let (index, name) = program.frame(id).unzip();
        let function = ImageFunction {
            id: id.as_u32(),
            symbol: program.symbol(id),
            name: name.unwrap_or_default(),
            index,
            code: self.code,
            start: match self.start {
                StoredStart::Aligned(align) => Start::Aligned(align),
                StoredStart::InLine(start) => Start::InLine(start),
            },
            relocs: self.relocs.into_iter().map(StoredReloc::into_reloc).collect::<Option<_>>()?,
            traps: self
                .traps
                .iter()
                .map(|&(offset, trap)| Some((offset, Trap::from_u8(trap)?)))
                .collect::<Option<_>>()?,
            body: u32::try_from(own).ok()?,
            operators: self
                .operators
                .iter()
                .map(|&(offset, operator)| Some((offset, u32::try_from(operator + own).ok()?)))
                .collect::<Option<_>>()?,
            scopes: self.scopes.iter().map(scope).collect::<Option<_>>()?,
            inlined: self.inlined.iter().map(site).collect::<Option<_>>()?,
            call_sites: self.call_sites.into_iter().map(StoredCallSite::into_site).collect(),
            unwind: self.unwind,
            debug: None,
        };
        Some(Compiled { function, listing: None, has_least_effort: self.has_least_effort })
    }
}

impl StoredReloc {
    fn of(reloc: &Reloc) -> Result<Self> {
        let Reloc { offset, kind, ref target, addend } = *reloc;
        let target = match *target {
            RelocTarget::Function(id) => StoredTarget::Function(id),
            RelocTarget::Builtin(builtin) => StoredTarget::Builtin(builtin as u32),
            RelocTarget::Host(host) => {
                let place = host_functions().position(|other| std::ptr::eq(other, host));
                let place = place.ok_or_else(|| Error::internal("an unknown host function"))?;
                StoredTarget::Host(place as u32)
            }
            RelocTarget::Text => StoredTarget::Text,
            RelocTarget::Record(instance, record) => StoredTarget::Record(instance, record),
            RelocTarget::ConstTable(instance, table) => StoredTarget::ConstTable(instance, table),
        };
        Ok(Self { offset, kind, target, addend })
    }

    fn into_reloc(self) -> Option<Reloc> {
        let Self { offset, kind, target, addend } = self;
        let target = match target {
            StoredTarget::Function(id) => RelocTarget::Function(id),
            StoredTarget::Builtin(number) => RelocTarget::Builtin(*Builtin::ALL.get(number as usize)?),
            StoredTarget::Host(place) => RelocTarget::Host(host_functions().nth(place as usize)?),
            StoredTarget::Text => RelocTarget::Text,
            StoredTarget::Record(instance, record) => RelocTarget::Record(instance, record),
            StoredTarget::ConstTable(instance, table) => RelocTarget::ConstTable(instance, table),
        };
        Some(Reloc { offset, kind, target, addend })
    }
}

impl StoredCallSite {
    fn of(site: &CallSite) -> Self {
        let CallSite { return_offset, frame_bytes, ref handlers } = *site;
        let handler = |handler: &Handler| match *handler {
            Handler::Context(offset) => StoredHandler::Context(offset),
            Handler::Tag(tag, pad) => StoredHandler::Tag(tag, pad),
            Handler::All(pad) => StoredHandler::All(pad),
        };
        Self { return_offset, frame_bytes, handlers: handlers.iter().map(handler).collect() }
    }

    fn into_site(self) -> CallSite {
        let Self { return_offset, frame_bytes, handlers } = self;
        let handler = |handler| match handler {
            StoredHandler::Context(offset) => Handler::Context(offset),
            StoredHandler::Tag(tag, pad) => Handler::Tag(tag, pad),
            StoredHandler::All(pad) => Handler::All(pad),
        };
        CallSite { return_offset, frame_bytes, handlers: handlers.into_iter().map(handler).collect() }
    }
}
