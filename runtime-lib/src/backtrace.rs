//! Backtraces of guest code: in comes where the stack stands; out come lines with the functions' names, and where in the
//! source, or in the module, they are.
//!
//! Frames are found by frame pointers, which all generated code keeps. The runtime is compiled to keep them too, so a
//! trap inside a host function shows the guest functions that called it.

// ---------------------------------------------------------------------------------------------------------------
// Security: runs in the signal handler. The stack's contents are data of unknown quality: each frame address is
// checked to lie in the guest stack and above the one before, so a walk ends and reads nothing else. Names come from
// the module: the compiler has escaped them and cut them to a moderate length, see `wasmelt_abi::code_map`.
// ---------------------------------------------------------------------------------------------------------------

use core::mem::size_of;
use core::ops::Range;

use wasmelt_abi::code_map::{self, Found};
use wasmelt_abi::descriptor::Positions;

use crate::instance::{Instance, slice};
use crate::positions::PrintPositions;
use crate::report::Report;
use crate::sys::cpu;

/// How many lines a backtrace has at most.
const MAX_LINES: u64 = 64;

/// Where a walk starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The instruction that trapped; 0 when it is one of the runtime, which is not shown.
    pub pc: usize,
    /// The frame pointer register.
    pub frame_pointer: usize,
    /// What leads to the caller where no frame is made yet: the stack pointer or link register; 0 when `pc` is.
    pub stack_pointer: usize,
}

/// Prints the functions that are being executed, the innermost first.
pub fn print(report: &mut Report, instance: Instance, start: Start) {
    let text = instance.text();
    let mut walk =
        Walk { stack: instance.stack(), text: text.clone(), frame_pointer: start.frame_pointer, in_guest: false };
    let mut lines = Lines { report, instance, frames: 0, shown: 0, last: 0, repeated: 0, hidden: 0 };
    if text.contains(&start.pc) {
        walk.in_guest = true;
        let offset = (start.pc - text.start) as u32;
        lines.push(offset);
        // A function that faults in its first instruction has not made a frame yet: its caller's is the innermost.
        if find(instance, offset).is_some_and(|found| found.start == offset)
            && let Some(caller) =
                cpu::frameless_return_address(start.stack_pointer, |at| walk.read(at)).and_then(|pc| walk.in_text(pc))
        {
            lines.push(caller);
        }
    }
    for offset in walk {
        lines.push(offset);
    }
    lines.finish();
}

/// The calls that are being executed: offsets in the text of the call instructions' last bytes.
struct Walk {
    stack: Range<usize>,
    text: Range<usize>,
    frame_pointer: usize,
    /// Frames of the runtime may come first, but not between those of the guest and not after them.
    in_guest: bool,
}

impl Walk {
    /// A word of the guest stack.
    #[inline(never)]
    fn read(&self, address: usize) -> Option<usize> {
        let inside = address >= self.stack.start && address.checked_add(size_of::<usize>())? <= self.stack.end;
        // SAFETY: the address was just checked, and the guest stack is readable.
        (inside && address.is_multiple_of(size_of::<usize>()))
            .then(|| unsafe { (address as *const usize).read_volatile() })
    }

    /// The offset in the text of the call that returns to `return_address`.
    #[inline(never)]
    fn in_text(&self, return_address: usize) -> Option<u32> {
        let call = return_address.checked_sub(1)?;
        self.text.contains(&call).then(|| (call - self.text.start) as u32)
    }
}

impl Iterator for Walk {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let frame = self.frame_pointer;
            let caller = self.read(frame)?;
            let return_address = self.read(frame.checked_add(size_of::<usize>())?)?;
            // The stack grows downwards, so callers lie above; anything else ends the walk here or at the next step.
            self.frame_pointer = if caller > frame { caller } else { 0 };
            match self.in_text(return_address) {
                Some(offset) => {
                    self.in_guest = true;
                    return Some(offset);
                }
                None if self.in_guest => return None,
                None => {}
            }
        }
    }
}

/// What is known about an instruction.
fn find(instance: Instance, offset: u32) -> Option<Found<'static>> {
    code_map::find(slice(&instance.program().code.code_map), offset)
}

/// The lines of a backtrace: the innermost frames, of which repetitions of one call take one line.
struct Lines<'a> {
    report: &'a mut Report,
    instance: Instance,
    frames: u64,
    shown: u64,
    last: u32,
    repeated: u64,
    hidden: u64,
}

impl Lines<'_> {
    fn push(&mut self, offset: u32) {
        if self.shown >= MAX_LINES {
            self.hidden += 1;
        } else if self.shown > 0 && offset == self.last {
            self.repeated += 1;
        } else {
            self.end_repetition();
            self.last = offset;
            self.line(self.frames);
        }
        self.frames += 1;
    }

    #[inline(never)]
    fn line(&mut self, number: u64) {
        let Some(found) = find(self.instance, self.last) else { return };
        if found.index == u32::MAX {
            // Code that wasmelt made itself, such as the entry.
            return;
        }
        self.shown += 1;
        self.report.decimal(number, 5).text(": ");
        match self.instance.program().code.positions.get() {
            // SAFETY: the compiler wrote it, in read-only data, and names the one function of this type.
            Some(positions) => unsafe { print_positions(positions, self.report, &found) },
            None => self.report.in_module(&found),
        }
    }

    /// A single repetition is a line like any other; more are counted.
    #[inline(never)]
    fn end_repetition(&mut self) {
        match core::mem::take(&mut self.repeated) {
            0 => {}
            1 => self.line(self.frames - 1),
            count => {
                self.shown += 1;
                self.left_out(count, " more of the same call)\n");
            }
        }
    }

    fn finish(mut self) {
        self.end_repetition();
        if self.hidden > 0 {
            self.left_out(self.hidden, " more frames)\n");
        }
    }

    #[inline(never)]
    fn left_out(&mut self, count: u64, what: &str) {
        self.report.text("       ... (").decimal(count, 0).text(what);
    }
}

