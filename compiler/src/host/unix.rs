//! Linux and macOS.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use rustix::fs::Access;
use rustix::io::Errno;

use super::{Start, Usage};

/// A program can be started under another name than its file's.
pub(crate) const CAN_SET_ARG0: bool = true;

/// Whether a path leads to this open file, by whatever links.
pub(crate) fn is_same_file(file: &File, path: &Path) -> bool {
    let id = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if id(&a) == id(&b))
}

/// Standard input as a file.
pub(crate) fn stdin() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// Whether a path means standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("/dev/stdout")
}

/// Opens what is written as it is and not replaced: a device, pipe or socket. `None` when the path is something else.
pub(crate) fn open_stream(path: &Path) -> Option<io::Result<File>> {
    let metadata = fs::metadata(path).ok().filter(|metadata| !metadata.is_file() && !metadata.is_dir())?;
    // A socket cannot be opened.
    if metadata.file_type().is_socket() {
        return Some(Err(Errno::NXIO.into()));
    }
    Some(File::options().write(true).open(path))
}

/// Whether an existing file may be replaced. Replacing needs no permission on the old file, but a file that was made
/// read-only is meant to stay. One that is being executed is fine: its process keeps the old file.
pub(crate) fn check_replaceable(path: &Path) -> io::Result<()> {
    match rustix::fs::access(path, Access::WRITE_OK) {
        Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Err(errno.into()),
        _ => Ok(()),
    }
}

/// Whether an error says that a process has the file open.
pub(crate) fn is_in_use(_error: &io::Error) -> bool {
    false
}

/// The error of symbolic links that lead in a circle.
pub(crate) fn too_many_links() -> io::Error {
    Errno::LOOP.into()
}

/// Lets a file be created with what the umask leaves of the permissions `mode`.
pub(crate) fn set_mode(builder: &mut tempfile::Builder<'_, '_>, mode: u32) {
    builder.permissions(Permissions::from_mode(mode));
}

/// The user's folder for caches: `$XDG_CACHE_HOME`, `~/.cache`, on macOS `~/Library/Caches`.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    // The specification says that relative paths are to be ignored.
    let folder = set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    folder.or_else(|| set("HOME").map(|home| home.join(in_home))).map(|folder| folder.join("wasmelt"))
}

/// Creates a folder, and those above it, that only the user can use.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether a folder or file belongs to the user and nobody else can write to it.
pub(crate) fn is_ours_alone(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

/// A folder's path without symbolic links.
pub(crate) fn without_links(folder: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(folder)
}

/// The folder above this one, whose path has no links, in which others could put something else in its place: one that
/// belongs to somebody else than the user and root, or that others can write to, unless only owners can rename there.
pub(crate) fn replaceable_by_others(folder: &Path) -> Option<PathBuf> {
    const STICKY: u32 = 0o1000;
    let user = rustix::process::geteuid().as_raw();
    let is_replaceable = |parent: &&Path| {
        fs::symlink_metadata(parent).map_or(true, |metadata| {
            let (owner, mode) = (metadata.uid(), metadata.mode());
            (owner != user && owner != 0) || (mode & 0o022 != 0 && mode & STICKY == 0)
        })
    };
    folder.ancestors().skip(1).find(is_replaceable).map(Path::to_owned)
}

/// What would make a folder the user's alone.
pub(crate) fn how_to_make_ours(folder: &Path) -> String {
    format!("it must belong to you, with permissions 0700: `chmod 700 {}`", folder.display())
}

/// Opens a file so that its times can be set.
pub(crate) fn open_for_times(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// The command that starts a program.
pub(crate) fn command(path: &Path, start: &Start<'_>) -> Command {
    let mut command = Command::new(path);
    command.arg0(&start.arg0).args(start.args).envs(&start.env);
    command
}

/// Becomes a program; returns only on failure.
pub(crate) fn execute(path: &Path, start: &Start<'_>) -> io::Error {
    command(path, start).exec()
}

#[cfg(not(target_os = "linux"))]
pub(crate) use waiting::{exit_code, restrict_to_executing, wait_for};

/// Programs that are started beside this one.
#[cfg(not(target_os = "linux"))]
mod waiting {
    use std::fs::{File, Permissions};
    use std::io;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitStatus};

    /// Lets the user execute a file.
    pub(crate) fn restrict_to_executing(file: &File) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(0o700))
    }

    /// Runs a command to its end.
    pub(crate) fn wait_for(command: &mut Command) -> io::Result<ExitStatus> {
        command.status()
    }

    /// Exit code; 128 and the number of the signal where one ended the process, as shells say it.
    pub(crate) fn exit_code(status: ExitStatus) -> i32 {
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }
}

/// The file in which there is nothing.
pub(crate) const NOTHING: &str = "/dev/null";

/// What the processes that this one started and waited for took together, and this one itself.
pub(crate) fn usage() -> io::Result<Usage> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let own = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    // macOS counts bytes, other systems kibibytes.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    Ok(Usage {
        cpu_seconds: seconds(usage.user_time()) + seconds(usage.system_time()),
        peak_bytes: usage.max_rss().cast_unsigned() * unit,
        own_peak_bytes: own_peak_bytes().unwrap_or(own.max_rss().cast_unsigned() * unit),
        page_faults: (usage.minor_page_faults() + usage.major_page_faults()).cast_unsigned(),
    })
}

/// The largest resident memory of this program, where the system tells: the account of the process begins on Linux with
/// that of the program that started this one.
fn own_peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
