//! Backtraces of an executable: in comes where the stack stands; out come lines with the functions' names, and where in
//! the source, or in the module, they are.

// ---------------------------------------------------------------------------------------------------------------
// Security: runs in the signal handler. The walk over the stack is `guest::stack`. Names come from the module: the
// compiler has escaped them and cut them to a moderate length, see `wasmelt_abi::code_map`.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::code_map::{self, Found, NO_FUNCTION};
use wasmelt_abi::descriptor::BacktraceTable;

use crate::guest::stack::{Start, visit_calls};
use crate::inlined::PrintInlined;
use crate::instance::Instance;
use crate::positions::PrintPositions;
use crate::rel::slice;
use crate::report::Report;

/// How many lines a backtrace has at most.
const MAX_LINES: u32 = 64;

/// Prints the functions that are being executed, the innermost first.
pub(crate) fn print(report: &mut Report, instance: Instance, start: Start) {
    let mut lines = Lines { report, instance, frames: 0, shown: 0, last: 0, depth: 0, repeated: 0, hidden: 0 };
    visit_calls(&instance, start, |_, offset| {
        lines.push(offset);
        true
    });
    lines.finish();
}

/// What is known about an instruction.
fn find(instance: Instance, offset: u32) -> Found<'static> {
    code_map::find(slice(&instance.program().code.code_map), offset)
}

/// The lines of a backtrace: the innermost frames, of which repetitions of one call take one line.
struct Lines<'a> {
    report: &'a mut Report,
    instance: Instance,
    frames: u32,
    shown: u32,
    last: u32,
    /// How many functions the last instruction lies in: those that were inlined, and the one that the code belongs to.
    depth: u32,
    repeated: u32,
    hidden: u32,
}

impl Lines<'_> {
    #[inline(never)]
    fn push(&mut self, offset: u32) {
        if self.shown >= MAX_LINES {
            self.hidden += 1;
        } else if self.shown > 0 && offset == self.last {
            self.repeated += 1;
            self.frames += self.depth;
        } else {
            self.end_repetition();
            self.last = offset;
            self.lines();
        }
    }

    /// Shows the functions that the last instruction lies in.
    #[inline(never)]
    fn lines(&mut self) {
        let inlined = match self.instance.program().code.inlined.get() {
            // SAFETY: the compiler wrote it, in read-only data, and names the one function of this type.
            Some(table) => unsafe { print_inlined(table, self.report, self.last, self.frames) },
            None => 0,
        };
        self.shown += inlined;
        self.line(self.frames + inlined);
        self.depth = inlined + 1;
        self.frames += self.depth;
    }

    fn line(&mut self, number: u32) {
        let found = find(self.instance, self.last);
        if found.index == NO_FUNCTION {
            // Code that wasmelt made itself, such as the entry.
            return;
        }
        self.shown += 1;
        self.report.frame(number);
        match self.instance.program().code.positions.get() {
            // SAFETY: the compiler wrote it, in read-only data, and names the one function of this type.
            Some(positions) => unsafe { print_positions(positions, self.report, &found) },
            None => self.report.in_module(&found),
        }
    }

    /// A single repetition has lines like any other; more are counted.
    #[inline(never)]
    fn end_repetition(&mut self) {
        match core::mem::take(&mut self.repeated) {
            0 => {}
            1 => {
                self.frames -= self.depth;
                self.lines();
            }
            count => {
                self.shown += 1;
                self.left_out(count * self.depth, " more of the same call)\n");
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
    fn left_out(&mut self, count: u32, what: &str) {
        self.report.text("       ... (").decimal(count.into(), 0).text(what);
    }
}

/// Calls [`wasmelt_abi::symbols::PRINT_POSITIONS`], which only programs with a table of positions contain.
///
/// # Safety
/// The positions are those of a program.
unsafe fn print_positions(positions: *const BacktraceTable, report: &mut Report, found: &Found<'_>) {
    // SAFETY: by this function's contract, as is the type of what `print` refers to.
    unsafe {
        if let Some(print) = (*positions).print.get() {
            let print = core::mem::transmute::<*const u8, PrintPositions>(print);
            print(report, &raw const (*positions).table, found);
        }
    }
}

/// Calls [`wasmelt_abi::symbols::PRINT_INLINED`], which only programs with a table of inlined functions contain.
///
/// # Safety
/// The table is that of a program.
unsafe fn print_inlined(table: *const BacktraceTable, report: &mut Report, offset: u32, number: u32) -> u32 {
    // SAFETY: by this function's contract, as is the type of what `print` refers to.
    unsafe {
        (*table).print.get().map_or(0, |print| {
            let print = core::mem::transmute::<*const u8, PrintInlined>(print);
            print(report, &raw const (*table).table, offset, number)
        })
    }
}

impl Report {
    /// Adds what the line of a frame begins with.
    pub(crate) fn frame(&mut self, number: u32) -> &mut Self {
        self.decimal(number.into(), 5).text(": ")
    }

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
        let functions = [(0, 0, "main"), (16, 1, ""), (32, 2, "f"), (64, NO_FUNCTION, "")];
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
}
