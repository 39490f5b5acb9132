//! x86-64 with the calling convention of Windows, which is that of what a library gives to its host and calls of it.
//! Wasm functions have Cranelift's `tail` convention, as everywhere.

use core::arch::naked_asm;
use core::mem::offset_of;

use wasmelt_abi::context::HostFunc;

use crate::embed::activation::{self, Activation};
use crate::embed::exceptions;
use crate::embed::func::HostFuncData;
use crate::embed::store::Inner;

/// Tells the system the bounds of the guest's stack; on entry also takes note of those of the host's. The activation is
/// in `rcx`; changes `r10`.
///
/// Source: `TEB` of `winternl.h`, see [`crate::embed::stack::Bounds`]; `gs` leads to it.
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
/// The lowest 32 bytes of what is pushed belong to the functions that are called from there.
///
/// # Safety
/// `stack_top` is a multiple of 16 with nothing in use below it, `activation` is the store's current one, and the code
/// is sound to call.
#[unsafe(naked)]
pub(in crate::embed) unsafe extern "C" fn enter(
    activation: *mut Activation,
    stack_top: usize,
    code: *const u8,
    args: *const [usize; 3],
) -> usize {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push rdi",
        "push rsi",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 200",
        "movaps [rsp + 32], xmm6",
        "movaps [rsp + 48], xmm7",
        "movaps [rsp + 64], xmm8",
        "movaps [rsp + 80], xmm9",
        "movaps [rsp + 96], xmm10",
        "movaps [rsp + 112], xmm11",
        "movaps [rsp + 128], xmm12",
        "movaps [rsp + 144], xmm13",
        "movaps [rsp + 160], xmm14",
        "movaps [rsp + 176], xmm15",
        "stmxcsr [rsp + 192]",
        "fnstcw [rsp + 196]",
        "lea rax, [rip + 2f]",
        "mov [rcx + {recover}], rax",
        "mov [rcx + {host_stack}], rsp",
        to_guest_stack!(first),
        // The zero frame pointer ends walks.
        "mov rsp, rdx",
        "xor ebp, ebp",
        "push rcx",
        "sub rsp, 40",
        "mov rax, r8",
        "mov rcx, [r9]",
        "mov rdx, [r9 + 8]",
        "mov r8, [r9 + 16]",
        "call rax",
        "add rsp, 40",
        "pop rcx",
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
        "movaps xmm6, [rsp + 32]",
        "movaps xmm7, [rsp + 48]",
        "movaps xmm8, [rsp + 64]",
        "movaps xmm9, [rsp + 80]",
        "movaps xmm10, [rsp + 96]",
        "movaps xmm11, [rsp + 112]",
        "movaps xmm12, [rsp + 128]",
        "movaps xmm13, [rsp + 144]",
        "movaps xmm14, [rsp + 160]",
        "movaps xmm15, [rsp + 176]",
        "ldmxcsr [rsp + 192]",
        "fldcw [rsp + 196]",
        "add rsp, 200",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rsi",
        "pop rdi",
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

/// [`HostFunc::entry`] of all host functions: calls [`activation::host_function`] on the host's stack.
///
/// All registers that may hold references are stored where the exceptions' heap looks for them. The first instruction
/// reaches the end of the stack that is used here.
///
/// # Safety
/// Called by generated code with a [`HostFuncData`].
#[unsafe(naked)]
pub(in crate::embed) unsafe extern "C" fn call_host(host_func: *mut HostFunc, values: *mut [u64; 2]) {
    naked_asm!(
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
        "call {function}",
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
        store = const offset_of!(HostFuncData, store),
        activation = const offset_of!(Inner, activation),
        guest_stack = const offset_of!(Activation, guest_stack),
        guest_frame = const offset_of!(Activation, guest_frame),
        host_stack = const offset_of!(Activation, host_stack),
        function = sym activation::host_function,
    )
}

/// The builtin of this name, once there is room on the stack. Its caller has the parameters where Cranelift's `tail`
/// convention has them.
///
/// # Safety
/// Called for generated code with its context and an exception.
#[unsafe(naked)]
pub(in crate::embed) unsafe extern "C" fn exception_throw() {
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

/// The builtin of this name, once there is room on the stack. What [`exceptions::allocate`] returns is too large for a
/// register: its first argument is where to put it.
///
/// # Safety
/// Called for generated code with its context.
#[unsafe(naked)]
pub(in crate::embed) unsafe extern "C" fn exception_new(vmctx: *mut u8, tag: u32) -> *mut u8 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 48",
        "mov r9, rbp",
        "mov r8d, edx",
        "mov rdx, rcx",
        "lea rcx, [rsp + 32]",
        "call {function}",
        "mov rdx, [rsp + 40]",
        "mov rax, [rsp + 32]",
        "test rdx, rdx",
        "jnz 2f",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
        "2:",
        "mov rax, rdx",
        resume!(),
        function = sym exceptions::allocate,
    )
}

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
                room = const $crate::embed::arch::RUNTIME_STACK_BYTES,
                exhausted = sym $crate::embed::arch::exhausted,
                function = sym $function,
            )
        }
    };
}
pub(in crate::embed) use on_guest_stack;

/// Touches the stack page by page, as Windows wants it, until that faults.
///
/// # Safety
/// There is less stack than a function of the runtime may need.
#[unsafe(naked)]
pub(in crate::embed) unsafe extern "C" fn exhausted() {
    naked_asm!("mov rax, rsp", "2:", "sub rax, 4096", "test byte ptr [rax], 0", "jmp 2b")
}

/// At most as long as [`exhausted`].
const EXHAUSTED_BYTES: usize = 14;

/// Whether `pc` is where one of these functions, or [`call_host`], makes sure of its stack.
pub(in crate::embed) fn asks_for_stack(pc: usize, _stubs: &[*const u8]) -> bool {
    let start = exhausted as *const () as usize;
    pc == call_host as *const () as usize || (start..start + EXHAUSTED_BYTES).contains(&pc)
}
