//! x86-64 with the calling convention of Windows, which is that of what a library gives to its host and calls of it.
//! Wasm functions have Cranelift's `tail` convention, as everywhere.

use core::arch::naked_asm;
use core::mem::offset_of;

use wasmelt_abi::context::HostFunc;

use crate::activation::Activation;
use crate::exceptions;
use crate::host_func::HostCell;
use crate::store::Inner;

/// Tells the system the bounds of the guest's stack; on entry also records those of the host's stack. The activation is
/// in `rcx`; changes `r10`.
///
/// Source: `TEB` of `winternl.h`, see [`crate::stack::Bounds`]; `gs` leads to it.
macro_rules! to_guest_stack {
    (first) => {
        concat!(
            "mov r10, gs:[8]\n",
            "mov [rcx + 96], r10\n",
            "mov r10, gs:[16]\n",
            "mov [rcx + 104], r10\n",
            "mov r10, gs:[0x1478]\n",
            "mov [rcx + 112], r10\n",
            "mov r10d, gs:[0x1748]\n",
            "mov [rcx + 120], r10\n",
            to_guest_stack!(again)
        )
    };
    (again) => {
        concat!(
            "mov r10, [rcx + 64]\n",
            "mov gs:[8], r10\n",
            "mov r10, [rcx + 72]\n",
            "mov gs:[16], r10\n",
            "mov r10, [rcx + 80]\n",
            "mov gs:[0x1478], r10\n",
            "mov r10, [rcx + 88]\n",
            "mov gs:[0x1748], r10d\n"
        )
    };
}

/// Tells the system the bounds of the host's stack. The activation is in `rcx`; changes `r10`.
macro_rules! to_host_stack {
    () => {
        concat!(
            "mov r10, [rcx + 96]\n",
            "mov gs:[8], r10\n",
            "mov r10, [rcx + 104]\n",
            "mov gs:[16], r10\n",
            "mov r10, [rcx + 112]\n",
            "mov gs:[0x1478], r10\n",
            "mov r10, [rcx + 120]\n",
            "mov gs:[0x1748], r10d\n"
        )
    };
}

const _: () = assert!(offset_of!(Activation, guest_bounds) == 64 && offset_of!(Activation, host_bounds) == 96);

/// Calls `code` with three arguments on another stack; 0, or 1 where a [`Resume`](super::Resume) to the activation's
/// recovery ended it.
///
/// The system finds its way from host functions to the caller of this: a fault of the host is one of all its frames.
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
        ".seh_proc {this}",
        "push rbp",
        ".seh_pushreg rbp",
        "push rbx",
        ".seh_pushreg rbx",
        "push rdi",
        ".seh_pushreg rdi",
        "push rsi",
        ".seh_pushreg rsi",
        "push r12",
        ".seh_pushreg r12",
        "push r13",
        ".seh_pushreg r13",
        "push r14",
        ".seh_pushreg r14",
        "push r15",
        ".seh_pushreg r15",
        "sub rsp, 168",
        ".seh_stackalloc 168",
        "movaps [rsp], xmm6",
        ".seh_savexmm xmm6, 0",
        "movaps [rsp + 16], xmm7",
        ".seh_savexmm xmm7, 16",
        "movaps [rsp + 32], xmm8",
        ".seh_savexmm xmm8, 32",
        "movaps [rsp + 48], xmm9",
        ".seh_savexmm xmm9, 48",
        "movaps [rsp + 64], xmm10",
        ".seh_savexmm xmm10, 64",
        "movaps [rsp + 80], xmm11",
        ".seh_savexmm xmm11, 80",
        "movaps [rsp + 96], xmm12",
        ".seh_savexmm xmm12, 96",
        "movaps [rsp + 112], xmm13",
        ".seh_savexmm xmm13, 112",
        "movaps [rsp + 128], xmm14",
        ".seh_savexmm xmm14, 128",
        "movaps [rsp + 144], xmm15",
        ".seh_savexmm xmm15, 144",
        ".seh_endprologue",
        "stmxcsr [rsp + 160]",
        "fnstcw [rsp + 164]",
        "call {switch_stacks}",
        "ldmxcsr [rsp + 160]",
        "fldcw [rsp + 164]",
        "movaps xmm6, [rsp]",
        "movaps xmm7, [rsp + 16]",
        "movaps xmm8, [rsp + 32]",
        "movaps xmm9, [rsp + 48]",
        "movaps xmm10, [rsp + 64]",
        "movaps xmm11, [rsp + 80]",
        "movaps xmm12, [rsp + 96]",
        "movaps xmm13, [rsp + 112]",
        "movaps xmm14, [rsp + 128]",
        "movaps xmm15, [rsp + 144]",
        "add rsp, 168",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rsi",
        "pop rdi",
        "pop rbx",
        "pop rbp",
        "ret",
        ".seh_endproc",
        this = sym enter,
        switch_stacks = sym switch_stacks,
    )
}

