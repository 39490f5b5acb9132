//! `wasmelt cache`: what the cache of `wasmelt run` holds, and emptying it.

use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::print_text;
use crate::cache::{Cache, Entry, LIMIT_BYTES};
use crate::error::{Error, Result};

/// Show or empty the cache of `wasmelt run`
///
/// The cache is the folder that `WASMELT_CACHE_DIR` names, or `wasmelt` in the user's folder for caches:
/// `$XDG_CACHE_HOME` or `~/.cache` on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows. Beyond 1 GiB, what
/// was unused for longest is dropped.
#[derive(Args, Debug)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    action: Option<Action>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// List the entries, the last used first (without a command)
    List,
    /// Remove all entries
    Clean,
    /// Print the folder
    Dir,
}

/// The cache as JSON.
#[derive(Serialize)]
struct Listing {
    folder: String,
    limit_bytes: u64,
    bytes: u64,
    entries: Vec<Listed>,
}

/// An entry as JSON.
#[derive(Serialize)]
struct Listed {
    name: String,
    path: String,
    bytes: u64,
    unused_seconds: u64,
}

/// Does it.
pub(super) fn execute(args: &CacheArgs) -> Result<()> {
    let Some(cache) = Cache::open()? else {
        return Err(Error::usage("there is no cache: no home folder, or one that cannot be written")
            .hint("the variable `WASMELT_CACHE_DIR` names a folder"));
    };
    match args.action.unwrap_or(Action::List) {
        Action::List => list(&cache, args.json),
        Action::Dir => print_text(&format!("{}\n", cache.folder().display())),
        Action::Clean => {
            let (count, bytes) = cache.clean();
            print_text(&format!("removed {}, {}\n", entries(count), size(bytes)))
        }
    }
}

fn list(cache: &Cache, json: bool) -> Result<()> {
    let mut found = cache.entries();
    found.sort_by(|a, b| (b.used, &a.path).cmp(&(a.used, &b.path)));
    let bytes = found.iter().map(|entry| entry.bytes).sum();
    let folder = cache.folder().display().to_string();
    if json {
        let entries = found.iter().map(listed).collect();
        let text = serde_json::to_string_pretty(&Listing { folder, limit_bytes: LIMIT_BYTES, bytes, entries });
        return print_text(&(text.map_err(|e| Error::internal(format!("cannot write JSON: {e}")))? + "\n"));
    }
    let mut text = format!("{folder}: {}, {} of {}\n", entries(found.len()), size(bytes), size(LIMIT_BYTES));
    for entry in found.iter().map(listed) {
        text += &format!("{:>10}  unused for {:<8}  {}\n", size(entry.bytes), age(entry.unused_seconds), entry.name);
    }
    print_text(&text)
}

fn listed(entry: &Entry) -> Listed {
    let unused = SystemTime::now().duration_since(entry.used).unwrap_or_default();
    let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
    Listed {
        name: name.chars().filter(|c| !c.is_control()).collect(),
        path: entry.path.display().to_string(),
        bytes: entry.bytes,
        unused_seconds: unused.as_secs(),
    }
}

fn entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

fn size(bytes: u64) -> String {
    let scaled = |shift: u32| bytes as f64 / (1u64 << shift) as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", scaled(10)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", scaled(20)),
        _ => format!("{:.1} GiB", scaled(30)),
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
