//! The cache of `run`: executables by a key over everything that decides their bytes, and what they are linked from, by a
//! key over everything but what is granted. So another grant links again and compiles nothing. And the functions that they
//! were made of, by a key over the name of the module's file: so a change of one function compiles little.
//!
//! An entry is the executable itself, named after its module, in a folder that is named by the key. So `ps` and `perf`
//! show the module's name, and running the module again costs reading and hashing the input, one `lstat` and the
//! `execve`. Entries appear whole or not at all (see [`crate::output`]), so any number of processes may use the folder at
//! once.
//!
//! Whether an entry is still what was stored is seen without reading it: its modification time, in seconds since 1970,
//! is its length. Whatever writes to the file, truncates or replaces it changes the time, and the entry is dropped.
//! The access time serves as the stamp for dropping the entries that were not used for longest.

use std::fs::{self, FileTimes, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind, Result};
use crate::host;
use crate::options::{Cpu, Options, Plug, Preload};
use crate::output::AtomicFile;
use crate::reuse::Reuse;
use crate::unlinked::Unlinked;

/// Total size of entries above which the ones unused for longest are dropped.
pub const LIMIT_BYTES: u64 = 1 << 30;

/// How old an entry's stamp may become before a use renews it.
const STAMP_PRECISION: Duration = Duration::from_secs(60 * 60);

/// After this time a temporary file belongs to no process any more.
const TEMPORARY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest part of a module's name that names an entry.
const MAX_NAME_BYTES: usize = 100;

/// What an entry is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    hash: blake3::Hash,
    /// Name of the executable.
    name: String,
}

impl Key {
    /// The key of a module compiled with these options by this wasmelt. The executable is named after the module's
    /// file.
    pub fn new(input: &[u8], module: &Path, options: &Options) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Every part is preceded by its length, so that no two lists of parts look the same.
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(env!("CARGO_PKG_VERSION").as_bytes());
        part(&wasmelt_abi::ABI_VERSION.to_le_bytes());
        part(&this_program());
        // The debug form holds every field, one that is added later as well. The number of threads decides nothing.
        part(format!("{:?}", Options { threads: 0, reuse: None, ..options.clone() }).as_bytes());
        if options.cpu == Cpu::Native {
            part(native_cpu().as_bytes());
        }
        if let Some(folder) = &options.runtime_dir {
            let path = folder.join(options.target.to_string()).join(options.runtime.archive_name());
            part(&fs::read(path).unwrap_or_default());
        }
        part(input);
        Self { hash: hasher.finalize(), name: name_of(module) }
    }

    /// The key of what an executable is linked from: all that is decided when it is linked is left out.
    pub fn of_code(input: &[u8], module: &Path, options: &Options) -> Self {
        let policy = options.policy.of_code();
        Self::new(input, module, &Options { policy, embedded_files: Vec::new(), ..options.clone() })
    }
}

/// The name of a module's executable: that of its file without the extension, as far as each file system has it.
fn name_of(module: &Path) -> String {
    let stem = module.file_stem().unwrap_or_default().to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let name: String = stem.chars().take(MAX_NAME_BYTES).map(|c| if is_plain(c) { c } else { '_' }).collect();
    // What starts with a dot is temporary here; `-` is standard input.
    match name.trim_start_matches(['.', '-']) {
        "" => "program".to_owned(),
        name => name.to_owned(),
    }
}

impl Key {
    /// The key of the functions of a module that may have changed since they were compiled: of its file's name, and of the
    /// options.
    fn of_functions(module: &Path, options: &Options) -> Option<Self> {
        let path = std::path::absolute(module).ok().filter(|_| module != Path::new("-"))?;
        // The key does not depend on the modules' contents, which change.
        let preloads = options.preloads.iter().map(|preload| Preload { bytes: Vec::new(), ..preload.clone() });
        let plugs = options.plugs.iter().map(|plug| Plug { bytes: Vec::new(), ..plug.clone() });
        let options =
            Options { preloads: preloads.collect(), plugs: plugs.collect(), grantable: false, ..options.clone() };
        Some(Self::of_code(path.as_os_str().as_encoded_bytes(), module, &options))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hash.to_hex())
    }
}

