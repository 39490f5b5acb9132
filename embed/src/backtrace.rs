//! Backtraces of guests in a host: in comes where the stack stands; out come frames with the functions' names and
//! positions.

// ---------------------------------------------------------------------------------------------------------------
// Security: capturing runs in the signal handler: no allocation and no lock. The walk over the stack is `guest::stack`.
// ---------------------------------------------------------------------------------------------------------------

use core::mem::MaybeUninit;

use wasmelt_abi::code_map::{self, Found, NO_FUNCTION};
use wasmelt_abi::trap::Trap;
use wasmelt_abi::{inlined, positions};

use super::activation::Activation;
use super::error::{Frame, GuestTrap, Position};
use super::module::Module;
use super::store::Inner;
use wasmelt_runtime::guest::stack::{Start, visit_calls};
use wasmelt_runtime::guest::text;
use wasmelt_runtime::rel::slice;
use wasmelt_runtime::sys::fault::Fault;

/// How many frames a backtrace has at most.
const MAX_FRAMES: usize = 64;

/// Addresses in generated code: of the instruction that trapped, and of the calls around it.
pub(super) struct Captured {
    pcs: [MaybeUninit<usize>; MAX_FRAMES],
    /// How many of them there are.
    count: usize,
    is_cut: bool,
}

impl Default for Captured {
    fn default() -> Self {
        Self { pcs: [const { MaybeUninit::uninit() }; MAX_FRAMES], count: 0, is_cut: false }
    }
}

impl Captured {
    /// Where a fault of guest code, or of the runtime on its behalf, occurred.
    ///
    /// # Safety
    /// The activation is the one whose guest code is being executed.
    pub(super) unsafe fn of_fault(store: &Inner, activation: *const Activation, fault: &Fault) -> Self {
        let Fault { pc, frame_pointer, stack_pointer, .. } = *fault;
        // SAFETY: by this function's contract.
        unsafe { Self::walk(store, activation, Start { pc, frame_pointer, stack_pointer }) }
    }

    /// Where the frame with this frame pointer was called, and so on.
    ///
    /// # Safety
    /// The activation is the one whose guest code is being executed.
    pub(super) unsafe fn of_frames(store: &Inner, activation: *const Activation, frame_pointer: usize) -> Self {
        // SAFETY: by this function's contract.
        unsafe { Self::walk(store, activation, Start { pc: 0, frame_pointer, stack_pointer: 0 }) }
    }

    /// # Safety
    /// The activation is the one whose guest code is being executed.
    unsafe fn walk(store: &Inner, mut activation: *const Activation, mut start: Start) -> Self {
        let mut captured = Self::default();
        loop {
            visit_calls(store, start, |code, offset| captured.push(text(code).start + offset as usize));
            // SAFETY: outer activations lie on the host's stack above this one.
            unsafe {
                activation = (*activation).outer;
                if captured.is_cut || activation.is_null() {
                    return captured;
                }
                start = Start { pc: 0, frame_pointer: (*activation).guest_frame, stack_pointer: 0 };
            }
        }
    }

    /// Records the address of an instruction of generated code. Returns false when there is no room for more.
    fn push(&mut self, pc: usize) -> bool {
        match self.pcs.get_mut(self.count) {
            Some(room) => {
                room.write(pc);
                self.count += 1;
            }
            None => self.is_cut = true,
        }
        !self.is_cut
    }

    /// The frames in words.
    pub(super) fn describe(&self, store: &Inner, trap: Trap) -> GuestTrap {
        let backtrace = self.pcs[..self.count].iter().flat_map(|pc| {
            // SAFETY: `push` has written as many as it has counted.
            describe(store, unsafe { pc.assume_init() })
        });
        let mut backtrace: Vec<_> = backtrace.collect();
        // Functions that were inlined count as well.
        let is_cut = self.is_cut || backtrace.len() > MAX_FRAMES;
        backtrace.truncate(MAX_FRAMES);
        GuestTrap { trap, backtrace, is_cut }
    }
}

/// The functions that an instruction lies in: those that wasmelt inlined, and the one that the code belongs to.
fn describe(store: &Inner, pc: usize) -> Vec<Frame> {
    let Some((module, offset)) = store.module_at(pc) else { return Vec::new() };
    let code = &module.program().code;
    // SAFETY: the compiler wrote it; it is read-only data of the module, which is loaded.
    let table = code.inlined.get().map_or(&[][..], |inlined| slice(unsafe { &(*inlined).table }));
    let found = code_map::find(slice(&code.code_map), offset);
    // Code that wasmelt made itself has no index.
    let frames = inlined::find(table, offset).chain([found]).filter(|found| found.index != NO_FUNCTION);
    frames.map(|found| frame(module, &found)).collect()
}

fn frame(module: &Module, found: &Found<'_>) -> Frame {
    // SAFETY: the compiler wrote it; it is read-only data of the module, which is loaded.
    let table =
        module.program().code.positions.get().map_or(&[][..], |positions| slice(unsafe { &(*positions).table }));
    let function_name = string(found.name);
    let position = |position: positions::Position<'_>| Position {
        function: position.function.map_or_else(|| function_name.clone(), string),
        file: string(position.file),
        line: position.line,
        column: position.column,
    };
    let positions = positions::find(table, found.start, found.operator).into_iter().flatten().map(position).collect();
    Frame {
        module: module.name().to_owned(),
        function_index: found.index,
        module_offset: found.operator,
        positions,
        function_name,
    }
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
