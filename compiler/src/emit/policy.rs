//! What an object gets besides its code: hooks, the policy in the program descriptor, as the runtime reads it, and notes.

use std::mem::offset_of;
use std::net::IpAddr;
use std::time::Duration;

use wasmelt_abi::descriptor::{DirGrant, EnvGrant, FurtherPolicy, ListenGrant, Policy};
use wasmelt_abi::tree::{Node, Tree};

use super::blob::Blob;
use crate::image::Filter;
use crate::options::{self, DirFrom, EmbeddedFile, Stdio};
use crate::trees::{Content, TreePlan};

/// What a program is linked with, besides its code.
#[derive(Clone, Debug, Default)]
pub struct Terms<'a> {
    /// Runtime functions to call before the program's entry, by symbol.
    pub hooks: Vec<&'static str>,
    /// What the guest may do.
    pub policy: options::Policy,
    /// Directories that exist only for the guest.
    pub trees: Vec<TreePlan>,
    /// The files that are stored for them.
    pub embedded_files: &'a [EmbeddedFile],
    /// The system calls that the program may make, see [`FurtherPolicy::filter`].
    pub filter: Filter,
    /// Policy and provenance as JSON, for the note.
    pub note: String,
    /// What the executable carries so that it can be linked again, for a second note.
    pub carried: Option<Vec<u8>>,
}

/// Writes the policy at `at`. `fuel_offset` is where code counts its operators, from `vmctx`.
pub(super) fn write(blob: &mut Blob, at: usize, terms: &Terms<'_>, fuel_offset: Option<i32>) {
    let policy = &terms.policy;
    let mut flags = 0;
    if policy.inherit_env {
        flags |= Policy::INHERIT_ENV;
    }
    if let Some(arg0) = &policy.arg0 {
        flags |= Policy::HAS_ARG0;
        blob.link_bytes(at + offset_of!(Policy, arg0), arg0.as_bytes());
    }
    blob.put_u32(at + offset_of!(Policy, flags), flags);

    let dirs = blob.alloc::<DirGrant>(policy.dirs.len());
    blob.link_slice(at + offset_of!(Policy, dirs), dirs, policy.dirs.len());
    let env = blob.alloc::<EnvGrant>(policy.env.len());
    blob.link_slice(at + offset_of!(Policy, env), env, policy.env.len());
    for (i, grant) in policy.dirs.iter().enumerate() {
        let at = dirs + i * size_of::<DirGrant>();
        blob.link_bytes(at + offset_of!(DirGrant, host), grant.host.as_bytes());
        blob.link_bytes(at + offset_of!(DirGrant, guest), grant.guest.as_bytes());
        blob.put_u32(at + offset_of!(DirGrant, flags), if grant.read_only { DirGrant::READ_ONLY } else { 0 });
    }
    for (i, grant) in policy.env.iter().enumerate() {
        let at = env + i * size_of::<EnvGrant>();
        blob.link_bytes(at + offset_of!(EnvGrant, name), grant.name.as_bytes());
        match &grant.value {
            Some(value) => blob.link_bytes(at + offset_of!(EnvGrant, value), value.as_bytes()),
            None => blob.put_u32(at + offset_of!(EnvGrant, flags), EnvGrant::INHERIT),
        }
    }
    if policy.has_further() {
        let further = blob.alloc::<FurtherPolicy>(1);
        blob.link(at + offset_of!(Policy, further), further);
        write_further(blob, further, policy);
        let instructions = &terms.filter.instructions;
        let filter = blob.alloc::<u64>(instructions.len());
        blob.link_slice(further + offset_of!(FurtherPolicy, filter), filter, instructions.len());
        blob.put_u32(further + offset_of!(FurtherPolicy, filter_process), terms.filter.process);
        for (i, &instruction) in instructions.iter().enumerate() {
            blob.put_u64(filter + i * size_of::<u64>(), instruction);
        }
        write_trees(blob, further + offset_of!(FurtherPolicy, trees), terms);
        blob.put_u32(further + offset_of!(FurtherPolicy, fuel_offset), fuel_offset.unwrap_or(0).cast_unsigned());
    }
}

