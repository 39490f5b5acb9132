//! `wasi:cli`: arguments, environment, standard streams, and the end of the program.

use core::str;

use crate::host::state::State as _;
use crate::sys::errno::Result;

use super::call::{Call, Component};
use super::handles::Resource;

/// What stands for bytes that are not UTF-8: strings of components are Unicode.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Writes a string of the host for the guest; its address and length go to `at`.
fn put_string<C: Component>(call: Call<C>, at: u32, parts: &[&[u8]]) {
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
    fn for_each<C: Component>(self, call: Call<C>, mut f: impl FnMut(&[&[u8]])) {
        let f = |parts: &[&[u8]]| {
            f(parts);
            Ok(())
        };
        let _: Result<()> = match self {
            Self::Arguments => call.guest().for_each_argument(f),
            Self::Variables => call.guest().for_each_variable(f),
        };
    }

    /// Writes a list of elements of this length; `put` writes one.
    #[inline(always)]
    fn put<C: Component>(self, call: Call<C>, at: u32, element_bytes: u32, put: impl Fn(u32, &[&[u8]])) {
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
pub fn get_environment<C: Component>(call: Call<C>, at: u32) {
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
pub fn get_arguments<C: Component>(call: Call<C>, at: u32) {
    Strings::Arguments.put(call, at, 8, |element, parts| put_string(call, element, parts));
}

/// Writes `none`: paths are relative to what was granted, not to a directory of the start.
pub fn initial_cwd<C: Component>(call: Call<C>, at: u32) {
    call.result_at(at, 12, 4);
    call.put_u8(at, 0);
}

/// Ends the program; 0 is success.
pub fn exit<C: Component>(call: Call<C>, status: u32) {
    call.guest().exit(i32::from(status != 0))
}

/// Ends the program with a code of 8 bits.
pub fn exit_with_code<C: Component>(call: Call<C>, code: u32) {
    call.guest().exit((code & 0xff) as i32)
}

/// A stream of standard input.
pub fn get_stdin<C: Component>(call: Call<C>) -> u32 {
    call.own(Resource::Input { stream: call.stream(0), position: 0 })
}

/// A stream to standard output.
pub fn get_stdout<C: Component>(call: Call<C>) -> u32 {
    call.own(Resource::Output { stream: call.stream(1), position: None })
}

/// A stream to standard error.
pub fn get_stderr<C: Component>(call: Call<C>) -> u32 {
    call.own(Resource::Output { stream: call.stream(2), position: None })
}

/// Writes a handle of a terminal where a standard stream is one.
fn put_terminal<C: Component>(call: Call<C>, at: u32, fd: u32, terminal: Resource) {
    call.result_at(at, 8, 4);
    let is_terminal = call.state().get(fd).is_ok_and(|descriptor| call.state().is_terminal(descriptor));
    call.put_u8(at, is_terminal.into());
    if is_terminal {
        call.put_u32(at + 4, call.own(terminal));
    }
}

/// Writes the terminal that standard input is.
pub fn get_terminal_stdin<C: Component>(call: Call<C>, at: u32) {
    put_terminal(call, at, 0, Resource::TerminalInput);
}

/// Writes the terminal that standard output is.
pub fn get_terminal_stdout<C: Component>(call: Call<C>, at: u32) {
    put_terminal(call, at, 1, Resource::TerminalOutput);
}

/// Writes the terminal that standard error is.
pub fn get_terminal_stderr<C: Component>(call: Call<C>, at: u32) {
    put_terminal(call, at, 2, Resource::TerminalOutput);
}

/// Drops a handle.
pub fn drop_terminal_input<C: Component>(call: Call<C>, this: u32) {
    call.drop_handle(this, |resource| resource == Resource::TerminalInput);
}

/// Drops a handle.
pub fn drop_terminal_output<C: Component>(call: Call<C>, this: u32) {
    call.drop_handle(this, |resource| resource == Resource::TerminalOutput);
}
