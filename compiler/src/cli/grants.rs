//! `--dir` and `--file`: what is granted under which name, and what looks like a mistake.

use std::path::Path;

use target_lexicon::{HOST, OperatingSystem, Triple};

use crate::error::{Error, Result};
use crate::options::{DirFrom, DirGrant, FileGrant, Policy};

/// Modes that somebody may write who means `ro` or `rw`.
const MISSPELLED_MODES: &[&str] = &["r", "w", "wr", "readonly", "read-only", "readwrite", "read-write"];

/// A granted directory: `HOST[::GUEST][:ro]`. Without a guest path it is the host's, as in wasmtime; `:rw` spells out
/// the default.
pub(super) fn dir(text: &str) -> Result<DirGrant, String> {
    let (host, guest, read_only) = grant(text, "directory")?;
    Ok(DirGrant { host, guest, read_only })
}

/// A granted file: `HOST[::GUEST][:ro]`.
pub(super) fn file(text: &str) -> Result<FileGrant, String> {
    let (host, guest, read_only) = grant(text, "file")?;
    Ok(FileGrant { host, guest, read_only })
}

/// Path on the host, path for the guest, and whether the guest can only read. A colon where another number of colons
/// has a meaning is refused: whoever wrote it would get another grant than was meant.
fn grant(text: &str, what: &str) -> Result<(String, String, bool), String> {
    let (paths, mode) = match text.strip_suffix(":ro") {
        Some(paths) => (paths, ":ro"),
        None => text.strip_suffix(":rw").map_or((text, ""), |paths| (paths, ":rw")),
    };
    if !mode.is_empty() && paths.ends_with(':') {
        let paths = paths.trim_end_matches(':');
        return Err(format!("one colon stands before the mode: `{paths}{mode}`"));
    }
    let (host, guest) = match paths.split_once("::") {
        Some(both) => both,
        None => {
            let drive_bytes = if starts_with_drive(paths) { 2 } else { 0 };
            if let Some((host, guest)) = paths[drive_bytes..].split_once(':').filter(|(host, _)| !host.is_empty()) {
                let host = &paths[..drive_bytes + host.len()];
                check_mode(guest, &format!("{host}:"))?;
                return Err(format!(
                    "two colons stand between host and guest: `{host}::{guest}{mode}` (or `{paths}::{paths}{mode}` for \
                     a {what} of this name)"
                ));
            }
            (paths, paths)
        }
    };
    if host.is_empty() {
        return Err(format!("the host's {what} is empty: expected `HOST[::GUEST][:ro]`"));
    }
    if guest.is_empty() {
        return Err(format!("the guest's name for the {what} is empty: expected `HOST[::GUEST][:ro]`"));
    }
    if guest.contains("::") {
        return Err("`::` stands once, between host and guest: expected `HOST[::GUEST][:ro]`".to_owned());
    }
    if let Some((path, word)) = guest.rsplit_once(':') {
        check_mode(word, &format!("{host}::{path}:"))?;
    }
    Ok((host.to_owned(), guest.to_owned(), mode == ":ro"))
}

/// Refuses a word that stands where a mode would and looks like one.
fn check_mode(word: &str, before: &str) -> Result<(), String> {
    let lower = word.to_ascii_lowercase();
    if !MISSPELLED_MODES.contains(&&*lower) && !["ro", "rw"].contains(&&*lower) {
        return Ok(());
    }
    let meant = if lower.contains('w') { "rw" } else { "ro" };
    Err(format!("the modes are `ro` and `rw`: `{before}{meant}`"))
}

/// Whether a path starts with a drive of Windows: `C:\` or `C:/`.
fn starts_with_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
}