/// The switch in [`enter`], whose parameters it has. On either stack it keeps 40 bytes, of which the lower 32
/// belong to functions that are called from there. They lie below the return address on the host's stack, and below the
/// top on the guest's.
///
/// # Safety
/// As for [`enter`]; changes registers that callees keep.
#[unsafe(naked)]
unsafe extern "C" fn switch_stacks() {
    naked_asm!(
        ".seh_proc {this}",
        "sub rsp, 40",
        ".seh_stackalloc 40",
        ".seh_endprologue",
        "lea rax, [rip + 2f]",
        "mov [rcx + {recover}], rax",
        "mov [rcx + {host_stack}], rsp",
        to_guest_stack!(first),
        "lea rsp, [rdx - 64]",
        "mov qword ptr [rsp + 40], 0",
        "mov [rsp + 48], rcx",
        // The zero frame pointer ends walks.
        "xor ebp, ebp",
        "mov rax, r8",
        "mov rcx, [r9]",
        "mov rdx, [r9 + 8]",
        "mov r8, [r9 + 16]",
        "call rax",
        "mov rcx, [rsp + 48]",
        "xor eax, eax",
        "jmp 3f",
        // Recovery: the activation is in `rax`.
        "2:",
        "mov rcx, rax",
        "cld",
        "mov eax, 1",
        "3:",
        to_host_stack!(),
        "mov rsp, [rcx + {host_stack}]",
        "add rsp, 40",
        "ret",
        ".seh_endproc",
        this = sym switch_stacks,
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
/// All registers that may hold references are stored where the exceptions' heap looks for them. The first instruction
/// reaches the end of the stack that is used here.
///
/// # Safety
/// Called by generated code with a [`HostCell`].
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_host(host_func: *mut HostFunc, values: *mut [u64; 2]) {
    naked_asm!(
        // What the system is told holds for the host's stack, see `switch_stacks`.
        ".seh_proc {this}",
        ".seh_stackalloc 40",
        ".seh_endprologue",
        "cmp byte ptr [rsp - 64], 0",
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push rdi",
        "push rsi",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rax, rcx",
        "mov rcx, [rax + {store}]",
        "mov rcx, [rcx + {activation}]",
        "mov rbx, rcx",
        "mov [rcx + {guest_stack}], rsp",
        "mov [rcx + {guest_frame}], rbp",
        to_host_stack!(),
        "mov rsp, [rcx + {host_stack}]",
        "mov rcx, rax",
        "call [rcx + {from_guest}]",
        "mov rcx, rbx",
        to_guest_stack!(again),
        "mov rbx, [rbp - 8]",
        "test rax, rax",
        "jnz 2f",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        "2:",
        resume!(),
        ".seh_endproc",
        this = sym call_host,
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
        "test rdx, rdx",
        "jnz 2f",
        "mov rbp, [rcx + {guest_frame}]",
        "mov rbx, [rbp - 8]",
        "mov rdi, [rbp - 16]",
        "mov rsi, [rbp - 24]",
        "mov r12, [rbp - 32]",
        "mov r13, [rbp - 40]",
        "mov r14, [rbp - 48]",
        "mov r15, [rbp - 56]",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        "2:",
        "mov rax, rdx",
        resume!(),
        guest_frame = const offset_of!(Activation, guest_frame),
    )
}

/// The builtin of this name, once there is room on the stack. Its caller has the parameters where Cranelift's `tail`
/// convention has them.
///
/// # Safety
/// Called for generated code with its context and an exception.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn exception_throw() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 32",
        "mov rcx, rdi",
        "mov rdx, rsi",
        "mov r8, rbp",
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
        "sub rsp, 32",
        "mov rdx, rbp",
        "call {function}",
        resume!(),
        function = sym crate::activation::raise,
    )
}

/// Defines `$name` as a builtin that returns or goes on elsewhere, once there is room on the stack. Its function is given the
/// caller's frame behind four arguments, which those that need fewer leave alone. What its function returns is too large
/// for a register: the first argument is where to put it.
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
                "sub rsp, 64",
                "mov [rsp + 40], rbp",
                "mov [rsp + 32], r9",
                "mov r9, r8",
                "mov r8d, edx",
                "mov rdx, rcx",
                "lea rcx, [rsp + 48]",
                "call {function}",
                "mov rdx, [rsp + 56]",
                "mov rax, [rsp + 48]",
                "test rdx, rdx",
                "jnz 2f",
                "mov rsp, rbp",
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
                "lea rax, [rsp - {room}]",
                "cmp rax, gs:[16]",
                "jb {exhausted}",
                "jmp {function}",
                room = const $crate::arch::RUNTIME_STACK_BYTES,
                exhausted = sym $crate::arch::exhausted,
                function = sym $function,
            )
        }
    };
}
pub(crate) use on_guest_stack;

/// Touches the stack page by page, as Windows wants it, until that faults.
///
/// # Safety
/// There is less stack than a function of the runtime may need.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn exhausted() {
    naked_asm!("mov rax, rsp", "2:", "sub rax, 4096", "test byte ptr [rax], 0", "jmp 2b")
}

/// At most as long as [`exhausted`].
const EXHAUSTED_BYTES: usize = 14;

/// Whether `pc` is where one of these functions, [`call_host`] or `pause` makes sure of its stack.
pub(crate) fn asks_for_stack(pc: usize, _stubs: &[*const u8]) -> bool {
    let start = exhausted as *const () as usize;
    pc == call_host as *const () as usize
        || super::pause::asks_for_stack(pc)
        || (start..start + EXHAUSTED_BYTES).contains(&pc)
}
