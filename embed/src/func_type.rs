//! Types of functions as the host sees them, nested to any depth.
//!
//! A function type refers to others, which copies share: a module of a few kilobytes can have types whose text would be
//! endless, and a chain of a million types. So nothing here recurses, and no operation visits a shared part twice.

// ---------------------------------------------------------------------------------------------------------------
// Security: guests choose how deep and how wide the types of their modules are. Comparing, hashing and dropping a type
// uses neither the stack nor the time that the written-out type would need.
// ---------------------------------------------------------------------------------------------------------------

use core::fmt;
use core::hash::{Hash, Hasher};
use core::mem;
use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::sync::Arc;

use super::types::{HeapType, RefType, ValType};

/// The type of a function or of a tag. The parameters of a tag are the values of its exceptions. Clones share the
/// lists.
#[derive(Clone)]
pub struct FuncType(Arc<Signature>);

struct Signature {
    params: Box<[ValType]>,
    results: Box<[ValType]>,
    /// A hash of both lists, in which nested types count by their own hashes.
    hash: u64,
}

impl FuncType {
    /// Makes the type with these parameters and results.
    pub fn new(params: impl IntoIterator<Item = ValType>, results: impl IntoIterator<Item = ValType>) -> Self {
        let (params, results): (Box<_>, Box<_>) = (params.into_iter().collect(), results.into_iter().collect());
        let mut hasher = DefaultHasher::new();
        (&params, &results).hash(&mut hasher);
        Self(Arc::new(Signature { params, results, hash: hasher.finish() }))
    }

    /// Parameter types.
    pub fn params(&self) -> &[ValType] {
        &self.0.params
    }

    /// Result types.
    pub fn results(&self) -> &[ValType] {
        &self.0.results
    }

    /// Parameters, then results.
    fn values(&self) -> impl Iterator<Item = &ValType> {
        self.params().iter().chain(self.results())
    }

    /// The function types that parameters and results name.
    pub(super) fn nested(&self) -> impl Iterator<Item = &Self> {
        self.values().filter_map(|ty| nested(ty).map(|(_, ty)| ty))
    }

    /// What tells the lists from all others that are alive. Equal types may have different ones.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// The function type that a reference type names, and whether null belongs to the reference type.
fn nested(ty: &ValType) -> Option<(bool, &FuncType)> {
    match ty {
        ValType::Ref(RefType { nullable, heap: HeapType::Concrete(ty) }) => Some((*nullable, ty)),
        _ => None,
    }
}

impl PartialEq for FuncType {
    fn eq(&self, other: &Self) -> bool {
        let (mut compared, mut pending) = (HashSet::new(), vec![(self, other)]);
        while let Some((a, b)) = pending.pop() {
            if Arc::ptr_eq(&a.0, &b.0) {
                continue;
            }
            let lens = |ty: &Self| (ty.params().len(), ty.results().len());
            if a.0.hash != b.0.hash || lens(a) != lens(b) {
                return false;
            }
            if !compared.insert((a.address(), b.address())) {
                continue;
            }
            for (a, b) in a.values().zip(b.values()) {
                match (nested(a), nested(b)) {
                    (Some((a_null, a)), Some((b_null, b))) if a_null == b_null => pending.push((a, b)),
                    (None, None) if a == b => {}
                    _ => return false,
                }
            }
        }
        true
    }
}

impl Eq for FuncType {}

impl Hash for FuncType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Drop for Signature {
    fn drop(&mut self) {
        let mut pending = Vec::new();
        self.take_nested(&mut pending);
        while let Some(FuncType(signature)) = pending.pop() {
            // Of several threads that drop the last copies, one gets the lists.
            if let Some(mut signature) = Arc::into_inner(signature) {
                signature.take_nested(&mut pending);
            }
        }
    }
}

impl Signature {
    /// Moves the nested types out, so that dropping the lists drops none.
    fn take_nested(&mut self, taken: &mut Vec<FuncType>) {
        for ty in self.params.iter_mut().chain(&mut self.results) {
            if let ValType::Ref(ty) = ty
                && let HeapType::Concrete(ty) = mem::replace(&mut ty.heap, HeapType::Func)
            {
                taken.push(ty);
            }
        }
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(func")?;
        for (keyword, list) in [("param", self.params()), ("result", self.results())] {
            if !list.is_empty() {
                write!(f, " ({keyword}")?;
                list.iter().try_for_each(|ty| write!(f, " {ty}"))?;
                f.write_str(")")?;
            }
        }
        f.write_str(")")
    }
}

impl fmt::Debug for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A reference to functions of this type.
    pub(crate) fn reference(ty: &FuncType) -> ValType {
        ValType::Ref(RefType { nullable: true, heap: HeapType::Concrete(ty.clone()) })
    }

    /// A type in which each of `depth` types names the one below `width` times.
    pub(crate) fn nested_type(depth: usize, width: usize, innermost: ValType) -> FuncType {
        let innermost = FuncType::new([innermost], []);
        (0..depth).fold(innermost, |ty, _| FuncType::new(vec![reference(&ty); width], []))
    }

    fn hash_of(ty: &FuncType) -> u64 {
        let mut hasher = DefaultHasher::new();
        ty.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn types_are_equal_when_their_lists_are() {
        let make = |nullable, inner| {
            let heap = HeapType::Concrete(FuncType::new([inner], []));
            FuncType::new([ValType::I32], [ValType::Ref(RefType { nullable, heap })])
        };
        assert_eq!(make(true, ValType::I64), make(true, ValType::I64));
        assert_eq!(hash_of(&make(true, ValType::I64)), hash_of(&make(true, ValType::I64)));
        assert_ne!(make(true, ValType::I64), make(false, ValType::I64));
        assert_ne!(make(true, ValType::I64), make(true, ValType::F64));
        assert_ne!(FuncType::new([ValType::I32], []), FuncType::new([], [ValType::I32]));
        assert_ne!(FuncType::new([reference(&FuncType::new([], []))], []), FuncType::new([ValType::FUNCREF], []));
    }

    #[test]
    fn deep_and_wide_types_are_compared_and_dropped() {
        const DEPTH: usize = if cfg!(miri) { 1_000 } else { 50_000 };
        for (depth, width) in [(DEPTH, 1), (100, 2)] {
            let make = |innermost| nested_type(depth, width, innermost);
            let (a, b) = (make(ValType::I32), make(ValType::I32));
            assert_eq!(a, b);
            assert_eq!(hash_of(&a), hash_of(&b));
            assert_ne!(a, make(ValType::I64));
            assert!(format!("{a:?}").len() < 100);
        }
    }
}
