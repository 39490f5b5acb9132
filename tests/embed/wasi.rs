//! WASI in a host program: what a context grants, and that guests reach nothing else. The calls of preview 1 themselves, and
//! the attacks on the walls of the file system, are in tests/wasi, which runs all of them in a host program as well.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use wasmelt_abi::descriptor::ValueType;
use wasmelt_abi::host::WASI_P1;
use wasmelt_embed::wasi::{
    DirPerms, FilePerms, HostMonotonicClock, HostWallClock, I32Exit, MemoryInputPipe, MemoryOutputPipe, WasiCtx,
    WasiCtxBuilder, p1,
};

use super::*;

const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const FAULT: i32 = 21;
const MFILE: i32 = 33;
const NOSPC: i32 = 51;
const NOTSOCK: i32 = 57;
const PERM: i32 = 63;

/// A module that exports each function of preview 1 under its own name, by a function that calls the import; and some of
/// the snapshot before it.
static MODULE: LazyLock<Module> = LazyLock::new(|| {
    let (mut imports, mut exports) = (String::new(), String::new());
    let unstable = WASI_P1.iter().filter(|function| ["fd_seek", "fd_write"].contains(&function.name));
    let functions = WASI_P1.iter().map(|function| ("wasi_snapshot_preview1", "", function));
    for (module, prefix, function) in functions.chain(unstable.map(|function| ("wasi_unstable", "unstable.", function)))
    {
        let text = |ty: &ValueType| if matches!(ty, ValueType::I32) { " i32" } else { " i64" };
        let (name, params) = (function.name, function.params.iter().map(text).collect::<String>());
        let results = function.results.iter().map(text).collect::<String>();
        let ty = format!("(param{params}) (result{results})");
        imports += &format!("(import \"{module}\" \"{name}\" (func ${prefix}{name} {ty}))\n");
        let args: String = (0..function.params.len()).map(|n| format!(" (local.get {n})")).collect();
        exports += &format!("(func (export \"{prefix}{name}\") {ty} (call ${prefix}{name}{args}))\n");
    }
    module("every_function", &format!("(module {imports} (memory (export \"memory\") 1) {exports})"))
});

/// A guest with a context.
struct Guest {
    store: Store<WasiCtx>,
    instance: Instance,
}

impl Guest {
    fn new(context: WasiCtx) -> Self {
        let mut linker = Linker::new();
        p1::add_to_linker_sync(&mut linker, |context: &mut WasiCtx| context).unwrap();
        let mut store = Store::new(context);
        let instance = linker.instantiate(&mut store, &MODULE).unwrap();
        Self { store, instance }
    }

    /// Calls a function; the error number. Arguments are given the types of the parameters.
    #[track_caller]
    fn call(&mut self, name: &str, args: &[u64]) -> i32 {
        match self.try_call(name, args).unwrap()[..] {
            [Val::I32(errno)] => errno,
            ref other => panic!("{other:?}"),
        }
    }

    fn try_call(&mut self, name: &str, args: &[u64]) -> Result<Vec<Val>> {
        let func = self.instance.get_func(&self.store, name).unwrap();
        let ty = func.ty(&self.store)?;
        let value = |(ty, &arg): (&ValType, &u64)| {
            if *ty == ValType::I64 { Val::I64(arg as i64) } else { Val::I32(arg as i32) }
        };
        let args: Vec<Val> = ty.params().iter().zip(args).map(value).collect();
        call_func(&mut self.store, func, &args)
    }

