//! What the user asked for, after parsing and before any work: plain data that every stage may read.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmparser::WasmFeatures;

use crate::network::Network;
use crate::profile::Profile;
use crate::reuse::Reuse;

/// Everything that decides how a module is compiled and linked, besides its bytes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the output runs.
    pub target: target_lexicon::Triple,
    /// What comes out.
    pub emit: Emit,
    /// Name of the library, for the symbol that a host finds it by; `None` where the output is a program.
    pub library: Option<String>,
    /// How much is optimised.
    pub opt_level: OptLevel,
    /// Functions start anywhere in a line of the CPU's cache, by this seed, `-C placement`. That decides nothing but how
    /// fast code is: programs that differ in it alone tell what placement does to a measurement.
    pub placement_seed: Option<u64>,
    /// Which instructions may be used.
    pub cpu: Cpu,
    /// Accepted proposals, see [`crate::features`].
    pub features: WasmFeatures,
    /// What the guest may do.
    pub policy: Policy,
    /// Files of [`Policy::embedded`].
    pub embedded_files: Vec<EmbeddedFile>,
    /// Modules that are instantiated before the main one, in order, `--preload`.
    pub preloads: Vec<Preload>,
    /// Components that export what the compiled one imports, `--plug`.
    pub plugs: Vec<Plug>,
    /// Upper limit of each linear memory in bytes, `--max-memory`.
    pub max_memory_bytes: Option<u64>,
    /// Address space to reserve for each linear memory in bytes, at most, `--memory-reserve`.
    pub memory_reserve_bytes: Option<u64>,
    /// Call stack of the guest in bytes, `--stack-size`.
    pub stack_bytes: u64,
    /// How linear memory accesses are checked.
    pub bounds_checks: BoundsChecks,
    /// Mask indices against speculation past bounds checks.
    pub spectre_mitigations: bool,
    /// Make NaN results the canonical one, so that results are the same on every CPU.
    pub nan_canonicalization: bool,
    /// Make results of relaxed SIMD operators the same on every CPU; `nan_canonicalization` implies it.
    pub relaxed_simd_deterministic: bool,
    /// Place code by the hints in the module about which way branches go.
    pub branch_hinting: bool,
    /// How a library's host can stop its code.
    pub stops: Stops,
    /// Put bodies of small functions in the place of calls, where `opt_level` allows it.
    pub inlining: bool,
    /// Let shorter code stand for some operators, see `translate/numeric.rs`.
    pub peepholes: bool,
    /// Let constants that are added to indices of accesses become offsets, see `translate/sums.rs`.
    pub address_sums: bool,
    /// Let innermost loops compute less, see `codegen/loops`.
    pub loops: bool,
    /// Let loops that look for a byte skip many, see `codegen/loops/scan`; for speed alone.
    pub byte_scans: bool,
    /// Export that the executable calls instead of `_start`.
    pub invoke: Option<String>,
    /// What becomes of imports that nothing provides.
    pub unknown_imports: UnknownImports,
    /// The component answers requests of HTTP, `--world proxy`.
    pub is_server: bool,
    /// Let an export run while the module is compiled, `--preinit`.
    pub preinit: Option<Preinit>,
    /// The program is such an initialiser: it writes what its instance is like when the export of `invoke` has run.
    pub snapshot: Option<Snapshot>,
    /// Count how often each part of functions is executed, and write a profile in the end, `--profile-generate`.
    pub profile_generate: bool,
    /// What is known of earlier executions, `--profile-use`.
    pub profile: Option<Profile>,
    /// Print each call of WASI, `--trace wasi`.
    pub trace_wasi: bool,
    /// Who links.
    pub linker: Linker,
    /// Which runtime executables get.
    pub runtime: Runtime,
    /// Folder with runtime archives, `<triple>/libwasmelt_start.a`, in place of the installed and embedded ones.
    pub runtime_dir: Option<PathBuf>,
    /// Leave out the symbol table (names in backtraces stay).
    pub strip: bool,
    /// Write debug information; `strip` is stronger.
    pub debug_info: bool,
    /// The executable carries what it can be linked from again, with another policy.
    pub grantable: bool,
    /// Number of threads; 0 is one per core. The output does not depend on it.
    pub threads: usize,
    /// Functions of earlier compilations. The output does not depend on it.
    pub reuse: Option<Reuse>,
}

