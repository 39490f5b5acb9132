//! `compile --profile-generate`: when the program ends, what its code has counted goes to a file.
//!
//! Where the file lies is decided by whoever starts the program, with the variable [`VARIABLE`]. Its directory is opened
//! before the guest runs, so that a directory that is not there is an error at once. The file appears whole or not at all:
//! it is written under another name and renamed; a timeout that ends the process meanwhile leaves what was written so far.
//! It is written after a return from `_start`, `proc_exit` and traps; a process that something else ends leaves none.

// ---------------------------------------------------------------------------------------------------------------
// Security: the guest decides neither the path nor the contents, but for the counts. It has no descriptor of the
// directory or the file, and does not run any more when the file is opened. A trap gets here in a signal handler: no
// allocation, no lock, no panic.
// ---------------------------------------------------------------------------------------------------------------

use core::sync::atomic::{AtomicU32, Ordering};

use wasmelt_abi::profile::{DEFAULT_PATH, VARIABLE};
use wasmelt_abi::trap::START_FAILED_EXIT_CODE;

use crate::executable::{self, running};
use crate::failure::Failure;
use crate::host::path::Path;
use crate::host::refusal;
use crate::instance::Instance;
use crate::rel::slice;
use crate::report::Report;
use crate::sys::errno::{Errno, Result};
use crate::sys::fault::{Fault, FaultHandler};
use crate::sys::fs::{self, Handle, OFlags};
use crate::sys::io_clock::{self, Clock};
use crate::sys::io_stream::{self, Buffer};
use crate::sys::{self, Stream, faults};
use crate::{ending, trap};

/// The number of the directory's handle; 0 before it is open.
static DIRECTORY: AtomicU32 = AtomicU32::new(0);

/// Until the file is complete, its name ends with a dot and so many letters, which no other file has.
const LETTERS: usize = 16;

/// The longest name of a file.
const NAME_BYTES: usize = 255;

/// Opens the directory, and lets the profile be written at the end. See [`wasmelt_abi::symbols::HOOK_PROFILE`].
///
/// # Safety
/// `vmctx` is the context of a complete instance in which no code has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_profile(_vmctx: *mut u8) {
    let (directory, name) = parts();
    let mut path = Path::new();
    let checked = match name.len() {
        0 => {
            let mut report = Report::new(Stream::Error);
            report.failure().text("WASMELT_PROFILE names a directory, '").bytes(directory);
            report.text("', where the name of a file belongs").exit(START_FAILED_EXIT_CODE)
        }
        len if len + 1 + LETTERS > NAME_BYTES => Err(Errno::Nametoolong),
        _ => path.set(directory),
    };
    match checked.and_then(|()| fs::open_granted(path.as_c_str())) {
        Ok(handle) => DIRECTORY.store(handle.release().number(), Ordering::Relaxed),
        Err(error) => {
            let mut report = Report::new(Stream::Error);
            report.failure().text("cannot write a profile into '").bytes(directory).text("': ");
            report.bytes(refusal::describe(error)).exit(START_FAILED_EXIT_CODE)
        }
    }
    ending::set(write);
    if let Err(error) = faults::set_handler::<Handler>() {
        Failure::Signals.end([error.number().into(), 0]);
    }
}

/// Runs the program, see [`wasmelt_abi::symbols::HOOK_PROFILE_RUN`].
///
/// # Safety
/// `vmctx` is the context of a complete instance in which no code has run; this is the last hook of its program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_profile_run(vmctx: *mut u8) {
    // SAFETY: by this function's contract. The entry is called once: this function does not return.
    unsafe { executable::call(&Instance::from_vmctx(vmctx).program().entry, vmctx) };
    ending::announce();
    sys::exit(0)
}

