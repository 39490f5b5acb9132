//! Attacks on the path sandbox, each against both back ends, on real directories.
//!
//! The tree of [`Tree`] has a granted directory `root` with links of every kind, and beside it `outside`, whose file
//! `secret` no path may ever reach.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::string::{String, ToString};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::vec::Vec;

use super::{BackEnd, Root};
use crate::host::files;
use crate::host::path::Path;
use crate::sys::errno::Errno;
use crate::sys::file::NewTime;
use crate::sys::fs::{Handle, OFlags, OwnedHandle, metadata, open_granted};
use crate::sys::io_stream::{Buffer, read};

#[cfg(all(target_os = "linux", not(feature = "portable")))]
const BACK_ENDS: [BackEnd; 2] = [BackEnd::Kernel, BackEnd::Walk];
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
const BACK_ENDS: [BackEnd; 1] = [BackEnd::Kernel];

/// A new, empty directory of this test process.
pub(crate) fn test_directory(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("wasmelt-{name}-{}-{number}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path.canonicalize().unwrap()
}

/// A granted directory with links, and one that was not granted; removed when dropped.
struct Tree {
    base: PathBuf,
    granted: OwnedHandle,
}

impl Tree {
    fn new(name: &str) -> Self {
        let base = test_directory(name);
        let root = base.join("root");
        fs::create_dir_all(root.join("dir/sub")).unwrap();
        fs::create_dir_all(base.join("outside/dir")).unwrap();
        fs::write(base.join("outside/secret"), "secret").unwrap();
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(root.join("file"), "inside").unwrap();
        fs::write(root.join("dir/file"), "inside").unwrap();
        fs::write(root.join("dir/sub/file"), "inside").unwrap();
        let links = [
            ("to_file", "dir/file"),
            ("to_dir", "dir"),
            ("to_dir_slash", "dir/"),
            ("to_file_slash", "dir/file/"),
            ("to_here", "."),
            ("to_above", ".."),
            ("to_sub_up", "dir/sub/.."),
            ("dir/up", "../dir/file"),
            ("dir/up_twice", "../../outside/secret"),
            ("dir/sub/round", "../../dir/sub/file"),
            ("out", "../outside/secret"),
            ("out_dir", "../outside"),
            ("chain", "chain2"),
            ("chain2", "dir/chain3"),
            ("dir/chain3", "../out"),
            ("loop", "loop2"),
            ("loop2", "loop"),
            ("self", "self/x"),
            ("dangling", "dir/nothing"),
            ("dangling_out", "../outside/nothing"),
            ("through", "to_dir/sub/../up"),
        ];
        for (link, target) in links {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(base.join("outside/secret"), root.join("absolute")).unwrap();
        symlink(base.join("root/file"), root.join("absolute_in")).unwrap();
        symlink("/", root.join("slash")).unwrap();
        let granted = open_granted(&c_string(root.to_str().unwrap())).unwrap();
        Self { base, granted }
    }

    fn root(&self, back_end: BackEnd) -> Root {
        Root::with_back_end(self.granted.get(), back_end)
    }

    /// What reading a path gives.
    fn content(&self, back_end: BackEnd, path: &str) -> Result<String, Errno> {
        let opened = self.root(back_end).open(&c_string(path), OFlags::RDONLY)?;
        Ok(content_of(opened.get()))
    }

    fn assert_outside_is_untouched(&self) {
        let names = |path: &str| {
            let mut names: Vec<String> = fs::read_dir(self.base.join(path))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_string())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(""), ["outside", "root", "secret"]);
        assert_eq!(names("outside"), ["dir", "secret"]);
        assert_eq!(fs::read_to_string(self.base.join("outside/secret")).unwrap(), "secret");
        assert_eq!(fs::read_to_string(self.base.join("secret")).unwrap(), "secret");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn c_string(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn path(text: &str) -> Path {
    Path::from_bytes(text.as_bytes()).unwrap()
}

fn content_of(handle: Handle) -> String {
    let mut bytes = [0; 64];
    // SAFETY: the buffer is writable and nothing else refers to it during the call.
    let len = unsafe { read(handle, &[Buffer { base: bytes.as_mut_ptr(), len_bytes: bytes.len() }]) }.unwrap();
    String::from_utf8(bytes[..len].to_vec()).unwrap()
}

#[test]
fn paths_inside_resolve() {
    let tree = Tree::new("inside");
    let paths = [
        "file",
        "./file",
        "dir/file",
        "dir//file",
        "dir/./file",
        "dir/../file",
        "dir/sub/../../file",
        "to_file",
        "to_dir/file",
        "to_dir_slash/file",
        "to_here/file",
        "to_here/to_here/./file",
        "to_sub_up/file",
        "dir/up",
        "dir/sub/round",
        "through",
        "to_dir/../file",
        "to_dir/sub/../file",
        "dir/sub/../../to_dir/sub/round",
    ];
    for back_end in BACK_ENDS {
        for path in paths {
            assert_eq!(tree.content(back_end, path).as_deref(), Ok("inside"), "{path} by {back_end:?}");
        }
    }
}

#[test]
fn paths_that_leave_are_refused() {
    let tree = Tree::new("leave");
    let absolute = tree.base.join("root/file");
    let paths = [
        "..",
        "../",
        "../secret",
        "../root/file",
        "dir/../../secret",
        "dir/../../root/file",
        "./..",
        "/",
        "//",
        "/etc/passwd",
        absolute.to_str().unwrap(),
        "out",
        "out_dir",
        "out_dir/secret",
        "out_dir/",
        "to_above",
        "to_above/secret",
        "to_above/root/file",
        "dir/up_twice",
        "chain",
        "dir/chain3",
        "absolute",
        "absolute_in",
        "slash",
        "slash/etc/passwd",
        "dangling_out",
        "to_here/../file",
        "dir/sub/../../../secret",
        "to_sub_up/../../secret",
    ];
    for back_end in BACK_ENDS {
        for path in paths {
            assert_eq!(tree.content(back_end, path), Err(Errno::Perm), "{path} by {back_end:?}");
        }
    }
}

#[test]
fn other_errors_are_the_kernels() {
    let tree = Tree::new("errors");
    let long = "n".repeat(256);
    let cases = [
        ("loop", Errno::Loop),
        ("self", Errno::Loop),
        ("loop/x", Errno::Loop),
        ("nothing", Errno::Noent),
        ("nothing/x", Errno::Noent),
        ("dangling", Errno::Noent),
        ("dangling/x", Errno::Noent),
        ("file/", Errno::Notdir),
        ("file/.", Errno::Notdir),
        ("file/..", Errno::Notdir),
        ("file/x", Errno::Notdir),
        ("to_file/", Errno::Notdir),
        ("to_file/x", Errno::Notdir),
        ("to_file_slash", Errno::Notdir),
        ("", Errno::Noent),
        (&long, Errno::Nametoolong),
    ];
    for back_end in BACK_ENDS {
        for (path, error) in cases {
            assert_eq!(tree.content(back_end, path), Err(error), "{path} by {back_end:?}");
        }
    }
}

#[test]
fn the_last_link_is_followed_when_asked() {
    let tree = Tree::new("nofollow");
    for back_end in BACK_ENDS {
        let open = |path: &str, flags| tree.root(back_end).open(&c_string(path), flags).map(|_| ());
        for link in ["to_file", "to_dir", "out", "loop", "dangling", "absolute"] {
            assert_eq!(open(link, OFlags::NOFOLLOW), Err(Errno::Loop), "{link}");
            assert_eq!(open(link, OFlags::NOFOLLOW | OFlags::DIRECTORY), Err(Errno::Notdir), "{link}");
            assert_eq!(open(link, OFlags::NOFOLLOW | OFlags::PATH), Ok(()), "{link}");
        }
        // A slash asks for what the link leads to, whatever the flag says.
        assert_eq!(open("to_dir/", OFlags::NOFOLLOW), Ok(()));
        assert_eq!(open("out_dir/", OFlags::NOFOLLOW), Err(Errno::Perm));
        // A location is that of the target.
        let of = |path: &str| {
            metadata(tree.root(back_end).open(&c_string(path), OFlags::PATH).unwrap().get()).unwrap().inode
        };
        assert_eq!(of("to_file"), of("dir/file"));
        assert_eq!(of("to_dir/."), of("dir"));
        assert_eq!(of("dir/.."), of("."));
    }
}

#[test]
fn nothing_is_created_outside() {
    let tree = Tree::new("create");
    let create = OFlags::CREATE | OFlags::WRONLY;
    for back_end in BACK_ENDS {
        let open = |path: &str, flags| tree.root(back_end).open(&c_string(path), flags).map(|_| ());
        for path in ["../new", "out_dir/new", "dangling_out", "to_above/new", "slash/new", "/new", "dir/../../new"] {
            assert_eq!(open(path, create), Err(Errno::Perm), "{path}");
        }
        for path in ["out", "absolute", "chain"] {
            assert_eq!(open(path, create | OFlags::TRUNC), Err(Errno::Perm), "{path}");
        }
        assert_eq!(open("dangling_out", create | OFlags::EXCL), Err(Errno::Exist));
        assert_eq!(open("new/", create), Err(Errno::Isdir));
        assert_eq!(open("dir/", create), Err(Errno::Isdir));
        assert_eq!(open("dir/.", create), Err(Errno::Isdir));
        assert_eq!(open("new", create | OFlags::EXCL), Ok(()));
        assert_eq!(open("new", create | OFlags::EXCL), Err(Errno::Exist));
        fs::remove_file(tree.base.join("root/new")).unwrap();
        // Through a link that leads inside, the target is created.
        assert_eq!(open("dangling", create), Ok(()));
        fs::remove_file(tree.base.join("root/dir/nothing")).unwrap();
        tree.assert_outside_is_untouched();
    }
}

#[test]
fn no_operation_reaches_outside() {
    let tree = Tree::new("operations");
    let now = NewTime::Now;
    for back_end in BACK_ENDS {
        let root = tree.root(back_end);
        for parent in ["..", "out_dir", "to_above", "slash", "dir/../..", "absolute"] {
            let victim = || path(&format!("{parent}/secret"));
            let expected = Err(Errno::Perm);
            assert_eq!(files::create_directory(root, &mut victim()), expected, "{parent}");
            assert_eq!(files::remove_directory(root, &mut victim()), expected, "{parent}");
            assert_eq!(files::unlink(root, &mut victim()), expected, "{parent}");
            assert_eq!(files::metadata(root, &mut victim(), true).map(|_| ()), expected, "{parent}");
            assert_eq!(files::metadata(root, &mut victim(), false).map(|_| ()), expected, "{parent}");
            assert_eq!(files::set_times(root, &mut victim(), true, now, now), expected, "{parent}");
            assert_eq!(files::set_times(root, &mut victim(), false, now, now), expected, "{parent}");
            assert_eq!(files::hard_link(root, &mut victim(), root, &mut path("mine")), expected, "{parent}");
            assert_eq!(files::hard_link(root, &mut path("file"), root, &mut victim()), expected, "{parent}");
            assert_eq!(files::symbolic_link(&path("x"), root, &mut victim()), expected, "{parent}");
            assert_eq!(files::read_link(root, &mut victim(), &mut [0; 64]), Err(Errno::Perm), "{parent}");
            assert_eq!(files::rename(root, &mut victim(), root, &mut path("mine")), expected, "{parent}");
            assert_eq!(files::rename(root, &mut path("file"), root, &mut victim()), expected, "{parent}");
        }
        for above in ["..", "dir/../..", "to_above/.", "../"] {
            assert_eq!(files::remove_directory(root, &mut path(above)), Err(Errno::Perm), "{above}");
            assert_eq!(files::rename(root, &mut path(above), root, &mut path("mine")), Err(Errno::Perm), "{above}");
            assert_eq!(files::metadata(root, &mut path(above), true).map(|_| ()), Err(Errno::Perm), "{above}");
            assert_eq!(files::set_times(root, &mut path(above), false, now, now), Err(Errno::Perm), "{above}");
        }
        // Attributes behind links that lead outside.
        for link in ["out", "out_dir", "absolute", "chain", "to_above", "out_dir/"] {
            assert_eq!(files::metadata(root, &mut path(link), true).map(|_| ()), Err(Errno::Perm), "{link}");
            assert_eq!(files::set_times(root, &mut path(link), true, now, now), Err(Errno::Perm), "{link}");
        }
        // With a slash behind it a link would be followed by the kernel.
        assert_eq!(files::hard_link(root, &mut path("out_dir/"), root, &mut path("mine")), Err(Errno::Perm));
        assert_eq!(files::read_link(root, &mut path("out_dir/"), &mut [0; 64]), Err(Errno::Perm));
        assert_eq!(files::set_times(root, &mut path("out_dir/"), false, now, now), Err(Errno::Perm));
        assert_eq!(files::metadata(root, &mut path("out_dir/"), false).map(|_| ()), Err(Errno::Perm));
        assert_eq!(files::remove_directory(root, &mut path("out_dir/")), Err(Errno::Notdir));
        assert_eq!(files::unlink(root, &mut path("out_dir/")), Err(Errno::Notdir));
        assert_eq!(files::rename(root, &mut path("out_dir/"), root, &mut path("mine")), Err(Errno::Notdir));
        assert_eq!(files::read_link(root, &mut path("absolute"), &mut [0; 64]), Err(Errno::Perm));
        assert_eq!(files::symbolic_link(&path("/etc"), root, &mut path("mine")), Err(Errno::Perm));
        tree.assert_outside_is_untouched();
    }
}

#[test]
fn operations_work_on_links_themselves() {
    let tree = Tree::new("links");
    let host = |name: &str| tree.base.join("root").join(name);
    for back_end in BACK_ENDS {
        let root = tree.root(back_end);
        let mut target = [0; 64];
        let len = files::read_link(root, &mut path("out"), &mut target).unwrap();
        assert_eq!(&target[..len], b"../outside/secret");
        files::rename(root, &mut path("out"), root, &mut path("dir/moved")).unwrap();
        assert!(host("dir/moved").is_symlink() && !host("out").is_symlink());
        files::hard_link(root, &mut path("dir/moved"), root, &mut path("out")).unwrap();
        files::unlink(root, &mut path("dir/moved")).unwrap();
        assert!(host("out").is_symlink());
        files::symbolic_link(&path("../outside"), root, &mut path("dir/new")).unwrap();
        assert_eq!(tree.content(back_end, "dir/new/secret"), Err(Errno::Noent), "relative to the link");
        files::unlink(root, &mut path("dir/new")).unwrap();
        let link = files::metadata(root, &mut path("to_file"), false).unwrap();
        let file = files::metadata(root, &mut path("to_file"), true).unwrap();
        assert!(
            link.inode != file.inode
                && file.inode == files::metadata(root, &mut path("dir/file"), false).unwrap().inode
        );
        files::set_times(root, &mut path("to_file"), true, NewTime::At(5), NewTime::At(1_000_000_007)).unwrap();
        assert_eq!(files::metadata(root, &mut path("dir/file"), false).unwrap().modified_ns, 1_000_000_007);
        files::set_times(root, &mut path("to_file"), false, NewTime::Keep, NewTime::At(9)).unwrap();
        assert_eq!(files::metadata(root, &mut path("to_file"), false).unwrap().modified_ns, 9);
        assert_eq!(files::metadata(root, &mut path("to_file"), true).unwrap().modified_ns, 1_000_000_007);
        tree.assert_outside_is_untouched();
    }
}

#[test]
fn a_slash_at_the_end_asks_for_a_directory() {
    let tree = Tree::new("slashes");
    for back_end in BACK_ENDS {
        let root = tree.root(back_end);
        files::create_directory(root, &mut path("new//")).unwrap();
        assert_eq!(files::create_directory(root, &mut path("new/.")), Err(Errno::Exist));
        files::rename(root, &mut path("new/"), root, &mut path("newer/")).unwrap();
        assert_eq!(files::rename(root, &mut path("file/"), root, &mut path("x")), Err(Errno::Notdir));
        assert_eq!(files::rename(root, &mut path("file"), root, &mut path("x/")), Err(Errno::Notdir));
        assert_eq!(files::unlink(root, &mut path("newer/")), Err(Errno::Isdir));
        assert_eq!(files::unlink(root, &mut path("file/")), Err(Errno::Notdir));
        assert_eq!(files::remove_directory(root, &mut path("newer/.")), Err(Errno::Inval));
        files::remove_directory(root, &mut path("newer///")).unwrap();
        assert_eq!(files::remove_directory(root, &mut path("file/")), Err(Errno::Notdir));
        assert_eq!(files::symbolic_link(&path("x"), root, &mut path("new/")), Err(Errno::Noent));
        assert_eq!(files::symbolic_link(&path("x"), root, &mut path("dir/")), Err(Errno::Exist));
        assert_eq!(files::symbolic_link(&path("x"), root, &mut path("file/")), Err(Errno::Notdir));
        assert_eq!(files::hard_link(root, &mut path("file/"), root, &mut path("x")), Err(Errno::Notdir));
        assert_eq!(files::hard_link(root, &mut path("file"), root, &mut path("x/")), Err(Errno::Noent));
        assert_eq!(files::metadata(root, &mut path("file/"), false).map(|_| ()), Err(Errno::Notdir));
        assert!(files::metadata(root, &mut path("dir/"), false).is_ok());
    }
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// What lies below a directory, by device and number, links themselves included.
fn files_below(path: &std::path::Path, found: &mut Vec<(u64, u64)>) {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(path).unwrap();
    found.push((metadata.dev(), metadata.ino()));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            files_below(&entry.unwrap().path(), found);
        }
    }
}

#[test]
fn made_up_paths_stay_inside_and_back_ends_agree() {
    let tree = Tree::new("agree");
    let mut inside = Vec::new();
    files_below(&tree.base.join("root"), &mut inside);
    let parts = [
        "..",
        ".",
        "",
        "dir",
        "sub",
        "file",
        "to_dir",
        "to_here",
        "to_above",
        "to_file",
        "out_dir",
        "loop",
        "slash",
        "round",
        "up",
        "to_sub_up",
        "dangling",
        "to_dir_slash",
        "to_file_slash",
        "through",
        "chain",
        "nothing",
        "secret",
    ];
    let all_flags = [
        OFlags::RDONLY,
        OFlags::NOFOLLOW,
        OFlags::PATH,
        OFlags::PATH | OFlags::NOFOLLOW,
        OFlags::DIRECTORY,
        OFlags::DIRECTORY | OFlags::NOFOLLOW,
        OFlags::PATH | OFlags::DIRECTORY,
        OFlags::RDWR,
    ];
    let mut numbers = Numbers(7);
    let mut opened = 0;
    for _ in 0..20_000 {
        let len = 1 + numbers.below(6);
        let path = (0..len).map(|_| parts[numbers.below(parts.len())]).collect::<Vec<_>>().join("/");
        let flags = all_flags[numbers.below(all_flags.len())];
        let results = BACK_ENDS.map(|back_end| {
            tree.root(back_end).open(&c_string(&path), flags).map(|opened| {
                let metadata = metadata(opened.get()).unwrap();
                (metadata.device, metadata.inode)
            })
        });
        // The same file, and where several things are wrong with a path, the same error.
        let [first, ..] = results;
        assert!(results.iter().all(|result| *result == first), "{path} with {flags:?}: {results:?}");
        assert!(first.is_ok_and(|file| inside.contains(&file)) || first.is_err(), "{path} with {flags:?} is outside");
        opened += usize::from(first.is_ok());
    }
    assert!(opened > 1000, "only {opened} paths could be opened");
}

/// Runs `attack` in a loop on another thread while `work` runs in a loop here, for a while.
fn race(mut attack: impl FnMut() + Send, mut work: impl FnMut()) {
    /// Ends the attack, also when `work` panics.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                attack();
            }
        });
        let _stop = Stop(&stop);
        let end = Instant::now() + Duration::from_millis(600);
        while Instant::now() < end {
            for _ in 0..100 {
                work();
            }
        }
    });
}