    fn memory(&mut self) -> &mut [u8] {
        self.instance.get_memory(&self.store, "memory").unwrap().data_mut(&mut self.store)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.memory()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn u32_at(&mut self, at: usize) -> u32 {
        u32::from_le_bytes(self.memory()[at..at + 4].try_into().unwrap())
    }

    /// Writes bytes to a descriptor; the error number, and how many were written.
    fn write(&mut self, fd: u64, bytes: &[u8]) -> (i32, u32) {
        self.put(1000, bytes);
        self.put(0, &[1000u32.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat());
        (self.call("fd_write", &[fd, 0, 1, 8]), self.u32_at(8))
    }

    /// Reads from a descriptor; the error number, and what was read.
    fn read(&mut self, fd: u64, len: u32) -> (i32, Vec<u8>) {
        self.put(0, &[1000u32.to_le_bytes(), len.to_le_bytes(), 0u32.to_le_bytes()].concat());
        let errno = self.call("fd_read", &[fd, 0, 1, 8]);
        let read = self.u32_at(8) as usize;
        (errno, self.memory()[1000..1000 + read].to_vec())
    }

    /// Opens a path below descriptor 3; the error number, and the descriptor.
    fn open(&mut self, path: &str, oflags: u64, rights: u64) -> (i32, u64) {
        self.put(1000, path.as_bytes());
        let errno = self.call("path_open", &[3, 1, 1000, path.len() as u64, oflags, rights, rights, 0, 8]);
        (errno, u64::from(self.u32_at(8)))
    }
}

/// The end of the folders that descriptors of this process lead to.
fn open_below(folder: &Path) -> usize {
    let folder = folder.canonicalize().unwrap();
    let links = fs::read_dir("/proc/self/fd").unwrap();
    links.filter(|link| fs::read_link(link.as_ref().unwrap().path()).is_ok_and(|to| to.starts_with(&folder))).count()
}

#[test]
fn guests_in_several_threads_share_nothing() {
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let (folder, output) = (support::scratch(), MemoryOutputPipe::new(1 << 20));
                let own = format!("guest {number}");
                fs::write(folder.path().join("file"), &own).unwrap();
                let mut builder = WasiCtxBuilder::new();
                builder.args(&[&own, "x"]).env("NAME", &own).env("NAME", "v").stdout(output.clone());
                builder.stdin(MemoryInputPipe::new(own.clone()));
                builder.preopened_dir(folder.path(), "/d", DirPerms::READ, FilePerms::READ).unwrap();
                let mut guest = Guest::new(builder.build());
                assert_eq!(guest.read(0, 100), (SUCCESS, own.clone().into_bytes()));
                for _ in 0..200 {
                    // The same numbers in all of them, which stand for different files.
                    assert_eq!(guest.open("file", 0, 2), (SUCCESS, 4));
                    assert_eq!(guest.read(4, 100), (SUCCESS, own.clone().into_bytes()));
                    assert_eq!(guest.write(1, b"."), (SUCCESS, 1));
                    assert_eq!(guest.call("fd_close", &[4]), SUCCESS);
                }
                assert_eq!(guest.call("args_get", &[0, 100]), SUCCESS);
                assert_eq!(guest.memory()[100..100 + own.len() + 3], *format!("{own}\0x\0").as_bytes());
                assert_eq!(guest.call("environ_get", &[0, 100]), SUCCESS);
                assert_eq!(guest.memory()[100..107], *b"NAME=v\0");
                assert_eq!(output.contents(), [b'.'; 200]);
            });
        }
    });
}

#[test]
fn a_context_grants_nothing_by_itself() {
    let mut guest = Guest::new(WasiCtxBuilder::new().build());
    assert_eq!(guest.read(0, 10), (SUCCESS, vec![]));
    assert_eq!(guest.write(1, b"nowhere"), (SUCCESS, 7));
    assert_eq!(guest.call("fd_prestat_get", &[3, 0]), BADF);
    assert_eq!((guest.call("args_sizes_get", &[0, 4]), guest.u32_at(0)), (SUCCESS, 0));
    assert_eq!((guest.call("environ_sizes_get", &[0, 4]), guest.u32_at(0)), (SUCCESS, 0));
    for (clock, errno) in [(0, SUCCESS), (1, SUCCESS), (2, BADF), (3, BADF)] {
        assert_eq!(guest.call("clock_time_get", &[clock, 0, 0]), errno);
    }
}

