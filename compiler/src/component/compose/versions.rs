//! Versions of what parts of a composition import. Parts that were built at different times import one interface in versions
//! of one track, `wasi:http/types@0.2.4` and `@0.2.12`. Under two names these are two imports with types of their own, and no
//! resource of one part could go to the other. So all parts import the highest version that one of them asks for.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use wasm_encoder::{Component, Encode as _, RawSection};
use wasmparser::{Parser, Payload};

use super::track;
use crate::error::{Error, Result};

/// The highest version of each package that parts import, by package and track.
#[derive(Debug, Default)]
pub(super) struct Versions(HashMap<(String, String), Vec<u64>>);

/// The parts of `package/interface@version`: package, interface, version.
fn parts(name: &str) -> Option<(&str, &str, &str)> {
    let (path, version) = name.split_once('@')?;
    let (package, interface) = path.split_once('/')?;
    Some((package, interface, version))
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

impl Versions {
    /// Counts what a part imports.
    pub(super) fn add<'a>(&mut self, imports: impl Iterator<Item = &'a str>) {
        for (package, _, version) in imports.filter_map(parts) {
            let (Some(track), Some(version)) = (track(version), numbers(version)) else { continue };
            let highest = self.0.entry((package.to_owned(), track)).or_default();
            if version > *highest {
                *highest = version;
            }
        }
    }

    /// The name that stands for an import; `None` where that is its own.
    fn name(&self, import: &str) -> Option<String> {
        let (package, interface, version) = parts(import)?;
        let highest = self.0.get(&(package.to_owned(), track(version)?))?;
        let highest: Vec<_> = highest.iter().map(u64::to_string).collect();
        let highest = highest.join(".");
        (highest != version).then(|| format!("{package}/{interface}@{highest}"))
    }

    /// The component with the names that stand for those of its imports. `None` where these are its own, and where it would
    /// import one name twice.
    pub(super) fn apply<'a>(&self, bytes: &[u8], imports: impl Iterator<Item = &'a str>) -> Result<Option<Vec<u8>>> {
        let (mut seen, mut is_changed) = (HashSet::new(), false);
        for import in imports {
            let other = self.name(import);
            is_changed |= other.is_some();
            if !seen.insert(other.unwrap_or_else(|| import.to_owned())) {
                return Ok(None);
            }
        }
        if !is_changed {
            return Ok(None);
        }
        let invalid = |e| Error::input(format!("the component is not well-formed: {e}"));
        let mut renamed = Component::new();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(invalid)?;
            let section = payload.as_section();
            if depth == 1
                && let Some((id, range)) = &section
            {
                let data = &bytes[range.clone()];
                let data = match &payload {
                    Payload::ComponentImportSection(section) => {
                        Cow::Owned(self.imports(data, range.start, section.clone()).map_err(invalid)?)
                    }
                    _ => Cow::Borrowed(data),
                };
                renamed.section(&RawSection { id: *id, data: &data });
            }
            match payload {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                _ => {}
            }
        }
        Ok(Some(renamed.finish()))
    }

    /// The content of an import section, which lies at `start`, with other names.
    fn imports(
        &self,
        data: &[u8],
        start: usize,
        section: wasmparser::ComponentImportSectionReader<'_>,
    ) -> wasmparser::Result<Vec<u8>> {
        let mut content = Vec::new();
        section.count().encode(&mut content);
        let mut imports = section.into_iter_with_offsets().peekable();
        while let Some(import) = imports.next() {
            let (offset, import) = import?;
            let end = match imports.peek() {
                Some(Ok((next, _))) => next - start,
                // An error comes next.
                Some(Err(_)) => continue,
                None => data.len(),
            };
            let whole = &data[offset - start..end];
            let name = import.name.name;
            match self.name(name) {
                None => content.extend_from_slice(whole),
                Some(other) => {
                    // A byte for the form of the name, the name, and the rest.
                    let name_end = name.as_ptr() as usize + name.len() - whole.as_ptr() as usize;
                    content.push(whole[0]);
                    other.encode(&mut content);
                    content.extend_from_slice(&whole[name_end..]);
                }
            }
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of what a component imports.
    fn imports(bytes: &[u8]) -> Vec<String> {
        super::super::imports(bytes).unwrap()
    }

    fn apply(parts: &[&str]) -> Vec<Vec<String>> {
        let parts: Vec<_> = parts.iter().map(|part| wat::parse_str(part).unwrap()).collect();
        let mut versions = Versions::default();
        parts.iter().for_each(|part| versions.add(imports(part).iter().map(String::as_str)));
        let applied = parts.iter().map(|part| {
            let names = imports(part);
            let renamed = versions.apply(part, names.iter().map(String::as_str)).unwrap();
            let renamed = renamed.unwrap_or_else(|| part.clone());
            wasmparser::Validator::new().validate_all(&renamed).unwrap();
            imports(&renamed)
        });
        applied.collect()
    }

    fn part(imports: &[&str]) -> String {
        // A nested component has imports of its own, which are the outer one's to give.
        let mut text = "(component (component (import \"wasi:io/poll@0.2.0\" (instance)))".to_owned();
        imports.iter().for_each(|name| text += &format!("(import \"{name}\" (instance))"));
        text + "(core module (memory 1)))"
    }

    #[test]
    fn parts_import_the_highest_version_of_a_track() {
        let first = part(&["wasi:io/poll@0.2.4", "wasi:io/error@0.2.12", "a:b/c@1.9.0", "a:b/c@2.0.0", "plain"]);
        let second =
            part(&["wasi:io/poll@0.2.0", "wasi:http/types@0.2.3", "a:b/c@1.10.0", "a:b/d@0.0.1", "x:y/z@1.0.0-rc1"]);
        let expected = [
            ["wasi:io/poll@0.2.12", "wasi:io/error@0.2.12", "a:b/c@1.10.0", "a:b/c@2.0.0", "plain"],
            ["wasi:io/poll@0.2.12", "wasi:http/types@0.2.3", "a:b/c@1.10.0", "a:b/d@0.0.1", "x:y/z@1.0.0-rc1"],
        ];
        assert_eq!(apply(&[&first, &second]), expected);
    }

    #[test]
    fn no_part_imports_a_name_twice() {
        let twice = part(&["wasi:io/poll@0.2.0", "wasi:io/poll@0.2.4"]);
        assert_eq!(apply(&[&twice]), [["wasi:io/poll@0.2.0", "wasi:io/poll@0.2.4"]]);
    }
}
