//! `wasi:cli`: arguments, environment, standard streams, and the end of the program.

use core::str;

use wasmelt_abi::component::Canon;

use crate::host::{descriptors, policy};
use crate::sys;
use crate::sys::errno::Result;
use crate::sys::io_stream;

use super::call::Call;
use super::handles::{Resource, Stream};

/// What stands for bytes that are not UTF-8: strings of components are Unicode.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Writes a string of the host for the guest; its address and length go to `at`.
fn put_string(call: Call, at: u32, parts: &[&[u8]]) {
    let is_text = |part: &&[u8]| str::from_utf8(part).is_ok();
    if parts.iter().all(is_text) {
        return call.put_bytes(at, parts);
    }
    let chunks = || parts.iter().flat_map(|part| part.utf8_chunks());
    let of = |chunk: &str::Utf8Chunk<'_>| {
        chunk.valid().len() + if chunk.invalid().is_empty() { 0 } else { REPLACEMENT.len() }
    };
    let len = chunks().map(|chunk| of(&chunk)).sum::<usize>();
    let start = call.allocate(len, 1);
    let mut to = start;
    for chunk in chunks() {
        let replacement = if chunk.invalid().is_empty() { &[][..] } else { REPLACEMENT };
        for part in [chunk.valid().as_bytes(), replacement] {
            if call.memory().write_bytes(to, part).is_err() {
                call.trap("realloc return: beyond end of memory");
            }
            to = to.wrapping_add(part.len() as u32);
        }
    }
    call.put_u32(at, start);
    call.put_u32(at + 4, len as u32);
}

/// What a guest gets a list of.
#[derive(Clone, Copy)]
enum Strings {
    Arguments,
    Variables,
}

impl Strings {
    fn for_each(self, call: Call, mut f: impl FnMut(&[&[u8]])) {
        let policy = call.policy();
        let f = |parts: &[&[u8]]| {
            f(parts);
            Ok(())
        };
        let _: Result<()> = match self {
            Self::Arguments => policy::for_each_argument(policy, f),
            Self::Variables => policy::for_each_variable(policy, f),
        };
    }

    /// Writes a list of elements of this length; `put` writes one.
    #[inline(always)]
    fn put(self, call: Call, at: u32, element_bytes: u32, put: impl Fn(u32, &[&[u8]])) {
        call.result_at(at, 8, 4);
        let mut count = 0;
        self.for_each(call, |_| count += 1);
        let start = call.allocate(count as usize * element_bytes as usize, 4);
        let mut next = start;
        self.for_each(call, |parts| {
            put(next, parts);
            next = next.wrapping_add(element_bytes);
        });
        call.put_u32(at, start);
        call.put_u32(at + 4, count);
    }
}

/// Writes the environment that the guest may see, as pairs.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/environment.get-environment")]
pub unsafe extern "C" fn get_environment(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    Strings::Variables.put(call, at, 16, |element, parts| match parts {
        [whole] => {
            let end = whole.iter().position(|&byte| byte == b'=').unwrap_or(whole.len());
            put_string(call, element, &[whole.get(..end).unwrap_or_default()]);
            put_string(call, element.wrapping_add(8), &[whole.get(end + 1..).unwrap_or_default()]);
        }
        [name, _, value] => {
            put_string(call, element, &[name]);
            put_string(call, element.wrapping_add(8), &[value]);
        }
        _ => call.trap("a variable of the environment has other parts"),
    });
}

/// Writes the arguments, the program's name first.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/environment.get-arguments")]
pub unsafe extern "C" fn get_arguments(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    Strings::Arguments.put(call, at, 8, |element, parts| put_string(call, element, parts));
}

/// Writes `none`: paths are relative to what was granted, not to a directory of the start.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/environment.initial-cwd")]
pub unsafe extern "C" fn initial_cwd(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    call.result_at(at, 12, 4);
    call.put_u8(at, 0);
}

/// Ends the program; 0 is success.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/exit.exit")]
pub unsafe extern "C" fn exit(canon: *const Canon, status: u32) {
    // SAFETY: by this function's contract.
    let _ = unsafe { Call::new(canon) };
    sys::exit(i32::from(status != 0))
}

/// Ends the program with a code of 8 bits.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/exit.exit-with-code")]
pub unsafe extern "C" fn exit_with_code(canon: *const Canon, code: u32) {
    // SAFETY: by this function's contract.
    let _ = unsafe { Call::new(canon) };
    sys::exit((code & 0xff) as i32)
}

/// A stream of standard input.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/stdin.get-stdin")]
pub unsafe extern "C" fn get_stdin(canon: *const Canon) -> u32 {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.own(Resource::Input { stream: Stream::new(0), position: 0 })
}

/// A stream to standard output.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/stdout.get-stdout")]
pub unsafe extern "C" fn get_stdout(canon: *const Canon) -> u32 {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.own(Resource::Output { stream: Stream::new(1), position: None })
}

/// A stream to standard error.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/stderr.get-stderr")]
pub unsafe extern "C" fn get_stderr(canon: *const Canon) -> u32 {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.own(Resource::Output { stream: Stream::new(2), position: None })
}

/// Writes a handle of a terminal where a standard stream is one.
fn put_terminal(call: Call, at: u32, fd: u32, terminal: Resource) {
    call.result_at(at, 8, 4);
    let is_terminal = descriptors::get(fd).is_ok_and(|descriptor| io_stream::is_terminal(descriptor.handle));
    call.put_u8(at, is_terminal.into());
    if is_terminal {
        call.put_u32(at + 4, call.own(terminal));
    }
}

/// Writes the terminal that standard input is.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/terminal-stdin.get-terminal-stdin")]
pub unsafe extern "C" fn get_terminal_stdin(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    put_terminal(unsafe { Call::new(canon) }, at, 0, Resource::TerminalInput);
}

/// Writes the terminal that standard output is.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/terminal-stdout.get-terminal-stdout")]
pub unsafe extern "C" fn get_terminal_stdout(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    put_terminal(unsafe { Call::new(canon) }, at, 1, Resource::TerminalOutput);
}

/// Writes the terminal that standard error is.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/terminal-stderr.get-terminal-stderr")]
pub unsafe extern "C" fn get_terminal_stderr(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    put_terminal(unsafe { Call::new(canon) }, at, 2, Resource::TerminalOutput);
}

/// Drops a handle.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/terminal-input.[resource-drop]terminal-input")]
pub unsafe extern "C" fn drop_terminal_input(canon: *const Canon, this: u32) {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.drop_handle(this, |resource| resource == Resource::TerminalInput);
}

/// Drops a handle.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:cli/terminal-output.[resource-drop]terminal-output")]
pub unsafe extern "C" fn drop_terminal_output(canon: *const Canon, this: u32) {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.drop_handle(this, |resource| resource == Resource::TerminalOutput);
}
