//! How source files look.

use std::collections::BTreeSet;

use crate::{File, folder_of, rust};

/// No Rust file is longer, except those named here, each with its reason.
const MAX_LINES: usize = 800;

/// Files that may be longer.
const LONG_FILES: &[&str] = &[];

pub(crate) fn open_with_their_purpose(files: &[File]) -> Vec<String> {
    let breaches = rust(files).filter(|file| !file.text.starts_with("//!"));
    breaches.map(|file| format!("{}: does not open with `//!`", file.path)).collect()
}

pub(crate) fn stay_readable(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in rust(files) {
        let lines = file.text.lines().count();
        if lines > MAX_LINES && !LONG_FILES.contains(&file.path.as_str()) {
            breaches.push(format!("{}: {lines} lines, more than {MAX_LINES}", file.path));
        }
    }
    for path in LONG_FILES {
        if !files.iter().any(|file| file.path == *path && file.text.lines().count() > MAX_LINES) {
            breaches.push(format!("{path}: is named as a long file and is none"));
        }
    }
    breaches
}

pub(crate) fn nothing_is_left_open(files: &[File]) -> Vec<String> {
    // Put together here, so that this file does not contain them.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["#[ig", "nore"],
        ["dbg", "!("],
    ];
    let words = words.map(|parts| parts.concat());
    each_line(rust(files), |line| {
        words.iter().find(|word| line.contains(word.as_str())).map(|word| format!("`{word}`"))
    })
}

pub(crate) fn no_path_of_one_machine(files: &[File]) -> Vec<String> {
    let roots = ["work", "home", "root", "Users"].map(|root| format!("/{root}/"));
    each_line(files.iter(), |line| {
        // An invented user's folder is an example.
        let line = line.replace("/home/someone/", "");
        let root = roots.iter().find(|root| {
            line.match_indices(root.as_str()).any(|(at, _)| {
                // Behind a letter or the end of a placeholder, the root is a folder within another path.
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '}' | '_' | '-' | '*' | '$' | '>'))
            })
        })?;
        Some(format!("a path below `{root}`"))
    })
}

fn each_line<'a>(files: impl Iterator<Item = &'a File>, find: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(found) = find(line) {
                breaches.push(format!("{}:{}: {found}", file.path, number + 1));
            }
        }
    }
    breaches
}

/// Every Rust file below a `src` or a test is part of a crate: a file that no `mod` names is never compiled.
pub(crate) fn modules_are_reached(files: &[File]) -> Vec<String> {
    let paths: BTreeSet<&str> = rust(files).map(|file| file.path.as_str()).collect();
    let mut named = BTreeSet::new();
    for file in rust(files) {
        let folder = folder_of(&file.path);
        let stem = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let own = if matches!(stem, "mod" | "lib" | "main") { folder.clone() } else { folder.join(stem) };
        for line in file.text.lines().map(str::trim) {
            let Some(name) = line.strip_suffix(';').and_then(|line| line.rsplit_once("mod ")).map(|(_, name)| name)
            else {
                continue;
            };
            let name = own.join(name);
            named.insert(format!("{}.rs", name.display()));
            named.insert(format!("{}/mod.rs", name.display()));
        }
        for target in file.text.split("#[path = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            named.insert(normalise(&format!("{}/{target}", folder.display())));
        }
    }
    let is_root = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        matches!(name, "lib.rs" | "main.rs" | "build.rs")
            || path.starts_with("benches/")
            || path.starts_with("examples/")
            || path.starts_with("fuzz/benches/")
            || path.starts_with("fuzz/fuzz_targets/")
    };
    let lost = paths.into_iter().filter(|path| !is_root(path) && !named.contains(*path));
    lost.map(|path| format!("{path}: no module declaration leads here")).collect()
}

/// Resolves `..` in a path of the repository.
fn normalise(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
