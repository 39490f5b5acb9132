//! The life of an executable: from the initial stack, through the instance, to the guest's code and the exit.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use wasmelt_abi::descriptor::{ProgramDescriptor, Rel};

use crate::failure::Failure;
use crate::instance::Instance;
use crate::rel::slice;
use crate::sys::fault::{Fault, FaultHandler, FaultKind};
use crate::sys::faults;
use crate::sys::{self, cpu};
use crate::{process, trap};

/// The context of the one instance of this process; null before it is complete.
static RUNNING: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Code of the program, as descriptors refer to it.
pub type GuestEntry = unsafe extern "C" fn(vmctx: *mut u8);

/// Runs a program in this process, that of the freestanding entry point.
///
/// # Safety
/// `initial_stack` is the stack pointer with which the kernel entered the process, and nothing has happened since.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub unsafe fn run(program: &'static ProgramDescriptor, initial_stack: *const usize) -> ! {
    // SAFETY: by this function's contract.
    unsafe { process::init(initial_stack) };
    // The process's first stack is not used any more once the guest runs on its own: faults are handled there.
    let handler_stack = (initial_stack as usize & !15) as *mut u8;
    // SAFETY: the handler does not return, so what the stack held is not needed again.
    unsafe { run_on(program, handler_stack) }
}

/// Runs a program in this process, whose C library has called `main`.
///
/// # Safety
/// `arguments` and `environment` are what `main` got, and nothing has happened since.
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub unsafe fn run_from_main(
    program: &'static ProgramDescriptor,
    arguments: *const *const core::ffi::c_char,
    environment: *const *const core::ffi::c_char,
) -> ! {
    #[cfg(not(windows))]
    // SAFETY: by this function's contract.
    unsafe {
        process::init_from_main(arguments, environment);
    }
    #[cfg(windows)]
    {
        // What `main` gets is not in UTF-8.
        let _ = (arguments, environment);
        process::init_from_system();
    }
    let prepared = sys::occupy_standard_streams().and_then(|()| {
        let stack = sys::pages::reserve(faults::HANDLER_STACK_BYTES)?;
        // SAFETY: the pages are the new reservation.
        unsafe { sys::pages::commit(stack, faults::HANDLER_STACK_BYTES) }?;
        Ok(stack.wrapping_add(faults::HANDLER_STACK_BYTES))
    });
    match prepared {
        // SAFETY: nothing else uses the new stack.
        Ok(handler_stack) => unsafe { run_on(program, handler_stack) },
        Err(error) => Failure::Signals.end([error.number().into(), 0]),
    }
}

/// Runs a program in this process, with faults handled on the stack that ends at `handler_stack`.
///
/// # Safety
/// Nothing uses that stack once a fault occurs.
#[inline(always)]
unsafe fn run_on(program: &'static ProgramDescriptor, handler_stack: *mut u8) -> ! {
    // SAFETY: by this function's contract.
    if let Err(error) = unsafe { faults::install::<Handler>(handler_stack) } {
        Failure::Signals.end([error.number().into(), 0]);
    }
    cpu::probe(program.cpu_features);
    let instance = match Instance::create(program) {
        Ok(instance) => instance,
        Err(error) => error.end(),
    };
    RUNNING.store(instance.vmctx(), Ordering::Relaxed);
    #[cfg(not(windows))]
    // SAFETY: nothing else uses the guest stack.
    unsafe {
        sys::call_on_stack(instance.stack().end as *mut u8, run_guest, instance.vmctx())
    }
    #[cfg(windows)]
    // SAFETY: this thread does nothing more.
    match unsafe { sys::stack::call_on_thread(program.stack_bytes, run_guest_of_thread, instance.vmctx()) } {
        Err(error) => Failure::Commit.end([error.number().into(), 0]),
    }
}

/// The context of the process's first instance; null before it is complete.
pub fn running() -> *mut u8 {
    RUNNING.load(Ordering::Relaxed)
}

/// Prepares the stack of the calling thread, which is the guest stack, and calls [`run_guest`].
///
/// # Safety
/// As for [`run_guest`].
#[cfg(windows)]
unsafe extern "C" fn run_guest_of_thread(vmctx: *mut u8) -> ! {
    if let Err(error) = sys::stack::prepare() {
        Failure::Signals.end([error.number().into(), 0]);
    }
    // SAFETY: by this function's contract.
    unsafe { run_guest(vmctx) }
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

/// What a process does about faults whose code may use the memories of several instances.
struct HandlerOfAll;

/// From here on, the memories of all instances count.
pub(crate) fn judge_all_instances() {
    if let Err(error) = faults::set_handler::<HandlerOfAll>() {
        Failure::Signals.end([error.number().into(), 0]);
    }
}

impl FaultHandler for HandlerOfAll {
    const OF_THREADS: bool = false;

    fn handle(fault: &Fault) -> ! {
        // SAFETY: the first instance was complete before there were others.
        trap::on_fault_in_any(fault, unsafe { Instance::from_vmctx(running()) })
    }
}

impl FaultHandler for Handler {
    const OF_THREADS: bool = false;

    fn handle(fault: &Fault) -> ! {
        if let Some(feature) = cpu::probed()
            && fault.kind == FaultKind::Instruction
        {
            Failure::Cpu.end([feature.into(), 0]);
        }
        let running = running();
        if running.is_null() {
            trap::on_runtime_fault(fault);
        }
        // SAFETY: only a complete instance is stored.
        trap::on_fault(fault, unsafe { Instance::from_vmctx(running) })
    }
}
