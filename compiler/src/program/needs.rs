//! What a program needs of the runtime and of the system, independent of its policy. The needs and the policy together
//! decide which hooks are linked and which system calls are allowed.

use cranelift_entity::PrimaryMap;
use serde::{Deserialize, Serialize};
use wasmelt_abi::host::{self, Reach};
use wasmelt_abi::symbols;

use super::{Callee, Instance, Program};
use crate::image::MemoryPlan;
use crate::module::MemoryIndex;
use crate::options::{DirFrom, Policy};

/// What a program needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Names of the host functions that it imports.
    pub host_functions: Vec<String>,
    /// It has instances that a hook makes.
    pub makes_instances: bool,
    /// It has memories that a hook makes.
    pub makes_memories: bool,
    /// It has tables that a hook makes.
    pub makes_tables: bool,
    /// Its code asks for more of something that has a limit.
    pub grows: bool,
    /// Something of it takes memory at run time.
    pub takes_memory: bool,
    /// Its threads can wait for one another.
    pub waits: bool,
    /// It calls the export of `--invoke`.
    pub invokes: bool,
    /// It is an initialiser, which writes a snapshot when the export of `--invoke` has run.
    #[serde(default)]
    pub snapshots: bool,
    /// Its calls of WASI are printed.
    #[serde(default)]
    pub is_traced: bool,
    /// It writes a profile when it ends.
    #[serde(default)]
    pub writes_profile: bool,
}

impl Needs {
    /// What `program` needs.
    pub fn of(program: &Program<'_>) -> Self {
        let instances = || program.instances.values();
        let host_functions = instances().flat_map(|i| i.callees.values()).filter_map(|callee| match callee {
            Callee::Host(host) => Some(host.name.to_owned()),
            _ => None,
        });
        let lowered = program.components.lowerings.values().flat_map(|lowering| lowering.hosts());
        let host_functions = host_functions.chain(lowered.map(|host| host.name.to_owned()));
        let has_more = |memories: &PrimaryMap<MemoryIndex, MemoryPlan>| {
            let own = memories.values().filter(|plan| !plan.is_foreign());
            own.clone().any(MemoryPlan::is_pointed) || memories.values().skip(1).any(|plan| !plan.is_foreign())
        };
        let makes_instances = program.instances.len() > 1;
        Self {
            host_functions: host_functions.collect(),
            makes_instances,
            makes_memories: instances().any(|i| has_more(&i.memories)),
            makes_tables: instances().any(|i| !i.table_plans.is_empty()),
            grows: instances().any(Instance::grows),
            takes_memory: makes_instances || instances().any(Instance::needs_memory_at_run_time),
            waits: instances().any(|i| i.module.memories.values().any(|memory| memory.shared)),
            invokes: program.entry.invoke.is_some(),
            snapshots: false,
            is_traced: false,
            writes_profile: false,
        }
    }

    /// Runtime functions that must run before the entry, by symbol.
    pub fn hooks(&self, policy: &Policy) -> Vec<&'static str> {
        let uses_descriptors =
            self.host_functions.iter().filter_map(|name| host::reach_of(name)).any(Reach::uses_descriptors);
        let grants = uses_descriptors && (!policy.dirs.is_empty() || !policy.tcp_listen.is_empty());
        let variables = policy.inherit_env || !policy.env.is_empty();
        // The functions that need a grant of the network, and that have one.
        let has_network = !policy.network.is_empty()
            && self.host_functions.iter().filter_map(|name| host::reach_of(name)).any(Reach::uses_network);
        let has_trees = !policy.files.is_empty() || !policy.embedded.is_empty();
        let hooks = [
            (self.makes_instances, symbols::HOOK_INSTANCES),
            (self.makes_memories, symbols::HOOK_MEMORIES),
            (self.makes_tables, symbols::HOOK_TABLES),
            // Its path starts at the working directory.
            (self.writes_profile, symbols::HOOK_PROFILE),
            // There is something that the environment may take away.
            (has_network, symbols::HOOK_RESTRICT_NETWORK),
            (!has_network && (policy.has_further() || grants || variables || self.grows), symbols::HOOK_RESTRICT),
            (uses_descriptors && policy.dir_from == DirFrom::Exe, symbols::HOOK_DIR_FROM_EXE),
            (uses_descriptors && !policy.dirs.is_empty(), symbols::HOOK_PREOPENS),
            (uses_descriptors && !policy.tcp_listen.is_empty(), symbols::HOOK_LISTENERS),
            (uses_descriptors && has_trees, symbols::HOOK_TREES),
            // All that was granted is open, and what comes after runs the guest.
            (policy.harden && has_network, symbols::HOOK_HARDEN_NETWORK),
            (policy.harden && !has_network, symbols::HOOK_HARDEN),
            // It runs the program itself. What `--invoke` runs ends without a summary.
            (self.is_traced && !self.invokes, symbols::HOOK_TRACE),
            (self.writes_profile && !self.is_traced && !self.invokes, symbols::HOOK_PROFILE_RUN),
            (self.invokes && !self.snapshots, symbols::HOOK_INVOKE),
            (self.snapshots, symbols::HOOK_SNAPSHOT),
        ];
        hooks.into_iter().filter(|(is_needed, _)| *is_needed).map(|(_, hook)| hook).collect()
    }
}
