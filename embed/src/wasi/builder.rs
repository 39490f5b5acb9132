//! What a host says a guest may have.

use core::net::SocketAddr;
use std::ffi::CString;
use std::io::{Read, Write};
use std::path::Path;

use wasmelt_runtime::host::descriptor::{Descriptor, Kind};
use wasmelt_runtime::sys::errno::Errno;
use wasmelt_runtime::sys::fs::{self, OwnedHandle};
use wasmelt_runtime::sys::io_stream::{self, SocketAddress};

use super::clocks::{HostMonotonicClock, HostWallClock};
use super::context::WasiCtx;
use super::files::{self, Folder};
use super::perms::{DirPerms, FilePerms};
use super::streams::{Input, Output};
use crate::Error;

/// Makes a [`WasiCtx`]. Without anything said, the guest has no arguments, no environment and no directories, reads the end
/// of an empty stream, and what it writes goes nowhere.
#[derive(Debug, Default)]
pub struct WasiCtxBuilder {
    context: WasiCtx,
    /// Numbers of directories are at an end: C libraries look for them from 3 on, to the first that is not one.
    has_listener: bool,
}

impl WasiCtxBuilder {
    /// Makes a builder that grants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where standard input comes from: a [`MemoryInputPipe`](super::MemoryInputPipe), [`std::io::empty`], or anything
    /// else that can be read. A read of the guest that has to wait makes the host's thread wait.
    pub fn stdin(&mut self, stream: impl Read + Send + 'static) -> &mut Self {
        *self.context.stdin.get_mut() = Input::Reader(Box::new(stream));
        self
    }

    /// Sets where standard output goes: a [`MemoryOutputPipe`](super::MemoryOutputPipe), [`std::io::sink`], or anything else
    /// that can be written to. Each write of the guest is one of the stream's, of at most 64 KiB; nothing is flushed.
    pub fn stdout(&mut self, stream: impl Write + Send + 'static) -> &mut Self {
        *self.context.outputs[0].get_mut() = Output::new(stream);
        self
    }

    /// Sets where standard error goes, see [`Self::stdout`].
    pub fn stderr(&mut self, stream: impl Write + Send + 'static) -> &mut Self {
        *self.context.outputs[1].get_mut() = Output::new(stream);
        self
    }

    /// Lets the guest read the process's standard input, behind what the host itself has read into its buffer.
    pub fn inherit_stdin(&mut self) -> &mut Self {
        *self.context.stdin.get_mut() = Input::Inherited;
        self
    }

    /// Lets the guest write to the process's standard output.
    pub fn inherit_stdout(&mut self) -> &mut Self {
        *self.context.outputs[0].get_mut() = Output::inherited_output();
        self
    }

    /// Lets the guest write to the process's standard error.
    pub fn inherit_stderr(&mut self) -> &mut Self {
        *self.context.outputs[1].get_mut() = Output::inherited_error();
        self
    }

    /// Lets the guest use all three standard streams of the process.
    pub fn inherit_stdio(&mut self) -> &mut Self {
        self.inherit_stdin().inherit_stdout().inherit_stderr()
    }

    /// Adds an argument. The first one is the guest's own name. Guests see an argument up to its first NUL.
    pub fn arg(&mut self, argument: impl AsRef<str>) -> &mut Self {
        self.context.arguments.push(argument.as_ref().into());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, arguments: &[impl AsRef<str>]) -> &mut Self {
        arguments.iter().for_each(|argument| _ = self.arg(argument));
        self
    }

    /// Adds the arguments of the process, its name first.
    ///
    /// # Panics
    /// Panics when one of them is not Unicode, as [`std::env::args`].
    pub fn inherit_args(&mut self) -> &mut Self {
        std::env::args().for_each(|argument| _ = self.arg(argument));
        self
    }

