//! Which operators instructions of CLIF come from, by their positions. A position is an operator's offset in the module,
//! or, in bodies that were inlined, the number of an entry in a list: Cranelift's inliner copies no positions.

use std::collections::HashMap;

use cranelift_codegen::ir::{Function, Inst, SourceLoc};
use cranelift_codegen::traversals::Dfs;

use crate::program::FuncId;

/// Marks positions that are indices into [`Origins::operators`]. Offsets in the module are smaller: [`crate::module::limits`].
const INLINED: u32 = 1 << 31;

/// What positions in a function stand for.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Each inlined body; one in another one comes after that one.
    scopes: Vec<Scope>,
    /// Operators of inlined bodies.
    operators: Vec<Place>,
}

/// A body that was put in the place of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Whose body it is.
    pub function: FuncId,
    /// The call.
    pub call: Place,
}

/// An operator, in the function itself or in an inlined body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its offset in the module.
    pub operator: u32,
    /// The index of the scope that it is in; `None` for the function itself.
    pub scope: Option<u32>,
}

impl Origins {
    /// The bodies that operators lie in.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// What a position stands for; `None` where nothing is known.
    pub fn place(&self, position: SourceLoc) -> Option<Place> {
        match position.bits() {
            _ if position.is_default() => None,
            bits if bits & INLINED != 0 => self.operators.get((bits & !INLINED) as usize).copied(),
            operator => Some(Place { operator, scope: None }),
        }
    }

    /// The operator of the function itself that a place belongs to: in an inlined body the call that the body stands for.
    pub fn outermost(&self, mut place: Place) -> u32 {
        while let Some(scope) = place.scope {
            place = self.scopes[scope as usize].call;
        }
        place.operator
    }

    /// Gives the instructions of an inlined body their positions. In `func` they are the instructions from `first` on, as
    /// many as `body` has that can be reached, in the order of [`Dfs`]; `call` is the position of the call, and `known`
    /// what positions in the body stand for.
    pub fn add(&mut self, func: &mut Function, first: usize, call: SourceLoc, body: (FuncId, &Function, &Self)) {
        let (function, body, known) = body;
        let Some(call) = self.place(call) else { return };
        let scope = self.scopes.len() as u32;
        self.scopes.push(Scope { function, call });
        let inner = |place: Place| Place { scope: Some(place.scope.map_or(scope, |s| scope + 1 + s)), ..place };
        self.scopes.extend(known.scopes.iter().map(|s| Scope { call: inner(s.call), ..*s }));
        let mut positions = HashMap::new();
        let mut order = Dfs::new();
        let originals = order.pre_order_iter(body).flat_map(|block| body.layout.block_insts(block));
        for (copy, original) in (first..func.dfg.num_insts()).zip(originals) {
            let position = body.srcloc(original);
            if let Some(place) = known.place(position) {
                let position = *positions.entry(position.bits()).or_insert_with(|| {
                    self.operators.push(inner(place));
                    SourceLoc::new(INLINED | (self.operators.len() as u32 - 1))
                });
                func.set_srcloc(Inst::from_u32(copy as u32), position);
            }
        }
    }
}
