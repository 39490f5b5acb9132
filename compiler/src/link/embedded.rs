//! Linking with the linker that is part of this program, `libwild`: no other program is run.
//!
//! Input and output go through files in a temporary folder. The linker could read and write memory, but it is generic
//! over where its files are, so that would compile all of it a second time, as part of this crate: two more minutes
//! for each build, for nothing that a user would notice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use libwild::Args;
use target_lexicon::Architecture;

use super::files::Files;
use super::{LinkOptions, ld_arguments};
use crate::error::{Error, ErrorKind, Result};

/// Links the inputs, with as many threads as the current thread pool of rayon has.
pub(super) fn link(files: &Files, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let threads = format!("--threads={}", rayon::current_num_threads());
    // `ld` as the program's name selects the arguments of ELF linkers on every host.
    let mut arguments = vec!["ld".to_owned(), "-m".to_owned(), emulation(options)?.to_owned(), threads];
    arguments.extend(ld_arguments(files, options).into_iter().map(str::to_owned));
    arguments.extend(["--no-identity-comment".to_owned(), "-o".to_owned()]);
    for path in std::iter::once(files.output()).chain(files.inputs().map(PathBuf::as_path)) {
        let path = path.to_str().map(str::to_owned);
        arguments.push(path.ok_or_else(|| Error::link("the name of the temporary folder is not UTF-8"))?);
    }
    // The linker must never take this program down with it: a bug in it is an error like any other.
    let linked = catch_unwind(AssertUnwindSafe(|| run(&arguments)));
    linked.map_err(|_| Error::internal("the embedded linker failed").hint("try --linker cc"))??;
    files.read_output()
}

/// The linker's name for the target.
fn emulation(options: &LinkOptions<'_>) -> Result<&'static str> {
    match options.target.architecture {
        Architecture::X86_64 => Ok("elf_x86_64"),
        Architecture::Aarch64(_) => Ok("aarch64linux"),
        other => Err(Error::usage(format!("the embedded linker cannot link for {other}"))),
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let failed = |e: libwild::error::Error| Error::with_details(ErrorKind::Link, &e.to_string());
    let list = || arguments.iter().map(String::as_str);
    let mut args = Args::new(list).map_err(failed)?;
    // Its warnings are about what command lines of C compilers hold; ours holds nothing of it.
    args.on_warning(Box::new(|_| {}));
    args.parse(list).map_err(failed)?;
    libwild::run(args).map_err(failed)
}
