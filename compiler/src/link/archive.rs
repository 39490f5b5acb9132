//! Finds the runtime archive of a target: in a folder that the user names, beside the executable, or inside it.

use std::borrow::Cow;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use object::read::archive::ArchiveFile;
use target_lexicon::{OperatingSystem, Triple};
use wasmelt_abi::symbols::ABI_ANCHOR;

use crate::error::{Error, Result};
use crate::options::Runtime;

/// The archives for Linux by architecture, compressed with zstd; empty where Rust's standard library for the architecture
/// was not there when this compiler was built.
static EMBEDDED: [(&str, &[u8]); 2] = [
    ("x86_64", include_bytes!(concat!(env!("OUT_DIR"), "/x86_64.a.zst"))),
    ("aarch64", include_bytes!(concat!(env!("OUT_DIR"), "/aarch64.a.zst"))),
];

/// The archive of a target that is part of this program.
fn embedded(target: &Triple) -> Option<&'static [u8]> {
    let architecture = target.architecture.to_string();
    let is_of_target = |(name, bytes): &&(&str, &[u8])| *name == architecture && !bytes.is_empty();
    let found = EMBEDDED.iter().find(is_of_target).map(|&(_, bytes)| bytes);
    found.filter(|_| target.operating_system == OperatingSystem::Linux)
}

/// A runtime archive.
#[derive(Debug)]
pub(super) struct Archive {
    /// Content.
    pub(super) bytes: Cow<'static, [u8]>,
    /// Where it was found, for messages.
    pub(super) place: String,
    /// It is part of this program.
    pub(super) is_embedded: bool,
}

/// Finds the archive of a runtime for `target`.
pub(super) fn find(target: &Triple, runtime: Runtime, runtime_dir: Option<&Path>) -> Result<Archive> {
    let file_name = runtime.archive_name();
    let is_linux = target.operating_system == OperatingSystem::Linux;
    // The portable one is for a C library: another one's does not do, where a system has several.
    let names = if is_linux && runtime == Runtime::Portable { vec![target.to_string()] } else { folder_names(target) };
    let mut searched = Vec::new();
    // A folder that the user names is the only one that is searched: nothing else takes its place silently.
    if let Some(dir) = runtime_dir.map(Path::to_owned).or_else(installed_dir) {
        for name in &names {
            let path = dir.join(name).join(file_name);
            match fs::read(&path) {
                Ok(bytes) => {
                    return Ok(Archive { bytes: bytes.into(), place: path.display().to_string(), is_embedded: false });
                }
                Err(e) if is_absence(&e) => searched.push(path.display().to_string()),
                Err(e) => return Err(Error::io(format!("cannot read {}", path.display()), &e)),
            }
        }
    }
    if runtime == Runtime::Portable {
        let searched = if searched.is_empty() { "nowhere".to_owned() } else { searched.join(", ") };
        let name = names.first().map_or("", String::as_str);
        let flag = if is_linux { " --portable" } else { "" };
        let error = Error::link(format!("no portable runtime archive for {target}: searched {searched}"))
            .hint("install a release of wasmelt, which has archives for all targets")
            .hint(format!("build it from wasmelt's source: `cargo xtask runtime --target {name}{flag} --out DIR`, and pass `--runtime-dir DIR`"));
        return Err(if is_linux {
            error.hint("leave out `--runtime portable`: the freestanding runtime needs neither")
        } else {
            error.hint(format!("put {file_name} into DIR/{name} and pass --runtime-dir DIR"))
        });
    }
    if let Some(bytes) = embedded(target).filter(|_| runtime_dir.is_none()) {
        let bytes = zstd::decode_all(bytes).map_err(|e| Error::internal(format!("embedded runtime archive: {e}")))?;
        return Ok(Archive {
            bytes: bytes.into(),
            place: "the embedded runtime archive".to_owned(),
            is_embedded: true,
        });
    }
    let embedded: Vec<_> = EMBEDDED.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(name, _)| *name).collect();
    let embedded = match (runtime_dir, embedded.as_slice()) {
        (Some(_), _) => String::new(),
        (None, []) => "; none is embedded".to_owned(),
        (None, names) => format!("; embedded is the one for {}", names.join(" and ")),
    };
    Err(Error::link(format!("no runtime archive for {target}: searched {}{embedded}", searched.join(", ")))
        .hint(format!("put {file_name} into DIR/{} and pass --runtime-dir DIR", names[0]))
        .hint("releases of wasmelt have archives for all targets; `cargo xtask runtime` in its source builds them"))
}

/// File name of the archive of servers, in the folder of a target.
pub const SERVER: &str = "libwasmelt_server.a";

