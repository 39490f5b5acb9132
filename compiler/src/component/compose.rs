//! Composition: a component and those that export what it imports, to one component that imports what is left. What
//! goes together is decided by names, and by versions of one track; that types agree is checked.

mod versions;

use std::borrow::Cow;

use wasm_compose::graph::{Component, ComponentId, CompositionGraph, EncodeOptions, ImportIndex, InstanceId};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use self::versions::Versions;
use super::{Composition, is_component};
use crate::error::{Error, Result};
use crate::options::Plug;

/// A component with its name for messages.
struct Part<'a> {
    name: &'a str,
    component: ComponentId,
    instance: InstanceId,
    /// Something imports from it.
    is_used: bool,
}

/// What one part imports from another.
struct Edge {
    target: usize,
    import: ImportIndex,
    name: String,
    source: usize,
    export: String,
}

/// Composes a component with plugs: each gives what the component, or another plug, imports.
pub(super) fn compose(socket: &[u8], socket_name: &str, plugs: &[Plug]) -> Result<Composition> {
    let mut sources = vec![(socket_name, Cow::Borrowed(socket))];
    for Plug { source_name, bytes } in plugs {
        let bytes = wat::parse_bytes(bytes).map_err(|e| Error::input(format!("{source_name}: {e}")))?;
        sources.push((source_name, bytes));
    }
    unite_versions(&mut sources)?;
    let mut graph = CompositionGraph::new();
    // One for all: their types are compared.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut parts = Vec::with_capacity(sources.len());
    for (name, bytes) in &sources {
        parts.push(add(&mut graph, &mut validator, bytes, name, parts.len())?);
    }
    let edges = edges(&graph, &parts)?;
    for edge in &edges {
        parts[edge.source].is_used = true;
    }
    if let Some(unused) = parts.iter().skip(1).find(|part| !part.is_used) {
        return Err(useless(&graph, &parts[0], unused));
    }
    refuse_cycles(&parts, &edges)?;
    for edge in edges {
        connect(&mut graph, &parts, &edge)?;
    }
    let options = EncodeOptions { define_components: true, export: Some(parts[0].instance), validate: false };
    let bytes = graph.encode(options).map_err(|e| Error::input(format!("{socket_name} cannot be composed: {e:#}")))?;
    let unmet = imports(&bytes)?.into_iter().filter(|name| !name.starts_with("wasi:")).collect();
    Ok(Composition { bytes, unmet })
}

/// Lets all parts import an interface in one version, where their versions stand for each other.
fn unite_versions(sources: &mut [(&str, Cow<'_, [u8]>)]) -> Result<()> {
    // What is not valid imports nothing here, and is refused when it is added.
    let imports: Vec<_> = sources.iter().map(|(_, bytes)| imports(bytes).unwrap_or_default()).collect();
    let mut versions = Versions::default();
    imports.iter().for_each(|imports| versions.add(imports.iter().map(String::as_str)));
    for ((_, bytes), imports) in sources.iter_mut().zip(&imports) {
        if let Some(renamed) = versions.apply(bytes, imports.iter().map(String::as_str))? {
            *bytes = Cow::Owned(renamed);
        }
    }
    Ok(())
}

fn add<'a>(
    graph: &mut CompositionGraph<'a>,
    validator: &mut Validator,
    bytes: &[u8],
    name: &'a str,
    number: usize,
) -> Result<Part<'a>> {
    if !is_component(bytes) {
        return Err(Error::input(format!("{name} is a core module, and components are composed"))
            .hint("`--preload NAME=PATH` links modules; `cargo build --target wasm32-wasip2` makes components"));
    }
    let component = Component::from_bytes(validator, format!("part{number}"), bytes.to_vec())
        .map_err(|e| Error::input(format!("{name} is not a valid component: {}", e.root_cause())))?;
    let component = graph.add_component(component).map_err(|e| internal(&e))?;
    let instance = graph.instantiate(component).map_err(|e| internal(&e))?;
    Ok(Part { name, component, instance, is_used: false })
}

fn internal(error: &anyhow::Error) -> Error {
    Error::internal(format!("components cannot be composed: {error:#}"))
}

fn component<'g>(graph: &'g CompositionGraph<'_>, part: &Part<'_>) -> Result<&'g Component<'g>> {
    graph.get_component(part.component).ok_or_else(|| Error::internal("a component is lost"))
}

/// What each part imports from a plug.
fn edges(graph: &CompositionGraph<'_>, parts: &[Part<'_>]) -> Result<Vec<Edge>> {
    let mut edges = Vec::new();
    for (target, part) in parts.iter().enumerate() {
        for (import, name, _) in component(graph, part)?.imports() {
            let mut found: Option<(usize, String)> = None;
            for (source, plug) in parts.iter().enumerate().skip(1).filter(|(source, _)| *source != target) {
                let mut exports = component(graph, plug)?.exports().map(|(_, export, ..)| export);
                let Some(export) = exports.find(|export| provides(export, name)) else { continue };
                if let Some((other, _)) = found {
                    return Err(Error::input(format!(
                        "{} and {} both export `{export}`, which {} imports",
                        parts[other].name, plug.name, part.name
                    ))
                    .hint("leave one of them out"));
                }
                found = Some((source, export.to_owned()));
            }
            if let Some((source, export)) = found {
                edges.push(Edge { target, import, name: name.to_owned(), source, export });
            }
        }
    }
    Ok(edges)
}

