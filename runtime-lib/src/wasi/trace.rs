//! What `--trace wasi` adds: each function of WASI once more, under a symbol that starts with
//! [`wasmelt_abi::symbols::TRACE_PREFIX`]. It calls the function itself, then prints a line with the arguments, what was
//! written into the guest's memory, and the error.
//!
//! Only executables that were compiled for it refer to these symbols. The first call that failed and that a grant would
//! have allowed is followed by a line that names the grant. The program's end repeats the line, but for that by a trap.

// ---------------------------------------------------------------------------------------------------------------
// Security: what a guest passes is read within its memory, after the call, and printed as untrusted text. A trace says
// nothing to the guest: the results are those of the functions themselves.
// ---------------------------------------------------------------------------------------------------------------

use core::sync::atomic::{AtomicU32, Ordering};

use crate::ending;
use crate::executable;
use crate::host::descriptor::Descriptor;
use crate::host::descriptors;
use crate::host::guest_memory::GuestMemory;
use crate::instance::Instance;
use crate::report::Report;
use crate::sys::errno::Errno;
use crate::sys::{self, Stream};

use super::{exports, threads};

/// How much of a string of the guest is printed, in bytes.
const MAX_STRING_BYTES: usize = 256;

/// Names of errors by number, from 1 on.
const ERRORS: &str = "TOOBIG
ACCES
ADDRINUSE
ADDRNOTAVAIL
AFNOSUPPORT
AGAIN
ALREADY
BADF
BADMSG
BUSY
CANCELED
CHILD
CONNABORTED
CONNREFUSED
CONNRESET
DEADLK
DESTADDRREQ
DOM
DQUOT
EXIST
FAULT
FBIG
HOSTUNREACH
IDRM
ILSEQ
INPROGRESS
INTR
INVAL
IO
ISCONN
ISDIR
LOOP
MFILE
MLINK
MSGSIZE
MULTIHOP
NAMETOOLONG
NETDOWN
NETRESET
NETUNREACH
NFILE
NOBUFS
NODEV
NOENT
NOEXEC
NOLCK
NOLINK
NOMEM
NOMSG
NOPROTOOPT
NOSPC
NOSYS
NOTCONN
NOTDIR
NOTEMPTY
NOTRECOVERABLE
NOTSOCK
NOTSUP
NOTTY
NXIO
OVERFLOW
OWNERDEAD
PERM
PIPE
PROTO
PROTONOSUPPORT
PROTOTYPE
RANGE
ROFS
SPIPE
SRCH
STALE
TIMEDOUT
TXTBSY
XDEV
NOTCAPABLE
";

/// Grants that calls failed for want of, by number.
const ADVICE: &str = "the guest looked for a directory, and none is granted: --dir HOST::GUEST grants one
a path leads out of the granted directories: --dir HOST::GUEST grants another one
a directory or file is granted read-only: without `:ro` it can be changed
the guest accepts connections, and no address is granted: --tcplisten ADDRESS grants one
the limit of open files is reached: --max-open-files N sets another one
";

/// What was advised so far: the bit of each number.
static ADVISED: AtomicU32 = AtomicU32::new(0);

macro_rules! traced {
    ($($(#[$doc:meta])* $list:ident = $module:literal {$(
        $($family:ident)::+ . $function:ident $(as $name:literal)? ($($param:ident)*) $(-> $result:ident)? $($words:literal)?:
            $reach:ident [$($call:tt)*];
    )*})*) => {
        $($(traced!(@row [$module $list $function $reach] ($($words)?) [a b c d e f g h i] ($($param)*) []);)*)*
    };
    // What has no words is traced in its own way, below.
    (@row $function:tt () $names:tt $params:tt []) => {};
    // Gives each parameter a name.
    (@row $function:tt $words:tt [$arg:ident $($args:ident)*] ($param:ident $($params:ident)*) [$($named:tt)*]) => {
        traced!(@row $function $words [$($args)*] ($($params)*) [$($named)* ($arg $param)]);
    };
    (@row [$module:literal $list:ident $function:ident $reach:ident] ($words:literal) $names:tt ()
        [$(($arg:ident $param:ident))*]) => {
        const _: () = {
            /// # Safety
            /// As for the function that is traced.
            #[unsafe(export_name = concat!("wasmelt_trace.", $module, ".", stringify!($function)))]
            unsafe extern "C" fn traced(vmctx: *mut u8, $($arg: traced!(@type $param)),*) -> u32 {
                // SAFETY: by this function's contract.
                unsafe {
                    let result = exports::$list::$function(vmctx, $($arg),*);
                    let words = concat!(stringify!($function), " ", $words);
                    tell(vmctx, words, traced!(@is_path $reach), &[$($arg.into()),*], result);
                    result
                }
            }
        };
    };
    (@type I32) => { u32 };
    (@type I64) => { u64 };
    (@is_path paths) => { true };
    (@is_path $reach:ident) => { false };
}