/// Calls [`wasmelt_abi::symbols::PRINT_POSITIONS`], which only programs with a table of positions contain.
///
/// # Safety
/// The positions are those of a program.
unsafe fn print_positions(positions: *const Positions, report: &mut Report, found: &Found<'_>) {
    // SAFETY: by this function's contract, as is the type of what `print` refers to.
    unsafe {
        if let Some(print) = (*positions).print.get() {
            let print = core::mem::transmute::<*const u8, PrintPositions>(print);
            print(report, &raw const (*positions).table, found);
        }
    }
}

impl Report {
    /// Adds the name of a function, as it is in the table, or its number.
    #[inline(never)]
    pub(crate) fn function(&mut self, found: &Found<'_>) -> &mut Self {
        match found.name {
            [] => self.text("<wasm function ").decimal(found.index.into(), 0).text(">"),
            name => self.bytes(name),
        }
    }

    /// Adds a function and where in the module the operator is, as a line's rest.
    pub(crate) fn in_module(&mut self, found: &Found<'_>) {
        self.function(found);
        if found.operator != 0 {
            // What wasmelt puts in the place of a missing import comes from no operator.
            self.text(" at offset ").hexadecimal(found.operator.into());
        }
        self.text("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Stream;
    use crate::testing::TestProgram;
    use std::string::String;
    use std::vec::Vec;
    use wasmelt_abi::code_map::{Function, Site};

    /// The backtrace of a stack with these return addresses as offsets in the text, innermost first.
    fn backtrace(pc: usize, frames: impl Iterator<Item = usize>) -> String {
        let mut program = TestProgram::with_memory(0, 0);
        // A call at 19, whose operator is the fourth byte of its function's body.
        let site = Site { offset: 19, operator: 119, trap: None };
        let functions = [(0, 0, "main"), (16, 1, ""), (32, 2, "f"), (64, u32::MAX, "")];
        let functions = functions.map(|(start, index, name)| {
            let sites = if index == 1 { core::slice::from_ref(&site) } else { &[] };
            Function { start, index, body: 100 + start, name, sites }
        });
        program.encode(&functions);
        let instance = Instance::create(program.leak()).unwrap();
        let (stack, text) = (instance.stack(), instance.text());
        let returns: Vec<usize> = frames.collect();
        let mut frame = stack.end - 16 * (returns.len() + 1);
        let start = Start { pc: text.start + pc, frame_pointer: frame, stack_pointer: frame - 8 };
        for offset in returns {
            // SAFETY: the two words lie in the stack.
            unsafe { (frame as *mut [usize; 2]).write([frame + 16, text.start + offset]) };
            frame += 16;
        }
        let mut report = Report::new(Stream::Error);
        print(&mut report, instance, start);
        String::from_utf8(report.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn frames_have_names_or_numbers_and_offsets_in_the_module() {
        let expected = "    0: f at offset 0x84\n    1: <wasm function 1> at offset 0x77\n    2: main at offset 0x64\n";
        assert_eq!(backtrace(40, [20, 9, 70].into_iter()), expected);
    }

    #[test]
    fn recursion_is_counted_and_length_is_bounded() {
        let recursion = core::iter::repeat_n(20, 500).chain([9]);
        let expected = "    0: f at offset 0x84\n    1: <wasm function 1> at offset 0x77\n       \
                        ... (499 more of the same call)\n  501: main at offset 0x64\n";
        assert_eq!(backtrace(40, recursion), expected);
        let alternating = backtrace(40, (0..1000).map(|i| 41 + i % 2));
        assert_eq!(alternating.lines().count(), MAX_LINES as usize + 1);
        assert!(alternating.ends_with("   63: f at offset 0x84\n       ... (937 more frames)\n"), "{alternating}");
    }

    #[test]
    fn the_caller_is_shown_where_no_frame_was_made_yet() {
        // The word at the stack pointer is 0 here, so no caller is found there and the frames follow.
        assert_eq!(backtrace(32, [9].into_iter()), "    0: f at offset 0x84\n    1: main at offset 0x64\n");
    }

    #[test]
    fn a_broken_stack_ends_the_walk() {
        let instance = Instance::create(TestProgram::with_memory(0, 0).leak()).unwrap();
        let (stack, text) = (instance.stack(), instance.text());
        for frame_pointer in [0, 8, stack.start - 8, stack.end - 8, stack.start + 4, usize::MAX - 7] {
            let mut walk = Walk { stack: stack.clone(), text: text.clone(), frame_pointer, in_guest: true };
            assert_eq!(walk.next(), None, "{frame_pointer:#x}");
        }
        // A frame that is its own caller.
        let frame = stack.end - 64;
        // SAFETY: the two words lie in the stack.
        unsafe { (frame as *mut [usize; 2]).write([frame, text.start + 20]) };
        assert_eq!(Walk { stack, text, frame_pointer: frame, in_guest: true }.count(), 1);
    }
}
