//! Trims a static library: in goes what rustc made, out comes an archive of the members that are needed, pruned.
//!
//! rustc adds all of `compiler_builtins`, hundreds of members of which the runtime uses none or few. Without them the
//! archive that the compiler embeds, and unpacks for each program that it links, is a tenth as large.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

use super::member;

/// A member of an archive.
struct Member<'a> {
    data: &'a [u8],
    /// It belongs to the crate itself.
    own: bool,
    defined: Vec<String>,
    undefined: Vec<String>,
}

/// The archive without the members that nothing in those of `crate_name` needs, directly or indirectly.
pub(crate) fn trim(archive: &[u8], crate_name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let members = read(archive, crate_name)?;
    let mut definitions = HashMap::new();
    for (i, member) in members.iter().enumerate() {
        for name in &member.defined {
            definitions.entry(name.as_str()).or_insert(i);
        }
    }
    let mut needed = vec![false; members.len()];
    let mut pending: Vec<usize> = (0..members.len()).filter(|&i| members[i].own).collect();
    while let Some(i) = pending.pop() {
        if !std::mem::replace(&mut needed[i], true) {
            pending.extend(members[i].undefined.iter().filter_map(|name| definitions.get(name.as_str())));
        }
    }
    let needed: Vec<Member<'_>> =
        members.into_iter().zip(needed).filter(|(_, needed)| *needed).map(|(m, _)| m).collect();
    // Rust's own names only matter where another member refers to them.
    let shared: HashSet<&str> = needed.iter().flat_map(|member| &member.undefined).map(String::as_str).collect();
    let is_exported = |name: &str| shared.contains(name) || !["_ZN", "_R"].iter().any(|start| name.starts_with(start));
    let mut pruned = Vec::new();
    for member in &needed {
        let names: Vec<&str> = member.defined.iter().map(String::as_str).filter(|name| is_exported(name)).collect();
        pruned.push((member::prune(member.data, &names)?, names));
    }
    Ok(write(&pruned))
}

fn read<'a>(archive: &'a [u8], crate_name: &str) -> object::Result<Vec<Member<'a>>> {
    let mut members = Vec::new();
    for member in ArchiveFile::parse(archive)?.members() {
        let member = member?;
        let data = member.data(archive)?;
        let file = object::File::parse(data)?;
        let mut parsed = Member {
            data,
            own: member.name().starts_with(crate_name.as_bytes()),
            defined: Vec::new(),
            undefined: Vec::new(),
        };
        for symbol in file.symbols().filter(|symbol| symbol.is_global()) {
            let names = if symbol.is_undefined() { &mut parsed.undefined } else { &mut parsed.defined };
            names.push(symbol.name()?.to_owned());
        }
        members.push(parsed);
    }
    Ok(members)
}

/// Writes an archive in GNU's format: the symbol table, then the members, named by their number. A member is its
/// content and the names that it defines.
fn write(members: &[(Vec<u8>, Vec<&str>)]) -> Vec<u8> {
    let names = || members.iter().enumerate().flat_map(|(i, (_, names))| names.iter().map(move |name| (i, name)));
    let table_bytes = names().map(|(_, name)| 4 + name.len() + 1).sum::<usize>() + 4;
    let mut starts = Vec::with_capacity(members.len());
    let mut end = MAGIC.len() + HEADER_BYTES + table_bytes.next_multiple_of(2);
    for (data, _) in members {
        starts.push(end as u32);
        end += HEADER_BYTES + data.len().next_multiple_of(2);
    }
    let mut archive = MAGIC.to_vec();
    archive.extend(header("/", table_bytes).bytes());
    archive.extend((names().count() as u32).to_be_bytes());
    archive.extend(names().flat_map(|(i, _)| starts[i].to_be_bytes()));
    archive.extend(names().flat_map(|(_, name)| name.bytes().chain([0])));
    archive.resize(archive.len().next_multiple_of(2), b'\n');
    for (i, (data, _)) in members.iter().enumerate() {
        archive.extend(header(&format!("{i}.o/"), data.len()).bytes());
        archive.extend(data);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    archive
}

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER_BYTES: usize = 60;

/// Name, time, user, group, mode, length in bytes.
fn header(name: &str, len: usize) -> String {
    format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 0, 0, 0, 644)
}