impl Default for Options {
    /// Options of a command line without any: an executable for this machine.
    fn default() -> Self {
        Self {
            target: target_lexicon::Triple::host(),
            emit: Emit::Exe,
            library: None,
            opt_level: OptLevel::Speed,
            placement_seed: None,
            cpu: Cpu::Default,
            features: crate::features::default_features(),
            policy: Policy::default(),
            embedded_files: Vec::new(),
            preloads: Vec::new(),
            plugs: Vec::new(),
            max_memory_bytes: None,
            memory_reserve_bytes: None,
            stack_bytes: DEFAULT_STACK_BYTES,
            bounds_checks: BoundsChecks::Guard,
            spectre_mitigations: true,
            nan_canonicalization: false,
            relaxed_simd_deterministic: false,
            branch_hinting: true,
            stops: Stops::default(),
            inlining: true,
            peepholes: true,
            address_sums: true,
            loops: true,
            byte_scans: true,
            invoke: None,
            unknown_imports: UnknownImports::Deny,
            is_server: false,
            preinit: None,
            snapshot: None,
            profile_generate: false,
            profile: None,
            trace_wasi: false,
            linker: Linker::Embedded,
            runtime: Runtime::default_for(&target_lexicon::HOST),
            runtime_dir: None,
            strip: false,
            debug_info: false,
            grantable: false,
            threads: 0,
            reuse: None,
        }
    }
}

/// Default call stack of the guest: as much as a Linux main thread has.
pub const DEFAULT_STACK_BYTES: u64 = 8 << 20;

/// Ways in which the host of a library can stop the library's code, each of which costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// Code counts its operators against a budget that the host sets, `--fuel` without a number.
    pub fuel: bool,
    /// Another thread can interrupt code, `--interruptible`.
    pub interrupt: bool,
}

/// What runs while a module is compiled, `--preinit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preinit {
    /// The export; `None` for the usual one.
    pub export: Option<String>,
    /// It gets random numbers, which every run of the program then shares.
    pub random: bool,
}

/// How an initialiser is compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Names of WASI functions whose calls trap.
    pub withheld: Vec<&'static str>,
}

/// What comes out of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emit {
    /// An executable.
    Exe,
    /// A relocatable object.
    Obj,
    /// A shared library for a host program that embeds the module.
    Cdylib,
    /// A static library for such a program.
    Staticlib,
    /// Cranelift's intermediate form, as text.
    Clif,
    /// Assembly, as text.
    Asm,
    /// The module in the text format of WebAssembly.
    Wat,
}

/// How much is optimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptLevel {
    /// `-O0`: fast to compile.
    #[serde(rename = "0")]
    None,
    /// `-O`: fast to run.
    #[serde(rename = "speed")]
    Speed,
    /// `-Os`: fast to run and small.
    #[serde(rename = "size")]
    Size,
}

/// How code finds the instance that it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Programs: there is one instance, whose context the pinned register holds; it equals the base of memory 0 unless
    /// threads share that.
    Single,
    /// Libraries: any number of instances; `vmctx` is the first parameter of each function.
    Many,
}

impl Emit {
    /// Whether a linker makes it.
    pub fn is_linked(self) -> bool {
        matches!(self, Self::Exe | Self::Cdylib)
    }

    /// Whether it is for a host program that embeds the module, whatever else is asked for.
    pub fn is_library(self) -> bool {
        matches!(self, Self::Cdylib | Self::Staticlib)
    }

    /// Whether it is text.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Clif | Self::Asm | Self::Wat)
    }
}

impl Options {
    /// The shape of the output.
    pub fn shape(&self) -> Shape {
        if self.library.is_some() { Shape::Many } else { Shape::Single }
    }

    /// Whether code raises its traps by calls of the runtime, so that hosts need no signals: libraries with explicit checks.
    pub fn raises_traps(&self) -> bool {
        self.shape() == Shape::Many && self.bounds_checks == BoundsChecks::Explicit
    }

