//! x86-64 with the calling convention of System V: Linux and macOS.

use core::arch::naked_asm;
use core::mem::offset_of;

use wasmelt_abi::context::HostFunc;

use crate::activation::Activation;
use crate::exceptions;
use crate::host_func::HostCell;
use crate::store::Inner;

/// Calls `code` with three arguments on another stack; 0, or 1 where a [`Resume`](super::Resume) to the activation's recovery ended
/// it.
///
/// # Safety
/// `stack_top` is a multiple of 16 with nothing in use below it, `activation` is the store's current one, and the code
/// is sound to call.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(
    activation: *mut Activation,
    stack_top: usize,
    code: *const u8,
    args: *const [usize; 3],
) -> usize {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "lea rax, [rip + 2f]",
        "mov [rdi + {recover}], rax",
        "mov [rdi + {host_stack}], rsp",
        // The zero frame pointer ends walks.
        "mov rsp, rsi",
        "xor ebp, ebp",
        "push rdi",
        "push rdi",
        "mov rax, rdx",
        "mov rdi, [rcx]",
        "mov rsi, [rcx + 8]",
        "mov rdx, [rcx + 16]",
        "call rax",
        "pop rcx",
        "mov rsp, [rcx + {host_stack}]",
        "xor eax, eax",
        "jmp 3f",
        // Recovery: the activation is in `rax`. What returns by itself keeps the control registers.
        "2:",
        "mov rsp, [rax + {host_stack}]",
        "cld",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "mov eax, 1",
        "3:",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        host_stack = const offset_of!(Activation, host_stack),
        recover = const offset_of!(Activation, recover),
    )
}

/// Goes on where the [`Resume`](super::Resume) in `rax` says.
macro_rules! resume {
    () => {
        concat!(
            "mov rsp, [rax + 8]\n",
            "mov rbp, [rax + 16]\n",
            "mov rcx, [rax]\n",
            "mov rax, [rax + 24]\n",
            "xor edx, edx\n",
            "jmp rcx\n"
        )
    };
}

/// [`HostFunc::entry`] of all host functions: calls [`HostCell::from_guest`] on the host's stack.
///
/// All registers that may hold references are stored where the exceptions' heap looks for them.
///
/// # Safety
/// Called by generated code with a [`HostCell`].
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_host(host_func: *mut HostFunc, values: *mut [u64; 2]) {
    naked_asm!(
        "cmp byte ptr [rsp - 64], 0",
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rax, [rdi + {store}]",
        "mov rax, [rax + {activation}]",
        "mov [rax + {guest_stack}], rsp",
        "mov [rax + {guest_frame}], rbp",
        "mov rsp, [rax + {host_stack}]",
        "call [rdi + {from_guest}]",
        "test rax, rax",
        "jnz 2f",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        "2:",
        resume!(),
        store = const offset_of!(HostCell, store),
        activation = const offset_of!(Inner, activation),
        guest_stack = const offset_of!(Activation, guest_stack),
        guest_frame = const offset_of!(Activation, guest_frame),
        host_stack = const offset_of!(Activation, host_stack),
        from_guest = const offset_of!(HostCell, from_guest),
    )
}

/// Goes on with a guest that waits in [`call_host`]: returns from there, or goes on where a [`Resume`](super::Resume) says,
/// where there is one. Trampolines of functions of the host keep nothing in registers that is not restored here.
///
/// # Safety
/// Called by [`enter`] with its activation, whose guest waits. The stack on which it is called is left.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn go_on(activation: *mut Activation, resume: *const super::Resume) {
    naked_asm!(
        "test rsi, rsi",
        "jnz 2f",
        "mov rbp, [rdi + {guest_frame}]",
        "mov rbx, [rbp - 8]",
        "mov r12, [rbp - 16]",
        "mov r13, [rbp - 24]",
        "mov r14, [rbp - 32]",
        "mov r15, [rbp - 40]",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        "2:",
        "mov rax, rsi",
        resume!(),
        guest_frame = const offset_of!(Activation, guest_frame),
    )
}

/// The builtin of this name, once there is room on the stack.
///
/// # Safety
/// Called for generated code with its context and an exception.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn exception_throw(vmctx: *mut u8, exception: *mut u8) {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rdx, rbp",
        "call {function}",
        resume!(),
        function = sym exceptions::throw,
    )
}

/// [`LibraryHead::raise`](wasmelt_abi::context::LibraryHead::raise). Code that raises its traps has compared how much of the
/// stack is left.
///
/// # Safety
/// Called by generated code with the number of a trap.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn raise(trap: u32) {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rsi, rbp",
        "call {function}",
        resume!(),
        function = sym crate::activation::raise,
    )
}

/// Defines `$name` as a builtin that returns or goes on elsewhere, once there is room on the stack. Its function is given the
/// caller's frame behind four arguments, which those that need fewer leave alone.
macro_rules! may_leave {
    ($name:ident, $function:path) => {
        /// The builtin of this name.
        ///
        /// # Safety
        /// Called for generated code with its context.
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name() {
            naked_asm!(
                "push rbp",
                "mov rbp, rsp",
                "mov r8, rbp",
                "call {function}",
                "test rdx, rdx",
                "jnz 2f",
                "pop rbp",
                "ret",
                "2:",
                "mov rax, rdx",
                resume!(),
                function = sym $function,
            )
        }
    };
}

may_leave!(exception_new, exceptions::allocate);
may_leave!(memory_grow, crate::builtins::grow_memory);
may_leave!(table_grow, crate::builtins::grow_table);

/// Defines `$name` as a builtin that makes sure of its stack and goes on at `$function`.
macro_rules! on_guest_stack {
    ($name:ident, $function:path) => {
        /// The builtin of this name.
        ///
        /// # Safety
        /// Called by generated code, with what its validated module says.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "cmp byte ptr [rsp - {room}], 0",
                "jmp {function}",
                room = const $crate::arch::RUNTIME_STACK_BYTES,
                function = sym $function,
            )
        }
    };
}
pub(crate) use on_guest_stack;

/// Whether `pc` is where one of these functions, [`call_host`] or `pause` makes sure of its stack.
pub(crate) fn asks_for_stack(pc: usize, stubs: &[*const u8]) -> bool {
    pc == call_host as *const () as usize
        || super::pause::asks_for_stack(pc)
        || stubs.iter().any(|&stub| stub as usize == pc)
}
