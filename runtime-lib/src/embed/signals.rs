//! Faults of guest code in a host process: signal handlers that take what is a guest's trap and pass on all else.

// ---------------------------------------------------------------------------------------------------------------
// Security: `judge` decides what is a guest's trap. It must never take a fault of the host for one: a fault counts
// only at an instruction of generated code that this activation's store has loaded, and for an access only inside the
// reservation of one of the store's memories but outside the memory, or in the guard of its stack. The handler
// allocates nothing, takes no lock, and believes only what the kernel and this crate wrote.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::OnceCell;
use core::ffi::c_int;
use core::mem::{self, MaybeUninit};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::prelude::rust_2024::*;
use std::sync::OnceLock;

use wasmelt_abi::code_map::traps;
use wasmelt_abi::trap::Trap;

use super::activation::{self, Activation, Raised};
use super::backtrace::Captured;
use super::reservation::Reservation;
use super::store::Inner;
use super::{Error, arch, builtins};
use crate::instance::slice;
use crate::sys::faults::{Fault, FaultKind, HANDLER_STACK_BYTES};
use crate::sys::pages::PAGE_BYTES;

/// The signals that faults arrive as.
const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What was done about each of [`SIGNALS`] before.
static PREVIOUS: [AtomicPtr<libc::sigaction>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

/// Makes this thread and process ready for guest code. The bytes that are left of the host's stack, as far as is known.
pub(super) fn prepare_thread() -> Result<usize, Error> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    INSTALLED.get_or_init(install).clone().map_err(Error::System)?;
    std::thread_local! {
        static THREAD: OnceCell<Thread> = const { OnceCell::new() };
    }
    let stack = THREAD.with(|thread| {
        if thread.get().is_none() {
            let _ = thread.set(Thread::prepare()?);
        }
        Ok::<_, Error>(thread.get().map_or(0..0, |thread| thread.stack.clone()))
    })?;
    let here = ptr::from_ref(&stack) as usize;
    // On a stack that is not the thread's own, such as a coroutine's, nobody knows.
    Ok(if stack.contains(&here) { here - stack.start } else { usize::MAX })
}

fn install() -> Result<(), String> {
    for (&signal, previous) in SIGNALS.iter().zip(&PREVIOUS) {
        let mut old = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: the structures are complete, and `handle` is a handler of the form that `SA_SIGINFO` asks for. What
        // was there before is read first, so that the handler can pass a signal on from the start.
        let result = unsafe {
            libc::sigaction(signal, ptr::null(), old.as_mut_ptr());
            previous.store(Box::into_raw(Box::new(old.assume_init())), Ordering::Release);
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, ptr::null_mut())
        };
        if result != 0 {
            return Err(format!("cannot handle signal {signal}: {}", std::io::Error::last_os_error()));
        }
    }
    Ok(())
}

/// What a thread has so that guest code can run on it.
struct Thread {
    /// The stack that signals are handled on, where the thread had none that is large enough.
    handler_stack: Option<Reservation>,
    /// Addresses of the thread's own stack.
    stack: Range<usize>,
}

impl Thread {
    fn prepare() -> Result<Self, Error> {
        // SAFETY: all zeros is a value of the structure.
        let mut old: libc::stack_t = unsafe { mem::zeroed() };
        // SAFETY: only reads.
        unsafe { libc::sigaltstack(ptr::null(), &mut old) };
        let enough = old.ss_flags & libc::SS_DISABLE == 0 && old.ss_size >= HANDLER_STACK_BYTES;
        let handler_stack = if enough { None } else { Some(Self::install_handler_stack()?) };
        Ok(Self { handler_stack, stack: own_stack() })
    }

    fn install_handler_stack() -> Result<Reservation, Error> {
        // The page below it stays inaccessible.
        let total = (PAGE_BYTES + HANDLER_STACK_BYTES) as u64;
        let stack = Reservation::new(total, PAGE_BYTES, HANDLER_STACK_BYTES as u64)?;
        let new = libc::stack_t {
            ss_sp: stack.start().wrapping_add(PAGE_BYTES).cast(),
            ss_flags: 0,
            ss_size: HANDLER_STACK_BYTES,
        };
        // SAFETY: the stack stays until the thread ends, which disables it first.
        if unsafe { libc::sigaltstack(&new, ptr::null_mut()) } != 0 {
            return Err(Error::system(format!("sigaltstack: {}", std::io::Error::last_os_error())));
        }
        Ok(stack)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(stack) = &self.handler_stack else { return };
        // SAFETY: reads and writes this thread's setting only. Where somebody else has put another stack in place since,
        // that stays.
        unsafe {
            let mut now: libc::stack_t = mem::zeroed();
            libc::sigaltstack(ptr::null(), &mut now);
            if stack.range().contains(&(now.ss_sp as usize)) {
                now.ss_flags = libc::SS_DISABLE;
                libc::sigaltstack(&now, ptr::null_mut());
            }
        }
    }
}

