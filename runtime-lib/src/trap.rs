//! Traps: in comes a fault of the CPU or a trap that the runtime raises; out comes the message with a backtrace and
//! the exit code.

// ---------------------------------------------------------------------------------------------------------------
// Security: `judge` decides what is a guest's trap and what is a bug of the runtime. It must never take the second
// for the first: a fault counts as the guest's only where generated code is known to fault, by its address and its
// place. All of this runs in a signal handler: no allocation, no lock, no panic, nothing trusted that the guest could
// have written.
// ---------------------------------------------------------------------------------------------------------------

use core::ptr;

use wasmelt_abi::code_map;
use wasmelt_abi::context::Memory;
use wasmelt_abi::descriptor::{InstancePlan, MemoryPlan};
use wasmelt_abi::trap::{TRAP_EXIT_CODE, Trap};

use crate::backtrace::{self, Start};
use crate::failure::Failure;
use crate::instance::{Instance, slice};
use crate::report::Report;
use crate::sys::fault::{Fault, FaultKind};
use crate::sys::{self, Stream};

/// The trap that a fault is, `None` where no guest can have caused it. The instance is the program's first one.
pub fn judge(fault: &Fault, instance: Instance) -> Option<Trap> {
    let access = fault.kind == FaultKind::Access;
    if access && instance.stack_guard().contains(&fault.address) {
        // Whatever the code: host functions run on the guest's stack.
        return Some(Trap::StackExhausted);
    }
    #[cfg(windows)]
    if fault.kind == FaultKind::Stack && !instance.stack().is_empty() {
        return Some(Trap::StackExhausted);
    }
    let text = instance.text();
    if !text.contains(&fault.pc) {
        return None;
    }
    match fault.kind {
        FaultKind::Access => {
            is_out_of_any(fault.address, instance, &instance.program().first).then_some(Trap::MemoryOutOfBounds)
        }
        FaultKind::Unavailable => None,
        #[cfg(windows)]
        FaultKind::Stack => None,
        FaultKind::Instruction | FaultKind::Arithmetic => {
            let offset = u32::try_from(fault.pc - text.start).ok()?;
            Trap::from_u8(code_map::find(slice(&instance.program().code.code_map), offset).trap as u8)
        }
    }
}

/// The same in a program of several instances, whose code may use the memories of all of them.
pub(crate) fn judge_all(fault: &Fault, instance: Instance) -> Option<Trap> {
    judge(fault, instance).or_else(|| {
        let by_guest = fault.kind == FaultKind::Access && instance.text().contains(&fault.pc);
        let outside = || instance.all().any(|(instance, plan)| is_out_of_any(fault.address, instance, plan));
        (by_guest && outside()).then_some(Trap::MemoryOutOfBounds)
    })
}

/// Whether an address lies in the reservation of a memory of an instance, but outside the memory.
#[inline(always)]
fn is_out_of_any(address: usize, instance: Instance, plan: &InstancePlan) -> bool {
    slice(&plan.memories).iter().any(|memory| is_out_of_bounds(address, instance, memory))
}

/// Whether an address lies in the reservation of a memory, but outside the memory.
fn is_out_of_bounds(address: usize, instance: Instance, plan: &MemoryPlan) -> bool {
    // SAFETY: a record, or a reference to one, which begins with the base as well, is the instance's own; the guest
    // cannot write to contexts.
    let memory = unsafe { ptr::read_volatile(instance.memory_place(plan).cast::<Memory>()) };
    // The length of a memory that others use too may have changed since the fault: then its whole reservation counts.
    let length_bytes = if plan.flags == 0 { memory.length_bytes } else { 0 };
    let end = plan.reserve_bytes.saturating_add(plan.guard_bytes);
    address.checked_sub(memory.base as usize).is_some_and(|offset| (length_bytes..end).contains(&(offset as u64)))
}

/// Ends the process after a fault in a program of one instance: with the trap's message where it was a trap.
pub fn on_fault(fault: &Fault, instance: Instance) -> ! {
    end_after(fault, instance, judge(fault, instance))
}

/// The same in any program.
pub(crate) fn on_fault_in_any(fault: &Fault, instance: Instance) -> ! {
    end_after(fault, instance, judge_all(fault, instance))
}