fn exchange(a: &std::path::Path, b: &std::path::Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let of = |path: &std::path::Path| c_string(path.to_str().unwrap());
    let _ = renameat_with(CWD, &*of(a), CWD, &*of(b), RenameFlags::EXCHANGE);
}

#[test]
fn a_directory_that_becomes_a_link_meanwhile_leads_nowhere() {
    for back_end in BACK_ENDS {
        let tree = Tree::new("swap");
        let root = tree.base.join("root");
        fs::create_dir(root.join("swap")).unwrap();
        fs::write(root.join("swap/secret"), "inside").unwrap();
        symlink("../outside", root.join("evil")).unwrap();
        let (mut inside, mut refused) = (0, 0);
        race(
            || exchange(&root.join("swap"), &root.join("evil")),
            || match tree.content(back_end, "swap/secret") {
                Ok(content) => {
                    assert_eq!(content, "inside");
                    inside += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Errno::Perm), "{error:?}");
                    refused += 1;
                }
            },
        );
        assert!(inside > 0 && refused > 0, "the race never happened: {inside}, {refused}");
    }
}

#[test]
fn a_file_that_becomes_a_link_meanwhile_is_not_followed_outside() {
    for back_end in BACK_ENDS {
        let tree = Tree::new("swap-file");
        let root = tree.base.join("root");
        fs::write(root.join("swap"), "inside").unwrap();
        symlink("../outside/secret", root.join("evil")).unwrap();
        race(
            || exchange(&root.join("swap"), &root.join("evil")),
            || {
                match tree.content(back_end, "swap") {
                    Ok(content) => assert_ne!(content, "secret"),
                    Err(error) => assert!(matches!(error, Errno::Perm), "{error:?}"),
                }
                let created = tree.root(back_end).open(c"swap", OFlags::CREATE | OFlags::RDWR | OFlags::TRUNC);
                assert!(matches!(created, Ok(_) | Err(Errno::Perm)));
            },
        );
        tree.assert_outside_is_untouched();
    }
}