    /// Adds an environment variable, or gives it another value. Guests see it up to its first NUL.
    pub fn env(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> &mut Self {
        let start = format!("{}=", name.as_ref());
        let variable = (start.clone() + value.as_ref()).into_bytes();
        let variables = &mut self.context.variables;
        match variables.iter_mut().find(|other| other.starts_with(start.as_bytes())) {
            Some(other) => *other = variable,
            None => variables.push(variable),
        }
        self
    }

    /// Adds environment variables.
    pub fn envs(&mut self, variables: &[(impl AsRef<str>, impl AsRef<str>)]) -> &mut Self {
        variables.iter().for_each(|(name, value)| _ = self.env(name, value));
        self
    }

    /// Adds all environment variables of the process.
    ///
    /// # Panics
    /// Panics when one of them is not Unicode, as [`std::env::vars`].
    pub fn inherit_env(&mut self) -> &mut Self {
        std::env::vars().for_each(|(name, value)| _ = self.env(name, value));
        self
    }

    /// Grants a directory of the host under a name of the guest's. Below it the guest does what the permissions say; no path
    /// leads out of it. The directory is opened here, and is this one whatever becomes of the path.
    ///
    /// The guest may read and change what is in the directory (`DirPerms::all()`, `FilePerms::all()`), or read alone
    /// (`DirPerms::READ`, `FilePerms::READ`).
    ///
    /// # Errors
    /// [`Error::System`] when the directory cannot be opened; [`Error::Usage`] when the permissions are neither of the two, or
    /// when a listener was granted before: numbers of directories come first.
    pub fn preopened_dir(
        &mut self,
        host_path: impl AsRef<Path>,
        guest_path: impl AsRef<str>,
        dir_perms: DirPerms,
        file_perms: FilePerms,
    ) -> Result<&mut Self, Error> {
        let (host_path, guest_path) = (host_path.as_ref(), guest_path.as_ref());
        let is_read = dir_perms.contains(DirPerms::READ) && file_perms.contains(FilePerms::READ);
        let read_only = match (dir_perms.contains(DirPerms::MUTATE), file_perms.contains(FilePerms::WRITE)) {
            (true, true) if is_read => 0,
            (false, false) if is_read => Descriptor::READ_ONLY,
            _ => {
                return Err(Error::Usage(format!(
                    "the directory {guest_path:?} is granted with {dir_perms:?} and {file_perms:?}: a guest may read, \
                     or read and change; READ and READ, or all and all"
                )));
            }
        };
        self.check_directory(guest_path)?;
        if self.context.folders.iter().any(|folder| folder.guest == guest_path.as_bytes()) {
            return Err(Error::Usage(format!(
                "the directory {guest_path:?} is made of single files that were granted"
            )));
        }
        let handle = open_directory(host_path).map_err(|why| {
            Error::System(format!(
                "cannot open the directory {host_path:?}, which is the guest's {guest_path:?}: {why}"
            ))
        })?;
        self.context.directories.push(guest_path.into());
        let grant = self.context.directories.len() as u32;
        let flags = Descriptor::LOCATION | read_only;
        self.insert_handle(handle, Descriptor { grant, kind: Kind::Directory, flags, ..Descriptor::FREE })
    }

    /// Grants one file of the host under a name of the guest's, to read (`FilePerms::READ`) or to read and write
    /// (`FilePerms::all()`). The directory in the guest's name, `.` where there is none, exists only for the guest, and has
    /// nothing in it but files that are granted like this; nothing can be made, removed or renamed there. Links of the host's
    /// path are followed here; the guest opens the file by the name that was found, and no link that somebody puts in its place.
    ///
    /// # Errors
    /// [`Error::System`] when the file is not there, or is a directory; [`Error::Usage`] when the permissions are neither of the
    /// two, the guest's name is not one of a file or is taken, its directory was granted as a whole, or a listener was granted
    /// before.
    pub fn preopened_file(
        &mut self,
        host_path: impl AsRef<Path>,
        guest_path: impl AsRef<str>,
        file_perms: FilePerms,
    ) -> Result<&mut Self, Error> {
        let (host_path, guest_path) = (host_path.as_ref(), guest_path.as_ref());
        if !file_perms.contains(FilePerms::READ) {
            return Err(Error::Usage(format!(
                "the file {guest_path:?} is granted with {file_perms:?}: a guest may read, or read and write"
            )));
        }
        let (folder, name) = match guest_path.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some(parts) => parts,
            None => (".", guest_path),
        };
        if matches!(name, "" | "." | "..") || guest_path.contains('\0') {
            return Err(Error::Usage(format!("{guest_path:?} is not a name for a file")));
        }
        let host = c_path(host_path).map_err(Error::System)?;
        let number = self.folder(folder)?;
        let read_only = !file_perms.contains(FilePerms::WRITE);
        match self.context.folders[number].grant(name.as_bytes(), &host, read_only) {
            Ok(true) => Ok(self),
            Ok(false) => Err(Error::Usage(format!("the file {guest_path:?} is granted twice"))),
            Err(why) => {
                let why = host_path.metadata().err().map_or_else(|| format!("{why:?}"), |error| error.to_string());
                Err(Error::System(format!(
                    "cannot grant the file {host_path:?}, which is the guest's {guest_path:?}: {why}"
                )))
            }
        }
    }