    /// Whether the output has debug information. What is linked for macOS has none: there, it stays in objects, and
    /// files that are linked name the objects, which are temporary here.
    pub fn writes_debug_info(&self) -> bool {
        let stays_in_object = self.target.binary_format == target_lexicon::BinaryFormat::Macho;
        self.debug_info && !self.strip && !(self.emit.is_linked() && stays_in_object)
    }
}

/// Which instructions may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// The target's default, see docs/RATIONALE.md.
    Default,
    /// What the machine that compiles has.
    Native,
    /// What every CPU of the target's architecture has.
    Baseline,
    /// A named baseline, `x86-64-v1` to `x86-64-v4`, or another CPU that Cranelift knows.
    Named(String),
}

/// How linear memory accesses are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundsChecks {
    /// By inaccessible pages where the memory's type allows it, by instructions otherwise.
    Guard,
    /// By instructions always; no large reservation of address space. In libraries nothing that traps is a fault.
    Explicit,
}

/// What becomes of imports that nothing provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownImports {
    /// They are an error.
    Deny,
    /// A call to one traps.
    Trap,
}

/// Who links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linker {
    /// The embedded linker.
    Embedded,
    /// The system's C compiler driver.
    Cc,
    /// This program, which takes the arguments of `ld`.
    Program(PathBuf),
}

/// Which runtime executables get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The one that makes system calls itself.
    #[default]
    Freestanding,
    /// The one on top of the system's C library, which other systems than Linux have.
    Portable,
}

impl Runtime {
    /// File name of its archive, in the folder of a target.
    pub fn archive_name(self) -> &'static str {
        match self {
            Self::Freestanding => "libwasmelt_start.a",
            Self::Portable => "libwasmelt_start_portable.a",
        }
    }

    /// What executables for `target` get unless something else is asked for.
    pub fn default_for(target: &target_lexicon::Triple) -> Self {
        match target.operating_system {
            target_lexicon::OperatingSystem::Linux => Self::Freestanding,
            _ => Self::Portable,
        }
    }

    /// Whether it is what executables for Linux get unless something else is asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the guest may do outside its sandbox: nothing that is not named here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Granted directories.
    pub dirs: Vec<DirGrant>,
    /// Granted environment variables.
    pub env: Vec<EnvGrant>,
    /// The whole environment is passed on.
    pub inherit_env: bool,
    /// The guest's name for itself; the host's `argv[0]` otherwise.
    pub arg0: Option<String>,
    /// Where relative host paths start.
    #[serde(skip_serializing_if = "is_default")]
    pub dir_from: DirFrom,
    /// Granted files.
    pub files: Vec<FileGrant>,
    /// Directories that are stored in the executable.
    pub embedded: Vec<EmbeddedTree>,
    /// Addresses to listen on before the guest runs, by TCP.
    pub tcp_listen: Vec<SocketAddr>,
    /// What sockets of a component may be used for; absent in reports where nothing is granted.
    #[serde(skip_serializing_if = "is_default")]
    pub network: Network,
    /// What the guest's standard input, output and error are; absent in reports where all are the process's own.
    #[serde(skip_serializing_if = "is_default")]
    pub stdio: [Stdio; 3],
    /// Descriptors that the guest may have open besides the standard streams.
    pub max_open_files: Option<u32>,
    /// Elements that each table may have.
    pub max_table_elements: Option<u64>,
    /// Memory that exceptions may take, in bytes.
    pub max_exception_bytes: Option<u64>,
    /// Threads that may run at once, besides the first one.
    pub max_threads: Option<u32>,
    /// Wall-clock time that the program may take.
    pub timeout: Option<Duration>,
    /// Instructions that the program may execute.
    pub fuel: Option<u64>,
    /// Clocks and random numbers are the same in each run, and follow from this seed.
    pub deterministic: Option<u64>,
    /// The operating system is told to refuse what the program cannot need.
    pub harden: bool,
}

impl Policy {
    /// The part that code is generated for: all but what is decided when the program is linked.
    #[must_use]
    pub fn of_code(&self) -> Self {
        Self::default().on_code(self)
    }