#[test]
fn a_directory_that_is_moved_out_meanwhile_gives_no_way_up() {
    for back_end in BACK_ENDS {
        let tree = Tree::new("move");
        let root = tree.base.join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(tree.base.join("outside/x/y")).unwrap();
        fs::write(tree.base.join("outside/file"), "secret").unwrap();
        fs::write(tree.base.join("outside/x/file"), "secret").unwrap();
        let (inner, outer) = (root.join("a/b"), tree.base.join("outside/x/b"));
        race(
            || {
                let _ = fs::rename(&inner, &outer);
                let _ = fs::rename(&outer, &inner);
            },
            || match tree.content(back_end, "a/b/../../file") {
                Ok(content) => assert_eq!(content, "inside"),
                Err(error) => assert!(matches!(error, Errno::Noent | Errno::Perm), "{error:?}"),
            },
        );
    }
}

#[test]
fn links_of_proc_are_text() {
    let granted = open_granted(c"/proc").unwrap();
    for back_end in BACK_ENDS {
        let root = Root::with_back_end(granted.get(), back_end);
        assert!(root.open(c"self/status", OFlags::RDONLY).is_ok());
        for link in ["self/root", "self/cwd", "self/exe", "self/root/etc/passwd"] {
            let error = root.open(&c_string(link), OFlags::RDONLY).map(|_| ()).unwrap_err();
            assert!(matches!(error, Errno::Perm | Errno::Loop), "{link}: {error:?}");
        }
    }
}

#[test]
fn deep_paths_and_long_targets_end() {
    let tree = Tree::new("deep");
    let long = "dir/../".repeat(500) + "file";
    let few = "to_dir/../".repeat(40) + "file";
    let many = "to_dir/../".repeat(41) + "file";
    for back_end in BACK_ENDS {
        assert_eq!(tree.content(back_end, &long).as_deref(), Ok("inside"));
        assert_eq!(tree.content(back_end, &many), Err(Errno::Loop));
        assert_eq!(tree.content(back_end, &few).as_deref(), Ok("inside"));
    }
    // Handles that a walk holds are given back, also after an error.
    let open_files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open_files();
    let last = BACK_ENDS[BACK_ENDS.len() - 1];
    for _ in 0..50 {
        let _ = tree.content(last, "dir/sub/../../dir/sub/nothing");
        let _ = tree.content(last, "dir/sub/../../../secret");
        let _ = tree.content(last, "dir/sub/file");
    }
    // Other tests open files at the same time.
    assert!(open_files() < before + 100);
}
