//! What decides about the code of a function, as one number: the compiler and its options, what is known of the program
//! ([`Program::parts_that_decide_code`]), the function's own body, and those that it can take into itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Debug, Write as _};

use cranelift_codegen::isa::TargetIsa;

use super::{Key, Reuse};
use crate::optimize::inline::{self, Limits, order};
use crate::options::{Options, Policy};
use crate::program::{FuncId, Piece, Program};

/// The keys of a program's functions.
pub(crate) struct Keys {
    keys: HashMap<FuncId, Key>,
    /// The functions that others may take into themselves, each with those that it calls.
    candidates: BTreeMap<FuncId, Vec<FuncId>>,
    /// Of all functions, the candidates that they call.
    calls: HashMap<FuncId, Vec<FuncId>>,
}

impl Keys {
    /// The keys of the functions of `program`, compiled with `options` for `isa`.
    pub(crate) fn of(
        program: &Program<'_>,
        options: &Options,
        isa: &dyn TargetIsa,
        limits: Limits,
        reuse: &Reuse,
    ) -> Self {
        let surroundings = surroundings(program, options, isa, reuse);
        // Programs with a profile are not kept.
        let candidates: BTreeSet<FuncId> = inline::candidates(program, limits, None).into_iter().collect();
        let functions =
            || program.functions.ids().filter(|&id| matches!(program.functions.piece(id), Piece::Function(..)));
        let calls: HashMap<FuncId, Vec<FuncId>> = functions()
            .map(|id| {
                let mut callees = inline::callees(program, id);
                callees.retain(|callee| candidates.contains(callee));
                callees.sort_unstable();
                callees.dedup();
                (id, callees)
            })
            .collect();
        let own: HashMap<FuncId, Key> = functions().map(|id| (id, own(program, id))).collect();
        let deep = deep(&candidates, &calls, &own);
        let key = |id: FuncId| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(surroundings.as_bytes()).update(&own[&id]);
            calls[&id].iter().for_each(|callee| _ = hasher.update(&deep[callee]));
            // One that others may take is made in another way.
            hasher.update(&[u8::from(candidates.contains(&id))]);
            // The functions that it calls are known by their numbers.
            hasher.update(&id.as_u32().to_le_bytes());
            (id, *hasher.finalize().as_bytes())
        };
        let keys = functions().map(key).collect();
        let candidates = candidates.into_iter().map(|id| (id, calls[&id].clone())).collect();
        Self { keys, candidates, calls }
    }

    /// The key of a function; `None` for one that is always compiled.
    pub(crate) fn key(&self, id: FuncId) -> Option<Key> {
        self.keys.get(&id).copied()
    }

    /// Whether others may take a function into themselves.
    pub(crate) fn is_candidate(&self, id: FuncId) -> bool {
        self.candidates.contains_key(&id)
    }

    /// The candidates whose bodies decide about the code of these functions, in order.
    pub(crate) fn bodies_for(&self, functions: impl IntoIterator<Item = FuncId>) -> Vec<FuncId> {
        let mut found = BTreeSet::new();
        let mut queue: Vec<FuncId> = Vec::new();
        for id in functions {
            queue.extend(self.calls.get(&id).into_iter().flatten());
            queue.extend(self.candidates.contains_key(&id).then_some(id));
        }
        while let Some(id) = queue.pop() {
            if found.insert(id) {
                queue.extend(self.candidates.get(&id).into_iter().flatten());
            }
        }
        found.into_iter().collect()
    }
}

