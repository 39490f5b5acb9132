//! How much a component becomes when nothing in it is nested any more. A component may instantiate another one twice, which
//! does the same, so that what a few bytes say grows with two to the power of their number. That is counted here, in time
//! that the bytes of the file bound, and refused beyond a multiple of those bytes, before anything is flattened.

use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, Instance, Parser, Payload,
};

use super::unsupported;
use crate::error::{Error, Result};

/// What an instance counts besides the bytes of its module.
const INSTANCE_BYTES: u64 = 64;

/// What a function counts that a component makes of one of a core module, or the other way round.
const LIFTED_BYTES: u64 = 64;

/// What a function counts that a component calls: an adapter may lie between the components.
const LOWERED_BYTES: u64 = 1024;

/// How much the instances of a component may count together: this, and a multiple of the bytes of its file.
const LEAST_ALLOWED: u64 = 1 << 20;
const ALLOWED_FACTOR: u64 = 8;

/// A component whose bytes are being read.
#[derive(Default)]
struct Scope {
    /// What a module counts that is known only when the component is instantiated: as much as the largest of the file.
    largest_module: u64,
    /// By index, how much an instance of each counts; `None` where it is known only when the component is instantiated.
    modules: Vec<Option<u64>>,
    components: Vec<Option<u64>>,
    /// How much all instances count.
    extent: u64,
}

/// Refuses a component that becomes much more than its bytes. What is not valid is left to the validator.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let allowed = allowed(bytes);
    let largest_module = largest_module(bytes);
    // Components around the one that is being read, which is the last; `None` stands for a module.
    let mut scopes: Vec<Option<Scope>> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Ok(()) };
        match &payload {
            Payload::Version { encoding, .. } => {
                let scope = || Scope { largest_module, ..Scope::default() };
                scopes.push((*encoding == Encoding::Component).then(scope));
                continue;
            }
            Payload::End(_) => {
                let ended = scopes.pop().flatten();
                if let (Some(ended), Some(Some(outer))) = (ended, scopes.last_mut()) {
                    outer.components.push(Some(ended.extent));
                }
                continue;
            }
            _ => {}
        }
        match read(&payload, &mut scopes) {
            Ok(Some(extent)) if extent > allowed => return Err(too_large(extent, allowed)),
            Ok(_) => {}
            // The validator says why.
            Err(Failure::Invalid) => return Ok(()),
            Err(Failure::Unknown(what)) => return Err(unsupported(what)),
        }
    }
    Ok(())
}

/// The bytes of the largest core module in a component, as far as the component is well-formed.
fn largest_module(bytes: &[u8]) -> u64 {
    let lengths = Parser::new(0).parse_all(bytes).map_while(|payload| payload.ok()).map(|payload| match payload {
        Payload::ModuleSection { unchecked_range, .. } => unchecked_range.len() as u64,
        _ => 0,
    });
    lengths.max().unwrap_or(0)
}

/// How much a component of these bytes may become.
fn allowed(bytes: &[u8]) -> u64 {
    (bytes.len() as u64).saturating_mul(ALLOWED_FACTOR).saturating_add(LEAST_ALLOWED)
}

/// Refuses a component whose modules, with the adapters that were made for it, are much more than its bytes: `modules`
/// says how long each is.
pub(super) fn check_modules(bytes: &[u8], modules: impl Iterator<Item = usize>) -> Result<()> {
    let (total, allowed) = (modules.map(|len| len as u64).sum::<u64>(), allowed(bytes));
    if total <= allowed {
        return Ok(());
    }
    Err(Error::input(format!(
        "the component needs {total} bytes of modules for calls between its parts, and may need {allowed} for its size"
    ))
    .hint("types of few words that say much, in many functions, bring that about"))
}

fn too_large(extent: u64, allowed: u64) -> Error {
    Error::input(format!(
        "the component makes instances of {extent} bytes of modules or more, and may make {allowed} for its size"
    ))
    .hint("docs/LIMITS.md says how they are counted: a component that is instantiated twice counts twice")
}

/// Why nothing is counted.
enum Failure {
    Invalid,
    /// What is known only when the component is instantiated.
    Unknown(&'static str),
}

impl From<wasmparser::BinaryReaderError> for Failure {
    fn from(_: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid
    }
}

/// What is at an index, where there is such an index.
fn at(space: &[Option<u64>], index: u32) -> std::result::Result<Option<u64>, Failure> {
    space.get(index as usize).copied().ok_or(Failure::Invalid)
}

/// Counts what a section says; how much the innermost component is then.
fn read(payload: &Payload<'_>, scopes: &mut [Option<Scope>]) -> std::result::Result<Option<u64>, Failure> {
    let outer = |scopes: &[Option<Scope>], count: u32, modules: bool, index: u32| {
        let scope = scopes.len().checked_sub(count as usize + 1).and_then(|place| scopes[place].as_ref());
        let scope = scope.ok_or(Failure::Invalid)?;
        at(if modules { &scope.modules } else { &scope.components }, index)
    };
    let Some(Some(_)) = scopes.last() else { return Ok(None) };
    if let Payload::ComponentAliasSection(aliases) = payload {
        for alias in aliases.clone() {
            let (kind, found) = match alias? {
                ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, count, index } => {
                    (ComponentExternalKind::Module, outer(scopes, count, true, index)?)
                }
                ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                    (ComponentExternalKind::Component, outer(scopes, count, false, index)?)
                }
                ComponentAlias::InstanceExport { kind, .. } => (kind, None),
                _ => continue,
            };
            innermost(scopes)?.add(kind, found);
        }
        return Ok(None);
    }
    innermost(scopes)?.read(payload)
}