/// Streams of the process that are inherited are read and written, and nothing else.
#[test]
fn standard_streams_of_the_process_stay_the_hosts() {
    let mut guest = Guest::new(WasiCtxBuilder::new().inherit_stdio().build());
    for fd in 0..3 {
        assert_eq!(guest.call("sock_shutdown", &[fd, 3]), NOTSOCK);
        assert_eq!(guest.call("sock_accept", &[fd, 0, 0]), NOTSOCK);
        assert_eq!(guest.call("fd_fdstat_set_flags", &[fd, 4]), BADF);
        assert_eq!(guest.call("fd_close", &[fd]), SUCCESS);
        assert_eq!(guest.call("fd_close", &[fd]), BADF);
    }
    drop(guest);
    // The process still has them.
    for fd in 0..3 {
        assert!(fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok());
    }
}

#[test]
fn an_exit_ends_the_call_and_says_the_code() {
    let mut guest = Guest::new(WasiCtx::default());
    for code in [0, 7, 300, -1] {
        let error = guest.try_call("proc_exit", &[code as u64]).unwrap_err();
        assert_eq!(error.downcast_ref::<I32Exit>(), Some(&I32Exit(code)));
        assert_eq!(error.downcast::<I32Exit>().unwrap(), I32Exit(code));
    }
    // The instance is as usable as before.
    assert_eq!(guest.call("sched_yield", &[]), SUCCESS);
}

#[test]
fn a_buffer_in_memory_is_bounded() {
    let output = MemoryOutputPipe::new(10);
    let mut guest = Guest::new(WasiCtxBuilder::new().stdout(output.clone()).build());
    assert_eq!(guest.write(1, b"1234567"), (SUCCESS, 7));
    assert_eq!(guest.write(1, b"89abc"), (SUCCESS, 3));
    assert_eq!(guest.write(1, b"d").0, NOSPC);
    assert_eq!(output.contents(), b"123456789a");
    // Under another number the stream is the same one.
    assert_eq!(guest.call("fd_renumber", &[1, 0]), SUCCESS);
    assert_eq!(guest.write(0, b"d").0, NOSPC);
    assert_eq!(guest.write(1, b"d").0, BADF);
}

/// A reader that says it has read more than there was room for, and a writer that panics, and then says too much.
struct Wrong(u32);

impl Read for Wrong {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(buffer.len() + 1)
    }
}

impl Write for Wrong {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += 1;
        assert!(self.0 > 1, "the writer panics");
        Ok(bytes.len() + 1)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn streams_of_the_host_that_do_wrong_are_errors() {
    const IO: i32 = 29;
    let mut guest = Guest::new(WasiCtxBuilder::new().stdin(Wrong(0)).stdout(Wrong(0)).build());
    assert_eq!(guest.read(0, 10).0, IO);
    guest.put(0, &[1000u32.to_le_bytes(), 5u32.to_le_bytes()].concat());
    let panic = guest.try_call("fd_write", &[1, 0, 1, 8]).unwrap_err();
    assert_eq!(panic.to_string(), "a function of the host panicked: the writer panics");
    assert_eq!(guest.write(1, b"x").0, IO);
}

#[test]
fn addresses_beyond_the_memory_are_refused() {
    let mut guest = Guest::new(WasiCtx::default());
    for at in [65536 - 3, 65536, 0x7fff_ffff, 0xffff_fffc, 0xffff_ffff] {
        assert_eq!(guest.call("random_get", &[at, 4]), FAULT);
        assert_eq!(guest.call("fd_write", &[1, at, 1, 0]), FAULT);
        assert_eq!(guest.call("args_sizes_get", &[at, 0]), FAULT);
    }
    // What has grown is there at once, and what another guest has is not.
    let memory = guest.instance.get_memory(&guest.store, "memory").unwrap();
    memory.grow(&mut guest.store, 1).unwrap();
    assert_eq!(guest.call("random_get", &[65536, 4]), SUCCESS);

    // An instance without a memory has no addresses.
    let mut linker = Linker::new();
    p1::add_to_linker_sync(&mut linker, |context: &mut WasiCtx| context).unwrap();
    const BARE: &str = r#"(module (import "wasi_snapshot_preview1" "random_get" (func $f (param i32 i32) (result i32)))
        (func (export "f") (result i32) (call $f (i32.const 8) (i32.const 1))))"#;
    let mut store = Store::new(WasiCtx::default());
    let instance = linker.instantiate(&mut store, &module("bare", BARE)).unwrap();
    assert_eq!(instance.get_typed_func::<(), i32>(&store, "f").unwrap().call(&mut store, ()).unwrap(), FAULT);