/// Refuses a drive where the target has none: `d:/data` was meant to be `d::/data`.
pub(super) fn check_drives(policy: &Policy, target: &Triple) -> Result<()> {
    if target.operating_system == OperatingSystem::Windows {
        return Ok(());
    }
    let dirs = policy.dirs.iter().map(|grant| ("--dir", &grant.host, &grant.guest));
    let files = policy.files.iter().map(|grant| ("--file", &grant.host, &grant.guest));
    let mut grants = dirs.chain(files);
    match grants.find(|(_, host, guest)| host == guest && starts_with_drive(host)) {
        None => Ok(()),
        Some((option, host, _)) => {
            Err(Error::usage(format!("`{option} {host}` starts with a drive, and {target} has no drives"))
                .hint(format!("two colons stand between host and guest: `{option} {}::{}`", &host[..1], &host[2..])))
        }
    }
}

/// A warning that names what was granted and does not exist. Nothing is said where the executable runs elsewhere, or
/// looks in its own folder.
pub(super) fn missing(policy: &Policy, target: &Triple) -> Option<Error> {
    let dirs = policy.dirs.iter().map(|grant| ("directory", &grant.host));
    let files = policy.files.iter().map(|grant| ("file", &grant.host));
    let is_seen_here = |host: &Path| policy.dir_from == DirFrom::Cwd || host.is_absolute();
    let is_missing = |(_, host): &(&str, &String)| is_seen_here(Path::new(host)) && !Path::new(host).exists();
    let list: Vec<_> = dirs.chain(files).filter(is_missing).map(|(what, host)| format!("{what} `{host}`")).collect();
    if list.is_empty() || target.operating_system != HOST.operating_system {
        return None;
    }
    let warning = Error::input(format!("granted, but missing here: {}", list.join(", ")));
    Some(warning.hint("a program that uses files opens them when it starts, from its working directory, or ends there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_name_host_guest_and_mode() {
        for (text, host, guest, read_only) in [
            (".", ".", ".", false),
            (".:ro", ".", ".", true),
            ("data::/data", "data", "/data", false),
            ("data::/data:ro", "data", "/data", true),
            ("data::/data:rw", "data", "/data", false),
            ("C:\\x::/d", "C:\\x", "/d", false),
            ("C:/x::/d:ro", "C:/x", "/d", true),
            ("C:\\x", "C:\\x", "C:\\x", false),
            ("C:/x:ro", "C:/x", "C:/x", true),
            ("a:b::c:d", "a:b", "c:d", false),
            ("a::ro:rw", "a", "ro", false),
            ("a:ro::a:b", "a:ro", "a:b", false),
        ] {
            let grant = DirGrant { host: host.into(), guest: guest.into(), read_only };
            assert_eq!(dir(text), Ok(grant), "{text}");
        }
        for text in ["", ":ro", "::", "::/data", "data::"] {
            assert!(dir(text).is_err(), "{text}");
        }
    }

    #[test]
    fn slips_are_refused_with_what_was_meant() {
        for (text, meant) in [
            ("data:/data", "`data::/data`"),
            ("data:/data:ro", "`data::/data:ro`"),
            ("C:\\x:/data", "`C:\\x::/data`"),
            ("a:ro:rw", "`a:ro`"),
            ("d::ro", "`d:ro`"),
            ("d::/a::ro", "`d::/a:ro`"),
            ("data:::ro", "`data:ro`"),
            ("d:RO", "`d:ro`"),
            ("d::/a:readonly", "`d::/a:ro`"),
            ("d::/a:w", "`d::/a:rw`"),
            ("d::/a::/b", "`::` stands once"),
        ] {
            let error = dir(text).unwrap_err();
            assert!(error.contains(meant), "{text}: {error}");
        }
    }

    #[test]
    fn drives_are_for_windows() {
        let policy = Policy { dirs: vec![dir("d:/data").unwrap()], ..Policy::default() };
        assert!(check_drives(&policy, &"x86_64-pc-windows-gnu".parse().unwrap()).is_ok());
        let error = check_drives(&policy, &"x86_64-unknown-linux-gnu".parse().unwrap()).unwrap_err();
        assert!(error.hints()[0].ends_with("`--dir d::/data`"), "{error:?}");
    }
}