/// Identity of the running program and so of the runtime archive in it: length and modification time. A rebuilt
/// wasmelt of the same version must not use what the one before it stored.
fn this_program() -> Vec<u8> {
    let Ok(metadata) = std::env::current_exe().and_then(fs::metadata) else { return Vec::new() };
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let parts = [u128::from(metadata.len()), modified.as_nanos()];
    parts.iter().flat_map(|part| part.to_le_bytes()).collect()
}

/// What this machine's CPU offers: the folder may be shared with another machine.
fn native_cpu() -> String {
    let flags = cranelift_codegen::settings::Flags::new(cranelift_codegen::settings::builder());
    match cranelift_native::builder().map(|builder| builder.finish(flags)) {
        Ok(Ok(isa)) => isa.isa_flags().iter().map(|flag| flag.to_string()).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}

/// A file in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When the file was used last, to the precision of the stamps.
    pub used: SystemTime,
    /// Length of the file.
    pub bytes: u64,
    /// The file.
    pub path: PathBuf,
}

/// An open cache folder.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the user's cache folder: `$WASMELT_CACHE_DIR`, or where the system keeps caches: `$XDG_CACHE_HOME/wasmelt`
    /// or `~/.cache/wasmelt`, `~/Library/Caches/wasmelt` on macOS, `%LOCALAPPDATA%\wasmelt\cache` on Windows. `None`
    /// where there cannot be one: no home, or one that cannot be written. An error where there is one that is not safe.
    pub fn open() -> Result<Option<Self>> {
        let named = std::env::var_os("WASMELT_CACHE_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        named.or_else(host::cache_folder).map_or(Ok(None), Self::at)
    }

    /// Opens a cache folder, creating it where it does not exist; see [`Cache::open`].
    pub fn at(folder: PathBuf) -> Result<Option<Self>> {
        if fs::metadata(&folder)
            .or_else(|_| host::create_private_folder(&folder).and_then(|()| fs::metadata(&folder)))
            .is_err()
        {
            return Ok(None);
        }
        // From here on without links, which somebody could let lead elsewhere.
        let Ok(folder) = host::without_links(&folder) else { return Ok(None) };
        let Ok(metadata) = fs::symlink_metadata(&folder) else { return Ok(None) };
        let shown = folder.display();
        if !metadata.is_dir() {
            return Err(Error::new(ErrorKind::Io, format!("the cache folder {shown} is not a folder")));
        }
        if !host::is_ours_alone(&metadata) {
            return Err(Error::new(
                ErrorKind::Io,
                format!("the cache folder {shown} is not used: others could put executables into it"),
            )
            .hint(host::how_to_make_ours(&folder)));
        }
        if let Some(parent) = host::replaceable_by_others(&folder) {
            let parent = parent.display();
            return Err(Error::new(
                ErrorKind::Io,
                format!("the cache folder {shown} is not used: others could put another one in its place, in {parent}"),
            )
            .hint(format!(
                "{parent} must belong to you or to root, and nobody else may write to it: `chmod go-w {parent}`"
            )));
        }
        Ok(Some(Self { folder }))
    }

    /// Where the executable of a key is, if there is one.
    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.to_string()).join(format!("{}{}", key.name, std::env::consts::EXE_SUFFIX))
    }

    /// Where what executables are linked from is, if there is one.
    fn code_path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.to_string()).join(format!("{}.code", key.name))
    }

    /// Lets a compilation of `module` use the functions that its last one made; the key to store them under. `None` for a
    /// module without a name.
    pub fn reuse(&self, module: &Path, options: &mut Options) -> Option<Key> {
        let key = Key::of_functions(module, options)?;
        let path = self.functions_path(&key);
        let bytes = self.is_there(&path).then(|| fs::read(&path).ok()).flatten().unwrap_or_default();
        options.reuse = Some(Reuse::new(&bytes, this_program()));
        Some(key)
    }

    /// Stores the functions of the compilation that was made with `options`.
    pub fn store_functions(&self, key: &Key, options: &Options) -> io::Result<()> {
        let Some(reuse) = &options.reuse else { return Ok(()) };
        match reuse.to_bytes().map_err(io::Error::other)? {
            Some(bytes) => self.put(&self.functions_path(key), 0o600, &bytes),
            None => Ok(()),
        }
    }

    /// Where the functions of a module are, if there are any.
    fn functions_path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.to_string()).join(format!("{}.functions", key.name))
    }

    /// The executable of a key, if there is an intact one.
    pub fn find(&self, key: &Key) -> Option<PathBuf> {
        let path = self.path(key);
        self.is_there(&path).then_some(path)
    }

    /// What executables are linked from, by the key of [`Key::of_code`], if there is an intact one.
    pub fn find_code(&self, key: &Key) -> Option<Unlinked> {
        let path = self.code_path(key);
        let bytes = self.is_there(&path).then(|| fs::read(&path).ok())??;
        Unlinked::from_bytes(&bytes).inspect_err(|_| _ = remove(&path)).ok()
    }

    /// Whether there is an intact entry. One that is not intact is dropped.
    fn is_there(&self, path: &Path) -> bool {
        let Ok(metadata) = fs::symlink_metadata(path) else { return false };
        if !is_intact(&metadata) {
            remove(path);
            return false;
        }
        if metadata.accessed().ok().and_then(|then| then.elapsed().ok()).is_none_or(|age| age > STAMP_PRECISION) {
            let times = FileTimes::new().set_accessed(SystemTime::now());
            let _ = host::open_for_times(path).and_then(|file| file.set_times(times));
        }
        true
    }

    /// Stores an executable and drops what has become too much. Returns where it is.
    pub fn store(&self, key: &Key, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(key);
        self.put(&path, 0o700, bytes)?;
        Ok(path)
    }

    /// Stores what executables are linked from.
    pub fn store_code(&self, key: &Key, unlinked: &Unlinked) -> io::Result<()> {
        let bytes = unlinked.to_bytes().map_err(io::Error::other)?;
        self.put(&self.code_path(key), 0o600, &bytes)
    }

    fn put(&self, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
        host::create_private_folder(host::folder_of(path))?;
        AtomicFile::create(path, mode)?.finish(bytes, Some(stamp(bytes.len() as u64)))?;
        self.trim(LIMIT_BYTES, path);
        Ok(())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All entries.
    pub fn entries(&self) -> Vec<Entry> {
        self.files().filter(|entry| !is_temporary(&entry.path)).collect()
    }

    /// Removes all entries, and what processes that were ended left behind. Returns how many entries and bytes that
    /// were.
    pub fn clean(&self) -> (usize, u64) {
        let (mut count, mut bytes) = (0, 0);
        for entry in self.files() {
            if is_temporary(&entry.path) {
                drop_abandoned(&entry);
            } else if remove(&entry.path) {
                count += 1;
                bytes += entry.bytes;
            }
        }
        (count, bytes)
    }

    /// All files of the cache: those in the folders of keys, and those that an older wasmelt put beside them.
    fn files(&self) -> impl Iterator<Item = Entry> {
        let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
        let files = list(&self.folder).flat_map(move |entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path()).collect(),
            _ => vec![entry],
        });
        files.filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
            let used = metadata.accessed().unwrap_or(UNIX_EPOCH);
            Some(Entry { used, bytes: metadata.len(), path: entry.path() })
        })
    }

    /// Drops entries that were unused for longest until three quarters of the limit are left, `keep` excepted.
    fn trim(&self, limit_bytes: u64, keep: &Path) {
        let (temporary, mut entries): (Vec<_>, Vec<_>) = self.files().partition(|entry| is_temporary(&entry.path));
        temporary.iter().for_each(drop_abandoned);
        let mut total_bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        if total_bytes <= limit_bytes {
            return;
        }
        entries.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        for entry in entries {
            if total_bytes <= limit_bytes / 4 * 3 {
                return;
            }
            if entry.path != keep && remove(&entry.path) {
                total_bytes -= entry.bytes;
            }
        }
    }
}

