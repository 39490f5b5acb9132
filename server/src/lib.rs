//! A server for HTTP whose requests a component of the world `wasi:http/proxy` answers: what `wasmelt compile --world proxy`
//! links with the component's code.
//!
//! hyper speaks HTTP ([`serve`], [`connection`]), by TLS where the operator has a certificate ([`tls`], [`stream`]). Each
//! request gets an instance ([`worker`]), which calls what is below [`http`], in a thread that sees to connections unless the
//! guest waits ([`crew`]). The bodies of requests and
//! responses are pairs of sockets ([`body`]): one side is a stream of the guest, which waits as for any other, and the other
//! side is the server's.

// ---------------------------------------------------------------------------------------------------------------
// Security: requests meet in nothing but what is counted. A guest has its request, the time and memory of the options, and
// standard error; whatever it does ends its own request.
// ---------------------------------------------------------------------------------------------------------------

mod body;
mod connection;
mod crew;
mod http;
mod listener;
mod metrics;
mod options;
mod serve;
mod stream;
mod tls;
mod worker;

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use wasmelt_embed::Result;
use wasmelt_embed::component::Component;

use options::Options;
use tls::Tls;

/// What the C library calls.
#[unsafe(no_mangle)]
pub extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let options = Options::parse_from(arguments(argc, argv));
    let tls = match Tls::of(&options) {
        Ok(tls) => tls,
        Err(error) => Options::command().error(ErrorKind::ValueValidation, error).exit(),
    };
    match component().map_err(Into::into).and_then(|component| serve::run(&component, options, tls)) {
        Ok(()) => 0,
        Err(error) => {
            note(format_args!("error: {error}"));
            1
        }
    }
}

/// The arguments of `main`. Rust's standard library has those of a program that does not begin in Rust with one C library, glibc,
/// and not with musl.
fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    (0..count)
        .map(|index| {
            // SAFETY: the C library alone calls `main`, with `argc` pointers to strings that end with a zero and stay there.
            let argument = unsafe { CStr::from_ptr(*argv.add(index)) };
            OsStr::from_bytes(argument.to_bytes()).to_owned()
        })
        .collect()
}

/// Prints a line to standard error. Who reads there may be gone: that ends no request.
fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a line to standard output, as [`note`].
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The component that is linked.
fn component() -> Result<Component> {
    // SAFETY: wasmelt has made it, and links it with this archive.
    unsafe { wasmelt_embed::linked_component!("server") }
}
