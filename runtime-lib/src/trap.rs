//! Traps of an executable: in comes a fault of the CPU or a trap that the runtime raises; out comes the message with a
//! backtrace and the exit code.

// ---------------------------------------------------------------------------------------------------------------
// Security: what is a guest's trap and what is a bug of the runtime is decided by `guest::judge`; here is said where
// the guests of an executable are. All of this runs in a signal handler: no allocation, no lock, no panic, nothing
// trusted that the guest could have written.
// ---------------------------------------------------------------------------------------------------------------

use core::ops::Range;
use core::ptr;

use wasmelt_abi::context::Memory;
use wasmelt_abi::descriptor::{Code, InstancePlan, MemoryPlan};
use wasmelt_abi::trap::{TRAP_EXIT_CODE, Trap};

use crate::backtrace;
use crate::ending;
use crate::failure::Failure;
use crate::guest::judge::{Verdict, judge};
use crate::guest::stack::Start;
use crate::guest::{Guests, InMemory};
use crate::instance::Instance;
use crate::rel::slice;
use crate::report::Report;
use crate::sys::fault::{Fault, FaultKind};
use crate::sys::{self, Stream};

/// The guests of an executable, by the first instance; in a program of several, code uses its memories alone.
impl Guests for Instance {
    // Host functions run on it.
    const SHARES_STACK: bool = true;

    #[inline(never)]
    fn code_at(&self, address: usize) -> Option<(&Code, u32)> {
        let text = self.text();
        text.contains(&address).then(|| (&self.program().code, (address - text.start) as u32))
    }

    fn frames(&self) -> Range<usize> {
        self.stack()
    }

    fn stack_guard(&self) -> Range<usize> {
        (*self).stack_guard()
    }

    #[cfg(windows)]
    fn overflows_at(&self, _address: usize) -> bool {
        // The thread's own stack is the guest's, where the thread runs guests.
        !self.stack().is_empty()
    }

    #[inline(always)]
    fn memory_at(&self, address: usize) -> Option<InMemory> {
        memory_of(*self, &self.program().first, address)
    }

    unsafe fn tag_number(&self, _vmctx: usize, index: u32) -> Option<u32> {
        // Handlers in programs have the numbers themselves.
        Some(index)
    }
}

/// The guests of a program whose code may use the memories of all its instances, by the first one.
struct AllInstances(Instance);

impl Guests for AllInstances {
    const SHARES_STACK: bool = Instance::SHARES_STACK;

    fn code_at(&self, address: usize) -> Option<(&Code, u32)> {
        self.0.code_at(address)
    }

    fn frames(&self) -> Range<usize> {
        self.0.frames()
    }

    fn stack_guard(&self) -> Range<usize> {
        self.0.stack_guard()
    }

    #[cfg(windows)]
    fn overflows_at(&self, address: usize) -> bool {
        self.0.overflows_at(address)
    }

    fn memory_at(&self, address: usize) -> Option<InMemory> {
        // An instance that imports a memory cannot say how long it is; its owner can.
        let found = || self.0.all().filter_map(|(instance, plan)| memory_of(instance, plan, address));
        found().find(|found| *found == InMemory::Inside).or_else(|| found().next())
    }

    unsafe fn tag_number(&self, _vmctx: usize, index: u32) -> Option<u32> {
        Some(index)
    }
}

/// Where an address lies in the reservations of an instance's memories.
#[inline(always)]
fn memory_of(instance: Instance, plan: &InstancePlan, address: usize) -> Option<InMemory> {
    slice(&plan.memories).iter().find_map(|memory| in_reservation(address, instance, memory))
}

/// Where an address lies in the reservation of a memory.
fn in_reservation(address: usize, instance: Instance, plan: &MemoryPlan) -> Option<InMemory> {
    // SAFETY: a record, or a reference to one, which begins with the base as well, is the instance's own; the guest
    // cannot write to contexts.
    let memory = unsafe { ptr::read_volatile(instance.memory_place(plan).cast::<Memory>()) };
    let offset = address.wrapping_sub(memory.base as usize) as u64;
    if offset >= plan.reserve_bytes.saturating_add(plan.guard_bytes) {
        return None;
    }
    // The length of a memory that others use too may have changed since the fault, which was out of bounds then.
    let inside = plan.flags == 0 && offset < memory.length_bytes;
    Some(if inside { InMemory::Inside } else { InMemory::Outside })
}

/// Ends the process after a fault in a program of one instance: with the trap's message where it was a trap.
pub fn on_fault(fault: &Fault, instance: Instance) -> ! {
    end_after(fault, instance, judge(fault, &instance))
}

/// The same in any program.
pub(crate) fn on_fault_in_any(fault: &Fault, instance: Instance) -> ! {
    end_after(fault, instance, judge(fault, &AllInstances(instance)))
}

#[inline(always)]
fn end_after(fault: &Fault, instance: Instance, verdict: Option<Verdict>) -> ! {
    let trap = match verdict {
        Some(Verdict::Trap(trap)) => trap,
        // The access was out of bounds when it was made.
        Some(Verdict::GoodNow) => Trap::MemoryOutOfBounds,
        None => on_runtime_fault(fault),
    };
    let Fault { pc, frame_pointer, stack_pointer, .. } = *fault;
    end(trap, instance, Start { pc, frame_pointer, stack_pointer })
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
    let caller = caller(instance);
    ending::announce();
    end(trap, instance, caller)
}

/// Traps from inside the runtime with other words than those of a [`Trap`]: `describe` adds them.
///
/// # Safety
/// As for [`raise`].
pub(crate) unsafe fn raise_with(vmctx: *mut u8, describe: impl FnOnce(&mut Report)) -> ! {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) }.first();
    let mut report = Report::new(Stream::Error);
    describe(report.text("wasm trap: "));
    backtrace::print(report.text("\n"), instance, caller(instance));
    report.flush();
    ending::announce();
    sys::exit(TRAP_EXIT_CODE)
}

/// The guest's call that is the innermost one.
#[inline(always)]
fn caller(instance: Instance) -> Start {
    #[cfg(not(windows))]
    {
        let _ = instance;
        Start { pc: 0, frame_pointer: sys::frame_pointer(), stack_pointer: 0 }
    }
    // The last byte of the call instruction stands for the call.
    #[cfg(windows)]
    sys::stack::innermost_frame(&instance.text()).map_or(
        Start { pc: 0, frame_pointer: 0, stack_pointer: 0 },
        |(pc, frame_pointer)| Start { pc: pc - 1, frame_pointer, stack_pointer: 0 },
    )
}

/// Ends the process with a trap that interrupts whatever it is doing.
pub fn stop(trap: Trap, instance: Instance, pc: usize, frame_pointer: usize, stack_pointer: usize) -> ! {
    ending::announce();
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
        let at = |kind, address, pc| {
            let fault = Fault { kind, address, pc, frame_pointer: 0, stack_pointer: 0 };
            judge(&fault, &instance).map(|verdict| match verdict {
                Verdict::Trap(trap) => trap,
                Verdict::GoodNow => panic!("executables do not look"),
            })
        };
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
