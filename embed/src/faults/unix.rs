//! Faults as Unix systems deliver them: signals. The handlers take the traps of guests and pass on all other faults.

use core::cell::{Cell, OnceCell};
use core::ffi::c_int;
use core::mem::{self, MaybeUninit};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::sync::OnceLock;

use super::Answer;
use crate::reservation::Reservation;
use crate::{Error, activation};
use wasmelt_runtime::sys::fault::{Fault, FaultKind};
use wasmelt_runtime::sys::faults::HANDLER_STACK_BYTES;
use wasmelt_runtime::sys::pages::PAGE_BYTES;

/// The signals that faults arrive as.
const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What was done about each of [`SIGNALS`] before; null stands for the default action.
static PREVIOUS: [AtomicPtr<libc::sigaction>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

/// Makes this thread and process ready for guest code. Addresses of the thread's own stack; none where nobody knows.
pub(crate) fn prepare_thread() -> Result<Range<usize>, Error> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    INSTALLED.get_or_init(install).clone().map_err(Error::System)?;
    std::thread_local! {
        static THREAD: OnceCell<Thread> = const { OnceCell::new() };
    }
    THREAD.with(|thread| {
        if thread.get().is_none() {
            let _ = thread.set(Thread::prepare()?);
        }
        Ok::<_, Error>(thread.get().map_or(0..0, |thread| thread.stack.clone()))
    })
}

/// Addresses of this thread's stack, while nothing is done about signals; none where nobody knows.
pub(crate) fn stack_of_thread() -> Range<usize> {
    std::thread_local! {
        static STACK: OnceCell<Range<usize>> = const { OnceCell::new() };
    }
    STACK.with(|stack| stack.get_or_init(own_stack).clone())
}

fn install() -> Result<(), String> {
    stay_loaded();
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

/// Keeps the shared library that holds this code, where it is one, in the process: the system calls the handlers as long as
/// the process lives. A host may close the library all the same.
fn stay_loaded() {
    // SAFETY: the first call fills in the structure, whose name stays as long as what it names. The second one runs no code
    // of a library: what it names is loaded, or is not loaded. In a program that holds this code itself it finds nothing to do.
    unsafe {
        let mut found: libc::Dl_info = mem::zeroed();
        if libc::dladdr(handle as *const _, &mut found) != 0 && !found.dli_fname.is_null() {
            libc::dlopen(found.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
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
        // A thread that waits for signals has all of them blocked, and those that it starts inherit that. A fault whose
        // signal is blocked ends the process, so no thread can want that for these.
        // SAFETY: all zeros is a set, which the first call fills and the others read.
        unsafe {
            let mut faults: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&mut faults);
            for signal in SIGNALS {
                libc::sigaddset(&mut faults, signal);
            }
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &faults, ptr::null_mut());
        }
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
        activation::forget_thread();
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
#[cfg(not(target_vendor = "apple"))]
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

/// Addresses of this thread's stack.
#[cfg(target_vendor = "apple")]
fn own_stack() -> Range<usize> {
    // SAFETY: the calls only read what is known about the thread.
    let (end, len) = unsafe {
        let thread = libc::pthread_self();
        (libc::pthread_get_stackaddr_np(thread) as usize, libc::pthread_get_stacksize_np(thread))
    };
    end.saturating_sub(len)..end
}

/// What `SIGBUS` says. Apple's systems send it for pages that are not allowed as well.
const BUS: FaultKind = if cfg!(target_vendor = "apple") { FaultKind::Access } else { FaultKind::Unavailable };

/// Whether a signal with this code was sent by a process and is not a fault.
fn is_sent(code: c_int) -> bool {
    if cfg!(target_vendor = "apple") {
        // `SI_USER` and the numbers behind it; those of faults are small.
        code == 0 || code >= 0x10001
    } else {
        code <= 0
    }
}

/// The signal handler.
unsafe extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    let kind = match signal {
        libc::SIGSEGV => FaultKind::Access,
        libc::SIGBUS => BUS,
        libc::SIGILL => FaultKind::Instruction,
        _ => FaultKind::Arithmetic,
    };
    // SAFETY: the system passes complete structures.
    unsafe {
        if !is_sent((*info).si_code) {
            let mut registers = Registers::of(context);
            let fault = registers.fault(kind, (*info).si_addr() as usize);
            match super::answer(&fault) {
                Answer::PassOn => {}
                Answer::Retry => return,
                Answer::End(activation) => return registers.go_on((*activation).recover, activation as usize),
            }
        }
        pass_on(signal, info, context)
    }
}

/// The registers in a signal's context.
struct Registers<'a>(&'a mut Machine);

#[cfg(not(target_vendor = "apple"))]
type Machine = libc::mcontext_t;
#[cfg(target_vendor = "apple")]
type Machine = libc::__darwin_mcontext64;

impl Registers<'_> {
    /// # Safety
    /// It is what the system passes to a signal handler.
    unsafe fn of(context: *mut libc::ucontext_t) -> Self {
        // SAFETY: by this function's contract.
        #[cfg(not(target_vendor = "apple"))]
        return Self(unsafe { &mut (*context).uc_mcontext });
        // SAFETY: as above.
        #[cfg(target_vendor = "apple")]
        return Self(unsafe { &mut *(*context).uc_mcontext });
    }

    fn fault(&self, kind: FaultKind, address: usize) -> Fault {
        let [pc, frame_pointer, stack_pointer] = self.read().map(|register| register as usize);
        Fault { kind, address, pc, frame_pointer, stack_pointer }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
impl Registers<'_> {
    /// Program counter, frame pointer and stack pointer.
    fn read(&self) -> [u64; 3] {
        [libc::REG_RIP, libc::REG_RBP, libc::REG_RSP].map(|register| self.0.gregs[register as usize] as u64)
    }

    /// Makes the return from the handler go to `code`, with `value` in the register of results.
    fn go_on(&mut self, code: usize, value: usize) {
        self.0.gregs[libc::REG_RIP as usize] = code as i64;
        self.0.gregs[libc::REG_RAX as usize] = value as i64;
    }
}

#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
impl Registers<'_> {
    /// Program counter, frame pointer and link register.
    fn read(&self) -> [u64; 3] {
        [self.0.pc, self.0.regs[29], self.0.regs[30]]
    }

    /// Makes the return from the handler go to `code`, with `value` in the register of results.
    fn go_on(&mut self, code: usize, value: usize) {
        self.0.pc = code as u64;
        self.0.regs[0] = value as u64;
    }
}