    // Nor has the host itself.
    let func = linker.get(&mut store, "wasi_snapshot_preview1", "random_get").unwrap().and_then(Extern::into_func);
    let error = func.unwrap().typed::<(i32, i32), i32>(&store).unwrap().call(&mut store, (8, 1)).unwrap_err();
    assert!(error.to_string().contains("which instance calls"), "{error}");
}

#[test]
fn open_files_are_limited_and_closed() {
    let folder = support::scratch();
    fs::write(folder.path().join("file"), "x").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.max_open_files(5).preopened_dir(folder.path(), "/d", DirPerms::all(), FilePerms::all()).unwrap();
    let mut guest = Guest::new(builder.build());
    for fd in 4..8 {
        assert_eq!(guest.open("file", 0, 2), (SUCCESS, fd));
    }
    assert_eq!(guest.open("file", 0, 2).0, MFILE);
    assert!(open_below(folder.path()) >= 5);
    // The next guest of a store gets a new context, which closes what the old one had open.
    *guest.store.data_mut() = WasiCtx::default();
    assert_eq!((open_below(folder.path()), guest.read(4, 1).0), (0, BADF));
    // A builder that was not used closes what it has opened.
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(folder.path(), "/d", DirPerms::all(), FilePerms::all()).unwrap();
    assert_eq!(open_below(folder.path()), 1);
    drop(builder);
    assert_eq!(open_below(folder.path()), 0);
}

#[test]
fn a_directory_is_granted_for_reading_or_for_all() {
    let folder = support::scratch();
    fs::write(folder.path().join("file"), "kept").unwrap();
    let mut builder = WasiCtxBuilder::new();
    for (dir, file) in
        [(DirPerms::all(), FilePerms::READ), (DirPerms::READ, FilePerms::all()), (DirPerms::MUTATE, FilePerms::WRITE)]
    {
        assert!(matches!(builder.preopened_dir(folder.path(), "/d", dir, file), Err(Error::Usage(_))));
    }
    let missing = builder.preopened_dir(folder.path().join("none"), "/d", DirPerms::all(), FilePerms::all());
    let message = missing.unwrap_err().to_string();
    assert!(message.starts_with("cannot open the directory") && message.contains("\"/d\": No such file"), "{message}");
    builder.preopened_dir(folder.path(), "/d", DirPerms::READ, FilePerms::READ).unwrap();
    let mut guest = Guest::new(builder.build());
    assert_eq!(guest.open("file", 0, 2 | 64).0, PERM);
    assert_eq!(guest.open("new", 1, 64).0, PERM);
    assert_eq!(guest.open("file", 8, 2).0, PERM);
    guest.put(1000, b"file");
    assert_eq!(guest.call("path_unlink_file", &[3, 1000, 4]), PERM);
    assert_eq!(guest.open("../file", 0, 2).0, PERM);
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"kept");
}

/// Clocks that move when somebody sleeps, and not otherwise.
struct Simulated(Arc<AtomicU64>);

impl HostWallClock for Simulated {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(1_000_000_000)
    }
}

