//! The stage `compile` where functions of an earlier compilation are there: what comes out is what
//! [`Stages::functions`](super::Stages) makes, to the byte.

use std::collections::{BTreeMap, BTreeSet};

use cranelift_codegen::ir::Function;

use super::{Work, compile_all};
use crate::codegen::{Codegen, Compiled};
use crate::error::Result;
use crate::optimize::inline::{Bodies, Limits};
use crate::parallel;
use crate::program::{FuncId, Program};
use crate::progress::{NoProgress, Progress};
use crate::reuse::{Keys, Known, Reuse};
use crate::translate::{self, Clif, FuncEnv};
use crate::workbench::Workbenches;

/// The functions of a program: those that are known, and the others compiled. The number is that of the known ones.
pub(super) fn functions(
    env: FuncEnv<'_>,
    codegen: Codegen<'_>,
    limits: Limits,
    (reuse, keys): (&Reuse, &Keys),
    progress: &dyn Progress,
) -> Result<(Vec<Compiled>, usize)> {
    let program = env.program;
    let benches = Workbenches::new();
    let keep =
        |id, body, code: Option<&Compiled>| keys.key(id).map_or(Ok(()), |key| reuse.keep(key, body, code, program));
    let bodies_for = |ids: Vec<FuncId>| translate_bodies(env, limits, keys.bodies_for(ids), &benches);
    let compile = |work, bodies: &Bodies<'_>| compile_all(work, env, codegen, bodies, &benches, progress);
    let found = parallel::map(
        program.functions.ids().collect(),
        |_| 1,
        &NoProgress,
        |id| Ok(keys.key(id).and_then(|key| reuse.find(&key, id, program)).map(|known| (id, known))),
    )?;
    let known: BTreeMap<FuncId, Known> = found.into_iter().flatten().collect();
    known.keys().filter_map(|&id| keys.key(id)).for_each(|key| reuse.keep_found(key));

    let missing: Vec<FuncId> = program.functions.ids().filter(|id| !known.contains_key(id)).collect();
    let (bodies, others) = bodies_for(missing.clone())?;
    let work = missing.iter().filter(|&&id| !keys.is_candidate(id)).map(|&id| Work::Translate(id));
    let others = others.into_iter().filter(|clif| !known.contains_key(&clif.id)).map(Work::Compile);
    let mut compiled = compile(work.chain(others).collect(), &bodies)?;
    let mut fresh = compiled.len();
    for compiled in &compiled {
        keep(FuncId::from_u32(compiled.function.id), None, Some(compiled))?;
    }

    // Those whose bodies others may take, with what the bodies refer to; and the code of some of them.
    let mut takeable: BTreeMap<FuncId, Vec<u32>> = BTreeMap::new();
    let mut their_code: BTreeMap<FuncId, Compiled> = BTreeMap::new();
    for (id, Known { body, code }) in known {
        match body {
            None => compiled.extend(code),
            Some(callees) => {
                takeable.insert(id, callees);
                their_code.extend(code.map(|code| (id, code)));
            }
        }
    }
    for (id, callees) in bodies.referred().filter(|(id, _)| missing.binary_search(id).is_ok()) {
        takeable.insert(id, callees.into_iter().map(FuncId::as_u32).collect());
    }
    let needed = needed(program, &compiled, &takeable);
    let to_make: Vec<FuncId> = needed.iter().filter(|id| !their_code.contains_key(id)).copied().collect();
    let (none, mut taken) = bodies.take(&to_make);
    let absent: Vec<FuncId> = to_make.iter().filter(|&&id| taken.iter().all(|clif| clif.id != id)).copied().collect();
    if !absent.is_empty() {
        taken.extend(bodies_for(absent.clone())?.0.take(&absent).1);
    }
    let made = compile(taken.into_iter().map(Work::Compile).collect(), &none)?;
    for compiled in &made {
        let id = FuncId::from_u32(compiled.function.id);
        keep(id, takeable.get(&id).cloned(), Some(compiled))?;
    }
    // The others were taken wherever they are called.
    for id in missing.iter().filter(|id| !needed.contains(id)) {
        if let Some(callees) = takeable.get(id) {
            keep(*id, Some(callees.clone()), None)?;
        }
    }
    compiled.extend(their_code.into_iter().filter(|(id, _)| needed.contains(id)).map(|(_, code)| code));
    fresh += made.len();
    compiled.extend(made);
    compiled.sort_unstable_by_key(|compiled| compiled.function.id);
    let known = compiled.len() - fresh;
    Ok((compiled, known))
}

/// The bodies that others may take, of these candidates, and those of them that are not fit for it.
#[expect(clippy::vec_box, reason = "functions are handed on in their boxes")]
fn translate_bodies<'a>(
    env: FuncEnv<'a>,
    limits: Limits,
    candidates: Vec<FuncId>,
    benches: &Workbenches,
) -> Result<(Bodies<'a>, Vec<Box<Clif>>)> {
    let size = |&id: &FuncId| env.program.body_bytes(id);
    let small = parallel::map(candidates, size, &NoProgress, |id| {
        let func = Box::new(Function::new());
        benches.with(size(&id), |bench| translate::translate(env, id, &mut bench.builder, func).map(Box::new))
    })?;
    Bodies::new(env.program, limits, env.guide, small)
}

/// The functions whose bodies others may take and whose code is needed all the same, because code or a table refers to it.
fn needed(program: &Program<'_>, compiled: &[Compiled], takeable: &BTreeMap<FuncId, Vec<u32>>) -> BTreeSet<FuncId> {
    let callees = compiled.iter().flat_map(|compiled| compiled.function.callees()).map(FuncId::from_u32);
    let mut queue: Vec<FuncId> = program.roots().chain(callees).collect();
    let mut needed = BTreeSet::new();
    while let Some(id) = queue.pop() {
        let Some(callees) = takeable.get(&id) else { continue };
        if needed.insert(id) {
            queue.extend(callees.iter().copied().map(FuncId::from_u32));
        }
    }
    needed
}
