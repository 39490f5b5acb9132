//! Windows.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::AsHandle as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use same_file::Handle;

use super::{Start, Usage};

/// A program's name for itself is its file's.
pub(crate) const CAN_SET_ARG0: bool = false;

/// Another process has the file open, without letting others write or replace it.
const ERROR_SHARING_VIOLATION: i32 = 32;

/// A name that leads nowhere, such as links in a circle.
const ERROR_CANT_RESOLVE_FILENAME: i32 = 1921;

/// The right to change the times of a file, and nothing else.
const FILE_WRITE_ATTRIBUTES: u32 = 0x100;

/// Whether a path leads to this open file, by whatever links.
pub(crate) fn is_same_file(file: &File, path: &Path) -> bool {
    let this = file.try_clone().and_then(Handle::from_file);
    matches!((this, Handle::from_path(path)), (Ok(a), Ok(b)) if a == b)
}

/// Standard input as a file.
pub(crate) fn stdin() -> io::Result<File> {
    io::stdin().as_handle().try_clone_to_owned().map(File::from)
}

/// Whether a path means standard output: there is no such file.
pub(crate) fn is_stdout(_path: &Path) -> bool {
    false
}

/// Opens what is written as it is and not replaced: a device, a pipe. `None` when the path is something else.
pub(crate) fn open_stream(path: &Path) -> Option<io::Result<File>> {
    let name = path.to_str()?;
    let is_device = ["NUL", "CON", "CONOUT$"].iter().any(|device| name.eq_ignore_ascii_case(device));
    let is_stream = is_device || [r"\\.\", "//./", r"\\.\pipe\"].iter().any(|start| name.starts_with(start));
    is_stream.then(|| File::options().write(true).open(path))
}

/// Whether an existing file may be replaced: not one that was made read-only, and not one that is being executed or that
/// another process keeps open.
pub(crate) fn check_replaceable(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path).map(drop)
}

/// Whether an error says that a process has the file open.
pub(crate) fn is_in_use(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

/// The error of symbolic links that lead in a circle.
pub(crate) fn too_many_links() -> io::Error {
    io::Error::from_raw_os_error(ERROR_CANT_RESOLVE_FILENAME)
}

/// A file that is created gets the access list that its folder hands on.
pub(crate) fn set_mode(_builder: &mut tempfile::Builder<'_, '_>, _mode: u32) {}

/// The user's folder for caches, `%LOCALAPPDATA%\wasmelt\cache`.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let local = std::env::var_os("LOCALAPPDATA").map(PathBuf::from).filter(|path| path.is_absolute());
    local.map(|folder| folder.join("wasmelt").join("cache"))
}

/// Creates a folder, and those above it. What protects it is the access list that it inherits: in the user's profile
/// only the user, the system and administrators have rights.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Whether nobody else can write to a folder or file. That is not looked at here: an access list is not part of what
/// `Metadata` tells, and the user's profile, where the cache is, has one that keeps other users out. Whoever puts the
/// cache elsewhere chooses a folder that has one, too.
pub(crate) fn is_ours_alone(_metadata: &Metadata) -> bool {
    true
}

/// A folder's path as it is: Windows would write it in another way, which not all programs understand.
pub(crate) fn without_links(folder: &Path) -> io::Result<PathBuf> {
    Ok(folder.to_owned())
}

/// The folder above this one in which others could put something else in its place: not looked at, see
/// [`is_ours_alone`].
pub(crate) fn replaceable_by_others(_folder: &Path) -> Option<PathBuf> {
    None
}

/// What would make a folder the user's alone.
pub(crate) fn how_to_make_ours(_folder: &Path) -> String {
    "it must have an access list that lets nobody else write".to_owned()
}

/// Opens a file so that its times can be set.
pub(crate) fn open_for_times(path: &Path) -> io::Result<File> {
    File::options().access_mode(FILE_WRITE_ATTRIBUTES).open(path)
}

/// The command that starts a program.
pub(crate) fn command(path: &Path, start: &Start<'_>) -> Command {
    let mut command = Command::new(path);
    command.args(start.args).envs(&start.env);
    command
}

/// Runs a program, waits for it, and ends this process as it ended; returns only on failure. Windows cannot replace the
/// program of a process.
pub(crate) fn execute(path: &Path, start: &Start<'_>) -> io::Error {
    match wait_for(&mut command(path, start)) {
        Ok(status) => std::process::exit(exit_code(status)),
        Err(error) => error,
    }
}

/// Nothing is needed to execute a file.
pub(crate) fn restrict_to_executing(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Runs a command to its end. Ctrl-C and Ctrl-Break reach all processes of the console: what they do is the program's
/// choice, and this process waits for it.
pub(crate) fn wait_for(command: &mut Command) -> io::Result<ExitStatus> {
    // Without a console there is nothing to handle.
    let _ = ctrlc::set_handler(|| {});
    command.status()
}

/// The exit code as it is: that of a crash is a large number.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(1)
}

/// The file in which there is nothing.
pub(crate) const NOTHING: &str = "NUL";

/// What the processes that this one started and waited for took together: the system keeps no such account.
pub(crate) fn usage() -> io::Result<Usage> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "`wasmelt bench` measures on Linux and macOS"))
}
