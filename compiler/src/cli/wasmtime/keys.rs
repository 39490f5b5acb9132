//! The keys of wasmtime's option groups `-O`, `-C`, `-D`, `-W`, `-S` and `-R`, and what each means for an executable: as
//! data. The proposals of `-W` are in [`crate::features`] and not repeated here.
//!
//! Three answers exist. A key is obeyed; or it has no meaning here, because what it chooses changes no result; or it is
//! refused, because it asks for a limit or a capability that does not exist. A refused switch may be switched off.

use std::time::Duration;

use super::Asked;
use crate::cli::values;
use crate::error::{Error, Result};
use crate::network::{AddressGrant, NameGrant, Network};
use crate::options::{Cpu, Stdio, UnknownImports};

/// An option of wasmtime that takes keys.
#[derive(Debug)]
pub(in crate::cli) struct Group {
    /// Its letter.
    pub(super) letter: char,
    /// What `help` says above the list.
    pub(super) about: &'static str,
    /// The keys.
    pub(super) keys: &'static [Key],
}

/// A key of a group.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) value: Value,
    pub(super) meaning: Meaning,
    /// What it does, why it has no meaning, or why it is refused.
    pub(super) text: &'static str,
}

/// What stands behind `=`.
#[derive(Debug)]
pub(super) enum Value {
    /// `y` or `n`, or one of these words; nothing is `y`.
    Switch(&'static [&'static str]),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number.
    Number,
    /// A number of bytes.
    Size,
    /// A time span.
    Time,
    /// Any text.
    Text,
}

/// What wasmelt does with a key.
pub(super) enum Meaning {
    Switch(fn(&mut Asked, bool)),
    Number(fn(&mut Asked, u64)),
    Time(fn(&mut Asked, Duration)),
    Text(fn(&mut Asked, &str) -> Result<()>),
    /// It changes no result.
    None,
    /// It asks for what does not exist. These values ask for nothing more than there is.
    Refused(&'static [&'static str]),
}

impl std::fmt::Debug for Meaning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Refused(_) => "Refused",
            _ => "Obeyed",
        })
    }
}

const BOOL: Value = Value::Switch(&[]);
/// wasmtime decides by itself, too.
const AUTO: Value = Value::Switch(&["auto"]);

const fn switch(name: &'static str, text: &'static str, apply: fn(&mut Asked, bool)) -> Key {
    Key { name, value: BOOL, meaning: Meaning::Switch(apply), text }
}

const fn number(name: &'static str, value: Value, text: &'static str, apply: fn(&mut Asked, u64)) -> Key {
    Key { name, value, meaning: Meaning::Number(apply), text }
}

const fn text(name: &'static str, value: Value, text: &'static str, apply: fn(&mut Asked, &str) -> Result<()>) -> Key {
    Key { name, value, meaning: Meaning::Text(apply), text }
}

/// A key without a meaning here.
const fn none(name: &'static str, value: Value, text: &'static str) -> Key {
    Key { name, value, meaning: Meaning::None, text }
}

/// A key that is refused; a switch may be off.
const fn refused(name: &'static str, value: Value, text: &'static str) -> Key {
    let harmless: &[&str] = if matches!(value, Value::Switch(_)) { &["n"] } else { &[] };
    Key { name, value, meaning: Meaning::Refused(harmless), text }
}

