//! Directories that exist only for the guest: files that were granted one by one, and files that are stored in the
//! executable.
//!
//! In come descriptors of such directories and untrusted paths; out come nodes of read-only data, or a file of the host
//! that a node names.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: a path is looked up among the nodes alone, component by component, below the node that it starts   ║
//! ║ from; no part of it ever reaches the operating system. A granted file is opened by the one name that was     ║
//! ║ resolved before the guest ran, in a directory that is held open, without following a link: whoever replaces  ║
//! ║ the file by a link grants nothing new.                                                                       ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝
//!
//! Programs without such directories have none of this code: functions of WASI reach it through [`request::call`].

use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use wasmelt_abi::descriptor::Policy;
use wasmelt_abi::tree::{Node, Tree};

use crate::sync::Lock;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata, Whence};
use crate::sys::fs::{self, Handle, OFlags};
use crate::sys::io_memory;
use crate::sys::io_stream::Buffer;

use super::descriptor::{Descriptor, Kind};
use super::entry::Entry;
use super::path::Path;
use super::policy;
use super::state::{Process, State as _};
use super::{files, narrowing, refusal};
use crate::rel::slice;
use request::Request;

pub mod request;

/// The guest's name of a tree that is itself what a descriptor stands for.
pub fn guest_name(policy: &'static Policy, descriptor: &Descriptor) -> Option<&'static [u8]> {
    if descriptor.kind != Kind::TreeDirectory || descriptor.grant & Descriptor::BELOW != 0 {
        return None;
    }
    Some(slice(&trees(policy).get(descriptor.grant as usize)?.guest))
}

/// The trees of a policy.
pub fn trees(policy: &'static Policy) -> &'static [Tree] {
    match policy.further.get() {
        // SAFETY: the compiler wrote it, in read-only data.
        Some(further) => slice(unsafe { &(*further).trees }),
        None => &[],
    }
}

/// A granted file of the host: a name in a directory that stays open.
#[derive(Debug)]
pub struct HostFile {
    node: *const Node,
    /// The directory that holds it.
    pub directory: Handle,
    /// Its name there, with a NUL behind it.
    name: [u8; fs::NAME_BYTES],
    /// Nothing may be changed through it.
    pub read_only: bool,
}

impl HostFile {
    /// Its name in the directory.
    pub fn name(&self) -> Result<&CStr> {
        CStr::from_bytes_until_nul(&self.name).map_err(|_| Errno::Nametoolong)
    }
}

static HOST_FILES: AtomicPtr<HostFile> = AtomicPtr::new(ptr::null_mut());
static HOST_FILE_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The granted files of the host that are open to the guest.
pub fn host_files() -> &'static [HostFile] {
    let start = HOST_FILES.load(Ordering::Relaxed);
    if start.is_null() {
        &[]
    } else {
        // SAFETY: the hook wrote so many, once, before anybody asks.
        unsafe { core::slice::from_raw_parts(start, HOST_FILE_COUNT.load(Ordering::Relaxed)) }
    }
}

/// An embedded file that is open.
#[derive(Clone, Copy)]
struct Open {
    /// Null where the place is free.
    node: *const Node,
    inode: u64,
    position: u64,
}

/// As many embedded files as may be open at once.
const MAX_OPEN: usize = 1 << 16;

static OPEN: AtomicPtr<Open> = AtomicPtr::new(ptr::null_mut());
static LOCK: Lock = Lock::new();

/// The policy, for requests.
static POLICY: AtomicPtr<Policy> = AtomicPtr::new(ptr::null_mut());

/// Makes the directories of the policy, see [`wasmelt_abi::symbols::HOOK_TREES`].
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_trees(vmctx: *mut u8) {
    // SAFETY: the caller's promise.
    let policy = unsafe { policy::of(vmctx) };
    POLICY.store(ptr::from_ref(policy).cast_mut(), Ordering::Relaxed);
    request::answer_with(answer);
    let Ok(open) = io_memory::map(MAX_OPEN * size_of::<Open>()) else { refusal::fail("files", b"", Errno::Nomem) };
    // All zeros: every place is free.
    OPEN.store(open.cast(), Ordering::Relaxed);
    let is_host = |node: &&Node| node.kind == Node::HOST;
    let count: usize = trees(policy).iter().map(|tree| slice(&tree.nodes).iter().filter(is_host).count()).sum();
    let Ok(files) = io_memory::map(count.max(1) * size_of::<HostFile>()) else {
        refusal::fail("files", b"", Errno::Nomem)
    };
    let files = files.cast::<HostFile>();
    let mut made = 0;
    for (number, tree) in (0..).zip(trees(policy)) {
        let guest = slice(&tree.guest);
        if narrowing::names(b"no-dir", guest) {
            continue;
        }
        let read_only = narrowing::names(b"read-only", guest);
        for node in slice(&tree.nodes).iter().filter(is_host) {
            match open_host_file(node, read_only || node.flags & Node::READ_ONLY != 0) {
                // SAFETY: there is room for all host files of all trees.
                Ok(file) => unsafe { files.add(made).write(file) },
                Err(error) => refusal::fail("file", slice(&node.bytes), error),
            }
            made += 1;
        }
        match Process.reserve() {
            Ok(place) => {
                _ = place.fill_with(Handle::from_number(0), Kind::TreeDirectory, Descriptor::READ_ONLY, number)
            }
            Err(error) => refusal::fail("directory", guest, error),
        }
    }
    HOST_FILE_COUNT.store(made, Ordering::Relaxed);
    HOST_FILES.store(files, Ordering::Relaxed);
}

/// Finds a granted file, following links now and never again.
fn open_host_file(node: &'static Node, read_only: bool) -> Result<HostFile> {
    let mut path = Path::new();
    path.set(slice(&node.bytes))?;
    let mut name = [0; fs::NAME_BYTES];
    let directory = fs::resolve_granted(path.as_c_str(), &mut name)?;
    let file = HostFile { node, directory: directory.get(), name, read_only };
    if fs::metadata_at(file.directory, file.name()?)?.file_type == FileType::Directory {
        return Err(Errno::Isdir);
    }
    directory.release();
    Ok(file)
}

/// See [`request::Handler`].
unsafe extern "C" fn answer(request: *mut Request<'_>, result: *mut Result<u64>) {
    // SAFETY: `call` passes both, and waits.
    unsafe { *result = perform(&mut *request) }
}

fn perform(request: &mut Request<'_>) -> Result<u64> {
    match request {
        Request::Open { directory, path, flags } => open(*directory, path, *flags).map(u64::from),
        Request::PathMetadata { directory, path, result } => {
            let at = Place::of(directory)?.resolve(path.as_bytes())?;
            **result = at.metadata()?;
            Ok(0)
        }
        Request::Metadata { descriptor, result } => {
            **result = match descriptor.kind {
                Kind::TreeDirectory => Place::of(descriptor)?.metadata()?,
                _ => {
                    let open = read_open(*descriptor)?;
                    embedded_metadata(open.inode, content(open.node)?.len() as u64)
                }
            };
            Ok(0)
        }
        Request::Read { file, buffers, offset } => read(*file, buffers, *offset),
        Request::Seek { file, offset, whence } => with_open(*file, |open| {
            let base = match whence {
                Whence::Start => 0,
                Whence::Current => open.position,
                Whence::End => content(open.node)?.len() as u64,
            };
            let position = base.checked_add_signed(*offset).filter(|&p| p <= i64::MAX as u64).ok_or(Errno::Inval)?;
            open.position = position;
            Ok(position)
        }),
        Request::Entry { directory, index, result } => {
            let at = Place::of(directory)?;
            let Some(child) = at.child_at(*index) else { return Ok(0) };
            result.set(Entry {
                next_cookie: 0,
                inode: child.inode(),
                file_type: child.file_type()?,
                name: slice(&child.node()?.name),
            });
            Ok(1)
        }
        Request::Close { file } => {
            if file.kind == Kind::TreeFile {
                with_open(*file, |open| {
                    open.node = ptr::null();
                    Ok(0)
                })?;
            }
            Ok(0)
        }
    }
}

/// A node of a tree.
#[derive(Clone, Copy)]
struct Place {
    nodes: &'static [Node],
    tree: u32,
    index: u32,
}

/// As deep as paths may lead below where they start.
const MAX_DEPTH: usize = 256;

impl Place {
    /// The directory that a descriptor stands for.
    fn of(descriptor: &Descriptor) -> Result<Self> {
        // SAFETY: the hook stored it, and it is read-only data.
        let policy: &'static Policy =
            unsafe { POLICY.load(Ordering::Relaxed).cast_const().as_ref() }.ok_or(Errno::Badf)?;
        let tree = descriptor.grant & !Descriptor::BELOW;
        let nodes = slice(&trees(policy).get(tree as usize).ok_or(Errno::Badf)?.nodes);
        Ok(Self { nodes, tree, index: descriptor.handle.number() })
    }

    fn node(&self) -> Result<&'static Node> {
        self.nodes.get(self.index as usize).ok_or(Errno::Badf)
    }

    /// A number that no other node has.
    fn inode(&self) -> u64 {
        u64::from(self.tree + 1) << 32 | u64::from(self.index)
    }

    fn children(&self) -> &'static [Node] {
        let Ok(node) = self.node() else { return &[] };
        let (first, count) = (node.first_child as usize, node.children as usize);
        self.nodes.get(first..first.saturating_add(count)).unwrap_or_default()
    }

    fn child_at(&self, index: u64) -> Option<Self> {
        let offset = u32::try_from(index).ok().filter(|&index| (index as usize) < self.children().len())?;
        Some(Self { index: self.node().ok()?.first_child + offset, ..*self })
    }

    fn child(&self, name: &[u8]) -> Result<Self> {
        let found = self.children().binary_search_by(|child| slice(&child.name).cmp(name));
        found.ok().and_then(|index| self.child_at(index as u64)).ok_or(Errno::Noent)
    }

    /// What a path below this directory names.
    fn resolve(self, path: &[u8]) -> Result<Self> {
        if path.is_empty() {
            return Err(Errno::Noent);
        }
        if path.starts_with(b"/") {
            return Err(Errno::Perm);
        }
        let mut above = [self.index; MAX_DEPTH];
        let (mut depth, mut here) = (0, self);
        for name in path.split(|&b| b == b'/') {
            // A slash follows what was found so far, or a name: it must be a directory.
            if here.node()?.kind != Node::DIRECTORY {
                return Err(Errno::Notdir);
            }
            match name {
                b"" | b"." => {}
                b".." => {
                    // Not beyond where the path starts.
                    depth = usize::checked_sub(depth, 1).ok_or(Errno::Perm)?;
                    here.index = *above.get(depth).ok_or(Errno::Perm)?;
                }
                name => {
                    *above.get_mut(depth).ok_or(Errno::Nametoolong)? = here.index;
                    depth += 1;
                    here = here.child(name)?;
                }
            }
        }
        Ok(here)
    }

    fn host_file(&self) -> Result<&'static HostFile> {
        let node = ptr::from_ref(self.node()?);
        host_files().iter().find(|file| file.node == node).ok_or(Errno::Noent)
    }

    fn file_type(&self) -> Result<FileType> {
        Ok(match self.node()?.kind {
            Node::DIRECTORY => FileType::Directory,
            _ => FileType::RegularFile,
        })
    }

    fn metadata(&self) -> Result<Metadata> {
        match self.node()?.kind {
            Node::DIRECTORY => Ok(Metadata { file_type: FileType::Directory, ..embedded_metadata(self.inode(), 0) }),
            Node::HOST => {
                let file = self.host_file()?;
                let found = fs::metadata_at(file.directory, file.name()?)?;
                // It became something else since: opening it fails as well.
                if found.file_type == FileType::SymbolicLink { Err(Errno::Loop) } else { Ok(found) }
            }
            _ => Ok(embedded_metadata(self.inode(), content(self.node()?)?.len() as u64)),
        }
    }
}

