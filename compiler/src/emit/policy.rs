//! What an object gets besides its code: hooks, the policy in the program descriptor, as the runtime reads it, and notes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wasmelt_abi::descriptor::{
    DirGrant, EnvGrant, FurtherPolicy, ListenGrant, NameGrant, NetworkPolicy, Policy, SocketGrant,
};
use wasmelt_abi::tree::{Node, Tree};

use super::blob::{Blob, Link, Linked, Links};
use crate::image::Filter;
use crate::network::Network;
use crate::options::{self, DirFrom, EmbeddedFile, Stdio};
use crate::trees::{Content, NodePlan, TreePlan};

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
    /// Policy and provenance as JSON, for the note; a part of a component's library has none.
    pub note: Option<String>,
    /// What the executable carries so that it can be linked again, for a second note.
    pub carried: Option<Vec<u8>>,
}

/// The policy of a program that is not linked yet.
pub(super) fn nothing() -> Policy<Linked> {
    Policy { flags: 0, arg0: Links::NONE, dirs: Links::NONE, env: Links::NONE, further: Link::NONE }
}

/// Writes what the policy refers to. `fuel_offset` is where code counts its operators, from `vmctx`.
pub(super) fn write(blob: &mut Blob, terms: &Terms<'_>, fuel_offset: Option<i32>) -> Policy<Linked> {
    let policy = &terms.policy;
    let inherit_env = if policy.inherit_env { Policy::INHERIT_ENV } else { 0 };
    let has_arg0 = if policy.arg0.is_some() { Policy::HAS_ARG0 } else { 0 };
    let arg0 = policy.arg0.as_ref().map_or(Links::NONE, |arg0| blob.add_bytes(arg0.as_bytes()));
    let dirs = blob.reserve(policy.dirs.len());
    let env = blob.reserve(policy.env.len());
    for (i, grant) in policy.dirs.iter().enumerate() {
        let grant = DirGrant {
            host: blob.add_bytes(grant.host.as_bytes()),
            guest: blob.add_bytes(grant.guest.as_bytes()),
            flags: if grant.read_only { DirGrant::READ_ONLY } else { 0 },
        };
        blob.fill(&dirs, i, &grant);
    }
    for (i, grant) in policy.env.iter().enumerate() {
        let name = blob.add_bytes(grant.name.as_bytes());
        let (value, flags) = match &grant.value {
            Some(value) => (blob.add_bytes(value.as_bytes()), 0),
            None => (Links::NONE, EnvGrant::INHERIT),
        };
        blob.fill(&env, i, &EnvGrant { name, value, flags });
    }
    let further = if policy.has_further() { write_further(blob, terms, fuel_offset) } else { Link::NONE };
    Policy { flags: inherit_env | has_arg0, arg0, dirs: dirs.links(), env: env.links(), further }
}

fn write_further(blob: &mut Blob, terms: &Terms<'_>, fuel_offset: Option<i32>) -> Link<FurtherPolicy> {
    let policy = &terms.policy;
    let room = blob.reserve(1);
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let [stdin, stdout, stderr] = policy.stdio.map(|stdio| stdio == Stdio::Null);
    let flags = [
        (stdin, FurtherPolicy::STDIN_NULL),
        (stdout, FurtherPolicy::STDOUT_NULL),
        (stderr, FurtherPolicy::STDERR_NULL),
        (policy.deterministic.is_some(), FurtherPolicy::DETERMINISTIC),
        (policy.dir_from == DirFrom::Exe, FurtherPolicy::DIR_FROM_EXE),
    ];
    let further = FurtherPolicy {
        timeout_ns: policy.timeout.map_or(0, nanoseconds),
        fuel: policy.fuel.unwrap_or(u64::MAX),
        seed: policy.deterministic.unwrap_or(0),
        max_exception_bytes: policy.max_exception_bytes.unwrap_or(FurtherPolicy::DEFAULT_MAX_EXCEPTION_BYTES),
        flags: flags.into_iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag),
        max_open_files: policy.max_open_files.unwrap_or(u32::MAX),
        listeners: write_listeners(blob, &policy.tcp_listen),
        filter: blob.add(&terms.filter.instructions),
        fuel_offset: fuel_offset.unwrap_or(0),
        max_threads: policy.max_threads.unwrap_or(FurtherPolicy::DEFAULT_MAX_THREADS),
        filter_process: terms.filter.process,
        trees: write_trees(blob, terms),
        network: write_network(blob, &policy.network),
    };
    blob.fill(&room, 0, &further);
    room.link()
}

