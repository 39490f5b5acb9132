//! Files that a guest is granted one by one: directories that exist only for the guest, in which there is nothing else.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: a path is looked up among granted names alone; no part of it ever reaches the operating system. A  ║
//! ║ granted file is opened by the one name that was resolved when it was granted, in a directory that is held    ║
//! ║ open, without following a link: whoever replaces the file by a link grants nothing new.                      ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::ffi::CStr;

use wasmelt_runtime::host::descriptor::{Descriptor, Kind};
use wasmelt_runtime::host::entry::Entry;
use wasmelt_runtime::host::files;
use wasmelt_runtime::host::state::State as _;
use wasmelt_runtime::host::tree::request::Request;
use wasmelt_runtime::sys::errno::{Errno, Result};
use wasmelt_runtime::sys::file::{FileType, Metadata};
use wasmelt_runtime::sys::fs::{self, Handle, NAME_BYTES, OFlags, OwnedHandle};

use super::context::WasiCtx;

/// A directory of granted files.
pub(super) struct Folder {
    /// The guest's name of it.
    pub(super) guest: Vec<u8>,
    /// Sorted by the guest's names.
    files: Vec<GrantedFile>,
}

struct GrantedFile {
    /// The guest's name.
    guest: Vec<u8>,
    /// The directory of the host that holds it.
    directory: OwnedHandle,
    /// Its name there, with a NUL behind it.
    name: [u8; NAME_BYTES],
    read_only: bool,
}

/// What a path names in a folder.
enum Found<'a> {
    Folder,
    File(&'a GrantedFile),
}

impl Folder {
    pub(super) fn new(guest: &[u8]) -> Self {
        Self { guest: guest.to_vec(), files: Vec::new() }
    }

    /// Adds a file of the host, following links now and never again. Returns whether the name was free.
    pub(super) fn grant(&mut self, guest: &[u8], host: &CStr, read_only: bool) -> Result<bool> {
        let Err(at) = self.files.binary_search_by(|file| (*file.guest).cmp(guest)) else { return Ok(false) };
        let mut name = [0; NAME_BYTES];
        let directory = fs::resolve_granted(host, &mut name)?;
        let file = GrantedFile { guest: guest.to_vec(), directory, name, read_only };
        if fs::metadata_at(file.directory.get(), file.name()?)?.file_type == FileType::Directory {
            return Err(Errno::Isdir);
        }
        self.files.insert(at, file);
        Ok(true)
    }

    fn resolve(&self, path: &[u8]) -> Result<Found<'_>> {
        match path {
            [] => return Err(Errno::Noent),
            [b'/', ..] => return Err(Errno::Perm),
            _ => {}
        }
        let mut found = Found::Folder;
        for name in path.split(|&byte| byte == b'/') {
            // A slash follows what was found so far, or a name: it must be a directory.
            if let Found::File(..) = found {
                return Err(Errno::Notdir);
            }
            match name {
                b"" | b"." => {}
                // Not beyond where the path starts.
                b".." => return Err(Errno::Perm),
                name => {
                    let at = self.files.binary_search_by(|file| (*file.guest).cmp(name)).map_err(|_| Errno::Noent)?;
                    found = Found::File(&self.files[at]);
                }
            }
        }
        Ok(found)
    }
}

impl GrantedFile {
    fn name(&self) -> Result<&CStr> {
        CStr::from_bytes_until_nul(&self.name).map_err(|_| Errno::Nametoolong)
    }

    fn metadata(&self) -> Result<Metadata> {
        let found = fs::metadata_at(self.directory.get(), self.name()?)?;
        // It became something else since: opening it fails as well.
        if found.file_type == FileType::SymbolicLink { Err(Errno::Loop) } else { Ok(found) }
    }
}

/// A folder with this number, as a granted directory or as what was opened below itself.
pub(super) fn descriptor(number: u32, flags: u32) -> Descriptor {
    let handle = Handle::from_number(0);
    Descriptor { handle, grant: number | flags, kind: Kind::TreeDirectory, flags: Descriptor::READ_ONLY }
}

/// The number of a descriptor's folder.
pub(super) fn number(descriptor: &Descriptor) -> usize {
    (descriptor.grant & !Descriptor::BELOW) as usize
}

/// Answers a request about a folder of the context.
pub(super) fn answer<'a>(context: &'a WasiCtx, request: Request<'a>) -> Result<u64> {
    let folder = |descriptor: Descriptor| match descriptor.kind {
        Kind::TreeDirectory => context.folders.get(number(&descriptor)).ok_or(Errno::Badf),
        _ => Err(Errno::Badf),
    };
    match request {
        Request::Open { directory, path, flags } => {
            open(context, directory, folder(directory)?.resolve(path.as_bytes()), flags).map(u64::from)
        }
        Request::PathMetadata { directory, path, result } => {
            *result = match folder(directory)?.resolve(path.as_bytes())? {
                Found::Folder => metadata(directory),
                Found::File(file) => file.metadata()?,
            };
            Ok(0)
        }
        Request::Metadata { descriptor, result } => {
            folder(descriptor)?;
            *result = metadata(descriptor);
            Ok(0)
        }
        Request::Entry { directory, index, result } => {
            let files = &folder(directory)?.files;
            let Some(file) = usize::try_from(index).ok().and_then(|index| files.get(index)) else { return Ok(0) };
            let file_type = file.metadata().map_or(FileType::Unknown, |metadata| metadata.file_type);
            result.set(Entry { next_cookie: 0, inode: inode(directory) + 1 + index, file_type, name: &file.guest });
            Ok(1)
        }
        // Open files are the system's.
        Request::Read { .. } | Request::Seek { .. } => Err(Errno::Badf),
        Request::Close { .. } => Ok(0),
    }
}

fn open(context: &WasiCtx, directory: Descriptor, found: Result<Found<'_>>, flags: OFlags) -> Result<u32> {
    let found = match found {
        // Nothing can be made here.
        Err(Errno::Noent) if flags.contains(OFlags::CREATE) => return Err(Errno::Perm),
        result => result?,
    };
    if flags.contains(OFlags::CREATE) && flags.contains(OFlags::EXCL) {
        return Err(Errno::Exist);
    }
    let file = match found {
        Found::Folder if flags & OFlags::RWMODE != OFlags::RDONLY => return Err(Errno::Isdir),
        Found::Folder => {
            let Descriptor { handle, grant, kind, flags } = descriptor(number(&directory) as u32, Descriptor::BELOW);
            return Ok(context.reserve()?.fill_with(handle, kind, flags, grant));
        }
        Found::File(..) if flags.contains(OFlags::DIRECTORY) => return Err(Errno::Notdir),
        Found::File(file) => file,
    };
    let read_only = if file.read_only { Descriptor::READ_ONLY } else { 0 };
    // What was granted is opened as it is, never made: a name that is gone stays gone. It counts as a file, also where
    // somebody has put a directory there: what lies below that was not granted.
    let flags = flags & !OFlags::CREATE;
    files::open_at_new_number(context, read_only, flags, || {
        Ok((fs::open_one(file.directory.get(), file.name()?, flags)?, Kind::File))
    })
}

/// A number that nothing in another folder has.
fn inode(directory: Descriptor) -> u64 {
    (number(&directory) as u64 + 1) << 32
}

/// Attributes of a folder: it has no time.
fn metadata(directory: Descriptor) -> Metadata {
    Metadata { device: 0, inode: inode(directory), file_type: FileType::Directory, links: 1, ..Metadata::UNKNOWN }
}
