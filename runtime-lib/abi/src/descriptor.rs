//! What the compiler tells the runtime about a program: one read-only structure without absolute addresses.
//!
//! References inside the structure are 32-bit offsets from the field that holds them ([`Rel`], [`RelSlice`]). So a
//! position independent executable has nothing to relocate here, whatever the size of the program, and the same bytes
//! mean the same on ELF, Mach-O and COFF. The symbol [`crate::symbols::PROGRAM`] is at the start of the structure.

use crate::interface::Interface;
use crate::layout::Layout;
use crate::profile::ProfilePlan;
use crate::record::{RelOf, SliceOf, record};

pub use crate::code::{BacktraceTable, CallSite, Code, ExceptionHandler};
pub use crate::instance::{CopyChunk, DataSegment, ElementSegment, InstancePlan, MapChunk, MemoryPlan, TablePlan};
pub use crate::rel::{Rel, RelSlice};

record! {
    /// A directory that the guest may use.
    #[derive(Debug)]
    pub struct DirGrant<F> {
        /// Path on the host, as bytes without a final NUL.
        pub host: SliceOf<F, u8>,
        /// Name under which the guest finds it.
        pub guest: SliceOf<F, u8>,
        /// [`DirGrant::READ_ONLY`] or 0.
        pub flags: u32,
    }
}

impl DirGrant {
    /// Nothing below the directory can be changed through this grant.
    pub const READ_ONLY: u32 = 1;
}

record! {
    /// An environment variable that the guest gets.
    #[derive(Debug)]
    pub struct EnvGrant<F> {
        /// Name, without `=`.
        pub name: SliceOf<F, u8>,
        /// Value, when not inherited.
        pub value: SliceOf<F, u8>,
        /// [`EnvGrant::INHERIT`] or 0.
        pub flags: u32,
    }
}

impl EnvGrant {
    /// The value is the host's at run time. When the host does not have the variable, neither does the guest.
    pub const INHERIT: u32 = 1;
}

record! {
    /// What the guest may do outside its sandbox. Everything that is not named here is forbidden.
    #[derive(Debug)]
    pub struct Policy<F> {
        /// [`Policy::INHERIT_ENV`], [`Policy::HAS_ARG0`].
        pub flags: u32,
        /// What the guest sees as its own name, with [`Policy::HAS_ARG0`]; the host's `argv[0]` otherwise.
        pub arg0: SliceOf<F, u8>,
        /// Granted directories, in the order of their descriptors from 3 on.
        pub dirs: SliceOf<F, DirGrant>,
        /// Granted environment variables; a later one replaces an earlier one of the same name.
        pub env: SliceOf<F, EnvGrant>,
        /// Limits and rarer grants; absent when all of them have their defaults. Only hooks read them.
        pub further: RelOf<F, FurtherPolicy>,
    }
}

record! {
    /// Limits and grants that few programs have. In a structure of its own, so that the others do not carry it.
    #[derive(Debug)]
    pub struct FurtherPolicy<F> {
        /// Wall-clock time that the program may take, in nanoseconds; 0 means no limit.
        pub timeout_ns: u64,
        /// Instructions that the program may execute; `u64::MAX` means no limit. Code does not read it: its counter in the
        /// context, at `fuel_offset`, starts at the negative number and counts up to zero.
        pub fuel: u64,
        /// What deterministic random numbers follow from, with [`FurtherPolicy::DETERMINISTIC`].
        pub seed: u64,
        /// Memory that the exceptions of all threads may take together, in bytes.
        pub max_exception_bytes: u64,
        /// [`FurtherPolicy::STDIN_NULL`] and so on.
        pub flags: u32,
        /// Descriptors that the guest may have open besides the standard streams; `u32::MAX` means no limit.
        pub max_open_files: u32,
        /// Addresses to listen on before the guest runs; their descriptors follow those of the directories.
        pub listeners: SliceOf<F, ListenGrant>,
        /// Directories that exist only for the guest: files that were granted one by one, and embedded ones. Their
        /// descriptors follow those of the listeners.
        pub trees: SliceOf<F, crate::tree::Tree>,
        /// The system calls that may be made once the guest runs: a program of the kernel's classic BPF, one instruction
        /// (`struct sock_filter`) in each element. Empty without `--harden`, at most [`FurtherPolicy::MAX_FILTER`].
        pub filter: SliceOf<F, u64>,
        /// Where the counter of instructions lies, in bytes from the first instance's `vmctx`; 0 without one.
        pub fuel_offset: i32,
        /// Threads that may run at once, besides the first one.
        pub max_threads: u32,
        /// Index of the instruction of `filter` whose operand is the number of the process, which only the process knows;
        /// 0 for none.
        pub filter_process: u32,
        /// What sockets may be used for; none where nothing is granted.
        pub network: RelOf<F, NetworkPolicy>,
    }
}

