//! The life of an executable: from the initial stack, through the instance, to the guest's code and the exit.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use wasmelt_abi::ABI_VERSION;
use wasmelt_abi::descriptor::{ProgramDescriptor, Rel};
use wasmelt_abi::trap::START_FAILED_EXIT_CODE;

use crate::instance::{CreateError, Instance, slice};
use crate::report::Report;
use crate::sys::faults::{self, Fault, FaultHandler, FaultKind};
use crate::sys::{self, Stream, SystemError, cpu};
use crate::{process, trap};

/// The context of the one instance of this process; null before it is complete.
static RUNNING: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// The program that this process was started for.
static PROGRAM: AtomicPtr<ProgramDescriptor> = AtomicPtr::new(ptr::null_mut());

/// Code of the program, as descriptors refer to it.
pub type GuestEntry = unsafe extern "C" fn(vmctx: *mut u8);

/// Runs a program in this process.
///
/// # Safety
/// `initial_stack` is the stack pointer with which the kernel entered the process, and nothing has happened since.
pub unsafe fn run(program: &'static ProgramDescriptor, initial_stack: *const usize) -> ! {
    if program.abi_version != ABI_VERSION {
        Report::new(Stream::Error)
            .failure()
            .text("the program was compiled for another version of the runtime")
            .exit(START_FAILED_EXIT_CODE);
    }
    // SAFETY: by this function's contract.
    unsafe { process::init(initial_stack) };
    PROGRAM.store(ptr::from_ref(program).cast_mut(), Ordering::Relaxed);
    // The process's first stack is not used any more once the guest runs on its own: faults are handled there.
    let handler_stack = (initial_stack as usize & !15) as *mut u8;
    // SAFETY: the handler does not return, so what the stack held is not needed again.
    if let Err(error) = unsafe { faults::install::<Handler>(handler_stack) } {
        start_failed("cannot install signal handlers", error);
    }
    if program.cpu_features != 0 && !cpu::probe(program.cpu_features) {
        missing_cpu_features(program);
    }
    let instance = Instance::create(program).unwrap_or_else(|error| cannot_create(error));
    RUNNING.store(instance.vmctx(), Ordering::Relaxed);
    // SAFETY: nothing else uses the guest stack.
    unsafe { sys::call_on_stack(instance.stack().end as *mut u8, run_guest, instance.vmctx()) }
}

/// Calls hooks and the program, on the guest stack.
///
/// A hook may run the program itself and not return, see [`crate::invoke`].
///
/// # Safety
/// `vmctx` is the context of a complete instance in which no code has run.
unsafe extern "C" fn run_guest(vmctx: *mut u8) -> ! {
    // SAFETY: by this function's contract.
    let program = unsafe { Instance::from_vmctx(vmctx) }.program();
    for hook in slice(&program.hooks) {
        // SAFETY: hooks are functions of this type, to be called with a complete instance.
        unsafe { call(hook, vmctx) };
    }
    // SAFETY: so is the entry, to be called once, after the hooks.
    unsafe { call(&program.entry, vmctx) };
    sys::exit(0)
}

/// Calls code that a descriptor refers to; nothing where it refers to none.
///
/// # Safety
/// The code is a [`GuestEntry`] that may be called now, with this context.
pub unsafe fn call(code: &Rel<u8>, vmctx: *mut u8) {
    if let Some(code) = code.get() {
        // SAFETY: by this function's contract.
        unsafe { core::mem::transmute::<*const u8, GuestEntry>(code)(vmctx) }
    }
}

/// What this process does about faults.
struct Handler;

impl FaultHandler for Handler {
    fn handle(fault: &Fault) -> ! {
        if let Some(program) = ptr::NonNull::new(PROGRAM.load(Ordering::Relaxed)) {
            // SAFETY: it was stored from a reference.
            let program: &'static ProgramDescriptor = unsafe { program.as_ref() };
            let running = RUNNING.load(Ordering::Relaxed);
            // SAFETY: only a complete instance is stored.
            let instance = (!running.is_null()).then(|| unsafe { Instance::from_vmctx(running) });
            if fault.kind == FaultKind::Instruction && instance.and_then(|i| trap::judge(fault, i)).is_none() {
                missing_cpu_features(program);
            }
            if let Some(instance) = instance {
                trap::on_fault(fault, instance);
            }
        }
        trap::on_runtime_fault(fault)
    }
}

/// Ends the process with the names of the CPU features that are missing; returns when none is.
#[cold]
#[inline(never)]
fn missing_cpu_features(program: &ProgramDescriptor) {
    let missing = cpu::missing(program.cpu_features);
    if missing == 0 {
        return;
    }
    let mut report = Report::new(Stream::Error);
    report.failure().text("this program needs CPU features that this machine lacks: ");
    let mut separator = "";
    for index in (0..u32::BITS).filter(|index| missing >> index & 1 == 1) {
        report.text(separator).bytes(cpu::name(index));
        separator = ", ";
    }
    report.exit(START_FAILED_EXIT_CODE)
}

#[cold]
#[inline(never)]
fn cannot_create(error: CreateError) -> ! {
    match error {
        CreateError::Reserve(error) => {
            start_failed("cannot reserve address space (see `ulimit -v`, and --bounds-checks explicit)", error)
        }
        CreateError::Commit(error) => start_failed("cannot get memory for the program's stack and memories", error),
        CreateError::Map(error) => start_failed("cannot map the program's data", error),
        CreateError::TooLarge => Report::new(Stream::Error)
            .failure()
            .text("the program's memories exceed the address space")
            .exit(START_FAILED_EXIT_CODE),
    }
}

/// Ends the process because the operating system refused something.
#[cold]
#[inline(never)]
fn start_failed(what: &str, error: SystemError) -> ! {
    let mut report = Report::new(Stream::Error);
    report.failure().text(what).text(": ");
    match error.words() {
        Some(words) => report.text(words),
        None => report.text("error ").decimal(error.number().into(), 0),
    };
    report.exit(START_FAILED_EXIT_CODE)
}
