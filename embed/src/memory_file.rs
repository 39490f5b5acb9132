//! Files in memory: what is loaded from bytes is loaded from such a file.

use std::path::PathBuf;

use super::Error;

/// A file that has no name in any file system, and that nobody changes.
#[derive(Debug)]
pub(super) struct MemoryFile {
    #[cfg(target_os = "linux")]
    file: std::fs::File,
    #[cfg(not(target_os = "linux"))]
    never: core::convert::Infallible,
}

#[cfg(target_os = "linux")]
impl MemoryFile {
    /// Makes a file of these bytes.
    pub(super) fn new(bytes: &[u8]) -> Result<Self, Error> {
        use std::io::Write as _;
        use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

        let failed = |error: std::io::Error| Error::system(format!("no file in memory for a library: {error}"));
        // SAFETY: the name ends with a NUL.
        let fd =
            unsafe { libc::memfd_create(c"wasmelt-library".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if fd < 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        // SAFETY: the descriptor is new, and nobody else has it.
        let mut file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.write_all(bytes).map_err(failed)?;
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
        // SAFETY: the call takes a number, and changes the file alone.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        Ok(Self { file })
    }

    /// The name by which the C library loads it, as long as the file is open.
    pub(super) fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd as _;
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }

    /// The bytes.
    pub(super) fn read(&self) -> Result<Vec<u8>, Error> {
        use std::os::unix::fs::FileExt as _;

        let failed = |error: std::io::Error| Error::system(format!("cannot read a library in memory: {error}"));
        let mut bytes = vec![0; self.file.metadata().map_err(failed)?.len() as usize];
        self.file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        Ok(bytes)
    }
}

#[cfg(not(target_os = "linux"))]
impl MemoryFile {
    pub(super) fn new(_: &[u8]) -> Result<Self, Error> {
        Err(Error::system("this system loads libraries from files alone: write the bytes to one, and load that"))
    }

    pub(super) fn path(&self) -> PathBuf {
        match self.never {}
    }

    pub(super) fn read(&self) -> Result<Vec<u8>, Error> {
        match self.never {}
    }
}