fn connect(graph: &mut CompositionGraph<'_>, parts: &[Part<'_>], edge: &Edge) -> Result<()> {
    let (target, source) = (&parts[edge.target], &parts[edge.source]);
    let export = component(graph, source)?.export_by_name(&edge.export).map(|(index, ..)| index);
    let export = export.ok_or_else(|| Error::internal("an export is lost"))?;
    graph.connect(source.instance, Some(export), target.instance, edge.import).map_err(|_| {
        Error::input(format!(
            "{} exports `{}` with other types than {} imports `{}` with",
            source.name, edge.export, target.name, edge.name
        ))
        .hint("build both from the same WIT files")
    })
}

/// Versions of one track stand for each other: a change of the last number breaks nobody, and from 1.0 on one of the second
/// neither. `None` for versions that stand for themselves alone.
fn track(version: &str) -> Option<String> {
    let (major, rest) = version.split_once('.')?;
    let (minor, patch) = rest.split_once('.')?;
    match (major, minor) {
        _ if patch.contains(['-', '+']) => None,
        ("0", "0") => None,
        ("0", minor) => Some(format!("0.{minor}")),
        (major, _) => Some(major.to_owned()),
    }
}

/// Whether an export has the name that an import has, or is a version that may stand for it.
fn provides(export: &str, import: &str) -> bool {
    let same_track = || {
        let (export, version) = export.split_once('@')?;
        let (import, wanted) = import.split_once('@')?;
        Some(export == import && track(version)? == track(wanted)?)
    };
    export == import || same_track().unwrap_or(false)
}

/// A plug from which nobody imports.
fn useless(graph: &CompositionGraph<'_>, socket: &Part<'_>, plug: &Part<'_>) -> Error {
    let list = |names: Vec<String>| match names.len() {
        0 => "nothing".to_owned(),
        _ => names.join(", "),
    };
    let quoted = |name: &str| format!("`{name}`");
    let exports = component(graph, plug).map(|part| part.exports().map(|(_, name, ..)| quoted(name)).collect());
    let imports = component(graph, socket).map(|part| {
        let names = part.imports().map(|(_, name, _)| name);
        names.filter(|name| !name.starts_with("wasi:")).map(quoted).collect()
    });
    Error::input(format!("{} exports nothing that {} imports", plug.name, socket.name)).hint(format!(
        "{} exports {}; {} imports {}, besides WASI",
        plug.name,
        list(exports.unwrap_or_default()),
        socket.name,
        list(imports.unwrap_or_default())
    ))
}

/// Refuses parts that import from each other: none could be instantiated first.
fn refuse_cycles(parts: &[Part<'_>], edges: &[Edge]) -> Result<()> {
    let mut waiting: Vec<usize> = (0..parts.len()).collect();
    loop {
        let is_blocked = |part: &usize| edges.iter().any(|edge| edge.target == *part && waiting.contains(&edge.source));
        let blocked: Vec<usize> = waiting.iter().copied().filter(is_blocked).collect();
        if blocked.is_empty() {
            return Ok(());
        }
        if blocked.len() == waiting.len() {
            let is_source =
                |part: &&usize| edges.iter().any(|edge| edge.source == **part && blocked.contains(&edge.target));
            let names: Vec<_> = blocked.iter().filter(is_source).map(|part| parts[*part].name).collect();
            let names = names.join(" and ");
            return Err(Error::input(format!("{names} import from each other: none can be instantiated first"))
                .hint("move what both need into a component of its own"));
        }
        waiting = blocked;
    }
}

/// The names of what a component imports.
fn imports(bytes: &[u8]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let invalid = |e| Error::internal(format!("the composed component is not well-formed: {e}"));
        match payload.map_err(invalid)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    names.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_track_stand_for_each_other() {
        for (export, import) in
            [("a:b/c", "a:b/c"), ("a:b/c@0.2.1", "a:b/c@0.2.0"), ("a:b/c@1.4.0", "a:b/c@1.0.9"), ("f", "f")]
        {
            assert!(provides(export, import), "{export} {import}");
        }
        for (export, import) in [
            ("a:b/c@0.2.1", "a:b/c@0.3.0"),
            ("a:b/c@0.0.1", "a:b/c@0.0.2"),
            ("a:b/c@2.0.0", "a:b/c@1.0.0"),
            ("a:b/c@1.0.0-rc1", "a:b/c@1.0.0"),
            ("a:b/c", "a:b/c@1.0.0"),
            ("a:b/d@1.0.0", "a:b/c@1.0.0"),
        ] {
            assert!(!provides(export, import), "{export} {import}");
        }
    }
}
