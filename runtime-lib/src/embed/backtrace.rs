//! Backtraces of guests in a host: in comes where the stack stands; out come frames with the functions' names and
//! positions.

// ---------------------------------------------------------------------------------------------------------------
// Security: capturing runs in the signal handler: no allocation, no lock, and every frame address is checked to lie in
// the guest's stack and above the one before.
// ---------------------------------------------------------------------------------------------------------------

use core::mem::size_of;
use std::prelude::rust_2024::*;

use wasmelt_abi::code_map::{self, Found, NO_FUNCTION};
use wasmelt_abi::positions;
use wasmelt_abi::trap::Trap;

use super::activation::Activation;
use super::error::{Frame, GuestTrap, Position};
use super::module::Module;
use super::store::Inner;
use crate::instance::slice;
use crate::sys::cpu;
use crate::sys::fault::Fault;

/// How many frames a backtrace has at most.
const MAX_FRAMES: usize = 64;

/// Addresses in generated code: of the instruction that trapped, and of the calls around it.
pub(super) struct Captured {
    pcs: [usize; MAX_FRAMES],
    count: usize,
    is_cut: bool,
}

impl Default for Captured {
    fn default() -> Self {
        Self { pcs: [0; MAX_FRAMES], count: 0, is_cut: false }
    }
}

impl Captured {
    /// Where a fault of guest code, or of the runtime on its behalf, occurred.
    ///
    /// # Safety
    /// The activation is the one whose guest code is being executed.
    pub(super) unsafe fn of_fault(store: &Inner, activation: *const Activation, fault: &Fault) -> Self {
        let mut captured = Self::default();
        captured.push(store, fault.pc);
        // At the first instruction of a function the frame is still its caller's.
        if is_first_instruction(store, fault.pc)
            && let Some(return_address) = cpu::frameless_return_address(fault.stack_pointer, |at| read(store, at))
        {
            captured.push(store, return_address.wrapping_sub(1));
        }
        // SAFETY: by this function's contract.
        unsafe { captured.walk(store, activation, fault.frame_pointer) };
        captured
    }

    /// Where the frame with this frame pointer was called, and so on.
    ///
    /// # Safety
    /// The activation is the one whose guest code is being executed.
    pub(super) unsafe fn of_frames(store: &Inner, activation: *const Activation, frame_pointer: usize) -> Self {
        let mut captured = Self::default();
        // SAFETY: by this function's contract.
        unsafe { captured.walk(store, activation, frame_pointer) };
        captured
    }

    unsafe fn walk(&mut self, store: &Inner, mut activation: *const Activation, frame_pointer: usize) {
        let mut frame = frame_pointer;
        loop {
            for (_, return_address) in frames(store, frame) {
                if !self.push(store, return_address.wrapping_sub(1)) {
                    return;
                }
            }
            // SAFETY: outer activations lie on the host's stack above this one.
            unsafe {
                activation = (*activation).outer;
                if activation.is_null() {
                    return;
                }
                frame = (*activation).guest_frame;
            }
        }
    }

    /// Takes note of an address, where it is one of generated code; whether there may be more.
    fn push(&mut self, store: &Inner, pc: usize) -> bool {
        if store.code_at(pc).is_none() {
            return true;
        }
        let place = self.pcs.get_mut(self.count).map(|place| *place = pc);
        self.count += usize::from(place.is_some());
        self.is_cut = place.is_none();
        !self.is_cut
    }

    /// The frames in words.
    pub(super) fn describe(&self, store: &Inner, trap: Trap) -> GuestTrap {
        let backtrace = self.pcs[..self.count].iter().filter_map(|&pc| describe(store, pc)).collect();
        GuestTrap { trap, backtrace, is_cut: self.is_cut }
    }
}

fn find(store: &Inner, pc: usize) -> Option<(Found<'_>, &Module, u32)> {
    let (module, offset) = store.code_at(pc)?;
    let found = code_map::find(slice(&module.program().code.code_map), offset);
    // Code that wasmelt made itself has no index.
    (found.index != NO_FUNCTION).then_some((found, module, offset))
}

fn is_first_instruction(store: &Inner, pc: usize) -> bool {
    match find(store, pc) {
        Some((found, _, offset)) => found.start == offset,
        // A function of the runtime asks for its stack at its first instruction.
        None => true,
    }
}

fn describe(store: &Inner, pc: usize) -> Option<Frame> {
    let (found, module, _) = find(store, pc)?;
    // SAFETY: the compiler wrote it; it is read-only data of the module, which is loaded.
    let table =
        module.program().code.positions.get().map_or(&[][..], |positions| slice(unsafe { &(*positions).table }));
    let function_name = text(found.name);
    let position = |position: positions::Position<'_>| Position {
        function: position.function.map_or_else(|| function_name.clone(), text),
        file: text(position.file),
        line: position.line,
        column: position.column,
    };
    let positions = positions::find(table, found.operator).into_iter().flatten().map(position).collect();
    Some(Frame {
        module: module.name().to_owned(),
        function_index: found.index,
        module_offset: found.operator,
        positions,
        function_name,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A word of the guest's stack.
pub(super) fn read(store: &Inner, address: usize) -> Option<usize> {
    let stack = store.frames();
    let inside = address >= stack.start && address.checked_add(size_of::<usize>())? <= stack.end;
    // SAFETY: the address was just checked, and the guest's stack is readable.
    (inside && address.is_multiple_of(size_of::<usize>())).then(|| unsafe { (address as *const usize).read_volatile() })
}

/// For the frame with this frame pointer and those around it, up to where the host entered: the caller's frame pointer
/// and the address to return to.
pub(super) fn frames(store: &Inner, mut frame: usize) -> impl Iterator<Item = (usize, usize)> {
    core::iter::from_fn(move || {
        let caller = read(store, frame)?;
        let return_address = read(store, frame.checked_add(size_of::<usize>())?)?;
        // The stack grows downwards, so callers lie above; anything else ends the walk at the next step.
        frame = if caller > frame { caller } else { 0 };
        Some((caller, return_address))
    })
}
