//! Files without a name, which Linux has: outputs until they are complete, and programs that no folder can hold.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitStatus;

use rustix::fs::{AtFlags, CWD, MemfdFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Start, command, execute, folder_of, output_of};

/// A file without a name in the folder of `target`, where the file system has such files. It gets what the umask leaves
/// of the permissions `mode`.
pub(crate) fn create_nameless(target: &Path, mode: u32) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(folder_of(target), flags, Mode::from_raw_mode(mode))?))
}

/// Gives it its name. A link cannot replace a file, a rename can: an existing one is replaced by way of a second name.
pub(crate) fn put_in_place(file: &File, target: &Path) -> io::Result<()> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |name: &Path| rustix::fs::linkat(CWD, &*unnamed, CWD, name, AtFlags::SYMLINK_FOLLOW);
    match link(target) {
        Err(Errno::EXIST) => {}
        other => return other.map_err(io::Error::from),
    }
    for attempt in 0..100 {
        let name = OsString::from(format!(".wasmelt-{}-{attempt}", std::process::id()));
        let beside = folder_of(target).join(name);
        match link(&beside) {
            Err(Errno::EXIST) => continue,
            other => other?,
        }
        return fs::rename(&beside, target).inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        });
    }
    Err(Errno::EXIST.into())
}

/// Becomes a program that is in no folder; returns only on failure.
pub(crate) fn execute_bytes(bytes: &[u8], start: &Start<'_>) -> io::Error {
    match memory_file(bytes, &start.arg0) {
        Ok(file) => execute(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())), start),
        Err(error) => error,
    }
}

/// Runs a program that is in no folder, waits for it, and returns how it ended and what it wrote to standard output. Its
/// standard input is empty.
pub(crate) fn output_of_bytes(bytes: &[u8], start: &Start<'_>) -> io::Result<(ExitStatus, Vec<u8>)> {
    let file = memory_file(bytes, &start.arg0)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    output_of(command(Path::new(&path), start))
}

/// A file in memory that can be executed. Its name is for those who look at processes.
fn memory_file(bytes: &[u8], name: &OsStr) -> io::Result<File> {
    const MAX_NAME_BYTES: usize = 200;
    let name = name.as_bytes().get(..MAX_NAME_BYTES).unwrap_or(name.as_bytes());
    let create = |flags| rustix::fs::memfd_create(name, flags);
    // Linux before 6.3 does not know `EXEC`; from then on it may be configured to need it.
    let fd = create(MemfdFlags::CLOEXEC | MemfdFlags::EXEC).or_else(|_| create(MemfdFlags::CLOEXEC))?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    Ok(file)
}
