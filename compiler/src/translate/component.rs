//! Calls of the runtime by components: code tells each function of the host which memory and which handles it works on
//! ([`Canon`]), each function of strings two memories ([`Transcoding`]), and each function of handles the component
//! instances and the type.

use std::mem::{offset_of, size_of};

use cranelift_codegen::ir::{InstBuilder as _, MemFlagsData, StackSlotData, StackSlotKind, Value, types};
use wasmelt_abi::canonical::{self, CanonicalTrap, Span, Transcoding};
use wasmelt_abi::component::{self, Canon};
use wasmelt_abi::host::HostFunction;
use wasmelt_abi::trap::Trap;

use super::call::Target;
use super::crossing::RunsIn;
use super::{FuncTranslator, Name, Region, trap_code};
use crate::component::trap;
use crate::error::{Error, Result};
use crate::module::{FuncIndex, GlobalIndex, MemoryIndex};
use crate::program::{Callee, GlobalPlace, InstanceIndex, LoweredCall, Lowering, LoweringIndex, Piece};

impl FuncTranslator<'_, '_> {
    /// Calls a function of the runtime for a component. The results.
    pub(super) fn call_lowered(&mut self, lowering: LoweringIndex, args: &[Value]) -> Result<Vec<Value>> {
        let lowering = &self.env.program.components.lowerings[lowering];
        let component = lowering.component;
        let result = match lowering.call {
            LoweredCall::Import { memory, realloc } => {
                self.trap_unless_may_leave(component)?;
                let canon = self.canon(component, memory, realloc)?;
                self.call_native(lowering.host, canon, args)?
            }
            LoweredCall::Transcode { from, to } => return self.transcode(lowering, from, to, args),
            LoweredCall::Resource { ty, leaves } => {
                if leaves {
                    self.trap_unless_may_leave(component)?;
                }
                self.call_with_type(lowering.host, component, ty, args)?
            }
            LoweredCall::Drop { ty, destructor } => {
                self.trap_unless_may_leave(component)?;
                let dropped = self.call_with_type(lowering.host, component, ty, args)?.ok_or_else(no_result)?;
                if let Some(destructor) = destructor {
                    self.destroy(dropped, destructor)?;
                }
                None
            }
            LoweredCall::Transfer { lends } => self.transfer(lowering.host, lends, args)?,
            LoweredCall::Plain => {
                let vmctx = self.vmctx();
                self.call_native(lowering.host, vmctx, &[])?
            }
            LoweredCall::Trap => {
                let code = args.first().and_then(|&code| self.known(code));
                let code = code.and_then(trap).ok_or_else(|| Error::internal("an adapter traps without a reason"))?;
                self.call_trap(code)?;
                None
            }
        };
        Ok(result.into_iter().collect())
    }

    /// Ends the program with the result of `run`, which lies on the stack: 0 is success.
    pub(super) fn exit_with_status(&mut self) -> Result<()> {
        let exit =
            component::find("wasi:cli/exit@0.2.0", "exit").ok_or_else(|| Error::internal("no function `exit`"))?;
        let status = self.pop();
        let canon = self.canon(0, None, None)?;
        self.call_native(exit, canon, &[status]).map(drop)
    }

    /// The address of room in the frame. Calls follow one another, so all have the same; it is aligned for addresses.
    fn call_room(&mut self, bytes: usize) -> Value {
        let room = StackSlotData::new(StackSlotKind::ExplicitSlot, 0, 3);
        let slot = self.canon.unwrap_or_else(|| self.builder.create_sized_stack_slot(room));
        self.canon = Some(slot);
        let size = &mut self.builder.func.sized_stack_slots[slot].size;
        *size = (*size).max(bytes as u32);
        self.ins().stack_addr(types::I64, slot, 0)
    }

    /// The address of a [`Canon`] in the frame.
    fn canon(
        &mut self,
        component: u32,
        memory: Option<InstanceIndex>,
        realloc: Option<(InstanceIndex, FuncIndex)>,
    ) -> Result<Value> {
        let canon = self.call_room(size_of::<Canon>());
        let flags = MemFlagsData::trusted();
        // A function without a memory gets a context all the same: the caller's.
        let vmctx = match memory {
            Some(instance) => self.vmctx_of(instance),
            None => self.vmctx(),
        };
        self.ins().store(flags, vmctx, canon, offset_of!(Canon, vmctx) as i32);
        if let Some((instance, func)) = realloc {
            let id = self.env.program.functions.id(Piece::Realloc(instance, func));
            let id = id.ok_or_else(|| Error::internal("a component's `realloc` was dropped"))?;
            let (code, vmctx) = (self.symbol(Name::Function(id)), self.vmctx_of(instance));
            self.ins().store(flags, code, canon, offset_of!(Canon, realloc) as i32);
            self.ins().store(flags, vmctx, canon, offset_of!(Canon, realloc_vmctx) as i32);
        } else {
            let none = self.ins().iconst(types::I64, 0);
            self.ins().store(flags, none, canon, offset_of!(Canon, realloc) as i32);
        }
        let component = self.ins().iconst(types::I32, i64::from(component));
        self.ins().store(flags, component, canon, offset_of!(Canon, component) as i32);
        Ok(canon)
    }

