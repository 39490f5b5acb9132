//! Where results go: a file that appears whole or not at all, standard output, or a device.
//!
//! A file is written beside its final place under no name (`O_TMPFILE`) and linked there when it is complete. So an
//! error, a full disk, Ctrl-C or even `SIGKILL` leaves the old file as it was and nothing else behind. File systems
//! and systems that cannot do this get a named temporary file, which every error removes, and which takes the place of the
//! old file at once.

use std::fs::{self, File, FileTimes};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::NamedTempFile;

use crate::error::{Error, ErrorKind, Result};
use crate::host::{self, folder_of};
use crate::options::Emit;

/// Symbolic links that are followed to find the file to replace, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// An output that is checked and ready to be written.
#[derive(Debug)]
pub struct Output {
    /// As the user wrote it, for messages.
    shown: String,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Stdout,
    /// A device, pipe or socket: written as it is.
    Stream(File),
    /// A file that is replaced as a whole.
    File(AtomicFile),
}

impl Output {
    /// Checks what can be checked before the work starts, so that a long compilation does not end in "permission
    /// denied". `path` may be `-` for standard output; `emit` says what it becomes; `input` is the
    /// file that must not be overwritten.
    pub fn create(path: &Path, emit: Emit, input: Option<&File>) -> Result<Self> {
        let shown = path.display().to_string();
        if path == Path::new("-") || host::is_stdout(path) {
            if !emit.is_text() && io::stdout().is_terminal() {
                return Err(Error::usage("machine code is not written to a terminal")
                    .hint("`-o FILE` names the output, or standard output can be redirected"));
            }
            return Ok(Self { shown: "standard output".to_owned(), sink: Sink::Stdout });
        }
        let failed = |error: &io::Error| cannot_write(&shown, error);
        if path.as_os_str().is_empty() {
            return Err(Error::usage("the output has an empty name").hint("`-o FILE` names the output"));
        }
        let mode = if emit == Emit::Exe { 0o777 } else { 0o666 };
        let target = follow_links(path).map_err(|e| failed(&e))?;
        if let Some(stream) = host::open_stream(&target) {
            let sink = Sink::Stream(stream.map_err(|e| failed(&e))?);
            return Ok(Self { shown, sink });
        }
        if let Ok(old) = fs::metadata(&target) {
            if old.is_dir() {
                return Err(Error::new(ErrorKind::Io, format!("cannot write {shown}: is a directory")).hint(format!(
                    "a file in it is named by `-o {}/NAME`",
                    shown.trim_end_matches(std::path::is_separator)
                )));
            }
            if input.is_some_and(|input| host::is_same_file(input, &target)) {
                return Err(Error::usage(format!("{shown} is the input and would be overwritten"))
                    .hint("`-o FILE` gives the output another name"));
            }
            host::check_replaceable(&target).map_err(|e| failed(&e))?;
        }
        let sink = Sink::File(AtomicFile::create(&target, mode).map_err(|e| failed(&e))?);
        Ok(Self { shown, sink })
    }

    /// Writes everything. On an error the old file is untouched.
    pub fn write(self, bytes: &[u8]) -> Result<()> {
        let written = match self.sink {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                    // A reader may have seen enough.
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    other => other,
                }
            }
            Sink::Stream(mut file) => file.write_all(bytes),
            Sink::File(file) => file.finish(bytes, None),
        };
        written.map_err(|e| cannot_write(&self.shown, &e))
    }
}

fn cannot_write(shown: &str, error: &io::Error) -> Error {
    let failed = Error::io(format!("cannot write {shown}"), error);
    match host::is_in_use(error) {
        true => failed.hint("a program that runs cannot be replaced on this system: end it first"),
        false => failed,
    }
}

/// The file that a path means when symbolic links are followed, also where it does not exist yet. Replacing the link
/// itself would surprise: every other tool writes through it.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            // Not a link, or not there.
            Err(_) => return Ok(path),
        }
    }
    Err(host::too_many_links())
}

/// A file that appears under its name when it is complete, and never before.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    mode: u32,
    pending: Pending,
}

#[derive(Debug)]
enum Pending {
    Nameless(File),
    Named(NamedTempFile),
}

impl AtomicFile {
    /// Starts a file in the folder of `target`. It gets what the umask leaves of the permissions `mode`.
    pub fn create(target: &Path, mode: u32) -> io::Result<Self> {
        let pending = match host::create_nameless(target, mode) {
            Ok(file) => Pending::Nameless(file),
            // A system or a file system without such files, or an error that shows again here.
            Err(_) => Pending::Named(named_beside(target, mode)?),
        };
        Ok(Self { target: target.to_owned(), mode, pending })
    }