/// Addresses of this thread's stack; none where the system does not say.
fn own_stack() -> Range<usize> {
    // SAFETY: the attributes are initialised by the first call, read by the second and freed by the third.
    unsafe {
        let mut attributes: libc::pthread_attr_t = mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return 0..0;
        }
        let (mut start, mut len) = (ptr::null_mut(), 0);
        libc::pthread_attr_getstack(&attributes, &mut start, &mut len);
        libc::pthread_attr_destroy(&mut attributes);
        start as usize..(start as usize).saturating_add(len)
    }
}

/// What a fault is to the host.
enum Verdict {
    Trap(Trap),
    /// Another thread has grown the memory meanwhile: the access is good now.
    Retry,
}

/// What a fault means, `None` where it is none of this store's guests'.
fn judge(fault: &Fault, store: &Inner) -> Option<Verdict> {
    let in_guest = store.code_at(fault.pc);
    if fault.kind == FaultKind::Access && store.stack_guard().contains(&fault.address) {
        // Code of the runtime touches the guest's stack first of all, and asks for enough of it.
        let by_guest = in_guest.is_some() || builtins::asks_for_stack(fault.pc);
        return by_guest.then_some(Verdict::Trap(Trap::StackExhausted));
    }
    let (module, offset) = in_guest?;
    match fault.kind {
        FaultKind::Access => {
            let memory = store.memory_ranges.iter().find(|memory| memory.range.contains(&fault.address))?;
            let inside = fault.address - memory.range.start < memory.length_bytes() as usize;
            match (inside, memory.shared) {
                (false, _) => Some(Verdict::Trap(Trap::MemoryOutOfBounds)),
                (true, true) => Some(Verdict::Retry),
                (true, false) => None,
            }
        }
        FaultKind::Unavailable => None,
        FaultKind::Instruction | FaultKind::Arithmetic => {
            traps::find(slice(&module.program().traps), offset).map(Verdict::Trap)
        }
    }
}

/// The signal handler.
unsafe extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    let kind = match signal {
        libc::SIGSEGV => FaultKind::Access,
        libc::SIGBUS => FaultKind::Unavailable,
        libc::SIGILL => FaultKind::Instruction,
        _ => FaultKind::Arithmetic,
    };
    let activation = activation::current();
    // SAFETY: the kernel passes complete structures. A signal that was sent (its code is not positive) is no fault.
    if unsafe { (*info).si_code } > 0 && !activation.is_null() {
        // SAFETY: the activation of this thread is on its stack, and its store is there; nothing else runs on this
        // thread, and no other thread uses the store.
        unsafe {
            let store: &Inner = &*(*activation).store;
            let fault = arch::fault(kind, info, context);
            match judge(&fault, store) {
                Some(Verdict::Trap(trap)) => {
                    (*activation).captured = Captured::of_fault(store, activation, &fault);
                    end(activation, trap);
                    arch::return_to_recovery(context, activation);
                    return;
                }
                Some(Verdict::Retry) => return,
                None => {}
            }
        }
    }
    // SAFETY: the arguments are the kernel's.
    unsafe { pass_on(signal, info, context) }
}

/// # Safety
/// The activation is the one whose guest code trapped.
unsafe fn end(activation: *mut Activation, trap: Trap) {
    // SAFETY: by this function's contract. Nothing was raised before, so nothing is dropped.
    unsafe { (&raw mut (*activation).raised).write(Some(Raised::Trap(trap))) }
}

/// Does what was done about the signal before this crate came.
///
/// # Safety
/// The arguments are those of a signal handler.
unsafe fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    let index = SIGNALS.iter().position(|&other| other == signal).unwrap_or(0);
    let previous = PREVIOUS[index].load(Ordering::Acquire);
    // SAFETY: it was stored before the handler was installed, and is never freed.
    let Some(previous) = (unsafe { previous.as_ref() }) else { return };
    // SAFETY: the kernel passes complete structures.
    let sent = unsafe { (*info).si_code } <= 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: the default action runs no code. A fault occurs again once the handler is back; a signal that was
            // sent is sent again, and waits until then.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if sent {
                    libc::raise(signal);
                }
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::ucontext_t);
            // SAFETY: with `SA_SIGINFO` it is a function of this type, to be called for this signal.
            unsafe { mem::transmute::<usize, Handler>(handler)(signal, info, context) }
        }
        handler => {
            // SAFETY: without `SA_SIGINFO` it is a function of this type, to be called for this signal.
            unsafe { mem::transmute::<usize, unsafe extern "C" fn(c_int)>(handler)(signal) }
        }
    }
}
