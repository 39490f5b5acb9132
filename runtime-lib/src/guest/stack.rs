//! The guests' stack: reading a word of it, and the calls that are being executed.
//!
//! Frames are found by frame pointers, which all generated code keeps. The runtime is compiled to keep them too, so a
//! walk that starts in a function of the runtime finds the guests that called it.

// ---------------------------------------------------------------------------------------------------------------
// Security: the stack's contents are data of unknown quality. Each address is checked to lie in the stack before it is
// read, and each frame to lie above the one before, so a walk ends and reads nothing else. Guests cannot write return
// addresses: linear memory lies elsewhere.
// ---------------------------------------------------------------------------------------------------------------

use core::mem::size_of;

use wasmelt_abi::code_map;
use wasmelt_abi::descriptor::Code;

use super::Guests;
use crate::rel::slice;
use crate::sys::cpu;

/// A word of the guests' stack; `None` where the address is none of a word there.
#[inline(never)]
pub fn read<G: Guests>(guests: &G, address: usize) -> Option<usize> {
    let stack = guests.frames();
    let inside = address >= stack.start && address.checked_add(size_of::<usize>())? <= stack.end;
    // SAFETY: the address was just checked, and the stack can be read.
    (inside && address.is_multiple_of(size_of::<usize>())).then(|| unsafe { (address as *const usize).read_volatile() })
}

/// A call in generated code that is being executed.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'g> {
    /// The code that called.
    pub code: &'g Code,
    /// Offset in it of the call instruction's last byte.
    pub call: u32,
    /// Frame pointer of the function that called.
    pub pointer: usize,
}

/// The calls in generated code around a frame, the innermost first. Frames of the runtime may come before them, but not
/// between them: the first one that follows ends the walk.
pub struct Frames<'g, G> {
    guests: &'g G,
    /// The frame pointer that comes next; 0 for none.
    frame: usize,
    in_guest: bool,
}

impl<'g, G: Guests> Frames<'g, G> {
    /// The calls around the frame with this frame pointer.
    pub fn new(guests: &'g G, frame_pointer: usize) -> Self {
        Self { guests, frame: frame_pointer, in_guest: false }
    }

    /// The call that returns to this address, in a function with this frame pointer, and those around it.
    #[cfg(windows)]
    pub fn from_call(guests: &'g G, return_address: usize, frame_pointer: usize) -> impl Iterator<Item = Frame<'g>> {
        let call = guests.code_at(return_address.wrapping_sub(1));
        let innermost = call.map(|(code, call)| Frame { code, call, pointer: frame_pointer });
        innermost.into_iter().chain(Self { guests, frame: frame_pointer, in_guest: true })
    }
}

impl<'g, G: Guests> Iterator for Frames<'g, G> {
    type Item = Frame<'g>;

    #[inline(always)]
    fn next(&mut self) -> Option<Frame<'g>> {
        loop {
            let frame = self.frame;
            let pointer = read(self.guests, frame)?;
            let return_address = read(self.guests, frame.checked_add(size_of::<usize>())?)?;
            // The stack grows downwards, so callers lie above; anything else ends the walk here or at the next step.
            self.frame = if pointer > frame { pointer } else { 0 };
            // Where a call is the last instruction of its code, what it returns to may be other code.
            match self.guests.code_at(return_address.wrapping_sub(1)) {
                Some((code, call)) => {
                    self.in_guest = true;
                    return Some(Frame { code, call, pointer });
                }
                None if self.in_guest => return None,
                None => {}
            }
        }
    }
}

/// Where the calls of a backtrace start.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The instruction that trapped; 0 when it is one of the runtime, which is not shown.
    pub pc: usize,
    /// The frame pointer register.
    pub frame_pointer: usize,
    /// What leads to the caller where no frame is made yet: the stack pointer or link register; 0 when `pc` is.
    pub stack_pointer: usize,
}

/// Calls `visit` with the instruction that trapped and the calls around it, the innermost first, as code and offset in
/// it; until it returns false.
#[inline(always)]
pub fn visit_calls<'g, G: Guests>(guests: &'g G, start: Start, mut visit: impl FnMut(&'g Code, u32) -> bool) {
    let mut frames = Frames::new(guests, start.frame_pointer);
    let trapped = guests.code_at(start.pc);
    if let Some((code, offset)) = trapped {
        frames.in_guest = true;
        if !visit(code, offset) {
            return;
        }
    }
    // A function that faults in its first instruction has not made a frame yet: its caller's is the innermost.
    let has_no_frame = match trapped {
        Some((code, offset)) => code_map::find(slice(&code.code_map), offset).start == offset,
        None => guests.asks_for_stack(start.pc),
    };
    if has_no_frame
        && let Some(address) = cpu::frameless_return_address(start.stack_pointer, |at| read(guests, at))
        && let Some((code, call)) = guests.code_at(address.wrapping_sub(1))
    {
        frames.in_guest = true;
        if !visit(code, call) {
            return;
        }
    }
    for frame in frames {
        if !visit(frame.code, frame.call) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Instance;
    use crate::testing::TestProgram;

    fn instance() -> Instance {
        Instance::create(TestProgram::with_memory(0, 0).leak()).unwrap()
    }

    /// Makes a frame: the caller's frame pointer and the return address.
    fn write(frame: usize, words: [usize; 2]) {
        // SAFETY: the callers name words of the stack.
        unsafe { (frame as *mut [usize; 2]).write(words) };
    }

    #[test]
    fn words_are_read_inside_the_stack_alone() {
        let instance = instance();
        let stack = instance.stack();
        for address in [stack.start, stack.end - 8] {
            assert_eq!(read(&instance, address), Some(0));
        }
        for address in
            [0, 8, stack.start - 8, stack.start - 1, stack.start + 4, stack.end - 7, stack.end, usize::MAX - 7]
        {
            assert_eq!(read(&instance, address), None, "{address:#x}");
        }
    }

    #[test]
    fn a_broken_stack_ends_the_walk() {
        let instance = instance();
        let (stack, text) = (instance.stack(), instance.text());
        for frame in [0, 8, stack.start - 8, stack.end - 8, stack.start + 4, usize::MAX - 7] {
            assert_eq!(Frames::new(&instance, frame).count(), 0, "{frame:#x}");
        }
        // A frame that is its own caller, and one whose caller lies below.
        let frame = stack.end - 64;
        for caller in [frame, frame - 16] {
            write(frame, [caller, text.start + 20]);
            assert_eq!(Frames::new(&instance, frame).count(), 1);
        }
    }

    #[test]
    fn frames_of_the_runtime_come_first_or_end_the_walk() {
        let instance = instance();
        let (text, frame) = (instance.text(), instance.stack().end - 128);
        let calls = |returns: [usize; 4]| -> std::vec::Vec<u32> {
            for (i, address) in returns.into_iter().enumerate() {
                write(frame + 16 * i, [frame + 16 * (i + 1), address]);
            }
            write(frame + 64, [0, 0]);
            Frames::new(&instance, frame).map(|frame| frame.call).collect()
        };
        let guest = |offset: usize| text.start + offset;
        assert_eq!(calls([1, 2, guest(20), guest(30)]), [19, 29]);
        assert_eq!(calls([1, guest(20), 2, guest(30)]), [19]);
        // A return address is behind its call: the first byte of the code is behind none, the first byte after it is.
        assert_eq!(calls([guest(0), guest(text.len()), guest(1), guest(text.len() + 1)]), [text.len() as u32 - 1, 0]);
    }
}