impl FurtherPolicy {
    /// What exceptions may take where the policy does not say it: as much as those of a store in a host program.
    pub const DEFAULT_MAX_EXCEPTION_BYTES: u64 = 256 << 20;
    /// Threads that may run at once where the policy does not say it.
    pub const DEFAULT_MAX_THREADS: u32 = 1024;
    /// The longest filter. A program that imports everything has a third of it.
    pub const MAX_FILTER: usize = 512;
    /// Standard input is empty for the guest.
    pub const STDIN_NULL: u32 = 1;
    /// What the guest writes to standard output is dropped.
    pub const STDOUT_NULL: u32 = 1 << 1;
    /// What the guest writes to standard error is dropped; messages of the runtime are not.
    pub const STDERR_NULL: u32 = 1 << 2;
    /// Clocks and random numbers are the same in each run.
    pub const DETERMINISTIC: u32 = 1 << 3;
    /// Relative host paths start at the folder of the executable, not at the working directory.
    pub const DIR_FROM_EXE: u32 = 1 << 4;
}

record! {
    /// What a component's sockets may be used for, in an executable.
    #[derive(Debug)]
    pub struct NetworkPolicy<F> {
        /// Addresses.
        pub sockets: SliceOf<F, SocketGrant>,
        /// Patterns of names, see [`crate::network::covers_name`].
        pub names: SliceOf<F, NameGrant>,
    }
}

record! {
    /// Addresses, and what sockets may do with them: a [`crate::network::Endpoint`].
    #[derive(Debug)]
    pub struct SocketGrant<F> {
        /// 16 bytes of IPv6 address, or 4 of IPv4; none for all addresses.
        pub address: SliceOf<F, u8>,
        /// How many bits of the address count.
        pub bits: u16,
        /// The lowest port.
        pub first_port: u16,
        /// The highest port.
        pub last_port: u16,
        /// [`SocketGrant::TCP_CONNECT`], [`SocketGrant::TCP_LISTEN`] or [`SocketGrant::UDP`].
        pub purpose: u16,
    }
}

impl SocketGrant {
    /// To connect to by TCP.
    pub const TCP_CONNECT: u16 = 0;
    /// To bind to and listen on by TCP.
    pub const TCP_LISTEN: u16 = 1;
    /// To bind to by UDP, and to exchange datagrams with.
    pub const UDP: u16 = 2;
}

record! {
    /// Names that may be resolved.
    #[derive(Debug)]
    pub struct NameGrant<F> {
        /// The pattern.
        pub pattern: SliceOf<F, u8>,
    }
}

record! {
    /// An address to listen on.
    #[derive(Debug)]
    pub struct ListenGrant<F> {
        /// 16 bytes of IPv6 address, or 4 of IPv4.
        pub address: SliceOf<F, u8>,
        /// TCP port.
        pub port: u32,
    }
}

impl Policy {
    /// All variables of the host's environment are passed on; `env` is applied on top.
    pub const INHERIT_ENV: u32 = 1;
    /// `arg0` replaces the host's `argv[0]`.
    pub const HAS_ARG0: u32 = 2;
}

record! {
    /// An export that a command line calls, see `--invoke`.
    #[derive(Debug)]
    pub struct InvokePlan<F> {
        /// Name of the export, for messages.
        pub name: SliceOf<F, u8>,
        /// Parameter types, one [`ValueType`] each.
        pub params: SliceOf<F, u8>,
        /// Result types, one [`ValueType`] each.
        pub results: SliceOf<F, u8>,
    }
}

/// Number types as they are written into descriptors.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// `i32`
    I32 = 0x7f,
    /// `i64`
    I64 = 0x7e,
    /// `f32`
    F32 = 0x7d,
    /// `f64`
    F64 = 0x7c,
    /// `v128`
    V128 = 0x7b,
    /// `funcref`
    FuncRef = 0x70,
    /// `externref`
    ExternRef = 0x6f,
}

record! {
    /// The program, as the runtime needs it to start: what belongs to all instances. A library is a program of one instance.
    ///
    /// Code is referred to by [`Rel<u8>`](Rel): the type of what is called stands at the field. `vmctx` is the first
    /// instance's.
    #[derive(Debug)]
    pub struct ProgramDescriptor<F> {
        /// [`crate::ABI_VERSION`].
        pub abi_version: u32,
        /// CPU features that the code needs: [`CpuFeatures`] bits.
        pub cpu_features: u32,
        /// The call stack for guest code, in bytes, without its guard.
        pub stack_bytes: u64,
        /// Its first instance, at distance 0.
        pub first: InstancePlan<F>,
        /// The other instances, in order of instantiation.
        pub others: SliceOf<F, InstancePlan>,
        /// Where the parts of the instances lie; zeros in libraries.
        pub layout: Layout,
        /// Generated code.
        pub code: Code<F>,
        /// `unsafe extern "C" fn(vmctx: *mut u8)`: runs what remains of instantiation (segments with computed offsets,
        /// the start function), instance by instance, then the program. The function that is invoked by `--invoke` is
        /// behind `invoke_entry` instead.
        pub entry: RelOf<F, u8>,
        /// `unsafe extern "C" fn(vmctx: *mut u8, values: *mut [u64; 2])`: calls the export that `invoke` describes;
        /// `values` holds the arguments before and the results after the call, 16 bytes each. None without `--invoke`.
        pub invoke_entry: RelOf<F, u8>,
        /// `unsafe extern "C" fn(vmctx: *mut u8, tid: u64, start_arg: u64)`: what a thread does in its new instances: the
        /// rest of instantiation, then the export [`crate::host::THREAD_START`]. None where no thread is ever started.
        pub thread_entry: RelOf<F, u8>,
        /// What `invoke_entry` calls.
        pub invoke: RelOf<F, InvokePlan>,
        /// Functions of the runtime that are called in this order before `entry`, each
        /// `unsafe extern "C" fn(vmctx: *mut u8)`, because something that the program imports or was granted needs them.
        pub hooks: SliceOf<F, Rel<u8>>,
        /// What the guest may do.
        pub policy: Policy<F>,
        /// What a library imports and exports; none in executables.
        pub interface: RelOf<F, Interface>,
        /// [`crate::symbols::ABI_ANCHOR`] in executables, so that an archive of another version does not link.
        pub anchor: RelOf<F, u8>,
        /// What the program writes about its own execution; none without `--profile-generate`.
        pub profile: RelOf<F, ProfilePlan>,
    }
}

