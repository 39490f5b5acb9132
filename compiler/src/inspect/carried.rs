//! The policy that an object or executable really carries: the structures that the runtime reads, found in the file and
//! compared with what the note says. Everything here reads a file that may be damaged or made up.

use std::collections::BTreeSet;
use std::mem::offset_of;
use std::net::{IpAddr, SocketAddr};

use object::{Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _, SectionKind};
use wasmelt_abi::descriptor::{
    DirGrant, EnvGrant, FurtherPolicy, ListenGrant, NameGrant, NetworkPolicy, Policy, ProgramDescriptor, RelSlice,
    SocketGrant,
};
use wasmelt_abi::network::Endpoint;
use wasmelt_abi::tree::{Node, Tree};
use wasmelt_abi::{ABI_VERSION, symbols};

use crate::error::{Error, Result};
use crate::network::Network;
use crate::options::{self, DirFrom, Stdio};
use crate::report::Provenance;

/// Fails where the file grants something else than its note says.
pub(super) fn check(file: &object::File<'_>, made_by: &Provenance) -> Result<()> {
    // The policy of a library is that of its host.
    if made_by.library.is_some() || made_by.abi_version != ABI_VERSION {
        return Ok(());
    }
    let view = View::of(file);
    let program = find(file, &view).ok_or_else(|| Error::input("what the program was granted is not found in it"))?;
    let damaged = || Error::input("what the program was granted is damaged");
    let (carried, said) = (read(&view, program).ok_or_else(damaged)?, said(made_by));
    if carried == said {
        return Ok(());
    }
    let mut error = Error::input("the note does not say what the program was granted: somebody has changed the file");
    for (one, other, place) in [(&said, &carried, "in the note, not in"), (&carried, &said, "not in the note, but in")]
    {
        for line in one.lines().filter(|line| !other.lines().any(|other| other == *line)) {
            error = error.hint(format!("{place} the program: {line}"));
        }
    }
    Err(error)
}

/// Grants and limits.
#[derive(PartialEq, Eq)]
struct Lines {
    /// As people read them, in the order that the runtime meets them.
    policy: String,
    /// Files and trees, whose order says nothing.
    files: BTreeSet<String>,
}

impl Lines {
    fn new(policy: &options::Policy, stack_bytes: u64, files: BTreeSet<String>) -> Self {
        // Numbers that mean no limit.
        let fuel = policy.fuel.filter(|&fuel| fuel != u64::MAX);
        let max_open_files = policy.max_open_files.filter(|&max| max != u32::MAX);
        // Limits that every program has.
        let max_exception_bytes =
            policy.max_exception_bytes.filter(|&max| max != FurtherPolicy::DEFAULT_MAX_EXCEPTION_BYTES);
        let max_threads = policy.max_threads.filter(|&max| max != FurtherPolicy::DEFAULT_MAX_THREADS);
        let (none, embedded) = (Vec::new(), Vec::new());
        let policy = options::Policy {
            fuel,
            max_open_files,
            max_exception_bytes,
            max_threads,
            // The plans of tables have it, and no policy.
            max_table_elements: None,
            files: none,
            embedded,
            ..policy.clone()
        };
        Self { policy: super::policy_text(&policy) + &format!("a stack of {stack_bytes} B"), files }
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.policy.lines().skip(1).map(str::trim_start).chain(self.files.iter().map(String::as_str))
    }
}

/// Sections by their addresses.
struct View<'a> {
    sections: Vec<(u64, &'a [u8], SectionKind)>,
}

impl<'a> View<'a> {
    fn of(file: &object::File<'a>) -> Self {
        // Sections of objects have no addresses yet: only that of the descriptor is looked at.
        let only = (file.kind() == ObjectKind::Relocatable).then(|| symbol(file).and_then(|s| s.section_index()));
        let is_in_view = |s: &object::Section<'a, '_>| only.is_none_or(|only| only == Some(s.index()));
        let section = |s: object::Section<'a, '_>| Some((s.address(), s.data().ok()?, s.kind()));
        let sections = file.sections().filter(is_in_view).filter_map(section);
        Self { sections: sections.filter(|(_, data, _)| !data.is_empty()).collect() }
    }