fn write_trees(blob: &mut Blob, field: usize, terms: &Terms<'_>) {
    let trees = blob.alloc::<Tree>(terms.trees.len());
    blob.link_slice(field, trees, terms.trees.len());
    for (i, tree) in terms.trees.iter().enumerate() {
        let at = trees + i * size_of::<Tree>();
        blob.link_bytes(at + offset_of!(Tree, guest), tree.guest.as_bytes());
        let nodes = blob.alloc::<Node>(tree.nodes.len());
        blob.link_slice(at + offset_of!(Tree, nodes), nodes, tree.nodes.len());
        for (j, node) in tree.nodes.iter().enumerate() {
            let at = nodes + j * size_of::<Node>();
            blob.link_bytes(at + offset_of!(Node, name), node.name.as_bytes());
            let (kind, flags) = match &node.content {
                Content::Directory(first, count) => {
                    blob.put_u32(at + offset_of!(Node, first_child), *first);
                    blob.put_u32(at + offset_of!(Node, children), *count);
                    (Node::DIRECTORY, 0)
                }
                Content::Embedded(index) => {
                    if let Some(file) = terms.embedded_files.get(*index) {
                        blob.link_bytes(at + offset_of!(Node, bytes), &file.bytes);
                    }
                    (Node::EMBEDDED, 0)
                }
                Content::Host(path, read_only) => {
                    blob.link_bytes(at + offset_of!(Node, bytes), path.as_bytes());
                    (Node::HOST, if *read_only { Node::READ_ONLY } else { 0 })
                }
            };
            blob.put_u32(at + offset_of!(Node, kind), kind);
            blob.put_u32(at + offset_of!(Node, flags), flags);
        }
    }
}

fn write_further(blob: &mut Blob, at: usize, policy: &options::Policy) {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    blob.put_u64(at + offset_of!(FurtherPolicy, timeout_ns), policy.timeout.map_or(0, nanoseconds));
    blob.put_u64(at + offset_of!(FurtherPolicy, fuel), policy.fuel.unwrap_or(u64::MAX));
    blob.put_u64(at + offset_of!(FurtherPolicy, seed), policy.deterministic.unwrap_or(0));
    blob.put_u32(at + offset_of!(FurtherPolicy, max_open_files), policy.max_open_files.unwrap_or(u32::MAX));
    let exception_bytes = policy.max_exception_bytes.unwrap_or(FurtherPolicy::DEFAULT_MAX_EXCEPTION_BYTES);
    blob.put_u64(at + offset_of!(FurtherPolicy, max_exception_bytes), exception_bytes);
    let threads = policy.max_threads.unwrap_or(FurtherPolicy::DEFAULT_MAX_THREADS);
    blob.put_u32(at + offset_of!(FurtherPolicy, max_threads), threads);
    let [stdin, stdout, stderr] = policy.stdio.map(|stdio| stdio == Stdio::Null);
    let flags = [
        (stdin, FurtherPolicy::STDIN_NULL),
        (stdout, FurtherPolicy::STDOUT_NULL),
        (stderr, FurtherPolicy::STDERR_NULL),
        (policy.deterministic.is_some(), FurtherPolicy::DETERMINISTIC),
        (policy.dir_from == DirFrom::Exe, FurtherPolicy::DIR_FROM_EXE),
    ];
    let flags = flags.into_iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
    blob.put_u32(at + offset_of!(FurtherPolicy, flags), flags);

    let listeners = blob.alloc::<ListenGrant>(policy.tcp_listen.len());
    blob.link_slice(at + offset_of!(FurtherPolicy, listeners), listeners, policy.tcp_listen.len());
    for (i, address) in policy.tcp_listen.iter().enumerate() {
        let at = listeners + i * size_of::<ListenGrant>();
        match address.ip() {
            IpAddr::V4(ip) => blob.link_bytes(at + offset_of!(ListenGrant, address), &ip.octets()),
            IpAddr::V6(ip) => blob.link_bytes(at + offset_of!(ListenGrant, address), &ip.octets()),
        }
        blob.put_u32(at + offset_of!(ListenGrant, port), address.port().into());
    }
}