/// Whether a file is one that is still written, or was when its process was ended.
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Removes a temporary file that belongs to no process any more.
fn drop_abandoned(file: &Entry) {
    if file.used.elapsed().is_ok_and(|age| age > TEMPORARY_LIFETIME) {
        remove(&file.path);
    }
}

/// Removes a file, and the folder of its key where nothing is left in it. Whether the file is gone.
fn remove(path: &Path) -> bool {
    let removed = fs::remove_file(path).is_ok();
    // The cache's own folder is not empty, or goes as well: whoever stores something makes it again.
    let _ = fs::remove_dir(host::folder_of(path));
    removed
}

/// The modification time of an intact entry of this length.
fn stamp(len_bytes: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(len_bytes)
}

// ---------------------------------------------------------------------------------------------------------------------
// Security: what lies in the cache is executed with the user's rights and with the capabilities that it was compiled
// with. So nothing is taken from a folder or file that another user could have written, or put in the place of ours: the
// folders above count as well, as for the keys of ssh (`StrictModes`). On Windows that is not checked:
// there the access list of the user's profile keeps others out of the cache.
// ---------------------------------------------------------------------------------------------------------------------

/// Whether an entry is the file that was stored. A symbolic link never is.
fn is_intact(metadata: &Metadata) -> bool {
    metadata.is_file()
        && metadata.len() > 0
        && host::is_ours_alone(metadata)
        && metadata.modified().is_ok_and(|time| time == stamp(metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    #[cfg(unix)]
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use crate::options::{DirGrant, OptLevel};

    fn key(text: &str) -> Key {
        Key::new(text.as_bytes(), Path::new("dir/app.wasm"), &Options::default())
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("a/b")).unwrap().unwrap();
        (folder, cache)
    }

    #[test]
    fn keys_differ_by_content_and_by_what_matters() {
        let base = Options::default();
        let mut all = vec![key("a"), key("b")];
        let dir = DirGrant { host: ".".into(), guest: ".".into(), read_only: false };
        let mut changed = |change: &dyn Fn(&mut Options)| {
            let mut options = base.clone();
            change(&mut options);
            all.push(Key::new(b"a", Path::new("app.wasm"), &options));
        };
        let of_code = |options: &Options| Key::of_code(b"a", Path::new("app.wasm"), options);
        changed(&|o| o.opt_level = OptLevel::None);
        changed(&|o| o.cpu = Cpu::Native);
        changed(&|o| o.policy.dirs.push(dir.clone()));
        changed(&|o| o.policy.dirs.push(DirGrant { read_only: true, ..dir.clone() }));
        changed(&|o| o.policy.inherit_env = true);
        changed(&|o| o.max_memory_bytes = Some(1));
        changed(&|o| o.features.remove(wasmparser::WasmFeatures::SIMD));
        changed(&|o| o.invoke = Some("f".into()));
        // Only what is decided when a program is linked leaves the key of its code as it is.
        let with = |change: &dyn Fn(&mut Options)| {
            let mut options = base.clone();
            change(&mut options);
            of_code(&options)
        };
        assert_eq!(with(&|o| o.policy.dirs.push(dir.clone())), of_code(&base));
        assert_eq!(with(&|o| o.policy.harden = true), of_code(&base));
        assert_ne!(with(&|o| o.policy.fuel = Some(1)), of_code(&base));
        assert_ne!(with(&|o| o.policy.deterministic = Some(1)), of_code(&base));
        assert_ne!(with(&|o| o.max_memory_bytes = Some(1)), of_code(&base));
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let options = Options { threads: 7, ..Options::default() };
        assert_eq!(Key::new(b"a", Path::new("app.wasm"), &options), key("a"));
    }

    #[test]
    fn what_is_stored_is_found_and_executable() {
        let (_folder, cache) = cache();
        assert_eq!(cache.find(&key("a")), None);
        let path = cache.store(&key("a"), b"program").unwrap();
        assert_eq!(cache.find(&key("a")), Some(path.clone()));
        assert_eq!(fs::read(&path).unwrap(), b"program");
        #[cfg(unix)]
        assert_ne!(fs::metadata(&path).unwrap().mode() & 0o100, 0);
        assert_eq!(cache.find(&key("b")), None);
        assert_eq!(path.file_stem().unwrap(), "app");
        assert_eq!(cache.entries().iter().map(|entry| (&entry.path, entry.bytes)).collect::<Vec<_>>(), [(&path, 7)]);
        fs::write(path.with_file_name(".temporary"), "of a process that runs").unwrap();
        assert_eq!(cache.clean(), (1, 7));
        assert!(cache.entries().is_empty() && path.with_file_name(".temporary").exists());
    }

    #[test]
    fn executables_are_named_after_their_modules() {
        for (module, name) in [
            ("dir/app.wasm", "app"),
            ("a b\n.v1.wat", "a_b_.v1"),
            ("-", "program"),
            ("..", "program"),
            (".hidden.wasm", "hidden"),
        ] {
            assert_eq!(name_of(Path::new(module)), name, "{module}");
        }
        assert_eq!(name_of(Path::new(&"x".repeat(300))).len(), MAX_NAME_BYTES);
    }

    #[test]
    fn changed_entries_are_dropped() {
        let (_folder, cache) = cache();
        let changes: &[&dyn Fn(&Path)] = &[
            &|path| fs::write(path, "prog").unwrap(),
            &|path| fs::write(path, "PROGRAM").unwrap(),
            &|path| File::options().write(true).open(path).unwrap().set_len(3).unwrap(),
            #[cfg(unix)]
            &|path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap(),
            #[cfg(unix)]
            &|path| {
                fs::rename(path, path.with_extension("x")).unwrap();
                symlink(path.with_extension("x"), path).unwrap();
            },
        ];
        for change in changes {
            let path = cache.store(&key("a"), b"program").unwrap();
            assert!(cache.find(&key("a")).is_some());
            change(&path);
            assert_eq!(cache.find(&key("a")), None);
            assert!(!path.exists());
        }
    }

    #[test]
    #[cfg(unix)]
    fn folders_that_others_can_write_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o707, 0o777] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert!(Cache::at(folder.path().to_owned()).is_err(), "{mode:o}");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Cache::at(folder.path().to_owned()).unwrap().is_some());
        let created = folder.path().join("new");
        assert!(Cache::at(created.clone()).unwrap().is_some());
        assert_eq!(fs::metadata(created).unwrap().mode() & 0o777, 0o700);
        // Not a folder, and nowhere that a folder could be.
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Cache::at(folder.path().join("file")).is_err());
        assert!(Cache::at(folder.path().join("file/below")).unwrap().is_none());
    }

    #[test]
    #[cfg(unix)]
    fn folders_above_that_others_can_write_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let above = fs::canonicalize(folder.path()).unwrap().join("above");
        let cache = above.join("middle/cache");
        assert!(Cache::at(cache.clone()).unwrap().is_some());
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o770, 0o707, 0o777] {
            for changed in [&above, &above.join("middle")] {
                set(changed, mode);
                let error = Cache::at(cache.clone()).unwrap_err();
                assert!(error.to_string().ends_with(&changed.display().to_string()), "{mode:o}: {error}");
                set(changed, 0o755);
            }
        }
        // In a folder like `/tmp`, nobody can rename what belongs to others.
        set(&above, 0o1777);
        assert!(Cache::at(cache.clone()).unwrap().is_some());
        // A link is followed once: what it leads to is what counts, and where entries are.
        symlink(&cache, folder.path().join("link")).unwrap();
        let linked = Cache::at(folder.path().join("link")).unwrap().unwrap();
        assert_eq!(linked.folder, fs::canonicalize(&cache).unwrap());
        set(&above, 0o777);
        assert!(Cache::at(folder.path().join("link")).is_err());
    }

    #[test]
    fn the_entries_unused_for_longest_go_first() {
        let (_folder, cache) = cache();
        let mut paths = Vec::new();
        for (i, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let path = cache.store(&key(name), &[0; 100]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(10_000 - 1000 * i as u64);
            host::open_for_times(&path).unwrap().set_times(FileTimes::new().set_accessed(used)).unwrap();
            paths.push(path);
        }
        // A use renews the stamp.
        assert!(cache.find(&key("a")).is_some());
        cache.trim(400, &paths[3]);
        assert!(paths.iter().all(|path| path.exists()));
        cache.trim(399, &paths[1]);
        let left: Vec<_> = paths.iter().map(|path| path.exists()).collect();
        assert_eq!(left, [true, true, false, false]);
    }
}