fn innermost(scopes: &mut [Option<Scope>]) -> std::result::Result<&mut Scope, Failure> {
    scopes.last_mut().and_then(Option::as_mut).ok_or(Failure::Invalid)
}

impl Scope {
    /// Gives the next index of a module or component to one.
    fn add(&mut self, kind: ComponentExternalKind, extent: Option<u64>) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(extent),
            ComponentExternalKind::Component => self.components.push(extent),
            _ => {}
        }
    }

    fn read(&mut self, payload: &Payload<'_>) -> std::result::Result<Option<u64>, Failure> {
        match payload {
            Payload::ModuleSection { unchecked_range, .. } => self.modules.push(Some(unchecked_range.len() as u64)),
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    match import?.ty {
                        ComponentTypeRef::Module(_) => self.modules.push(None),
                        ComponentTypeRef::Component(_) => self.components.push(None),
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    let extent = match export.kind {
                        ComponentExternalKind::Module => at(&self.modules, export.index)?,
                        ComponentExternalKind::Component => at(&self.components, export.index)?,
                        _ => continue,
                    };
                    self.add(export.kind, extent);
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        let module = at(&self.modules, module_index)?;
                        self.make(module.unwrap_or(self.largest_module));
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    let counts = match function? {
                        CanonicalFunction::Lower { .. } => LOWERED_BYTES,
                        _ => LIFTED_BYTES,
                    };
                    self.extent = self.extent.saturating_add(counts);
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        let component = at(&self.components, component_index)?;
                        self.make(
                            component.ok_or(Failure::Unknown("a component that a component gets as an argument"))?,
                        );
                    }
                }
            }
            _ => {}
        }
        Ok(Some(self.extent))
    }

    fn make(&mut self, extent: u64) {
        self.extent = self.extent.saturating_add(extent).saturating_add(INSTANCE_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Components, each of which instantiates the one before it twice.
    fn doubled(levels: u32) -> Vec<u8> {
        let first = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
        let others = (1..=levels).map(|level| {
            let below = level - 1;
            format!(
                "(component $c{level} (alias outer 1 $c{below} (component $c))
                   (instance (instantiate $c)) (instance (instantiate $c)))"
            )
        });
        let all: String = std::iter::once(first).chain(others).collect();
        wat::parse_str(format!("(component {all} (instance (instantiate $c{levels})))")).unwrap()
    }

    #[test]
    fn what_is_instantiated_over_and_over_is_counted() {
        assert!(check(&doubled(8)).is_ok());
        // More levels than numbers have bits.
        for levels in [20, 100] {
            let error = check(&doubled(levels)).unwrap_err().to_string();
            assert!(error.contains("the component makes instances of"), "{error}");
        }
    }

    #[test]
    fn the_bytes_of_a_module_count_for_each_instance() {
        let data = "x".repeat(100_000);
        let of = |instances: usize| {
            let all = "(core instance (instantiate $m))".repeat(instances);
            wat::parse_str(format!("(component (core module $m (memory 2) (data (i32.const 0) \"{data}\")) {all})"))
        };
        assert!(check(&of(15).unwrap()).is_ok());
        assert!(check(&of(25).unwrap()).is_err());
    }

    #[test]
    fn a_module_that_is_an_argument_counts_as_the_largest_one() {
        let data = "x".repeat(100_000);
        let of = |instances: usize| {
            let all = "(core instance (instantiate $a))".repeat(instances);
            let large = format!("(core module $m (memory 2) (data (i32.const 0) \"{data}\"))");
            wat::parse_str(format!("(component {large} (component (import \"a\" (core module $a)) {all}))")).unwrap()
        };
        assert!(check(&of(15)).is_ok());
        assert!(check(&of(25)).is_err());
    }

    #[test]
    fn functions_between_components_count() {
        let of = |lowered: usize| {
            let all = "(core func (canon lower (func $f)))".repeat(lowered);
            wat::parse_str(format!("(component (import \"f\" (func $f)) {all})")).unwrap()
        };
        assert!(check(&of(900)).is_ok());
        assert!(check(&of(1500)).is_err());
        assert!(check_modules(b"", [1 << 20].into_iter()).is_ok());
        assert!(check_modules(b"", [1 << 20, 1].into_iter()).is_err());
    }

    #[test]
    fn arguments_are_refused_and_what_is_invalid_is_left_to_the_validator() {
        let text = "(component (component $c (import \"a\" (component $d)) (instance (instantiate $d))))";
        let error = check(&wat::parse_str(text).unwrap()).unwrap_err().to_string();
        assert!(error.contains("a component that a component gets as an argument"), "{error}");
        let valid = doubled(3);
        for len in 0..valid.len() {
            assert!(check(&valid[..len]).is_ok());
        }
    }
}
