//! A frame of a backtrace with its lines in source files: in come a function and an operator, out come the line of the
//! operator and one line for each function that was inlined around it.
//!
//! Only executables with a table of positions contain this code: their descriptor refers to it.

// ---------------------------------------------------------------------------------------------------------------
// Security: runs in the signal handler. The table is read within its bounds, whatever it holds, and a walk through it
// ends, see `wasmelt_abi::positions`. Names in it were escaped when it was made.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::code_map::Found;
use wasmelt_abi::descriptor::RelSlice;
use wasmelt_abi::positions;

use crate::rel::slice;
use crate::report::Report;

/// How many functions that were inlined into one another are shown for a frame.
const MAX_INLINED: usize = 32;

/// The type of [`wasmelt_print_positions`].
pub type PrintPositions = unsafe extern "C" fn(&mut Report, *const RelSlice<u8>, &Found<'_>);

/// Adds what a frame's line holds behind its number, see [`wasmelt_abi::symbols::PRINT_POSITIONS`].
///
/// # Safety
/// `table` is that of a program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_print_positions(report: &mut Report, table: *const RelSlice<u8>, found: &Found<'_>) {
    // SAFETY: by this function's contract; it is read-only data of the executable.
    let table: &'static RelSlice<u8> = unsafe { &*table };
    print(report, slice(table), found);
}

fn print(report: &mut Report, table: &[u8], found: &Found<'_>) {
    let Some(positions) = positions::find(table, found.start, found.operator) else { return report.in_module(found) };
    for (number, position) in positions.enumerate() {
        if position.function.is_some() && number >= MAX_INLINED {
            continue;
        }
        if number > 0 {
            report.text("       ");
        }
        match position.function {
            Some(inlined) => report.bytes(inlined),
            None => report.function(found),
        };
        if position.line != 0 {
            report.text(" at ").bytes(position.file).text(":").decimal(position.line.into(), 0);
            if position.column != 0 {
                report.text(":").decimal(position.column.into(), 0);
            }
        }
        report.text("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Stream;
    use std::string::String;
    use std::vec::Vec;
    use wasmelt_abi::positions::{Row, Scope, encode, encode_rows, encode_scope, encode_string};

    fn printed(table: &[u8], operator: u32) -> String {
        let mut report = Report::new(Stream::Error);
        print(&mut report, table, &Found { start: 0, index: 3, operator, trap: 0, name: b"main" });
        String::from_utf8(report.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn inlined_functions_have_lines_of_their_own() {
        let (mut strings, mut scopes, mut rows, mut table) = (Vec::new(), vec![0], Vec::new(), Vec::new());
        for string in ["a.c", "inner"] {
            encode_string(string.as_bytes(), |b| strings.push(b));
        }
        encode_scope(&Scope { parent: 0, name: 4, file: 0, line: 9, column: 5 }, |b| scopes.push(b));
        let row = |operator, line, scope| Row { operator, file: 0, line, column: 0, scope };
        encode_rows([row(11, 3, 0), row(15, 70, 1), row(19, 0, 0)], |b| rows.push(b));
        encode(&strings, &scopes, [(0, &rows[..])], |b| table.push(b));
        assert_eq!(printed(&table, 12), "main at a.c:3\n");
        assert_eq!(printed(&table, 15), "inner at a.c:70\n       main at a.c:9:5\n");
        assert_eq!(printed(&table, 20), "main\n");
        assert_eq!(printed(&table, 10), "main at offset 0xa\n");
        assert_eq!(printed(&[], 12), "main at offset 0xc\n");
    }
}