#[cfg(all(target_vendor = "apple", target_arch = "x86_64"))]
impl Registers<'_> {
    /// Program counter, frame pointer and stack pointer.
    fn read(&self) -> [u64; 3] {
        [self.0.__ss.__rip, self.0.__ss.__rbp, self.0.__ss.__rsp]
    }

    /// Makes the return from the handler go to `code`, with `value` in the register of results.
    fn go_on(&mut self, code: usize, value: usize) {
        self.0.__ss.__rip = code as u64;
        self.0.__ss.__rax = value as u64;
    }
}

#[cfg(all(target_vendor = "apple", target_arch = "aarch64"))]
impl Registers<'_> {
    /// Program counter, frame pointer and link register.
    fn read(&self) -> [u64; 3] {
        [self.0.__ss.__pc, self.0.__ss.__fp, self.0.__ss.__lr]
    }

    /// Makes the return from the handler go to `code`, with `value` in the register of results.
    fn go_on(&mut self, code: usize, value: usize) {
        self.0.__ss.__pc = code as u64;
        self.0.__ss.__x[0] = value as u64;
    }
}

std::thread_local! {
    /// What this thread passes on: the address of the context that the system gave, and one in the frame that does so.
    static PASSED_ON: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
}

/// Whether the handler that a signal is passed on to has passed it on to this crate again: a host that installs its handler
/// once before this crate comes, and once after. Where the handler has left by a jump, the frame of that time lies no higher
/// than that of the next signal.
fn is_back(context: *const libc::ucontext_t) -> bool {
    let frame = 0u8;
    let (here, context) = (ptr::from_ref(&frame).addr(), context.addr());
    let [passed_on, above] = PASSED_ON.replace([context, here]);
    passed_on == context && here < above
}

/// Does what was done about the signal before this crate came.
///
/// # Safety
/// The arguments are those of a signal handler.
unsafe fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    let index = SIGNALS.iter().position(|&other| other == signal).unwrap_or(0);
    // SAFETY: where there is one, it was stored before the handler was installed, and is never freed.
    let previous = unsafe { PREVIOUS[index].load(Ordering::Acquire).as_ref() };
    // SAFETY: the kernel passes complete structures.
    let sent = is_sent(unsafe { (*info).si_code });
    match previous {
        Some(previous) if previous.sa_sigaction == libc::SIG_IGN && sent => {}
        Some(previous) if !matches!(previous.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) && !is_back(context) => {
            if previous.sa_flags & libc::SA_RESETHAND != 0 {
                PREVIOUS[index].store(ptr::null_mut(), Ordering::Release);
            }
            // SAFETY: the arguments are those of this function.
            unsafe { call(previous, signal, info, context) }
        }
        // SAFETY: the default action runs no code. A fault occurs again once the handler is back; a signal that was sent
        // is sent again, and waits until then.
        _ => unsafe {
            libc::signal(signal, libc::SIG_DFL);
            if sent {
                libc::raise(signal);
            }
        },
    }
    PASSED_ON.set([0; 2]);
}

/// Calls a handler as the system would: with the signals blocked that it asked for. The system restores what was blocked
/// before.
///
/// # Safety
/// The arguments are those of a signal handler, and the action names a function.
unsafe fn call(action: &libc::sigaction, signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the sets are complete, and only this thread's setting is changed.
    unsafe {
        if action.sa_flags & libc::SA_NODEFER != 0 {
            let mut own: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&mut own);
            libc::sigaddset(&mut own, signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &own, ptr::null_mut());
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &action.sa_mask, ptr::null_mut());
    }
    let handler = action.sa_sigaction;
    if action.sa_flags & libc::SA_SIGINFO != 0 {
        type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::ucontext_t);
        // SAFETY: with `SA_SIGINFO` it is a function of this type, to be called for this signal.
        unsafe { mem::transmute::<usize, Handler>(handler)(signal, info, context) }
    } else {
        // SAFETY: without `SA_SIGINFO` it is a function of this type, to be called for this signal.
        unsafe { mem::transmute::<usize, unsafe extern "C" fn(c_int)>(handler)(signal) }
    }
}