    /// The number of a folder of single files, which is made where it is not there.
    fn folder(&mut self, guest: &str) -> Result<usize, Error> {
        let found = self.context.folders.iter().position(|folder| folder.guest == guest.as_bytes());
        if let Some(number) = found {
            return Ok(number);
        }
        self.check_directory(guest)?;
        if self.context.directories.iter().any(|directory| directory == guest.as_bytes()) {
            return Err(Error::Usage(format!("the directory {guest:?} was granted as a whole")));
        }
        let number = self.context.folders.len();
        self.insert(files::descriptor(number as u32, 0))?;
        self.context.folders.push(Folder::new(guest.as_bytes()));
        Ok(number)
    }

    /// Refuses a directory whose number would follow a listener's.
    fn check_directory(&self, guest: &str) -> Result<(), Error> {
        if self.has_listener {
            return Err(Error::Usage(format!("the directory {guest:?} is granted behind a listener: grant it first")));
        }
        Ok(())
    }

    /// Listens on an address of TCP. The guest finds the listener at the number that follows those of the directories, and
    /// accepts connections with `sock_accept`.
    ///
    /// # Errors
    /// [`Error::System`] when the address cannot be listened on.
    pub fn listen(&mut self, address: impl Into<SocketAddr>) -> Result<&mut Self, Error> {
        let address = address.into();
        let socket_address = match address {
            SocketAddr::V4(v4) => SocketAddress::v4(v4.ip().octets(), v4.port()),
            SocketAddr::V6(v6) => SocketAddress::v6(v6.ip().octets(), v6.port()),
        };
        let listener = io_stream::listen(&socket_address)
            .map_err(|error| Error::System(format!("cannot listen on {address}: {error:?}")))?;
        self.has_listener = true;
        self.insert_handle(listener, Descriptor { kind: Kind::Socket, ..Descriptor::FREE })
    }

    /// Sets the clock that shows the time of day.
    pub fn wall_clock(&mut self, clock: impl HostWallClock + 'static) -> &mut Self {
        self.context.clocks.wall = Some(Box::new(clock));
        self
    }

    /// Sets the clock that guests measure time and sleep by.
    pub fn monotonic_clock(&mut self, clock: impl HostMonotonicClock + 'static) -> &mut Self {
        self.context.clocks.monotonic = Some(Box::new(clock));
        self
    }

    /// Sets what fills bytes with random ones. Guests make keys of them: a generator that can be predicted is for tests.
    pub fn secure_random(&mut self, random: impl FnMut(&mut [u8]) + Send + 'static) -> &mut Self {
        self.context.random = Some(core::cell::RefCell::new(Box::new(random)));
        self
    }

    /// Calls this whenever the guest is about to wait for what is not there yet, in the thread that waits: a host may let
    /// another thread do what the thread has to do meanwhile. Nobody is told of a stream of the host that makes the guest
    /// wait.
    pub fn before_waiting(&mut self, tell: impl Fn() + Send + 'static) -> &mut Self {
        self.context.before_waiting = Some(Box::new(tell));
        self
    }

    /// Sets how many descriptors the guest may have, besides the standard streams: 256 unless said otherwise. Granted
    /// directories and listeners are among them.
    pub fn max_open_files(&mut self, count: u32) -> &mut Self {
        self.context.max_open_files = count;
        self
    }

    /// Returns the context, and grants nothing any more.
    pub fn build(&mut self) -> WasiCtx {
        core::mem::take(self).context
    }

    /// Gives a number to a handle; the rest of the descriptor says what it is.
    fn insert_handle(&mut self, handle: OwnedHandle, descriptor: Descriptor) -> Result<&mut Self, Error> {
        self.insert(Descriptor { handle: handle.get(), ..descriptor })?;
        // From here on the table owns it.
        handle.release();
        Ok(self)
    }

    fn insert(&mut self, descriptor: Descriptor) -> Result<(), Error> {
        let table = self.context.table.get_mut();
        let inserted = table.reserve(u32::MAX).and_then(|fd| table.set(fd, descriptor));
        inserted.map_err(|error| Error::System(format!("there is no room for another descriptor: {error:?}")))
    }
}

fn c_path(path: &Path) -> Result<CString, String> {
    let text = path.to_str().ok_or("the path is not Unicode")?;
    CString::new(text).map_err(|error| error.to_string())
}

fn open_directory(path: &Path) -> Result<OwnedHandle, String> {
    let name = c_path(path)?;
    fs::open_granted(&name).map_err(|error: Errno| match path.read_dir() {
        Err(error) => error.to_string(),
        Ok(_) => format!("{error:?}"),
    })
}