    /// Copies a string, from one memory that this instance imports to another one.
    fn transcode(
        &mut self,
        lowering: &Lowering,
        from: (InstanceIndex, MemoryIndex),
        to: (InstanceIndex, MemoryIndex),
        args: &[Value],
    ) -> Result<Vec<Value>> {
        let owners = &self.env.instance.owners.memories;
        let imported = |owner| owners.iter().find(|(_, found)| **found == owner).map(|(memory, _)| memory);
        let (Some(from), Some(to)) = (imported(from), imported(to)) else {
            return Err(Error::internal("a string is copied between memories that the adapter does not import"));
        };
        let call = self.call_room(size_of::<Transcoding>());
        let vmctx = self.vmctx();
        self.ins().store(MemFlagsData::trusted(), vmctx, call, offset_of!(Transcoding, vmctx) as i32);
        self.store_span(call, offset_of!(Transcoding, from), from);
        self.store_span(call, offset_of!(Transcoding, to), to);
        let args: Vec<_> = args.iter().map(|&arg| self.zero_extend(arg)).collect();
        let first = self.call_native(lowering.host, call, &args)?;
        let written =
            self.ins().load(types::I64, MemFlagsData::trusted(), call, offset_of!(Transcoding, written) as i32);
        Ok(first.into_iter().chain([written]).collect())
    }

    /// Stores where a memory lies.
    fn store_span(&mut self, call: Value, offset: usize, memory: MemoryIndex) {
        let (base, len) = (self.memory_base(memory), self.memory_length_bytes_now(memory));
        let flags = MemFlagsData::trusted();
        self.ins().store(flags, base, call, (offset + offset_of!(Span, base)) as i32);
        self.ins().store(flags, len, call, (offset + offset_of!(Span, len_bytes)) as i32);
    }

    fn number(&mut self, number: u32) -> Value {
        self.ins().iconst(types::I32, i64::from(number))
    }

    /// Calls a function of handles of one type.
    fn call_with_type(
        &mut self,
        host: &'static HostFunction,
        component: u32,
        ty: u32,
        args: &[Value],
    ) -> Result<Option<Value>> {
        let vmctx = self.vmctx();
        let with_type = [&[self.number(component), self.number(ty)], args].concat();
        self.call_native(host, vmctx, &with_type)
    }

    /// Moves a handle from one table to another.
    fn transfer(&mut self, host: &'static HostFunction, lends: bool, args: &[Value]) -> Result<Option<Value>> {
        let unknown = || Error::internal("an adapter moves a handle between unknown tables");
        let &[handle, from, to] = args else { return Err(unknown()) };
        let tables = &self.env.program.components.tables;
        let table = |number: Option<u64>| tables.get(usize::try_from(number?).ok()?).copied().flatten();
        let (from, to) = (table(self.known(from)), table(self.known(to)));
        let (Some(from), Some(to)) = (from, to) else { return Err(unknown()) };
        if from.ty != to.ty {
            return Err(Error::internal("an adapter moves a handle between tables of different types"));
        }
        let vmctx = self.vmctx();
        let mut args = vec![self.number(from.ty), handle, self.number(from.component)];
        if lends && to.is_definer {
            let lend = canonical::find("lend").ok_or_else(|| Error::internal("no function `lend`"))?;
            return self.call_native(lend, vmctx, &args);
        }
        args.push(self.number(to.component));
        self.call_native(host, vmctx, &args)
    }