    /// The bytes at an address, all in one section that is not code.
    fn bytes(&self, at: u64, len: usize) -> Option<&'a [u8]> {
        self.sections.iter().filter(|(.., kind)| *kind != SectionKind::Text).find_map(|(start, data, _)| {
            let offset = usize::try_from(at.checked_sub(*start)?).ok()?;
            data.get(offset..offset.checked_add(len)?)
        })
    }

    fn u16(&self, at: u64) -> Option<u16> {
        self.bytes(at, 2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&self, at: u64) -> Option<u32> {
        self.bytes(at, 4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&self, at: u64) -> Option<u64> {
        self.bytes(at, 8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// Where a `Rel` leads; 0 for nowhere.
    fn rel(&self, at: u64) -> Option<u64> {
        match self.u32(at)?.cast_signed() {
            0 => Some(0),
            distance => at.checked_add_signed(i64::from(distance)),
        }
    }

    /// The elements of a `RelSlice` of elements of this many bytes, by their addresses.
    fn slice(&self, at: u64, element_bytes: usize) -> Option<impl Iterator<Item = u64> + use<>> {
        let (start, len) = (self.rel(at)?, self.u32(at + offset_of!(RelSlice<u8>, len) as u64)? as usize);
        // No list is longer than the file.
        if len > 0 {
            self.bytes(start, len.checked_mul(element_bytes)?)?;
        }
        Some((0..len).map(move |i| start + (i * element_bytes) as u64))
    }

    fn slice_bytes(&self, at: u64) -> Option<&'a [u8]> {
        match self.u32(at + offset_of!(RelSlice<u8>, len) as u64)? {
            0 => Some(&[]),
            len => self.bytes(self.rel(at)?, len as usize),
        }
    }

    fn text(&self, at: u64) -> Option<String> {
        String::from_utf8(self.slice_bytes(at)?.to_vec()).ok()
    }
}

/// The address of a field.
macro_rules! at {
    ($base:expr, $type:ty, $field:ident $(. $rest:ident)*) => { $base + offset_of!($type, $field $(. $rest)*) as u64 };
}

/// The symbol of the program descriptor.
fn symbol<'a, 'f>(file: &'f object::File<'a>) -> Option<object::Symbol<'a, 'f>> {
    let is_program = |name: &str| name.trim_start_matches('_') == symbols::PROGRAM;
    file.symbols().find(|symbol| symbol.is_definition() && symbol.name().is_ok_and(is_program))
}

/// The address of the program descriptor.
fn find(file: &object::File<'_>, view: &View<'_>) -> Option<u64> {
    if file.kind() == ObjectKind::Relocatable {
        // References out of the section are open, so nothing but the symbol says where it is.
        return symbol(file).map(|symbol| symbol.address());
    }
    // A file without symbols has it as well. It is the first thing that looks like one: what comes from the module, which
    // could look like one, lies behind.
    const ALIGN: usize = 16;
    let version = ABI_VERSION.to_le_bytes();
    let candidates =
        view.sections.iter().filter(|(.., kind)| *kind != SectionKind::Text).flat_map(|(start, data, _)| {
            let first = (start.next_multiple_of(ALIGN as u64) - start) as usize;
            let places = (first..data.len()).step_by(ALIGN);
            places.filter(move |&at| data[at..].starts_with(&version)).map(move |at| start + at as u64)
        });
    candidates.filter(|&at| is_program(view, at).unwrap_or(false)).min()
}

/// Whether what starts with the version of the contract is a program descriptor: its code is code.
fn is_program(view: &View<'_>, at: u64) -> Option<bool> {
    let text = view.rel(at!(at, ProgramDescriptor, code.text))?;
    let end = text.checked_add(view.u32(at!(at, ProgramDescriptor, code.text_bytes))?.into())?;
    let entry = view.rel(at!(at, ProgramDescriptor, entry))?;
    let is_code = view.sections.iter().any(|(start, data, kind)| {
        *kind == SectionKind::Text && *start <= text && end <= start.saturating_add(data.len() as u64)
    });
    Some(is_code && (text..end).contains(&entry))
}

/// What the program at this address carries.
fn read(view: &View<'_>, program: u64) -> Option<Lines> {
    let policy = at!(program, ProgramDescriptor, policy);
    let flags = view.u32(at!(policy, Policy, flags))?;
    let mut granted = options::Policy { inherit_env: flags & Policy::INHERIT_ENV != 0, ..options::Policy::default() };
    if flags & Policy::HAS_ARG0 != 0 {
        granted.arg0 = Some(view.text(at!(policy, Policy, arg0))?);
    }
    for at in view.slice(at!(policy, Policy, dirs), size_of::<DirGrant>())? {
        granted.dirs.push(options::DirGrant {
            host: view.text(at!(at, DirGrant, host))?,
            guest: view.text(at!(at, DirGrant, guest))?,
            read_only: view.u32(at!(at, DirGrant, flags))? & DirGrant::READ_ONLY != 0,
        });
    }
    for at in view.slice(at!(policy, Policy, env), size_of::<EnvGrant>())? {
        let is_inherited = view.u32(at!(at, EnvGrant, flags))? & EnvGrant::INHERIT != 0;
        let value = view.text(at!(at, EnvGrant, value))?;
        let name = view.text(at!(at, EnvGrant, name))?;
        granted.env.push(options::EnvGrant { name, value: Some(value).filter(|_| !is_inherited) });
    }
    let mut files = BTreeSet::new();
    match view.rel(at!(policy, Policy, further))? {
        0 => {}
        further => read_further(view, further, &mut granted, &mut files)?,
    }
    Some(Lines::new(&granted, view.u64(at!(program, ProgramDescriptor, stack_bytes))?, files))
}

fn read_further(view: &View<'_>, at: u64, granted: &mut options::Policy, files: &mut BTreeSet<String>) -> Option<()> {
    let flags = view.u32(at!(at, FurtherPolicy, flags))?;
    let streams = [FurtherPolicy::STDIN_NULL, FurtherPolicy::STDOUT_NULL, FurtherPolicy::STDERR_NULL];
    granted.stdio = streams.map(|null| if flags & null != 0 { Stdio::Null } else { Stdio::Inherit });
    if flags & FurtherPolicy::DIR_FROM_EXE != 0 {
        granted.dir_from = DirFrom::Exe;
    }
    if flags & FurtherPolicy::DETERMINISTIC != 0 {
        granted.deterministic = Some(view.u64(at!(at, FurtherPolicy, seed))?);
    }
    let timeout = view.u64(at!(at, FurtherPolicy, timeout_ns))?;
    granted.timeout = Some(std::time::Duration::from_nanos(timeout)).filter(|time| !time.is_zero());
    granted.fuel = Some(view.u64(at!(at, FurtherPolicy, fuel))?);
    granted.max_open_files = Some(view.u32(at!(at, FurtherPolicy, max_open_files))?);
    granted.max_exception_bytes = Some(view.u64(at!(at, FurtherPolicy, max_exception_bytes))?);
    granted.max_threads = Some(view.u32(at!(at, FurtherPolicy, max_threads))?);
    granted.harden = view.slice(at!(at, FurtherPolicy, filter), size_of::<u64>())?.next().is_some();
    for at in view.slice(at!(at, FurtherPolicy, listeners), size_of::<ListenGrant>())? {
        let ip = read_ip(view.slice_bytes(at!(at, ListenGrant, address))?)?;
        granted.tcp_listen.push(SocketAddr::new(ip, view.u32(at!(at, ListenGrant, port))?.try_into().ok()?));
    }
    match view.rel(at!(at, FurtherPolicy, network))? {
        0 => {}
        network => read_network(view, network, &mut granted.network)?,
    }
    for at in view.slice(at!(at, FurtherPolicy, trees), size_of::<Tree>())? {
        read_tree(view, at, files)?;
    }
    Some(())
}

fn read_ip(address: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(address).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(address).map(IpAddr::from)).ok()
}

/// Reads what sockets may be used for.
fn read_network(view: &View<'_>, at: u64, granted: &mut Network) -> Option<()> {
    for at in view.slice(at!(at, NetworkPolicy, sockets), size_of::<SocketGrant>())? {
        let range = match view.slice_bytes(at!(at, SocketGrant, address))? {
            [] => None,
            address => Some((read_ip(address)?, view.u16(at!(at, SocketGrant, bits))?.try_into().ok()?)),
        };
        let (first_port, last_port) =
            (view.u16(at!(at, SocketGrant, first_port))?, view.u16(at!(at, SocketGrant, last_port))?);
        let list = match view.u16(at!(at, SocketGrant, purpose))? {
            SocketGrant::TCP_CONNECT => &mut granted.tcp_connect,
            SocketGrant::TCP_LISTEN => &mut granted.tcp_listen,
            SocketGrant::UDP => &mut granted.udp,
            _ => return None,
        };
        list.push(Endpoint { range, first_port, last_port }.into());
    }
    for at in view.slice(at!(at, NetworkPolicy, names), size_of::<NameGrant>())? {
        granted.resolve.push(view.text(at!(at, NameGrant, pattern))?.parse().ok()?);
    }
    Some(())
}

/// Reads a directory that exists only for the guest.
fn read_tree(view: &View<'_>, at: u64, lines: &mut BTreeSet<String>) -> Option<()> {
    let guest = view.text(at!(at, Tree, guest))?;
    let nodes: Vec<u64> = view.slice(at!(at, Tree, nodes), size_of::<Node>())?.collect();
    let mut reader = TreeReader { view, nodes, hasher: blake3::Hasher::new(), files: 0, bytes: 0, left: 0, lines };
    // Each node is the child of one directory: whoever meets more of them goes in a circle.
    reader.left = reader.nodes.len();
    reader.folder(0, &guest, "")?;
    if reader.files > 0 {
        let (files, bytes, hash) = (reader.files, reader.bytes, reader.hasher.finalize().to_hex());
        reader.lines.insert(embed_line(&guest, files, bytes, &hash));
    }
    Some(())
}

struct TreeReader<'v, 'a> {
    view: &'v View<'a>,
    nodes: Vec<u64>,
    hasher: blake3::Hasher,
    files: u64,
    bytes: u64,
    left: usize,
    lines: &'v mut BTreeSet<String>,
}

impl TreeReader<'_, '_> {
    /// Reads the directory with this index; `prefix` is its path below the tree, with a slash behind it.
    fn folder(&mut self, index: usize, guest: &str, prefix: &str) -> Option<()> {
        let at = *self.nodes.get(index)?;
        let first = self.view.u32(at!(at, Node, first_child))? as usize;
        let count = self.view.u32(at!(at, Node, children))? as usize;
        self.left = self.left.checked_sub(count)?;
        if count == 0 && !prefix.is_empty() {
            self.hash(prefix, &[]);
        }
        for index in first..first.checked_add(count)? {
            let at = *self.nodes.get(index)?;
            let name = self.view.text(at!(at, Node, name))?;
            let path = format!("{prefix}{name}");
            match self.view.u32(at!(at, Node, kind))? {
                // As deep as folders of the compiler's host can be.
                Node::DIRECTORY if path.matches('/').count() < 256 => self.folder(index, guest, &(path + "/"))?,
                Node::EMBEDDED => {
                    let bytes = self.view.slice_bytes(at!(at, Node, bytes))?;
                    self.files += 1;
                    self.bytes += bytes.len() as u64;
                    self.hash(&path, bytes);
                }
                Node::HOST => {
                    let host = self.view.text(at!(at, Node, bytes))?;
                    let read_only = self.view.u32(at!(at, Node, flags))? & Node::READ_ONLY != 0;
                    self.lines.insert(file_line(&host, guest, &path, read_only));
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// As [`options::EmbeddedTree::blake3`] is made.
    fn hash(&mut self, path: &str, bytes: &[u8]) {
        for part in [path.as_bytes(), bytes] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
    }
}

/// What the note says.
fn said(made_by: &Provenance) -> Lines {
    let mut files = BTreeSet::new();
    for file in &made_by.policy.files {
        let (folder, name) = match file.guest.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some(parts) => parts,
            None => (".", file.guest.as_str()),
        };
        files.insert(file_line(&file.host, folder, name, file.read_only));
    }
    for tree in made_by.policy.embedded.iter().filter(|tree| tree.files > 0) {
        files.insert(embed_line(&tree.guest, tree.files, tree.bytes, &tree.blake3));
    }
    Lines::new(&made_by.policy, made_by.stack_bytes, files)
}

fn file_line(host: &str, guest: &str, name: &str, read_only: bool) -> String {
    format!("file {host} as {name} in {guest}, {}", if read_only { "read-only" } else { "read and write" })
}

fn embed_line(guest: &str, files: u64, bytes: u64, blake3: &str) -> String {
    format!("embed {guest}: {files} files, {bytes} B, blake3 {blake3}")
}