impl HostMonotonicClock for Simulated {
    fn resolution(&self) -> u64 {
        7
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn sleep_until(&self, deadline: u64) {
        self.0.fetch_max(deadline, Ordering::Relaxed);
    }
}

#[test]
fn clocks_and_random_numbers_are_of_the_hosts_choosing() {
    const HOUR: u64 = 3_600_000_000_000;
    let passed = Arc::new(AtomicU64::new(5));
    let mut next = 0;
    let mut builder = WasiCtxBuilder::new();
    builder.wall_clock(Simulated(Arc::clone(&passed))).monotonic_clock(Simulated(Arc::clone(&passed)));
    builder.secure_random(move |bytes| {
        bytes.iter_mut().for_each(|byte| {
            *byte = next;
            next = next.wrapping_add(1);
        });
    });
    let mut guest = Guest::new(builder.build());
    let mut u64_of = |name: &str, args: &[u64]| {
        assert_eq!(guest.call(name, args), SUCCESS);
        u64::from_le_bytes(guest.memory()[..8].try_into().unwrap())
    };
    assert_eq!(u64_of("clock_time_get", &[0, 0, 0]), 1_000_000_000_000_000_000);
    assert_eq!(u64_of("clock_res_get", &[0, 0]), 1_000_000_000);
    assert_eq!((u64_of("clock_time_get", &[1, 0, 0]), u64_of("clock_res_get", &[1, 0])), (5, 7));
    // Longer than what the generator is asked for at once.
    assert_eq!(guest.call("random_get", &[0, 10_000]), SUCCESS);
    assert!(guest.memory()[..10_000].iter().enumerate().all(|(n, &byte)| byte == n as u8));

    // A guest that sleeps for an hour waits for this clock, which does not take one.
    let start = Instant::now();
    let mut subscription = [0; 48];
    subscription[16] = 1;
    subscription[24..32].copy_from_slice(&HOUR.to_le_bytes());
    guest.put(0, &subscription);
    assert_eq!((guest.call("poll_oneoff", &[0, 100, 1, 200]), guest.u32_at(200)), (SUCCESS, 1));
    assert_eq!(passed.load(Ordering::Relaxed), HOUR + 5);
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_host_is_told_of_guests_that_are_about_to_wait() {
    const HOUR: u64 = 3_600_000_000_000;
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let mut builder = WasiCtxBuilder::new();
    builder.monotonic_clock(Simulated(Arc::new(AtomicU64::new(5))));
    builder.before_waiting(move || _ = count.fetch_add(1, Ordering::Relaxed));
    let mut guest = Guest::new(builder.build());
    // A moment that has come, one that has not, and once more.
    for (time, times) in [(0, 0), (HOUR, 1), (0, 1), (HOUR, 2)] {
        let mut subscription = [0; 48];
        subscription[16] = 1;
        subscription[24..32].copy_from_slice(&u64::to_le_bytes(time));
        guest.put(0, &subscription);
        assert_eq!((guest.call("poll_oneoff", &[0, 100, 1, 200]), guest.u32_at(200)), (SUCCESS, 1));
        assert_eq!(told.load(Ordering::Relaxed), times);
    }
}

#[test]
fn a_listener_follows_the_directories() {
    let address = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap().local_addr().unwrap();
    let folder = support::scratch();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(folder.path(), "/d", DirPerms::all(), FilePerms::all()).unwrap().listen(address).unwrap();
    let late = builder.preopened_dir(folder.path(), "/e", DirPerms::all(), FilePerms::all());
    assert_eq!(late.unwrap_err().to_string(), "the directory \"/e\" is granted behind a listener: grant it first");
    let mut guest = Guest::new(builder.build());
    let client = std::thread::spawn(move || {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    });
    assert_eq!((guest.call("sock_accept", &[4, 0, 0]), guest.u32_at(0)), (SUCCESS, 5));
    assert_eq!(guest.read(5, 5), (SUCCESS, b"hello".to_vec()));
    assert_eq!(guest.write(5, b"answer"), (SUCCESS, 6));
    assert_eq!(guest.call("fd_close", &[5]), SUCCESS);
    assert_eq!(client.join().unwrap(), "answer");
}

#[test]
fn the_snapshot_before_has_its_own_layouts() {
    let (folder, output) = (support::scratch(), MemoryOutputPipe::new(10));
    fs::write(folder.path().join("file"), "0123").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.stdout(output.clone());
    builder.preopened_dir(folder.path(), "/d", DirPerms::READ, FilePerms::READ).unwrap();
    let mut guest = Guest::new(builder.build());
    assert_eq!(guest.open("file", 0, 2 | 4), (SUCCESS, 4));
    // From the end, by the number of each.
    assert_eq!((guest.call("unstable.fd_seek", &[4, 0, 1, 0]), guest.u32_at(0)), (SUCCESS, 4));
    assert_eq!((guest.call("fd_seek", &[4, 0, 2, 0]), guest.u32_at(0)), (SUCCESS, 4));
    guest.put(0, &[1000u32.to_le_bytes(), 3u32.to_le_bytes()].concat());
    assert_eq!(guest.call("unstable.fd_write", &[1, 0, 1, 8]), SUCCESS);
    assert_eq!(output.contents().len(), 3);
}

#[test]
fn threads_are_refused_by_name() {
    const WAT: &str = r#"(module (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
        (func (export "f") (result i32) (call $spawn (i32.const 0))))"#;
    let mut linker = Linker::new();
    p1::add_to_linker_sync(&mut linker, |context: &mut WasiCtx| context).unwrap();
    let mut store = Store::new(WasiCtx::default());
    let instance = linker.instantiate(&mut store, &module("spawner", WAT)).unwrap();
    let error = instance.get_typed_func::<(), i32>(&store, "f").unwrap().call(&mut store, ()).unwrap_err();
    assert!(error.to_string().contains("\"thread-spawn\": host programs have no threads of WASI"), "{error}");
}

#[test]
fn grants_of_single_files_are_checked() {
    let folder = support::scratch();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a"), "a").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_file(path("a"), "/etc/a", FilePerms::READ).unwrap();
    builder.preopened_file(path("a"), "/etc/b", FilePerms::all()).unwrap();
    builder.preopened_file(path("a"), "c", FilePerms::all()).unwrap();
    let mut refused = |host: &str, guest: &str, perms: FilePerms, words: &str| {
        let error = builder.preopened_file(path(host), guest, perms).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused("a", "/etc/a", FilePerms::READ, "granted twice");
    refused("a", "/etc/", FilePerms::READ, "not a name");
    refused("a", "..", FilePerms::READ, "not a name");
    refused("a", "", FilePerms::READ, "not a name");
    refused("a", "x\0y", FilePerms::READ, "not a name");
    refused("a", "/etc/w", FilePerms::WRITE, "read, or read and write");
    refused("missing", "/etc/m", FilePerms::READ, "No such file");
    refused("", "/etc/d", FilePerms::READ, "cannot grant the file");
    let error = builder.preopened_dir(folder.path(), "/etc", DirPerms::READ, FilePerms::READ).unwrap_err();
    assert!(error.to_string().contains("made of single files"), "{error}");
    builder.preopened_dir(folder.path(), "/whole", DirPerms::READ, FilePerms::READ).unwrap();
    let error = builder.preopened_file(path("a"), "/whole/a", FilePerms::READ).unwrap_err();
    assert!(error.to_string().contains("as a whole"), "{error}");
    builder.listen(([127, 0, 0, 1], 0)).unwrap();
    let error = builder.preopened_file(path("a"), "/late/a", FilePerms::READ).unwrap_err();
    assert!(error.to_string().contains("behind a listener"), "{error}");
}