/// Attributes of an embedded file: it has no time.
fn embedded_metadata(inode: u64, size_bytes: u64) -> Metadata {
    Metadata {
        device: 0,
        inode,
        file_type: FileType::RegularFile,
        links: 1,
        size_bytes,
        accessed_ns: 0,
        modified_ns: 0,
        changed_ns: 0,
    }
}

/// The content of an embedded file.
fn content(node: *const Node) -> Result<&'static [u8]> {
    // SAFETY: nodes are read-only data; null is the answer for what has no node.
    unsafe { node.as_ref() }.map(|node| slice(&node.bytes)).ok_or(Errno::Badf)
}

fn open(directory: Descriptor, path: &Path, flags: OFlags) -> Result<u32> {
    let writes = flags & OFlags::RWMODE != OFlags::RDONLY;
    let at = match Place::of(&directory)?.resolve(path.as_bytes()) {
        // Nothing can be made here.
        Err(Errno::Noent) if flags.contains(OFlags::CREATE) => return Err(Errno::Perm),
        result => result?,
    };
    if flags.contains(OFlags::CREATE) && flags.contains(OFlags::EXCL) {
        return Err(Errno::Exist);
    }
    let node = at.node()?;
    match node.kind {
        Node::DIRECTORY if writes => return Err(Errno::Isdir),
        Node::DIRECTORY => {
            let handle = Handle::from_number(at.index);
            let grant = at.tree | Descriptor::BELOW;
            return Ok(Process.reserve()?.fill_with(handle, Kind::TreeDirectory, Descriptor::READ_ONLY, grant));
        }
        _ if flags.contains(OFlags::DIRECTORY) => return Err(Errno::Notdir),
        Node::HOST => {}
        _ if writes => return Err(Errno::Perm),
        _ => {
            let place = Process.reserve()?;
            let slot = LOCK.with(|| {
                // SAFETY: the hook mapped so many, and the lock is held.
                let all = unsafe { core::slice::from_raw_parts_mut(OPEN.load(Ordering::Relaxed), MAX_OPEN) };
                let free = all.iter().position(|open| open.node.is_null()).ok_or(Errno::Mfile)?;
                if let Some(open) = all.get_mut(free) {
                    *open = Open { node, inode: at.inode(), position: 0 };
                }
                Ok(free as u32)
            })?;
            return Ok(place.fill_with(Handle::from_number(slot), Kind::TreeFile, Descriptor::READ_ONLY, at.tree));
        }
    }
    let file = at.host_file()?;
    let read_only = if file.read_only { Descriptor::READ_ONLY } else { 0 };
    // What was granted is opened as it is, never made: a name that is gone stays gone. It counts as a file, also where
    // somebody has put a directory there: what lies below that was not granted.
    let flags = flags & !OFlags::CREATE;
    files::open_at_new_number(Process, read_only, flags, || {
        Ok((fs::open_one(file.directory, file.name()?, flags)?, Kind::File))
    })
}

