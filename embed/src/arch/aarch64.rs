//! aarch64 on every system: they share the calling convention, as far as it is needed here.
//!
//! Generated code of a library has no pinned register. `x18` belongs to the platform, and no code here touches it.

use core::arch::naked_asm;
use core::mem::offset_of;

use wasmelt_abi::context::HostFunc;

use crate::activation::Activation;
use crate::exceptions;
use crate::host_func::HostCell;
use crate::store::Inner;

/// Tells the system the bounds of the guest's stack; on entry also records those of the host's stack. The activation is
/// in `x9`; changes `x10` to `x13`.
///
/// Source: `TEB` of `winternl.h`, see [`crate::stack::Bounds`]; `x18` leads to it.
#[cfg(windows)]
macro_rules! to_guest_stack {
    (first) => {
        concat!(
            "ldp x10, x11, [x18, #8]\n",
            "ldr x12, [x18, #0x1478]\n",
            "ldr w13, [x18, #0x1748]\n",
            "stp x10, x11, [x9, #96]\n",
            "stp x12, x13, [x9, #112]\n",
            to_guest_stack!(again)
        )
    };
    (again) => {
        concat!(
            "ldp x10, x11, [x9, #64]\n",
            "ldp x12, x13, [x9, #80]\n",
            "stp x10, x11, [x18, #8]\n",
            "str x12, [x18, #0x1478]\n",
            "str w13, [x18, #0x1748]\n"
        )
    };
}

/// Tells the system the bounds of the host's stack. The activation is in `x9`; changes `x10` to `x13`.
#[cfg(windows)]
macro_rules! to_host_stack {
    () => {
        concat!(
            "ldp x10, x11, [x9, #96]\n",
            "ldp x12, x13, [x9, #112]\n",
            "stp x10, x11, [x18, #8]\n",
            "str x12, [x18, #0x1478]\n",
            "str w13, [x18, #0x1748]\n"
        )
    };
}

#[cfg(windows)]
const _: () = assert!(offset_of!(Activation, guest_bounds) == 64 && offset_of!(Activation, host_bounds) == 96);

/// Elsewhere no system knows which stack is used.
#[cfg(not(windows))]
macro_rules! to_guest_stack {
    ($($when:tt)*) => {
        ""
    };
}

/// As [`to_guest_stack`].
#[cfg(not(windows))]
macro_rules! to_host_stack {
    () => {
        ""
    };
}

/// Calls `code` with three arguments on another stack; 0, or 1 where a [`Resume`](super::Resume) to the activation's
/// recovery ended it.
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
        "stp x29, x30, [sp, #-176]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mrs x9, fpcr",
        "str x9, [sp, #160]",
        "adr x9, 2f",
        "str x9, [x0, #{recover}]",
        "mov x9, sp",
        "str x9, [x0, #{host_stack}]",
        "mov x9, x0",
        to_guest_stack!(first),
        // The zero frame pointer ends walks.
        "mov sp, x1",
        "mov x29, xzr",
        "str x9, [sp, #-16]!",
        "mov x9, x2",
        "ldp x0, x1, [x3]",
        "ldr x2, [x3, #16]",
        "blr x9",
        "ldr x9, [sp], #16",
        "mov x0, xzr",
        "b 3f",
        // Recovery: the activation is in `x0`.
        "2:",
        "mov x9, x0",
        "mov x0, #1",
        "3:",
        to_host_stack!(),
        "ldr x10, [x9, #{host_stack}]",
        "mov sp, x10",
        "ldr x9, [sp, #160]",
        "msr fpcr, x9",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #176",
        "ret",
        host_stack = const offset_of!(Activation, host_stack),
        recover = const offset_of!(Activation, recover),
    )
}

/// Goes on where the [`Resume`](super::Resume) in `x0` says.
macro_rules! resume {
    () => {
        concat!(
            "ldp x9, x10, [x0]\n",
            "ldp x29, x11, [x0, #16]\n",
            "mov sp, x10\n",
            "mov x0, x11\n",
            "mov x1, xzr\n",
            "br x9\n"
        )
    };
}

/// What Windows is told about [`call_host`] while a host function runs: the frame is that of [`enter`], so that a fault of
/// the host is one of all its callers. For each instruction of the prologue there must be one word, so some do nothing.
#[cfg(windows)]
macro_rules! call_host_unwinds {
    (begin {this}) => {
        ".seh_proc {this}"
    };
    (prologue {this}) => {
        concat!(
            "nop\n",
            "nop\n",
            "nop\n",
            "nop\n",
            ".seh_save_fplr_x 176\n",
            ".seh_save_regp x19, 16\n",
            ".seh_save_regp x21, 32\n",
            ".seh_save_regp x23, 48\n",
            ".seh_save_regp x25, 64\n",
            ".seh_save_regp x27, 80\n",
            ".seh_save_fregp d8, 96\n",
            ".seh_save_fregp d10, 112\n",
            ".seh_save_fregp d12, 128\n",
            ".seh_save_fregp d14, 144\n",
            ".seh_endprologue\n"
        )
    };
    (end {this}) => {
        ".seh_endproc"
    };
}