/// Finds the archive of servers for `target`.
pub(super) fn find_server(target: &Triple, runtime_dir: Option<&Path>) -> Result<Archive> {
    let dir = runtime_dir.map(Path::to_owned).or_else(installed_dir).unwrap_or_default();
    let path = dir.join(target.to_string()).join(SERVER);
    match fs::read(&path) {
        Ok(bytes) => Ok(Archive { bytes: bytes.into(), place: path.display().to_string(), is_embedded: false }),
        Err(e) if is_absence(&e) => {
            Err(Error::link(format!("no archive of servers for {target}: searched {}", path.display()))
                .hint("releases have the one for the machine that they are for")
                .hint(format!(
                    "build it from wasmelt's source: `cargo xtask server --target {target} --out DIR`, and pass `--runtime-dir DIR`"
                )))
        }
        Err(e) => Err(Error::io(format!("cannot read {}", path.display()), &e)),
    }
}

/// `<exe>/../lib/wasmelt`, where a package manager installs archives for further targets.
pub fn installed_dir() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    Some(exe.parent()?.parent()?.join("lib").join("wasmelt"))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Names under which the archive of `target` may lie. The freestanding runtime has no C library, and programs for
/// Windows use only what comes with it, so which one is named makes no difference.
fn folder_names(target: &Triple) -> Vec<String> {
    let mut names = vec![target.to_string()];
    let environments: &[&str] = match target.operating_system {
        OperatingSystem::Linux => &["unknown-linux-gnu", "unknown-linux-musl"],
        OperatingSystem::Windows => &["pc-windows-gnu", "pc-windows-gnullvm", "pc-windows-msvc"],
        system if system.is_like_darwin() => &["apple-darwin"],
        _ => &[],
    };
    for environment in environments {
        let name = format!("{}-{environment}", target.architecture);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

impl Archive {
    /// Fails when the archive is not one, or speaks another version of the contract than the objects of this compiler.
    pub(super) fn check_version(&self) -> Result<()> {
        let place = &self.place;
        let damaged = |e| Error::link(format!("{place} is not a static library: {e}"));
        let archive = ArchiveFile::parse(&*self.bytes).map_err(damaged)?;
        let symbols = archive.symbols().map_err(damaged)?;
        let mut versions = Vec::new();
        for symbol in symbols.into_iter().flatten() {
            let name = symbol.map_err(damaged)?.name();
            // Mach-O puts an underscore in front of names.
            let name = name.strip_prefix(b"_").unwrap_or(name);
            if name == ABI_ANCHOR.as_bytes() {
                return Ok(());
            }
            if name.starts_with(b"wasmelt_abi_") {
                versions.push(String::from_utf8_lossy(name).into_owned());
            }
        }
        let found = if versions.is_empty() { "no version of it".to_owned() } else { versions.join(", ") };
        Err(Error::link(format!("{place} does not fit this compiler: it defines {found}, not {ABI_ANCHOR}"))
            .hint("compiler and runtime archive must come from the same release of wasmelt"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_archives_are_found_whatever_the_c_library() {
        let names = folder_names(&"x86_64-unknown-linux-musl".parse().unwrap());
        assert_eq!(names, ["x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu"]);
        let names = folder_names(&"x86_64-pc-windows-gnu".parse().unwrap());
        assert_eq!(names, ["x86_64-pc-windows-gnu", "x86_64-pc-windows-gnullvm", "x86_64-pc-windows-msvc"]);
    }

    #[test]
    fn a_missing_archive_says_what_was_searched() {
        let dir = tempfile::tempdir().unwrap();
        let target = "riscv64gc-unknown-linux-gnu".parse().unwrap();
        let error = find(&target, Runtime::Freestanding, Some(dir.path())).unwrap_err();
        let expected = dir.path().join("riscv64gc-unknown-linux-gnu").join("libwasmelt_start.a");
        assert!(error.to_string().contains(expected.to_str().unwrap()), "{error}");
        assert!(error.hints()[0].contains("--runtime-dir"), "{error}");
        let error = find(&target, Runtime::Portable, Some(dir.path())).unwrap_err();
        assert!(error.to_string().contains("libwasmelt_start_portable.a"), "{error}");
        assert_eq!(error.hints().len(), 3, "{error}");
    }

    #[test]
    fn an_archive_of_another_version_is_refused() {
        let bytes = b"!<arch>\n".as_slice().into();
        let error = Archive { bytes, place: "old.a".to_owned(), is_embedded: false }.check_version().unwrap_err();
        assert!(error.to_string().starts_with("old.a does not fit this compiler: it defines no version"), "{error}");
        let bytes = b"junk".as_slice().into();
        assert!(Archive { bytes, place: "junk.a".to_owned(), is_embedded: false }.check_version().is_err());
    }
}
