//! Linking with the linker that is part of this program, `libwild`: no other program is run, no file is read or written.

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libwild::{Args, FileSystem, FileType, InputFileData, OutputFileData, OutputOptions};
use target_lexicon::Architecture;

use super::{LinkOptions, ld_arguments};
use crate::error::{Error, Result};

/// Names of the files that the linker sees; they appear in its messages.
const OBJECT: &str = "program.o";
const ARCHIVE: &str = "libwasmelt_start.a";
const OUTPUT: &str = "program";

/// Links `object` with `archive` in memory. Runs in the current thread pool of rayon.
pub(super) fn link(object: Vec<u8>, archive: Vec<u8>, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    // `ld` as the program's name selects the arguments of ELF linkers on every host.
    let mut arguments = vec!["ld", "-m", emulation(options)?];
    arguments.extend(ld_arguments(options));
    arguments.extend(["--no-identity-comment", "-o", OUTPUT, OBJECT, ARCHIVE]);

    let files = Files::default();
    files.inputs().extend([(OBJECT.into(), Arc::new(object)), (ARCHIVE.into(), Arc::new(archive))]);
    // The linker must never take this program down with it: a bug in it is an error like any other.
    let linked = catch_unwind(AssertUnwindSafe(|| run(&files, &arguments)));
    linked.map_err(|_| Error::internal("the embedded linker failed").hint("try --linker cc"))??;
    let output = files.output().take();
    output.ok_or_else(|| Error::internal("the embedded linker wrote no output"))
}

/// The linker's name for the target.
fn emulation(options: &LinkOptions<'_>) -> Result<&'static str> {
    match options.target.architecture {
        Architecture::X86_64 => Ok("elf_x86_64"),
        Architecture::Aarch64(_) => Ok("aarch64linux"),
        other => Err(Error::usage(format!("the embedded linker cannot link for {other}"))),
    }
}

fn run(files: &Files, arguments: &[&str]) -> Result<()> {
    let failed = |e: libwild::error::Error| Error::link(e.to_string().trim_end().to_owned());
    let list = || arguments.iter().copied();
    let mut args = Args::new(list).map_err(failed)?;
    // Its warnings are about what command lines of C compilers hold; ours holds nothing of it.
    args.on_warning(Box::new(|_| {}));
    args.parse(list).map_err(failed)?;
    let linker = libwild::Linker::with_file_system(files.clone());
    linker.run(&args).map_err(failed)?;
    Ok(())
}

/// The files that the linker can open, and the one that it writes.
#[derive(Clone, Default)]
struct Files {
    inputs: Arc<Mutex<HashMap<PathBuf, Arc<Vec<u8>>>>>,
    output: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Files {
    fn inputs(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Vec<u8>>>> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn output(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An input file.
struct Input(Arc<Vec<u8>>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl InputFileData for Input {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The output file while it is written.
struct Output {
    bytes: Vec<u8>,
    files: Files,
}

impl OutputFileData for Output {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn finish(self) -> libwild::error::Result {
        *self.files.output() = Some(self.bytes);
        Ok(())
    }
}

impl FileSystem for Files {
    type Input = Input;
    type Output = Output;

    fn open_input(&self, path: &Path, _prepopulate: bool) -> libwild::error::Result<(Input, Option<Arc<File>>)> {
        match self.inputs().get(path) {
            Some(bytes) => Ok((Input(Arc::clone(bytes)), None)),
            None => Err(libwild::error!("no such file: {}", path.display())),
        }
    }

    fn file_type(&self, path: &Path) -> libwild::error::Result<FileType> {
        match self.inputs().contains_key(path) {
            true => Ok(FileType::File),
            false => Err(libwild::error!("no such file: {}", path.display())),
        }
    }

    fn canonicalize(&self, path: &Path) -> libwild::error::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn remove_file(&self, path: &Path) -> libwild::error::Result<()> {
        Err(libwild::error!("no such file: {}", path.display()))
    }

    fn rename_file(&self, path: &Path, _new_path: &Path) -> libwild::error::Result<()> {
        Err(libwild::error!("no such file: {}", path.display()))
    }

    fn create_output(&self, _path: Arc<Path>, options: OutputOptions) -> libwild::error::Result<Output> {
        let too_large = || libwild::error!("the output of {} bytes is too large", options.size);
        let size = usize::try_from(options.size).map_err(|_| too_large())?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| too_large())?;
        bytes.resize(size, 0);
        Ok(Output { bytes, files: self.clone() })
    }

    fn write_auxiliary(&self, path: &Path, _bytes: &[u8]) -> libwild::error::Result {
        Err(libwild::error!("unexpected output: {}", path.display()))
    }
}