wasmelt_abi::for_each_host_function!(traced);

/// Ends the process, see [`exports::proc_exit`].
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasmelt_trace.wasi_snapshot_preview1.proc_exit")]
unsafe extern "C" fn proc_exit(vmctx: *mut u8, code: u32) {
    let mut report = Report::new(Stream::Error);
    report.text("wasi: proc_exit(code=").decimal(code.into(), 0).text(")\n");
    finish(&mut report);
    ending::announce();
    // SAFETY: by this function's contract.
    unsafe { exports::proc_exit(vmctx, code) }
}

/// Starts a thread, see [`threads::thread_spawn`].
///
/// # Safety
/// `vmctx` is a live context, whose code is the caller.
#[unsafe(export_name = "wasmelt_trace.wasi.thread-spawn")]
unsafe extern "C" fn thread_spawn(vmctx: *mut u8, start_arg: u32) -> u32 {
    // SAFETY: by this function's contract.
    let result = unsafe { threads::thread_spawn(vmctx, start_arg) };
    let mut report = Report::new(Stream::Error);
    report.text("wasi: thread-spawn(start_arg=").hexadecimal(start_arg.into()).text(") = ");
    signed(&mut report, i64::from(result.cast_signed()));
    report.text("\n").flush();
    result
}

/// Runs the program, see [`wasmelt_abi::symbols::HOOK_TRACE`].
///
/// # Safety
/// `vmctx` is the context of a complete instance in which no code has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_trace(vmctx: *mut u8) {
    // SAFETY: by this function's contract. The entry is called once: this function does not return.
    unsafe { executable::call(&Instance::from_vmctx(vmctx).program().entry, vmctx) };
    finish(&mut Report::new(Stream::Error));
    ending::announce();
    sys::exit(0)
}

/// Prints a call that returned: `words` are its name and those of its arguments in the table of host functions.
///
/// # Safety
/// `vmctx` is a live context.
#[inline(never)]
unsafe fn tell(vmctx: *mut u8, words: &str, is_path: bool, mut args: &[u64], result: u32) {
    // SAFETY: by this function's contract.
    let memory = unsafe { GuestMemory::of(vmctx) };
    let mut report = Report::new(Stream::Error);
    // As bytes: what searches in text can panic, with messages whose addresses would have to be relocated.
    let mut words = words.as_bytes().split(|&byte| byte == b' ');
    let name = words.next().unwrap_or_default();
    report.text("wasi: ").bytes(name).text("(");
    let mut is_read_only = false;
    for (number, word) in words.enumerate() {
        let &[ref label @ .., b':', kind] = word else { continue };
        report.text(if number == 0 { "" } else { ", " }).bytes(label).text("=");
        let mut next = || {
            let (&first, rest) = args.split_first()?;
            args = rest;
            Some(first)
        };
        let value = next().unwrap_or(0);
        let len = if matches!(kind, b's' | b't') { next().unwrap_or(0) } else { 0 };
        is_read_only |= kind == b'f' && is_granted_read_only(value as u32);
        argument(&mut report, &memory, kind, value, len, result == 0);
    }
    report.text(") = ");
    match result {
        0 => report.text("0"),
        error => report.text("E").entry(ERRORS, error as usize - 1),
    };
    report.text("\n");
    if let Some(advice) = advice(name, is_path, result, is_read_only)
        && ADVISED.fetch_or(1 << advice, Ordering::Relaxed) & 1 << advice == 0
    {
        advise(&mut report, advice);
    }
    report.flush();
}

fn is_granted_read_only(fd: u32) -> bool {
    descriptors::get(fd).is_ok_and(|descriptor| descriptor.flags & Descriptor::READ_ONLY != 0)
}