/// CPU features beyond the architecture's first version, as bits of [`ProgramDescriptor::cpu_features`].
#[derive(Debug)]
pub struct CpuFeatures;

/// One CPU feature: its bit, and the name that messages and `--cpu` use.
pub type CpuFeature = (u32, &'static str);

impl CpuFeatures {
    /// x86-64 features: the bit in the descriptor and the name in messages.
    pub const X86_64: &[CpuFeature] = &[
        (1 << 0, "sse3"),
        (1 << 1, "ssse3"),
        (1 << 2, "cmpxchg16b"),
        (1 << 3, "sse4.1"),
        (1 << 4, "sse4.2"),
        (1 << 5, "popcnt"),
        (1 << 6, "avx"),
        (1 << 7, "avx2"),
        (1 << 8, "fma"),
        (1 << 9, "bmi1"),
        (1 << 10, "bmi2"),
        (1 << 11, "lzcnt"),
        (1 << 12, "avx512f"),
        (1 << 13, "avx512dq"),
        (1 << 14, "avx512vl"),
        (1 << 15, "avx512vbmi"),
        (1 << 16, "avx512bitalg"),
        (1 << 17, "avx512vnni"),
        (1 << 18, "avxvnni"),
    ];

    /// aarch64 features, in the same way.
    pub const AARCH64: &[CpuFeature] =
        &[(1 << 0, "lse"), (1 << 1, "pauth"), (1 << 2, "fp16"), (1 << 3, "dotprod"), (1 << 4, "i8mm")];
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn layout_is_what_objects_were_compiled_for() {
        assert_eq!(size_of::<CopyChunk>(), 16);
        assert_eq!(size_of::<MapChunk>(), 24);
        assert_eq!(size_of::<MemoryPlan>(), 40);
        assert_eq!(size_of::<TablePlan>(), 24);
        assert_eq!(size_of::<DirGrant>(), 20);
        assert_eq!(size_of::<EnvGrant>(), 20);
        assert_eq!(size_of::<Policy>(), 32);
        assert_eq!(size_of::<FurtherPolicy>(), 80);
        assert_eq!(size_of::<ListenGrant>(), 12);
        assert_eq!(size_of::<NetworkPolicy>(), 16);
        assert_eq!(size_of::<SocketGrant>(), 16);
        assert_eq!(size_of::<NameGrant>(), 8);
        assert_eq!(size_of::<InvokePlan>(), 24);
        assert_eq!(size_of::<BacktraceTable>(), 12);
        assert_eq!(size_of::<Code>(), 44);
        assert_eq!(offset_of!(ProgramDescriptor, first), 16);
        assert_eq!(offset_of!(ProgramDescriptor, code), 120);
        assert_eq!(offset_of!(ProgramDescriptor, entry), 164);
        assert_eq!(offset_of!(ProgramDescriptor, policy), 188);
        assert_eq!(size_of::<ProgramDescriptor>(), 232);
        assert_eq!(offset_of!(InstancePlan, memories), 16);
        assert_eq!(size_of::<InstancePlan>(), 64);
    }

    #[test]
    fn slices_without_elements_are_aligned() {
        // Elements of all other slices are aligned to 4 bytes at most, as the fields are.
        for field in [
            offset_of!(ProgramDescriptor, others),
            offset_of!(InstancePlan, memories),
            offset_of!(InstancePlan, tables),
            offset_of!(InstancePlan, copies),
            offset_of!(InstancePlan, maps),
        ] {
            assert!(field.is_multiple_of(8));
        }
    }

    #[test]
    fn feature_bits_are_distinct() {
        for features in [CpuFeatures::X86_64, CpuFeatures::AARCH64] {
            let mut seen = 0u32;
            for (bit, name) in features {
                assert!(bit.is_power_of_two() && seen & bit == 0, "{name}");
                seen |= bit;
            }
        }
    }
}
