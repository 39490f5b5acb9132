//! x86-64 for embedding: the switches between the host's stack and a guest's, and the registers of a signal's context.
//!
//! Guest code runs on the stack of its store. [`enter`] goes there and notes where it came from in the [`Activation`];
//! [`call_host`] goes back to the host's stack for a host function and returns; [`resume`] gives up frames, of the
//! guest alone, and goes on elsewhere: at the handler of an exception, or behind [`enter`].

// ---------------------------------------------------------------------------------------------------------------
// Security: this is the border between two stacks. Whatever ends a guest's frames early, a trap, an exception, an
// error or a panic of a host function, does it here, between frames of generated code: no frame of Rust is ever
// skipped, and the host gets back all registers that a callee must keep.
// ---------------------------------------------------------------------------------------------------------------

use core::arch::naked_asm;
use core::mem::offset_of;
use std::prelude::rust_2024::*;

use wasmelt_abi::context::HostFunc;
use wasmelt_abi::descriptor::CpuFeatures;

use super::activation::{self, Activation};
use super::exceptions;
use super::func::HostFuncData;
use super::store::Inner;
use crate::sys::faults::{Fault, FaultKind};

/// Stack that functions of the runtime may use after they were called by a guest; asked for at their first
/// instruction, where running out of it is the guest's trap. Less than the guard of a stack.
pub(super) const RUNTIME_STACK_BYTES: usize = 64 << 10;

/// Where to go on, see [`resume`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resume {
    pub(super) code: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: usize,
    /// What the code finds in `rax`: the exception, or the [`Activation`] that ends.
    pub(super) value: usize,
}

/// Calls `code` with three arguments on another stack; 0, or 1 where a [`Resume`] to the activation's recovery ended
/// it.
///
/// # Safety
/// `stack_top` is a multiple of 16 with nothing in use below it, `activation` is the store's current one, and the code
/// is sound to call.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn enter(
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
        "xor eax, eax",
        "jmp 3f",
        // Recovery: the activation is in `rax`.
        "2:",
        "mov rcx, rax",
        "cld",
        "mov eax, 1",
        "3:",
        "mov rsp, [rcx + {host_stack}]",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
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

/// Goes on where the [`Resume`] in `rax` says.
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
/// All registers that may hold references are stored where the exceptions' heap looks for them.
///
/// # Safety
/// Called by generated code with a [`HostFuncData`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn call_host(host_func: *mut HostFunc, values: *mut [u64; 2]) {
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
        "call {function}",
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

/// The builtin of this name, once there is room on the stack.
///
/// # Safety
/// Called for generated code with its context and an exception.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn exception_throw(vmctx: *mut u8, exception: *mut u8) {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rdx, rbp",
        "call {function}",
        resume!(),
        function = sym exceptions::throw,
    )
}

/// The builtin of this name, once there is room on the stack.
///
/// # Safety
/// Called for generated code with its context.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn exception_new(vmctx: *mut u8, tag: u32) -> *mut u8 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rdx, rbp",
        "call {function}",
        "test rdx, rdx",
        "jnz 2f",
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
                "cmp byte ptr [rsp - {room}], 0",
                "jmp {function}",
                room = const $crate::embed::arch::RUNTIME_STACK_BYTES,
                function = sym $function,
            )
        }
    };
}
pub(super) use on_guest_stack;

/// A fault, from what the system passes to a signal handler.
///
/// # Safety
/// All three are those of a call by the system.
pub(super) unsafe fn fault(kind: FaultKind, info: *const libc::siginfo_t, context: *const libc::ucontext_t) -> Fault {
    // SAFETY: by this function's contract.
    unsafe {
        let registers = &(*context).uc_mcontext.gregs;
        Fault {
            kind,
            address: (*info).si_addr() as usize,
            pc: registers[libc::REG_RIP as usize] as usize,
            frame_pointer: registers[libc::REG_RBP as usize] as usize,
            stack_pointer: registers[libc::REG_RSP as usize] as usize,
        }
    }
}

/// Makes the return from a signal handler go to the activation's recovery.
///
/// # Safety
/// The context is that of a signal which interrupted the guest code of this activation.
pub(super) unsafe fn return_to_recovery(context: *mut libc::ucontext_t, activation: *mut Activation) {
    // SAFETY: by this function's contract.
    unsafe {
        let registers = &mut (*context).uc_mcontext.gregs;
        registers[libc::REG_RIP as usize] = (*activation).recover as i64;
        registers[libc::REG_RAX as usize] = activation as i64;
    }
}

macro_rules! detect {
    ($($name:tt)*) => {
        /// Names of the features among `wanted`, as bits of [`CpuFeatures`], that this CPU or system lacks.
        pub(super) fn missing_features(wanted: u32) -> Vec<&'static str> {
            let present = |name: &str| match name {
                $($name => std::is_x86_feature_detected!($name),)*
                _ => false,
            };
            let wanted = CpuFeatures::X86_64.iter().filter(|(bit, _)| wanted & bit != 0);
            wanted.map(|(_, name)| *name).filter(|name| !present(name)).collect()
        }

        #[cfg(test)]
        const DETECTED: &[&str] = &[$($name),*];
    };
}

detect!(
    "sse3" "ssse3" "cmpxchg16b" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "lzcnt"
    "avx512f" "avx512dq" "avx512vl" "avx512vbmi" "avx512bitalg" "avx512vnni" "avxvnni"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_can_be_detected() {
        assert!(CpuFeatures::X86_64.iter().map(|(_, name)| *name).eq(DETECTED.iter().copied()));
        assert_eq!(missing_features(0), [] as [&str; 0]);
    }
}
