//! Linking with another program: the system's C compiler driver, or one that takes the arguments of `ld`. The files that
//! it needs live in a temporary folder for as long as it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use target_lexicon::HOST;
use tempfile::TempDir;

use super::{LinkOptions, ld_arguments};
use crate::error::{Error, Result};

/// Links with the C compiler driver that the environment (`CC`) or the system names for the target.
pub(super) fn link_with_cc(object: &[u8], archive: &[u8], options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let tool = cc::Build::new()
        .cargo_metadata(false)
        .target(&options.target.to_string())
        .host(&HOST.to_string())
        .opt_level(0)
        .no_default_flags(true)
        .try_get_compiler()
        .map_err(|e| Error::link(format!("no C compiler for {}: {e}", options.target)).hint(HINT))?;
    let files = Files::new(object, archive)?;
    let mut command = tool.to_command();
    command.args(["-nostdlib", "-nostartfiles", "-static-pie"]);
    // What the driver decides by itself, or what follows from -static-pie.
    let driver_decides = ["-static", "-pie", "--no-dynamic-linker"];
    for argument in ld_arguments(options).into_iter().filter(|a| !driver_decides.contains(a)) {
        command.arg("-Xlinker").arg(argument);
    }
    files.run(command)
}

/// Links with `program`, which takes the arguments of `ld`.
pub(super) fn link_with_ld(
    program: &Path,
    object: &[u8],
    archive: &[u8],
    options: &LinkOptions<'_>,
) -> Result<Vec<u8>> {
    let files = Files::new(object, archive)?;
    let mut command = Command::new(program);
    command.args(ld_arguments(options));
    files.run(command)
}

const HINT: &str = "the embedded linker, which is the default, needs no other program";

/// Input and output of the linker in a temporary folder.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new(object: &[u8], archive: &[u8]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("wasmelt-").tempdir();
        let files = Self { dir: dir.map_err(|e| Error::io("cannot create a temporary folder for the linker", &e))? };
        for (path, bytes) in [(files.object(), object), (files.archive(), archive)] {
            fs::write(&path, bytes).map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))?;
        }
        Ok(files)
    }

    fn object(&self) -> PathBuf {
        self.dir.path().join("program.o")
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("libwasmelt_start.a")
    }

    fn output(&self) -> PathBuf {
        self.dir.path().join("program")
    }

    /// Runs the linker on the files and returns what it wrote.
    fn run(&self, mut command: Command) -> Result<Vec<u8>> {
        command.arg(self.object()).arg(self.archive()).arg("-o").arg(self.output()).stdin(Stdio::null());
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.output().map_err(|e| {
            Error::link(Error::io(format!("cannot run the linker {program}"), &e).to_string()).hint(HINT)
        })?;
        if !output.status.success() {
            let mut message = format!("the linker failed ({}): {command:?}", output.status);
            for text in [&output.stdout, &output.stderr] {
                let text = String::from_utf8_lossy(text);
                if !text.trim().is_empty() {
                    message.push('\n');
                    message.push_str(text.trim_end());
                }
            }
            return Err(Error::link(message));
        }
        let missing = |e| Error::link(Error::io(format!("the linker {program} wrote no output"), &e).to_string());
        fs::read(self.output()).map_err(missing)
    }
}