    /// Calls a destructor where a handle owned what was dropped. What the destructor throws stays in its component.
    fn destroy(&mut self, dropped: Value, (instance, func): (InstanceIndex, FuncIndex)) -> Result<()> {
        let (destroys, done) = (self.builder.create_block(), self.builder.create_block());
        self.ins().brif(dropped, destroys, &[], done, &[]);
        self.builder.seal_block(destroys);
        self.builder.switch_to_block(destroys);
        let representation = self.ins().ushr_imm_u(dropped, 1);
        let representation = self.ins().ireduce(types::I32, representation);
        self.push(representation);
        let owner = &self.env.program.instances[instance];
        let (runs_in_instance, defined) = match owner.callees[func] {
            Callee::Defined(defined) => (instance, defined),
            Callee::Foreign(other, defined) => (other, defined),
            _ => return Err(Error::internal("a destructor is no function of a module")),
        };
        let (ty, type_id) = (owner.module.func_type(func), owner.type_ids[func]);
        let sig = self.wasm_signature(type_id, ty);
        let target = self.function(Name::Function(self.env.function(runs_in_instance, defined)?), sig);
        let strays = self.env.program.strays(runs_in_instance, defined);
        self.with_barrier(|t| {
            t.call_target(Target::Direct(target), None, RunsIn::Other(runs_in_instance, strays), ty, false);
            Ok(())
        })?;
        self.ins().jump(done, &[]);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
        Ok(())
    }

    /// Calls of `body`, which come back, throw nothing out of it: an exception is a trap.
    pub(super) fn with_barrier(&mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let throws = self.env.program.instances.values().any(|instance| !instance.module.tags.is_empty());
        if !throws {
            return body(self);
        }
        let (pad, after) = (self.push_barrier(), self.builder.create_block());
        body(self)?;
        self.control.pop();
        self.ins().jump(after, &[]);
        self.builder.seal_block(pad);
        self.builder.switch_to_block(pad);
        self.enter_landing_pad();
        self.call_trap(CanonicalTrap::UncaughtException)?;
        self.ins().trap(trap_code(Trap::Unreachable));
        self.builder.seal_block(after);
        self.builder.switch_to_block(after);
        self.forget_vmctx();
        Ok(())
    }

    fn call_trap(&mut self, trap: CanonicalTrap) -> Result<()> {
        let host = canonical::find("trap").ok_or_else(|| Error::internal("no function `trap`"))?;
        let (vmctx, code) = (self.vmctx(), self.number(trap as u32));
        self.call_native(host, vmctx, &[code]).map(drop)
    }

    /// Traps where a component instance must not be left.
    fn trap_unless_may_leave(&mut self, component: u32) -> Result<()> {
        let Some((address, offset, flags)) = self.may_leave(component)? else { return Ok(()) };
        let may_leave = self.ins().load(types::I32, flags, address, offset);
        let (refused, allowed) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(refused);
        self.ins().brif(may_leave, allowed, &[], refused, &[]);
        self.builder.seal_block(refused);
        self.builder.switch_to_block(refused);
        self.call_trap(CanonicalTrap::CannotLeave)?;
        self.ins().trap(trap_code(Trap::Unreachable));
        self.builder.seal_block(allowed);
        self.builder.switch_to_block(allowed);
        Ok(())
    }

    /// In the entry of a `realloc`: `body` runs while its component instance must not be left.
    pub(super) fn without_leaving(
        &mut self,
        component: Option<u32>,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let Some(component) = component.filter(|id| self.env.program.components.may_leave.contains_key(id)) else {
            return body(self);
        };
        self.set_may_leave(component, 0)?;
        body(self)?;
        // The host only allocates for who may call it.
        self.set_may_leave(component, 1)
    }

    fn set_may_leave(&mut self, component: u32, value: i64) -> Result<()> {
        if let Some((address, offset, flags)) = self.may_leave(component)? {
            let value = self.ins().iconst(types::I32, value);
            self.ins().store(flags, value, address, offset);
        }
        Ok(())
    }

    /// Where the flag of a component instance lies; `None` where it is always set.
    fn may_leave(&mut self, component: u32) -> Result<Option<(Value, i32, MemFlagsData)>> {
        let program = self.env.program;
        let Some(&(instance, global)) = program.components.may_leave.get(&component) else { return Ok(None) };
        let (address, offset) = self.foreign_global(instance, global)?;
        let region = Region::Global(program.global_number(&program.instances[instance], global));
        Ok(Some((address, offset, self.trusted_region(region))))
    }

    fn foreign_global(&mut self, instance: InstanceIndex, global: GlobalIndex) -> Result<(Value, i32)> {
        let place = self.global_place(GlobalPlace::Foreign(instance, global));
        place.ok_or_else(|| Error::internal("a flag of a component has no place"))
    }
}

fn no_result() -> Error {
    Error::internal("a function of handles has a result")
}
