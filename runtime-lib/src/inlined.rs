//! Lines of a backtrace for functions that wasmelt inlined: in comes where the code stopped, out comes a line for each
//! such function around it.
//!
//! Only executables with a table of inlined functions contain this code: their descriptor refers to it.

// ---------------------------------------------------------------------------------------------------------------
// Security: runs in the signal handler. The table is read within its bounds, whatever it holds, and a walk through it
// ends, see `wasmelt_abi::inlined`. Names in it were escaped when it was made.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::descriptor::RelSlice;
use wasmelt_abi::inlined;

use crate::rel::slice;
use crate::report::Report;

/// How many functions that were inlined into one another are shown for a frame.
const MAX_FRAMES: usize = 32;

/// The type of [`wasmelt_print_inlined`].
pub type PrintInlined = unsafe extern "C" fn(&mut Report, *const RelSlice<u8>, u32, u32) -> u32;

/// Adds the lines of the inlined functions that the site at `offset` lies in, the first with this number. Returns how
/// many. See [`wasmelt_abi::symbols::PRINT_INLINED`].
///
/// # Safety
/// `table` is that of a program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_print_inlined(
    report: &mut Report,
    table: *const RelSlice<u8>,
    offset: u32,
    number: u32,
) -> u32 {
    // SAFETY: by this function's contract; it is read-only data of the executable.
    let table: &'static RelSlice<u8> = unsafe { &*table };
    let mut count = 0;
    for found in inlined::find(slice(table), offset).take(MAX_FRAMES) {
        report.frame(number + count).in_module(&found);
        count += 1;
    }
    count
}