/// Runs `f` on an open embedded file, while no other thread uses one. Where another thread closed it since its number
/// was looked up, and opened another one, it is that one: also one that the guest may read.
fn with_open<T>(file: Descriptor, f: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
    LOCK.with(|| {
        let index = file.handle.number() as usize;
        let start = OPEN.load(Ordering::Relaxed);
        if index >= MAX_OPEN || start.is_null() {
            return Err(Errno::Badf);
        }
        // SAFETY: the hook mapped so many, and the lock is held.
        let open = unsafe { &mut *start.add(index) };
        if open.node.is_null() { Err(Errno::Badf) } else { f(open) }
    })
}

fn read_open(file: Descriptor) -> Result<Open> {
    with_open(file, |open| Ok(*open))
}

fn read(file: Descriptor, buffers: &[Buffer], offset: Option<u64>) -> Result<u64> {
    with_open(file, |open| {
        let content = content(open.node)?;
        let start = usize::try_from(offset.unwrap_or(open.position)).unwrap_or(usize::MAX);
        let mut rest = content.get(start..).unwrap_or_default();
        let mut moved = 0;
        for buffer in buffers {
            let (now, later) = rest.split_at(rest.len().min(buffer.len_bytes));
            // SAFETY: the buffer lies in guest memory, and content never does.
            unsafe { ptr::copy_nonoverlapping(now.as_ptr(), buffer.base, now.len()) };
            moved += now.len() as u64;
            rest = later;
        }
        if offset.is_none() {
            open.position += moved;
        }
        Ok(moved)
    })
}