fn write_ip(blob: &mut Blob, ip: IpAddr) -> Links<u8> {
    match ip {
        IpAddr::V4(ip) => blob.add_bytes(&ip.octets()),
        IpAddr::V6(ip) => blob.add_bytes(&ip.octets()),
    }
}

fn write_network(blob: &mut Blob, network: &Network) -> Link<NetworkPolicy> {
    if network.is_empty() {
        return Link::NONE;
    }
    let room = blob.reserve(1);
    let sockets = blob.reserve(network.addresses().count());
    for (i, (purpose, grant)) in network.addresses().enumerate() {
        let endpoint = grant.endpoint();
        let (address, bits) =
            endpoint.range.map_or((Links::NONE, 0), |(ip, bits)| (write_ip(blob, ip), u16::from(bits)));
        let (first_port, last_port) = (endpoint.first_port, endpoint.last_port);
        blob.fill(&sockets, i, &SocketGrant { address, bits, first_port, last_port, purpose });
    }
    let names = blob.reserve(network.resolve.len());
    for (i, grant) in network.resolve.iter().enumerate() {
        let pattern = blob.add_bytes(grant.pattern().as_bytes());
        blob.fill(&names, i, &NameGrant { pattern });
    }
    blob.fill(&room, 0, &NetworkPolicy { sockets: sockets.links(), names: names.links() });
    room.link()
}

fn write_listeners(blob: &mut Blob, addresses: &[SocketAddr]) -> Links<ListenGrant> {
    let room = blob.reserve(addresses.len());
    for (i, address) in addresses.iter().enumerate() {
        let port = address.port().into();
        let address = write_ip(blob, address.ip());
        blob.fill(&room, i, &ListenGrant { address, port });
    }
    room.links()
}

fn write_trees(blob: &mut Blob, terms: &Terms<'_>) -> Links<Tree> {
    let trees = blob.reserve(terms.trees.len());
    for (i, tree) in terms.trees.iter().enumerate() {
        let guest = blob.add_bytes(tree.guest.as_bytes());
        let nodes = blob.reserve(tree.nodes.len());
        for (j, node) in tree.nodes.iter().enumerate() {
            let node = node_of(blob, node, terms.embedded_files);
            blob.fill(&nodes, j, &node);
        }
        blob.fill(&trees, i, &Tree { guest, nodes: nodes.links() });
    }
    trees.links()
}

fn node_of(blob: &mut Blob, node: &NodePlan, embedded: &[EmbeddedFile]) -> Node<Linked> {
    let name = blob.add_bytes(node.name.as_bytes());
    let (kind, flags, (first_child, children), bytes) = match &node.content {
        Content::Directory(first, count) => (Node::DIRECTORY, 0, (*first, *count), Links::NONE),
        Content::Embedded(index) => {
            let bytes = embedded.get(*index).map_or(Links::NONE, |file| blob.add_bytes(&file.bytes));
            (Node::EMBEDDED, 0, (0, 0), bytes)
        }
        Content::Host(path, read_only) => {
            let flags = if *read_only { Node::READ_ONLY } else { 0 };
            (Node::HOST, flags, (0, 0), blob.add_bytes(path.as_bytes()))
        }
    };
    Node { name, kind, flags, first_child, children, bytes }
}