    /// This policy for a program whose code was generated for the policy `code`, of which it keeps its part.
    #[must_use]
    pub fn on_code(&self, code: &Self) -> Self {
        let linked = self.clone();
        Self {
            dirs: linked.dirs,
            env: linked.env,
            inherit_env: linked.inherit_env,
            arg0: linked.arg0,
            dir_from: linked.dir_from,
            files: linked.files,
            embedded: linked.embedded,
            tcp_listen: linked.tcp_listen,
            network: linked.network,
            stdio: linked.stdio,
            max_open_files: linked.max_open_files,
            max_exception_bytes: linked.max_exception_bytes,
            max_threads: linked.max_threads,
            timeout: linked.timeout,
            harden: linked.harden,
            ..code.clone()
        }
    }

    /// Whether anything of it is in [`FurtherPolicy`](wasmelt_abi::descriptor::FurtherPolicy).
    pub fn has_further(&self) -> bool {
        self.dir_from != DirFrom::Cwd
            || !self.files.is_empty()
            || !self.embedded.is_empty()
            || !self.tcp_listen.is_empty()
            || !self.network.is_empty()
            || self.stdio != [Stdio::Inherit; 3]
            || self.max_open_files.is_some()
            || self.max_exception_bytes.is_some()
            || self.max_threads.is_some()
            || self.timeout.is_some()
            || self.fuel.is_some()
            || self.deterministic.is_some()
            || self.harden
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where relative host paths start at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirFrom {
    /// At the working directory.
    #[default]
    Cwd,
    /// At the folder that the executable lies in.
    Exe,
}

/// What a standard stream of the guest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stdio {
    /// The process's own.
    #[default]
    Inherit,
    /// Nothing: empty for reading, dropped when written.
    Null,
}

/// A file that the guest may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileGrant {
    /// Path on the host; a relative one is resolved as those of directories.
    pub host: String,
    /// Path under which the guest finds it.
    pub guest: String,
    /// It cannot be changed.
    #[serde(default)]
    pub read_only: bool,
}

/// A directory whose files are stored in the executable. What the report says of it; the files themselves are in
/// [`Options::embedded_files`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddedTree {
    /// Name under which the guest finds it.
    pub guest: String,
    /// Number of files.
    pub files: u64,
    /// Length of all files together.
    pub bytes: u64,
    /// BLAKE3 hash over names and contents, in hexadecimal digits.
    pub blake3: String,
}

/// A file to be stored in the executable.
#[derive(Clone, PartialEq, Eq)]
pub struct EmbeddedFile {
    /// Index of its tree in [`Policy::embedded`].
    pub tree: usize,
    /// Path below the tree, with `/` between components. One that ends with `/` is an empty directory.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for EmbeddedFile {
    /// Without the content, which the hash of the tree stands for.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} ({} bytes)", self.tree, self.path, self.bytes.len())
    }
}

/// A component that exports what another one imports.
#[derive(Clone, PartialEq, Eq)]
pub struct Plug {
    /// Where it came from, for messages.
    pub source_name: String,
    /// The component, in the binary or the text format.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Plug {
    /// With a hash in place of the content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.source_name, blake3::hash(&self.bytes))
    }
}

/// A module whose exports later modules import.
#[derive(Clone, PartialEq, Eq)]
pub struct Preload {
    /// The module name that imports give.
    pub name: String,
    /// Where it came from, for messages.
    pub source_name: String,
    /// The module, in the binary or the text format.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Preload {
    /// With a hash in place of the content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={} ({})", self.name, self.source_name, blake3::hash(&self.bytes))
    }
}

/// A directory that the guest may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirGrant {
    /// Path on the host; a relative one is resolved against the working directory at run time.
    pub host: String,
    /// Name under which the guest finds it.
    pub guest: String,
    /// Nothing below it can be changed.
    #[serde(default)]
    pub read_only: bool,
}

/// An environment variable that the guest gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvGrant {
    /// Name.
    pub name: String,
    /// Value; the host's at run time when `None`.
    pub value: Option<String>,
}

/// Names of proposals that a module uses, for reports.
pub type FeatureNames = BTreeSet<&'static str>;