/// Other systems are told nothing.
#[cfg(not(windows))]
macro_rules! call_host_unwinds {
    (begin {this}) => {
        "// {this}"
    };
    ($part:ident {this}) => {
        ""
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
        call_host_unwinds!(begin {this}),
        "stp x29, x30, [sp, #-96]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        call_host_unwinds!(prologue {this}),
        "mov x29, sp",
        "ldr x9, [x0, #{store}]",
        "ldr x9, [x9, #{activation}]",
        "mov x19, x9",
        "mov x10, sp",
        "str x10, [x9, #{guest_stack}]",
        "str x29, [x9, #{guest_frame}]",
        to_host_stack!(),
        "ldr x10, [x9, #{host_stack}]",
        "mov sp, x10",
        "ldr x9, [x0, #{from_guest}]",
        "blr x9",
        "mov x9, x19",
        to_guest_stack!(again),
        "cbnz x0, 2f",
        "mov sp, x29",
        "ldr x19, [sp, #16]",
        "ldp x29, x30, [sp], #96",
        "ret",
        "2:",
        resume!(),
        call_host_unwinds!(end {this}),
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
        "cbnz x1, 2f",
        "ldr x29, [x0, #{guest_frame}]",
        "mov sp, x29",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp x29, x30, [sp], #96",
        "ret",
        "2:",
        "mov x0, x1",
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
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "mov x0, x2",
        "mov x1, x3",
        "mov x2, x29",
        "bl {function}",
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
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "mov x1, x29",
        "bl {function}",
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
                "stp x29, x30, [sp, #-16]!",
                "mov x29, sp",
                "mov x4, x29",
                "bl {function}",
                "cbnz x1, 2f",
                "ldp x29, x30, [sp], #16",
                "ret",
                "2:",
                "mov x0, x1",
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
#[cfg(not(windows))]
macro_rules! on_guest_stack {
    ($name:ident, $function:path) => {
        /// The builtin of this name.
        ///
        /// # Safety
        /// Called by generated code, with what its validated module says.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "sub x16, sp, #{pages}, lsl #12",
                "ldrb wzr, [x16]",
                "b {function}",
                pages = const $crate::arch::RUNTIME_STACK_BYTES >> 12,
                function = sym $function,
            )
        }
    };
}

/// Where the stubs of [`on_guest_stack`] touch the stack.
#[cfg(not(windows))]
const TOUCH_OFFSET: usize = 4;

/// Whether `pc` is where one of these functions, [`call_host`] or `pause` makes sure of its stack.
#[cfg(not(windows))]
pub(crate) fn asks_for_stack(pc: usize, stubs: &[*const u8]) -> bool {
    pc == call_host as *const () as usize
        || super::pause::asks_for_stack(pc)
        || stubs.iter().any(|&stub| stub as usize + TOUCH_OFFSET == pc)
}

/// Defines `$name` as a builtin that makes sure of its stack and goes on at `$function`.
#[cfg(windows)]
macro_rules! on_guest_stack {
    ($name:ident, $function:path) => {
        /// The builtin of this name.
        ///
        /// # Safety
        /// Called by generated code, with what its validated module says.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "sub x16, sp, #{pages}, lsl #12",
                "ldr x17, [x18, #16]",
                "cmp x16, x17",
                "b.lo 2f",
                "b {function}",
                "2:",
                "b {exhausted}",
                pages = const $crate::arch::RUNTIME_STACK_BYTES >> 12,
                exhausted = sym $crate::arch::exhausted,
                function = sym $function,
            )
        }
    };
}

/// Touches the stack page by page, as Windows wants it, until that faults.
///
/// # Safety
/// There is less stack than a function of the runtime may need.
#[cfg(windows)]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn exhausted() {
    naked_asm!("mov x16, sp", "2:", "sub x16, x16, #1, lsl #12", "ldrb wzr, [x16]", "b 2b")
}

/// Length of [`exhausted`].
#[cfg(windows)]
const EXHAUSTED_BYTES: usize = 16;

/// Whether `pc` is where one of these functions, [`call_host`] or `pause` makes sure of its stack.
#[cfg(windows)]
pub(crate) fn asks_for_stack(pc: usize, _stubs: &[*const u8]) -> bool {
    let start = exhausted as *const () as usize;
    pc == call_host as *const () as usize
        || super::pause::asks_for_stack(pc)
        || (start..start + EXHAUSTED_BYTES).contains(&pc)
}

pub(crate) use on_guest_stack;
