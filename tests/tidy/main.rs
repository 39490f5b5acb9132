//! Rules of the house that a compiler does not know: which part may use what, where `unsafe` may stand, how files
//! begin and how long they get, and that documents refer to what exists.

#[path = "../support/mod.rs"]
mod support;

mod documents;
mod layers;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Failed, Trial};

/// A file of the repository.
struct File {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

/// A rule looks at all files and returns a line for each breach.
type Rule = fn(&[File]) -> Vec<String>;

fn main() -> ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    let rules: [(&str, Rule); 12] = [
        ("layers_use_only_what_they_may", layers::use_only_what_they_may),
        ("one_folder_knows_wasmtime_environ", layers::one_folder_knows_wasmtime_environ),
        ("sys_stands_on_nothing", layers::sys_stands_on_nothing),
        ("unsafe_only_in_the_runtime", layers::unsafe_only_in_the_runtime),
        ("unsafe_blocks_have_reasons", layers::unsafe_blocks_have_reasons),
        ("files_open_with_their_purpose", sources::open_with_their_purpose),
        ("files_stay_readable", sources::stay_readable),
        ("nothing_is_left_open", sources::nothing_is_left_open),
        ("no_path_of_one_machine", sources::no_path_of_one_machine),
        ("modules_are_reached", sources::modules_are_reached),
        ("links_lead_somewhere", documents::links_lead_somewhere),
        ("documents_stay_short", documents::stay_short),
    ];
    let trials = rules.map(|(name, rule)| Trial::test(name, move || check(rule)));
    support::skips::run(&args, trials.into()).exit_code()
}

fn check(rule: Rule) -> Result<(), Failed> {
    let mut files = Vec::new();
    collect(support::repository(), "", &mut files)?;
    if files.len() < 20 {
        return Err(format!("only {} files were found: the rules look at the wrong place", files.len()).into());
    }
    let breaches = rule(&files);
    if breaches.is_empty() { Ok(()) } else { Err(breaches.join("\n").into()) }
}

/// All files that are text, without what Git and Cargo keep.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) -> std::io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if entry.file_type()?.is_dir() {
            if name != ".git" && !name.starts_with("target") {
                collect(&entry.path(), &path, files)?;
            }
        // In a further working tree of Git it is a file.
        } else if name != ".git"
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(File { path, text });
        }
    }
    Ok(())
}

/// The Rust files among them.
fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    let is_rust = |file: &&File| Path::new(&file.path).extension().is_some_and(|extension| extension == "rs");
    // Guests are programs for WebAssembly: what they do is what the sandbox is for.
    files.iter().filter(is_rust).filter(|file| !file.path.contains("/guests/"))
}

/// Lines with their numbers, without comments and without what stands in string literals.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(number, line)| (number + 1, code_of(line)))
}

/// A line without its comment and with empty string literals. Literals of several lines are not recognised: their
/// lines count as code, which makes a rule stricter and never blind.
fn code_of(line: &str) -> String {
    let (mut code, mut chars) = (String::new(), line.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => break,
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                code.push_str("\"\"");
            }
            // A quote as a character literal opens no string.
            '\'' if chars.peek() == Some(&'"') => {
                chars.next();
            }
            c => code.push(c),
        }
    }
    code
}

/// The folder of a path, as a path for the file system.
fn folder_of(path: &str) -> PathBuf {
    Path::new(path).parent().unwrap_or(Path::new("")).to_owned()
}