    /// Writes everything and puts the file in its place. With `stamp` the file gets this modification time, and its
    /// contents have reached the disk before its name does.
    pub fn finish(self, bytes: &[u8], stamp: Option<SystemTime>) -> io::Result<()> {
        let fill = |file: &mut File| -> io::Result<()> {
            file.write_all(bytes)?;
            if let Some(time) = stamp {
                file.set_times(FileTimes::new().set_modified(time).set_accessed(SystemTime::now()))?;
                file.sync_data()?;
            }
            Ok(())
        };
        let mut named = match self.pending {
            Pending::Nameless(mut file) => {
                fill(&mut file)?;
                if host::put_in_place(&file, &self.target).is_ok() {
                    return Ok(());
                }
                // No `/proc`, or a file system that links no such files: the slow way.
                drop(file);
                named_beside(&self.target, self.mode)?
            }
            Pending::Named(named) => named,
        };
        fill(named.as_file_mut())?;
        named.persist(&self.target).map(drop).map_err(|e| e.error)
    }
}

fn named_beside(target: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".wasmelt-");
    host::set_mode(&mut builder, mode);
    // Without tempfile's "at path ..", which names a file that nobody asked for.
    builder.tempfile_in(folder_of(target)).map_err(|e| e.raw_os_error().map_or(e, io::Error::from_raw_os_error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, bytes: &[u8]) -> Result<()> {
        Output::create(path, Emit::Exe, None)?.write(bytes)
    }

    #[test]
    fn a_file_is_created_and_replaced_with_nothing_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for bytes in [&b"one"[..], b"two, longer", b""] {
            write(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        #[cfg(unix)]
        assert_ne!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap()) & 0o100, 0);
    }

    #[test]
    fn an_output_that_is_not_written_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        drop(Output::create(&path, Emit::Exe, None).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn named_temporary_files_do_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        fs::write(&target, "old").unwrap();
        let named = || {
            let pending = Pending::Named(named_beside(&target, 0o777).unwrap());
            AtomicFile { target: target.clone(), mode: 0o777, pending }
        };
        drop(named());
        assert_eq!(fs::read(&target).unwrap(), b"old");
        named().finish(b"new", None).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_input_is_recognised_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("input"), "x").unwrap();
        fs::hard_link(at("input"), at("hard")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("input", at("soft")).unwrap();
        fs::write(at("other"), "x").unwrap();
        let input = File::open(at("input")).unwrap();
        for name in ["input", "hard", if cfg!(unix) { "soft" } else { "input" }] {
            let error = Output::create(&at(name), Emit::Exe, Some(&input)).unwrap_err();
            assert!(error.to_string().contains("is the input"), "{error}");
        }
        Output::create(&at("other"), Emit::Exe, Some(&input)).unwrap();
    }

    #[test]
    fn read_only_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions.clone()).unwrap();
        // Nothing is read-only for the superuser of a Unix.
        if File::options().write(true).open(&path).is_err() {
            assert!(write(&path, b"new").unwrap_err().to_string().starts_with("cannot write "));
            assert_eq!(fs::read(&path).unwrap(), b"old");
        }
        // Windows deletes no file that is read-only.
        #[cfg(windows)]
        {
            #[expect(clippy::permissions_set_readonly_false, reason = "there are no others than one's own on Windows")]
            permissions.set_readonly(false);
            fs::set_permissions(&path, permissions).unwrap();
        }
    }

    #[test]
    #[cfg(windows)]
    fn files_in_use_are_kept_and_devices_written() {
        use std::os::windows::fs::OpenOptionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        let open = File::options().read(true).share_mode(1).open(&path).unwrap();
        let error = write(&path, b"new").unwrap_err();
        assert!(error.hints()[0].contains("cannot be replaced"), "{error}");
        drop(open);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(Path::new("NUL"), b"x").unwrap();
        assert!(write(folder.path(), b"x").unwrap_err().to_string().contains("is a directory"));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_written_through() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("real", at("link")).unwrap();
        write(&at("link"), b"x").unwrap();
        assert_eq!(fs::read(at("real")).unwrap(), b"x");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        symlink("loop", at("loop")).unwrap();
        assert!(write(&at("loop"), b"x").is_err());
    }

    #[test]
    #[cfg(unix)]
    fn devices_are_written_and_folders_refused() {
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        if cfg!(target_os = "linux") {
            let error = write(Path::new("/dev/full"), b"x").unwrap_err();
            assert_eq!(error.to_string(), "cannot write /dev/full: no space left on device");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), b"x").unwrap_err().to_string().contains("is a directory"));
        let error = write(&folder.path().join("missing/out"), b"x").unwrap_err();
        assert!(error.to_string().contains("no such file or directory"), "{error}");
    }
}