/// A key that is refused except with these values, which ask for what is done anyway.
const fn only(name: &'static str, value: Value, harmless: &'static [&'static str], text: &'static str) -> Key {
    Key { name, value, meaning: Meaning::Refused(harmless), text }
}

const FIXED: &str = "a memory never moves; `--memory-reserve` sets its address space";
const NO_GC: &str = "the proposal `gc` is not supported yet, so there is no heap for it";
const ONE_INSTANCE: &str = "an executable is one instance, and needs no pool";
const NO_COMPONENTS: &str = "components have what WASI 0.2 needs, and nothing beyond";
const COUNTED: &str = "there are as many as the module declares, never more";
const NO_FIBERS: &str = "an executable runs its guest on one stack: `max-wasm-stack` is its size";
const NO_DEBUGGER: &str = "gdb and lldb debug the executable itself: `-g` writes what they need";
const NOT_IN_PREVIEW_1: &str = "only preview 1 of WASI is supported";
const NOT_INTERRUPTED: &str = "`--timeout` limits the time, `--fuel` the instructions";
const NO_RECORDING: &str = "nothing is recorded; `--deterministic` makes all runs the same";

pub(in crate::cli) static OPTIMIZE: Group = Group {
    letter: 'O',
    about: "`-O` is the default; `-O0` does not optimise, `-Os` makes code small as well. Keys of wasmtime:",
    keys: &[
        text("opt-level", Value::Word(&["0", "1", "2", "s"]), "the same as `-O0`, `-O`, `-Os`", |asked, level| {
            asked.options.opt_level = values::opt_level(level).map_err(Error::usage)?;
            Ok(())
        }),
        only(
            "regalloc-algorithm",
            Value::Word(&["backtracking", "single-pass"]),
            &["backtracking"],
            "registers are always allocated by backtracking; `-O0` compiles fast",
        ),
        none("memory-may-move", BOOL, FIXED),
        none("memory-reservation", Value::Size, FIXED),
        none("memory-reservation-for-growth", Value::Size, FIXED),
        none("memory-guard-size", Value::Size, "guards are as large as the code needs them"),
        none("gc-heap-may-move", BOOL, NO_GC),
        none("gc-heap-reservation", Value::Size, NO_GC),
        none("gc-heap-reservation-for-growth", Value::Size, NO_GC),
        none("gc-heap-guard-size", Value::Size, NO_GC),
        none("gc-heap-initial-size", Value::Size, NO_GC),
        refused("guard-before-linear-memory", BOOL, "below memory 0 lies what the program's code needs"),
        none("table-lazy-init", BOOL, "tables are filled when the module is compiled"),
        none("pooling-allocator", BOOL, ONE_INSTANCE),
        none("pooling-decommit-batch-size", Value::Number, ONE_INSTANCE),
        none("pooling-memory-keep-resident", Value::Size, ONE_INSTANCE),
        none("pooling-table-keep-resident", Value::Size, ONE_INSTANCE),
        none("pooling-memory-protection-keys", AUTO, ONE_INSTANCE),
        none("pooling-max-memory-protection-keys", Value::Number, ONE_INSTANCE),
        none("memory-init-cow", BOOL, "pages of the executable become memory without being copied"),
        none("memory-guaranteed-dense-image-size", Value::Size, "the compiler chooses which pages are mapped"),
        none("pooling-total-core-instances", Value::Number, ONE_INSTANCE),
        none("pooling-total-component-instances", Value::Number, ONE_INSTANCE),
        none("pooling-total-memories", Value::Number, ONE_INSTANCE),
        none("pooling-total-tables", Value::Number, ONE_INSTANCE),
        none("pooling-total-stacks", Value::Number, ONE_INSTANCE),
        refused("pooling-max-memory-size", Value::Size, "there is no pool: `--max-memory` limits each memory"),
        refused("pooling-table-elements", Value::Number, "there is no pool; tables end at the maximum of their type"),
        none("pooling-max-core-instance-size", Value::Size, ONE_INSTANCE),
        none("pooling-max-unused-warm-slots", Value::Number, ONE_INSTANCE),
        none("pooling-async-stack-keep-resident", Value::Size, ONE_INSTANCE),
        none("pooling-max-component-instance-size", Value::Size, ONE_INSTANCE),
        none("pooling-max-core-instances-per-component", Value::Number, NO_COMPONENTS),
        none("pooling-max-memories-per-component", Value::Number, NO_COMPONENTS),
        none("pooling-max-tables-per-component", Value::Number, NO_COMPONENTS),
        refused("pooling-max-tables-per-module", Value::Number, COUNTED),
        refused("pooling-max-memories-per-module", Value::Number, COUNTED),
        none("pooling-total-gc-heaps", Value::Number, NO_GC),
        only(
            "signals-based-traps",
            BOOL,
            &["y"],
            "traps are signals; `--bounds-checks explicit` checks by instructions",
        ),
        none("dynamic-memory-guard-size", Value::Size, "guards are as large as the code needs them"),
        none("static-memory-guard-size", Value::Size, "guards are as large as the code needs them"),
        none("static-memory-forced", BOOL, FIXED),
        none("static-memory-maximum-size", Value::Size, FIXED),
        none("dynamic-memory-reserved-for-growth", Value::Size, FIXED),
        none("pooling-pagemap-scan", AUTO, ONE_INSTANCE),
        none("gc-zeal-alloc-counter", Value::Number, NO_GC),
    ],
};

pub(in crate::cli) static CODEGEN: Group = Group {
    letter: 'C',
    about: "How code is generated. Keys of wasmtime:",
    keys: &[
        only("compiler", Value::Word(&["cranelift", "winch"]), &["cranelift"], "code is generated by Cranelift"),
        none("collector", Value::Word(&["drc", "null", "copying"]), NO_GC),
        refused("cranelift-debug-verifier", BOOL, "a debug build of wasmelt verifies what it gives to Cranelift"),
        switch("cache", "`run` keeps what it compiled; `--no-cache` is the same as `cache=n`", |asked, on| {
            asked.no_cache = !on;
        }),
        refused("cache-config", Value::Text, "the environment variable `WASMELT_CACHE_DIR` names the folder"),
        switch("parallel-compilation", "one thread per core, or one thread; `-j N` sets a number", |asked, on| {
            asked.options.threads = if on { 0 } else { 1 };
        }),
        none("native-unwind-info", BOOL, "debuggers and profilers always find the frames"),
        number(
            "placement",
            Value::Number,
            "functions start anywhere in a line of the CPU's cache, by this seed, for measurements; not in wasmtime",
            |asked, seed| asked.options.placement_seed = Some(seed),
        ),
        Key {
            name: "inlining",
            // The words are wasmtime's: kinds of calls that it inlines.
            value: Value::Switch(&["gc", "inter-module", "intrinsics"]),
            meaning: Meaning::Switch(|asked, on| asked.options.inlining = on),
            text: "bodies of small functions take the place of calls, within each module",
        },
        switch("peepholes", "products by 3, 5 and 9 are sums with a shift; not in wasmtime", |asked, on| {
            asked.options.peepholes = on;
        }),
        switch("address-sums", "constants added to indices are offsets; not in wasmtime", |asked, on| {
            asked.options.address_sums = on;
        }),
        switch("loops", "innermost loops compute less in each round; not in wasmtime", |asked, on| {
            asked.options.loops = on;
        }),
        switch("byte-scans", "loops that look for a byte skip sixteen at a time; not in wasmtime", |asked, on| {
            asked.options.byte_scans = on;
        }),
        none("metadata-for-internal-asserts", BOOL, "each trapping instruction is known anyway"),
        none("metadata-for-gc-heap-corruption", BOOL, NO_GC),
        text("cranelift-CPU", Value::Text, "a CPU by Cranelift's name, as with `--cpu`", |asked, name| {
            asked.options.cpu = Cpu::Named(name.to_owned());
            Ok(())
        }),
    ],
};

pub(in crate::cli) static DEBUG: Group = Group {
    letter: 'D',
    about: "What debuggers get. Keys of wasmtime:",
    keys: &[
        switch("debug-info", "debug information; `-g` is the same", |asked, on| asked.options.debug_info = on),
        refused("guest-debug", BOOL, NO_DEBUGGER),
        none("address-map", BOOL, "traps always know the function that they happen in"),
        none("logging", BOOL, "wasmelt writes no log; `-v` says what is done"),
        refused("log-to-files", BOOL, "wasmelt writes no log; `-v` says what is done"),
        refused("coredump", Value::Text, "a trap prints a backtrace and ends the program; it writes no file"),
        refused("debugger", Value::Text, NO_DEBUGGER),
        refused("arg", Value::Text, NO_DEBUGGER),
        refused("inherit-stdin", BOOL, NO_DEBUGGER),
        refused("inherit-stdout", BOOL, NO_DEBUGGER),
        refused("inherit-stderr", BOOL, NO_DEBUGGER),
        none("max-backtrace", Value::Number, "the runtime ends backtraces by itself"),
        switch("symbols", "the symbol table; `symbols=n` is the same as `--strip`", |asked, on| {
            asked.options.strip = !on;
        }),
    ],
};

pub(in crate::cli) static WASM: Group = Group {
    letter: 'W',
    about: "Proposals and limits. Keys of wasmtime, besides the proposals:",
    keys: &[
        switch("nan-canonicalization", "all NaN results are the canonical one", |asked, on| {
            asked.options.nan_canonicalization = on;
        }),
        number("fuel", Value::Number, "trap after this many instructions, as with `--fuel`", |asked, fuel| {
            asked.options.policy.fuel = Some(fuel);
        }),
        refused("epoch-interruption", BOOL, NOT_INTERRUPTED),
        number("max-wasm-stack", Value::Size, "the guest's call stack, as with `--stack-size`", |asked, bytes| {
            asked.options.stack_bytes = bytes;
        }),
        refused("async-stack-size", Value::Size, NO_FIBERS),
        refused("async-stack-zeroing", BOOL, NO_FIBERS),
        none("unknown-exports-allow", BOOL, "exports that nobody calls are always allowed"),
        switch(
            "unknown-imports-trap",
            "calls of unknown imports trap, as with `--unknown-imports trap`",
            |asked, on| {
                asked.options.unknown_imports = if on { UnknownImports::Trap } else { UnknownImports::Deny };
            },
        ),
        refused(
            "unknown-imports-default",
            BOOL,
            "`unknown-imports-trap` lets a module run as long as it calls none of them",
        ),
        refused("wmemcheck", BOOL, "memory errors within the guest are for the guest's own tools"),
        number("max-memory-size", Value::Size, "upper limit of each memory, as with `--max-memory`", |asked, bytes| {
            asked.options.max_memory_bytes = Some(bytes);
        }),
        number(
            "max-table-elements",
            Value::Number,
            "upper limit of each table, as with `--max-table-elements`",
            |asked, elements| asked.options.policy.max_table_elements = Some(elements),
        ),
        text("max-instances", Value::Number, "an executable is one instance; any number but 0 will do", |_, count| {
            match count {
                "0" => Err(Error::usage("`-W max-instances=0` of wasmtime is not supported")
                    .hint("an executable is one instance")),
                _ => Ok(()),
            }
        }),
        refused("max-tables", Value::Number, COUNTED),
        refused("max-memories", Value::Number, COUNTED),
        refused("trap-on-grow-failure", BOOL, "growing beyond a limit has the result -1, as the specification says"),
        Key {
            name: "timeout",
            value: Value::Time,
            meaning: Meaning::Time(|asked, time| asked.options.policy.timeout = Some(time)),
            text: "trap after this time, as with `--timeout`",
        },
        switch("relaxed-simd-deterministic", "relaxed SIMD has the same results on every CPU", |asked, on| {
            asked.options.relaxed_simd_deterministic = on;
        }),
        only("shared-memory", BOOL, &["y"], "shared memories are part of `threads`"),
        switch("branch-hinting", "code is placed by the module's hints about branches", |asked, on| {
            asked.options.branch_hinting = on;
        }),
        refused("component-model-async", BOOL, NO_COMPONENTS),
        refused("component-model-more-async-builtins", BOOL, NO_COMPONENTS),
        refused("component-model-async-stackful", BOOL, NO_COMPONENTS),
        refused("component-model-threading", BOOL, NO_COMPONENTS),
        refused("component-model-error-context", BOOL, NO_COMPONENTS),
        refused("component-model-gc", BOOL, NO_COMPONENTS),
        refused("component-model-map", BOOL, NO_COMPONENTS),
        refused("component-model-memory64", BOOL, NO_COMPONENTS),
        refused("component-model-fixed-length-lists", BOOL, NO_COMPONENTS),
        refused("component-model-implements", BOOL, NO_COMPONENTS),
        refused("gc-support", BOOL, "the proposal `gc` is not supported yet"),
        refused("concurrency-support", BOOL, "it belongs to asynchronous components, which are not supported yet"),
    ],
};

/// Gives a standard stream to the guest or takes it away.
fn inherit(asked: &mut Asked, stream: usize, on: bool) {
    if let Some(stream) = asked.options.policy.stdio.get_mut(stream) {
        *stream = if on { Stdio::Inherit } else { Stdio::Null };
    }
}

pub(in crate::cli) static WASI: Group = Group {
    letter: 'S',
    about: "What a guest of WASI gets; `--dir` grants directories. Keys of wasmtime:",
    keys: &[
        only("cli", BOOL, &["y"], "a guest has the functions of WASI that it imports, and no more"),
        refused("cli-exit-with-code", BOOL, NOT_IN_PREVIEW_1),
        only("common", BOOL, &["y"], "a guest has the functions of WASI that it imports, and no more"),
        refused("nn", BOOL, "neural networks are not supported"),
        only("threads", BOOL, &["y"], "`-W threads=n` refuses modules that use threads"),
        refused("http", BOOL, NOT_IN_PREVIEW_1),
        refused("http-outgoing-body-buffer-chunks", Value::Number, NOT_IN_PREVIEW_1),
        refused("http-outgoing-body-chunk-size", Value::Size, NOT_IN_PREVIEW_1),
        refused("config", BOOL, NOT_IN_PREVIEW_1),
        refused("keyvalue", BOOL, NOT_IN_PREVIEW_1),
        refused("listenfd", BOOL, "descriptors are not inherited; `--tcplisten` opens a listening socket"),
        text("tcplisten", Value::Text, "listen on an address, as with `--tcplisten`", |asked, address| {
            let address = values::listen(address).map_err(|why| Error::usage(format!("`-S tcplisten`: {why}")))?;
            asked.options.policy.tcp_listen.push(address);
            Ok(())
        }),
        refused("tls", BOOL, NOT_IN_PREVIEW_1),
        none("preview2", BOOL, "it chooses how wasmtime implements preview 1"),
        refused("nn-graph", Value::Text, "neural networks are not supported"),
        switch(
            "inherit-network",
            "all addresses for sockets of a component, as `--tcp-connect *:*` and so on",
            |asked, on| {
                let network = &mut asked.options.policy.network;
                *network = Network { resolve: std::mem::take(&mut network.resolve), ..Network::default() };
                if on {
                    let all = AddressGrant::all();
                    network.tcp_connect.push(all.clone());
                    network.tcp_listen.push(all.clone());
                    network.udp.push(all);
                }
            },
        ),
        switch("allow-ip-name-lookup", "all names, as `--resolve *`", |asked, on| {
            asked.options.policy.network.resolve = if on { vec![NameGrant::all()] } else { Vec::new() };
        }),
        switch("tcp", "`n` takes all addresses of TCP away", |asked, on| {
            if !on {
                asked.options.policy.network.tcp_connect.clear();
                asked.options.policy.network.tcp_listen.clear();
            }
        }),
        switch("udp", "`n` takes all addresses of UDP away", |asked, on| {
            if !on {
                asked.options.policy.network.udp.clear();
            }
        }),
        refused("network-error-code", BOOL, "the function is not part of WASI 0.2 yet"),
        only("preview0", BOOL, &["y"], "a guest has the functions of WASI that it imports, and no more"),
        switch("inherit-env", "the whole environment, as with `--inherit-env`", |asked, on| {
            asked.options.policy.inherit_env = on;
        }),
        switch("inherit-stdin", "`n` is the same as `--stdin null`", |asked, on| inherit(asked, 0, on)),
        switch("inherit-stdout", "`n` is the same as `--stdout null`", |asked, on| inherit(asked, 1, on)),
        switch("inherit-stderr", "`n` is the same as `--stderr null`", |asked, on| inherit(asked, 2, on)),
        refused("cwd", Value::Text, NOT_IN_PREVIEW_1),
        refused("config-var", Value::Text, NOT_IN_PREVIEW_1),
        refused("keyvalue-in-memory-data", Value::Text, NOT_IN_PREVIEW_1),
        refused("p3", BOOL, NOT_IN_PREVIEW_1),
        refused("max-resources", Value::Number, "`--max-open-files` limits descriptors"),
        refused("hostcall-fuel", Value::Number, "what a guest passes to the host is limited by its memory alone"),
        refused("max-component-handles", Value::Number, NO_COMPONENTS),
        refused("max-random-size", Value::Size, NOT_IN_PREVIEW_1),
        refused("max-http-fields-size", Value::Size, NOT_IN_PREVIEW_1),
    ],
};

pub(in crate::cli) static RECORD: Group = Group {
    letter: 'R',
    about: "Recording. Keys of wasmtime:",
    keys: &[
        refused("path", Value::Text, NO_RECORDING),
        refused("validation-metadata", BOOL, NO_RECORDING),
        refused("event-window-size", Value::Number, NO_RECORDING),
    ],
};
