//! Names of the symbols that objects and runtime archives share.

/// A symbol of the runtime archive that every object refers to. Its name carries [`crate::ABI_VERSION`].
pub const ABI_ANCHOR: &str = "wasmelt_abi_10";

/// The [`crate::descriptor::ProgramDescriptor`] of an executable, defined by the object.
pub const PROGRAM: &str = "wasmelt_program";

/// Prefix of the symbol of a library's [`crate::descriptor::ProgramDescriptor`]; the library's own name follows.
pub const LIBRARY_PREFIX: &str = "wasmelt_module_";

/// Prefix of the symbol of a library of a component, which holds its plan (the crate `wasmelt-plan`) behind its length in bytes, 8 bytes,
/// little-endian. The component's name follows; its core modules are libraries named `NAME.0`, `NAME.1` and so on.
pub const COMPONENT_PREFIX: &str = "wasmelt_component_";

/// Prefix of the symbol of a table in static libraries of components: the distances of the descriptors of the core modules
/// from the table, 4 bytes each. The component's name follows.
pub const COMPONENT_MODULES_PREFIX: &str = "wasmelt_component_modules_";

/// First byte of generated code, defined by the object.
pub const TEXT: &str = "wasmelt_text";

/// Runtime hook that makes the instances after the first one: it comes before all others.
pub const HOOK_INSTANCES: &str = "wasmelt_hook_instances";

/// Runtime hook that makes the memories beyond memory 0, see [`crate::descriptor::ProgramDescriptor::hooks`].
pub const HOOK_MEMORIES: &str = "wasmelt_hook_memories";

/// Runtime hook that makes the tables that can change.
pub const HOOK_TABLES: &str = "wasmelt_hook_tables";

/// Runtime hook that sets the limits of the policy, those that are compiled in and those of the environment.
pub const HOOK_RESTRICT: &str = "wasmelt_hook_restrict";

/// The same where the program has sockets and addresses or names are granted.
pub const HOOK_RESTRICT_NETWORK: &str = "wasmelt_hook_restrict_network";

/// Runtime hook that says where relative host paths start: at the folder of the executable.
pub const HOOK_DIR_FROM_EXE: &str = "wasmelt_hook_dir_from_exe";

/// Runtime hook that listens on the granted addresses.
pub const HOOK_LISTENERS: &str = "wasmelt_hook_listeners";

/// Runtime hook that makes the directories that exist only for the guest.
pub const HOOK_TREES: &str = "wasmelt_hook_trees";

/// Runtime hook that opens the granted directories.
pub const HOOK_PREOPENS: &str = "wasmelt_hook_preopens";

/// Runtime hook that makes the operating system refuse what the program cannot need.
pub const HOOK_HARDEN: &str = "wasmelt_hook_harden";

/// The same where the program has sockets and addresses or names are granted.
pub const HOOK_HARDEN_NETWORK: &str = "wasmelt_hook_harden_network";

/// What the name of a host function that is traced starts with; its own symbol follows, see [`crate::host`].
pub const TRACE_PREFIX: &str = "wasmelt_trace.";

/// Runtime hook that runs a program whose calls are traced, and says at its end which grants were missing.
pub const HOOK_TRACE: &str = "wasmelt_hook_trace";

/// Runtime hook that parses the command line, calls the export that `--invoke` names and prints its results. It is the
/// only code of the runtime that may hold absolute addresses: it relocates the executable first.
pub const HOOK_INVOKE: &str = "wasmelt_hook_invoke";

/// Runtime hook that runs the initialiser of a later program and writes what the instance is then, see
/// [`crate::snapshot`].
pub const HOOK_SNAPSHOT: &str = "wasmelt_hook_snapshot";

/// Runtime hook that prepares a program for writing its profile when it ends, see [`crate::profile`].
pub const HOOK_PROFILE: &str = "wasmelt_hook_profile";

/// Runtime hook that runs such a program, where no other hook does: it comes last.
pub const HOOK_PROFILE_RUN: &str = "wasmelt_hook_profile_run";

/// What the name of the host function starts with that ends such a program; its own symbol follows, see [`crate::host`].
pub const PROFILE_PREFIX: &str = "wasmelt_profile.";

/// Runtime function that prints a frame of a backtrace with its lines in source files, see
/// [`crate::descriptor::BacktraceTable::print`].
pub const PRINT_POSITIONS: &str = "wasmelt_print_positions";

/// Runtime function that prints the inlined functions that code lies in, see [`crate::descriptor::BacktraceTable::print`].
pub const PRINT_INLINED: &str = "wasmelt_print_inlined";

/// The builtin `exception_throw` under Cranelift's `tail` convention, where that passes parameters in other registers
/// than the system's convention does: on aarch64, and on Windows.
pub const EXCEPTION_THROW_TAIL: &str = "wasmelt_exception_throw_tail";

/// Section of an object or executable that holds policy and provenance as an ELF note of this name.
pub const NOTE_SECTION: &str = ".note.wasmelt";

/// The same section of Mach-O files, in the segment `__TEXT`; names have 16 bytes at most.
pub const NOTE_SECTION_MACHO: &str = "__wasmelt_note";

/// The same section of COFF and PE files; names of sections in images have 8 bytes at most.
pub const NOTE_SECTION_COFF: &str = ".wasmelt";

/// Owner of the note.
pub const NOTE_OWNER: &str = "wasmelt";

/// Type of the note: policy and provenance as JSON, compressed with zstd.
pub const NOTE_TYPE_PROVENANCE: u32 = 1;

/// Type of the note: what the executable can be linked from again with another policy, compressed with zstd.
pub const NOTE_TYPE_CARRIED: u32 = 2;