/// Ends the process, see [`crate::wasi::exports::proc_exit`].
///
/// # Safety
/// None of the arguments matters.
#[unsafe(export_name = "wasmelt_profile.wasi_snapshot_preview1.proc_exit")]
unsafe extern "C" fn proc_exit(_vmctx: *mut u8, code: u32) {
    ending::announce();
    sys::exit(code as i32)
}

/// What a process does about faults whose profile is to be written.
struct Handler;

impl FaultHandler for Handler {
    const OF_THREADS: bool = false;

    fn handle(fault: &Fault) -> ! {
        ending::announce();
        // SAFETY: the first instance was complete before the hook ran that installed this handler.
        trap::on_fault_in_any(fault, unsafe { Instance::from_vmctx(running()) })
    }
}

/// Directory and name of the file.
fn parts() -> (&'static [u8], &'static [u8]) {
    let variable =
        crate::process::env().find_map(|variable| variable.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"="));
    let path = variable.filter(|path| !path.is_empty()).unwrap_or(DEFAULT_PATH.as_bytes());
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (path.get(..slash.max(1)).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (b".", path),
    }
}

/// Writes the profile, or says that this failed. The program ends as it would otherwise.
fn write() {
    let (directory, name) = parts();
    if let Err(error) = write_whole(name) {
        let mut report = Report::new(Stream::Error);
        report.failure().text("cannot write the profile '").bytes(directory).text("/").bytes(name).text("': ");
        report.bytes(refusal::describe(error)).text("\n").flush();
    }
}

fn write_whole(name: &[u8]) -> Result<()> {
    let directory = Handle::from_number(DIRECTORY.load(Ordering::Relaxed));
    let (mut path, mut partial) = (Path::new(), Path::new());
    path.set(name)?;
    let mut text = [0; NAME_BYTES];
    let text = text.get_mut(..name.len() + 1 + LETTERS).ok_or(Errno::Nametoolong)?;
    let (start, letters) = text.split_at_mut_checked(name.len()).ok_or(Errno::Nametoolong)?;
    start.copy_from_slice(name);
    let mut number = io_clock::now(Clock::Monotonic)?;
    for letter in letters.iter_mut().rev() {
        *letter = b'a' + (number & 15) as u8;
        number >>= 4;
    }
    if let Some(dot) = letters.first_mut() {
        *dot = b'.';
    }
    partial.set(text)?;
    let file = fs::open_one(directory, partial.as_c_str(), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
    let written = write_to(file.get());
    drop(file);
    let done = written.and_then(|()| fs::rename(directory, partial.as_c_str(), directory, path.as_c_str()));
    if done.is_err() {
        let _ = fs::unlink(directory, partial.as_c_str());
    }
    done
}

/// Writes head and counters.
fn write_to(file: Handle) -> Result<()> {
    // SAFETY: the first instance was complete before the hook ran that lets this be called.
    let first = unsafe { Instance::from_vmctx(running()) };
    let plan = first.program().profile.get().ok_or(Errno::Inval)?;
    // SAFETY: the compiler wrote the plan.
    let plan = unsafe { &*plan };
    let (head, len) = plan.head.get();
    // SAFETY: so it did the head.
    unsafe { write_bytes(file, head, len) }?;
    for range in slice(&plan.counters) {
        let start = first.vmctx().wrapping_offset(range.distance as isize);
        // SAFETY: the counters lie in the context of an instance, and code does not run any more.
        unsafe { write_bytes(file, start, range.count as usize * size_of::<u64>()) }?;
    }
    Ok(())
}

/// # Safety
/// The bytes are readable, and nothing changes them.
unsafe fn write_bytes(file: Handle, start: *const u8, len: usize) -> Result<()> {
    let mut done = 0;
    while done < len {
        let rest = Buffer { base: start.wrapping_add(done).cast_mut(), len_bytes: len - done };
        // SAFETY: by this function's contract.
        match unsafe { io_stream::write(file, &[rest]) } {
            Ok(0) => return Err(Errno::Io),
            Ok(written) => done += written,
            Err(Errno::Intr) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