/// For each candidate what its body and those of all that it may take into itself are. Candidates that call one another
/// share the bodies of all of them.
fn deep(
    candidates: &BTreeSet<FuncId>,
    calls: &HashMap<FuncId, Vec<FuncId>>,
    own: &HashMap<FuncId, Key>,
) -> HashMap<FuncId, Key> {
    let ids: Vec<FuncId> = candidates.iter().copied().collect();
    let places: HashMap<FuncId, usize> = ids.iter().enumerate().map(|(place, &id)| (id, place)).collect();
    let callees: Vec<Vec<usize>> =
        ids.iter().map(|id| calls[id].iter().map(|callee| places[callee]).collect()).collect();
    let mut deep: HashMap<FuncId, Key> = HashMap::with_capacity(ids.len());
    for level in order::levels(&callees) {
        // Calls within a level are those within its rings.
        let ring_of = rings(&level, &callees);
        let mut rings: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        level.iter().for_each(|&member| rings.entry(ring_of[&member]).or_default().push(member));
        let mut keys = Vec::with_capacity(level.len());
        for members in rings.values() {
            let mut hasher = blake3::Hasher::new();
            for &member in members {
                hasher.update(&own[&ids[member]]);
                let below = callees[member].iter().filter_map(|&callee| deep.get(&ids[callee]));
                below.for_each(|key| _ = hasher.update(key));
            }
            let ring = hasher.finalize();
            keys.extend(members.iter().map(|&member| {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&own[&ids[member]]).update(ring.as_bytes());
                (ids[member], *hasher.finalize().as_bytes())
            }));
        }
        deep.extend(keys);
    }
    deep
}

/// For each function of a level the least member of its ring.
fn rings(level: &[usize], callees: &[Vec<usize>]) -> HashMap<usize, usize> {
    let mut first: HashMap<usize, usize> = level.iter().map(|&member| (member, member)).collect();
    let find = |first: &HashMap<usize, usize>, mut member: usize| {
        while first[&member] != member {
            member = first[&member];
        }
        member
    };
    for &member in level {
        for callee in callees[member].iter().filter(|callee| first.contains_key(callee)).copied().collect::<Vec<_>>() {
            let (a, b) = (find(&first, member), find(&first, callee));
            first.insert(a.max(b), a.min(b));
        }
        // Chains stay short.
        let root = find(&first, member);
        first.insert(member, root);
    }
    level.iter().map(|&member| (member, find(&first, member))).collect()
}

/// What a function is by itself: its body with its hints, its name, which is in backtraces, and its index.
fn own(program: &Program<'_>, id: FuncId) -> Key {
    let mut hash = Text::default();
    if let Piece::Function(instance, func) = program.functions.piece(id) {
        let module = &program.instances[instance].module;
        let body = &module.bodies[func];
        let index = module.func_index(func);
        hash.hasher.update(&(body.body.as_bytes().len() as u64).to_le_bytes());
        hash.hasher.update(body.body.as_bytes());
        hash.add(&(instance, index, &body.hints, module.func_names.get(&index)));
    }
    *hash.hasher.finalize().as_bytes()
}

/// What all functions of a program depend on.
fn surroundings(program: &Program<'_>, options: &Options, isa: &dyn TargetIsa, reuse: &Reuse) -> blake3::Hash {
    let mut hash = Text::default();
    hash.add(&(wasmelt_abi::ABI_VERSION, cranelift_codegen::VERSION, &reuse.0.compiler));
    // Grants decide nothing about code; the modules that are linked are in the program.
    let options = Options {
        policy: Policy { ..options.policy.of_code() },
        embedded_files: Vec::new(),
        preloads: Vec::new(),
        plugs: Vec::new(),
        runtime_dir: None,
        grantable: false,
        reuse: None,
        threads: 0,
        ..options.clone()
    };
    hash.add(&options);
    let flags: Vec<_> = isa.isa_flags().iter().map(ToString::to_string).collect();
    hash.add(&(isa.name(), isa.triple(), isa.flags().to_string(), flags));
    program.parts_that_decide_code(&mut |part| hash.add(part));
    hash.hasher.finalize()
}

/// A hash over the debug forms of values, which hold every field.
#[derive(Default)]
struct Text {
    hasher: blake3::Hasher,
}

impl Text {
    fn add(&mut self, value: &dyn Debug) {
        // The writer never fails.
        let _ = write!(self, "{value:?}\0");
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.hasher.update(text.as_bytes());
        Ok(())
    }
}