/// Prints an argument of a kind, see [`wasmelt_abi::for_each_host_function`].
fn argument(report: &mut Report, memory: &GuestMemory, kind: u8, value: u64, len: u64, is_success: bool) {
    let at = value as u32;
    let mut text = [0; MAX_STRING_BYTES];
    let text = text.get_mut(..(len as usize).min(MAX_STRING_BYTES)).unwrap_or_default();
    let is_text = kind == b's' || kind == b't' && is_success;
    let got = match kind {
        b'o' if is_success => memory.read_u32(at).ok().map(u64::from),
        b'O' if is_success => memory.read(at).ok().map(u64::from_le_bytes),
        _ => None,
    };
    match (kind, got) {
        _ if is_text && memory.read_bytes(at, text).is_ok() => {
            let more = if len as usize > text.len() { "..." } else { "" };
            report.text("\"").untrusted(text, MAX_STRING_BYTES).text(more).text("\"");
        }
        (_, Some(got)) => _ = report.decimal(got, 0),
        (b'f' | b'd' | b'D', _) => _ = report.decimal(value, 0),
        (b'i', _) => signed(report, value.cast_signed()),
        _ => _ = report.hexadecimal(value),
    }
}

fn signed(report: &mut Report, value: i64) {
    report.text(if value < 0 { "-" } else { "" }).decimal(value.unsigned_abs(), 0);
}

/// The number of the grant that would have let a call succeed.
fn advice(name: &[u8], is_path: bool, result: u32, is_read_only: bool) -> Option<u32> {
    let is = |error: Errno| result == error as u32;
    match name {
        b"sock_accept" if is(Errno::Badf) || is(Errno::Notsock) => Some(3),
        // Libraries of C look for directories from descriptor 3 on, and there is none of that number.
        b"fd_prestat_get" if is(Errno::Badf) => descriptors::get(3).is_err().then_some(0),
        _ if is(Errno::Mfile) => Some(4),
        _ if is_path && is(Errno::Badf) => descriptors::get(3).is_err().then_some(0),
        _ if is(Errno::Perm) && is_read_only => Some(2),
        _ if is_path && is(Errno::Perm) => Some(1),
        _ => None,
    }
}

fn advise(report: &mut Report, advice: u32) {
    report.text("wasi: hint: ").entry(ADVICE, advice as usize).text("\n");
}

/// Prints what was advised, at the program's end.
fn finish(report: &mut Report) {
    let advised = ADVISED.load(Ordering::Relaxed);
    for advice in (0..u32::BITS).filter(|advice| advised & 1 << advice != 0) {
        advise(report, advice);
    }
    report.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;
    use wasmelt_abi::descriptor::ValueType;
    use wasmelt_abi::symbols::TRACE_PREFIX;

    macro_rules! listed {
        ($($(#[$doc:meta])* $list:ident = $module:literal {$(
            $($family:ident)::+ . $function:ident $(as $name:literal)? ($($param:ident)*) $(-> $result:ident)? $($words:literal)?:
                $reach:ident [$($call:tt)*];
        )*})*) => {
            &[$($((stringify!($function), &[$($words)?], &[$(ValueType::$param),*]),)*)*]
        };
    }

    #[test]
    fn every_function_is_traced_with_all_its_arguments() {
        let functions: &[(&str, &[&str], &[ValueType])] = wasmelt_abi::for_each_host_function!(listed);
        for (name, words, params) in functions {
            let &[words] = words else {
                assert!(["proc_exit", "thread_spawn"].contains(name), "{name} has no words");
                continue;
            };
            let kinds = words.split(' ').filter(|word| !word.is_empty()).map(|word| word.split_once(':').unwrap().1);
            let found: Vec<ValueType> = kinds
                .flat_map(|kind| match kind {
                    "s" | "t" => vec![ValueType::I32; 2],
                    "D" | "i" | "X" => vec![ValueType::I64],
                    "f" | "d" | "x" | "p" | "o" | "O" => vec![ValueType::I32],
                    other => panic!("{other}"),
                })
                .collect();
            assert_eq!(found, *params, "{name} {words}");
        }
        assert_eq!(TRACE_PREFIX, "wasmelt_trace.");
    }

    #[test]
    fn errors_have_their_names() {
        let names: Vec<&str> = ERRORS.lines().collect();
        for error in [Errno::Toobig, Errno::Badf, Errno::Noent, Errno::Perm, Errno::Notcapable] {
            let name: String = std::format!("{error:?}").to_uppercase();
            assert_eq!(names[error as usize - 1], name);
        }
        assert_eq!(names.len(), Errno::Notcapable as usize);
        assert_eq!(ADVICE.lines().count(), 5);
    }
}