#[inline(always)]
fn end_after(fault: &Fault, instance: Instance, trap: Option<Trap>) -> ! {
    match trap {
        Some(trap) => end(
            trap,
            instance,
            Start { pc: fault.pc, frame_pointer: fault.frame_pointer, stack_pointer: fault.stack_pointer },
        ),
        None => on_runtime_fault(fault),
    }
}

/// Ends the process after a fault that no guest can have caused.
pub fn on_runtime_fault(fault: &Fault) -> ! {
    let failure = match fault.kind {
        FaultKind::Access => Failure::Access,
        #[cfg(windows)]
        FaultKind::Stack => Failure::Access,
        FaultKind::Unavailable => Failure::Unavailable,
        FaultKind::Instruction => Failure::Instruction,
        FaultKind::Arithmetic => Failure::Arithmetic,
    };
    failure.end([fault.pc as u64, fault.address as u64])
}

/// Traps from inside the runtime, on behalf of the guest code that called it.
///
/// # Safety
/// `vmctx` is the context of an instance, whose code called the runtime.
pub unsafe fn raise(vmctx: *mut u8, trap: Trap) -> ! {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) }.first();
    #[cfg(not(windows))]
    let start = Start { pc: 0, frame_pointer: sys::frame_pointer(), stack_pointer: 0 };
    // The last byte of the call instruction stands for the call.
    #[cfg(windows)]
    let start = sys::stack::innermost_frame(&instance.text()).map_or(
        Start { pc: 0, frame_pointer: 0, stack_pointer: 0 },
        |(pc, frame_pointer)| Start { pc: pc - 1, frame_pointer, stack_pointer: 0 },
    );
    end(trap, instance, start)
}

/// Ends the process with a trap that interrupts whatever it is doing.
pub fn stop(trap: Trap, instance: Instance, pc: usize, frame_pointer: usize, stack_pointer: usize) -> ! {
    end(trap, instance, Start { pc, frame_pointer, stack_pointer })
}

/// Prints message and backtrace, and ends the process.
#[cold]
fn end(trap: Trap, instance: Instance, start: Start) -> ! {
    let mut report = Report::new(Stream::Error);
    report.text("wasm trap: ").entry(Trap::MESSAGES, trap as usize - 1).text("\n");
    backtrace::print(&mut report, instance, start);
    report.flush();
    sys::exit(TRAP_EXIT_CODE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestProgram;
    use wasmelt_abi::code_map::{Function, Site};

    #[test]
    fn faults_are_told_apart() {
        let mut program = TestProgram::with_memory(1 << 16, 2 << 16);
        let site = |offset, trap| Site { offset, operator: 0, trap: Some(trap) };
        let sites = [site(10, Trap::Unreachable), site(15, Trap::IntegerDivideByZero)];
        program.encode(&[Function { start: 0, index: 0, body: 0, name: "", sites: &sites }]);
        let instance = Instance::create(program.leak()).unwrap();
        let (text, memory) = (instance.text().start, instance.vmctx() as usize);
        let at = |kind, address, pc| judge(&Fault { kind, address, pc, frame_pointer: 0, stack_pointer: 0 }, instance);
        let access = |address, pc| at(FaultKind::Access, address, pc);

        let oob = Some(Trap::MemoryOutOfBounds);
        assert_eq!(access(memory + (1 << 16), text), oob);
        assert_eq!(access(memory + (3 << 16) - 1, text), oob, "the last byte of the guard");
        assert_eq!(access(memory + (3 << 16), text), None, "behind the guard");
        assert_eq!(access(memory + (1 << 16) - 1, text), None, "inside the memory");
        assert_eq!(access(memory - 1, text), None, "in the context");
        assert_eq!(access(memory + (1 << 16), text - 1), None, "not generated code");
        assert_eq!(at(FaultKind::Unavailable, memory + (1 << 16), text), None);

        let guard = instance.stack_guard();
        assert_eq!(access(guard.end - 8, text), Some(Trap::StackExhausted));
        assert_eq!(access(guard.end - 8, 1), Some(Trap::StackExhausted));
        assert_eq!(access(guard.start - 1, text), None);

        assert_eq!(at(FaultKind::Instruction, 0, text + 10), Some(Trap::Unreachable));
        assert_eq!(at(FaultKind::Arithmetic, 0, text + 15), Some(Trap::IntegerDivideByZero));
        assert_eq!(at(FaultKind::Instruction, 0, text + 11), None);
        assert_eq!(at(FaultKind::Instruction, 0, text + 256), None);
    }
}
