//! Reports as text for people. Names come from files that cannot be trusted: control characters in them are escaped.

use std::fmt::{self, Display, Write as _};

use super::module::Memory;
use super::{ComponentReport, Function, ModuleReport, NativeReport, Report, Section};
use crate::network::Network;
use crate::options::{BoundsChecks, DirFrom, OptLevel, Policy, Stdio, UnknownImports};
use crate::plain::Plain;
use crate::report::{self, Export, Import, LinkedImport, LinkedModule, Provenance};

/// The line above capabilities. Code that somebody else made can do what it likes, whatever its file says.
const CAPABILITIES: &str = "capabilities, if you made this file yourself";

/// A report as text.
pub fn report_text(report: &Report) -> String {
    let mut text = Text(String::new());
    match report {
        Report::Module(report) => text.module(report),
        Report::Component(report) => text.component(report),
        Report::Native(report) => text.native(report),
    }
    text.0
}

/// A policy as text.
pub fn policy_text(policy: &Policy) -> String {
    let mut text = Text(String::new());
    text.policy(policy);
    text.0
}

/// A number of bytes: exact below 10 KiB, with one decimal above.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut value, mut unit) = (self.0 as f64, "B");
        for next in ["KiB", "MiB", "GiB", "TiB"] {
            if value < 10240.0 && (unit == "B" || value < 1024.0) {
                break;
            }
            (value, unit) = (value / 1024.0, next);
        }
        let whole = value.fract() == 0.0;
        f.pad(&if whole { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") })
    }
}

struct Text(String);

impl Text {
    fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("  {name:<14}{value}"));
    }

    fn module(&mut self, report: &ModuleReport) {
        self.line(format_args!("{}: module, {}", Plain(&report.file), Bytes(report.bytes)));
        self.field("blake3", &report.blake3);
        self.field("features", or_none(&report.features_used.iter().copied().collect::<Vec<_>>().join(", ")));
        if !report.features_unsupported.is_empty() {
            self.field("not supported", report.features_unsupported.join(", "));
        }
        self.field(
            "functions",
            format_args!("{} defined, {} imported", report.functions_defined, report.functions_imported),
        );
        if report.start_function {
            self.field("start", "has a start function");
        }
        for memory in &report.memories {
            self.field("memory", module_memory(memory));
        }
        self.interface(&report.imports, &report.exports);
        self.sizes(&report.sections, &report.largest_functions);
    }

    fn component(&mut self, report: &ComponentReport) {
        self.line(format_args!("{}: component, {}", Plain(&report.file), Bytes(report.bytes)));
        self.field("blake3", &report.blake3);
        self.interface(&report.imports, &report.exports);
        self.line("core modules");
        for module in &report.core_modules {
            self.line(format_args!("  {:>10}  {}", Bytes(module.bytes).to_string(), Plain(&module.name)));
        }
    }

    fn native(&mut self, report: &NativeReport) {
        let made_by = &report.provenance;
        self.line(format_args!(
            "{}: {} {}, {}",
            Plain(&report.file),
            report.format,
            report.output,
            Bytes(report.bytes)
        ));
        self.provenance(made_by);
        self.policy(&made_by.policy);
        match made_by.interface_left_out {
            false => self.interface(&made_by.imports, &made_by.exports),
            true => self.line("imports and exports: too many to be listed"),
        }
        self.modules(&made_by.modules);
        self.sizes(&report.sections, &report.largest_functions);
    }

    fn provenance(&mut self, made_by: &Provenance) {
        self.field("source", format_args!("{}, {}", Plain(&made_by.source.name), Bytes(made_by.source.bytes)));
        self.field("blake3", Plain(&made_by.source.blake3));
        if made_by.component {
            self.field("made from", "a component");
        }
        if let Some(library) = &made_by.library {
            self.field("library", Plain(library));
        }
        self.field(
            "made by",
            format_args!(
                "wasmelt {}, Cranelift {}, ABI {}",
                Plain(&made_by.wasmelt_version),
                Plain(&made_by.cranelift_version),
                made_by.abi_version
            ),
        );
        let needs = made_by.cpu_features.join(", ");
        self.field(
            "target",
            format_args!("{}, CPU {} ({})", Plain(&made_by.target), Plain(&made_by.cpu), Plain(or_none(&needs))),
        );
        let level = match made_by.opt_level {
            OptLevel::None => "-O0",
            OptLevel::Speed => "-O",
            OptLevel::Size => "-Os",
        };
        let checks = match made_by.bounds_checks {
            BoundsChecks::Guard => "",
            BoundsChecks::Explicit => " --bounds-checks explicit",
        };
        let flag = |on: bool, text: &'static str| if on { text } else { "" };
        self.field(
            "flags",
            format_args!(
                "{level}{checks}{}{}{}{}{}",
                flag(!made_by.spectre_mitigations, " --spectre-mitigations=n"),
                flag(made_by.nan_canonicalization, " --nan-canonicalization"),
                flag(made_by.unknown_imports == UnknownImports::Trap, " --unknown-imports trap"),
                flag(made_by.trace_wasi, " --trace wasi"),
                flag(!made_by.runtime.is_default(), " --runtime portable"),
            ),
        );
        if let Some(name) = &made_by.preinit {
            let by = if name.is_empty() { String::new() } else { format!(" by `{}`", Plain(name)) };
            self.field("initialised", format_args!("when it was compiled{by}"));
        }
        if let Some(name) = &made_by.invoke {
            self.field("invokes", Plain(name));
        }
        self.field("features", Plain(or_none(&made_by.features_used.join(", "))));
        self.field("stack", Bytes(made_by.stack_bytes));
        for memory in &made_by.memories {
            self.field("memory", native_memory(memory));
        }
    }

    fn policy(&mut self, policy: &Policy) {
        self.line(CAPABILITIES);
        for dir in &policy.dirs {
            let mode = if dir.read_only { "read-only" } else { "read and write" };
            self.line(format_args!("  dir   {} as {}, {mode}", Plain(&dir.host), Plain(&dir.guest)));
        }
        if policy.inherit_env {
            self.line("  env   the whole environment");
        }
        for env in &policy.env {
            match &env.value {
                Some(value) => self.line(format_args!("  env   {}={}", Plain(&env.name), Plain(value))),
                None => self.line(format_args!("  env   {}, as it is at run time", Plain(&env.name))),
            }
        }
        for file in &policy.files {
            let mode = if file.read_only { "read-only" } else { "read and write" };
            self.line(format_args!("  file  {} as {}, {mode}", Plain(&file.host), Plain(&file.guest)));
        }
        for tree in &policy.embedded {
            let bytes = Bytes(tree.bytes);
            let files = if tree.files == 1 { "1 file".to_owned() } else { format!("{} files", tree.files) };
            let hash = Plain(&tree.blake3);
            self.line(format_args!("  embed {}, read-only: {files}, {bytes}, blake3 {hash}", Plain(&tree.guest)));
        }
        for address in &policy.tcp_listen {
            self.line(format_args!("  tcp   listens on {address}"));
        }
        self.network(&policy.network);
        if let Some(name) = &policy.arg0 {
            self.line(format_args!("  arg0  {}", Plain(name)));
        }
        if policy.dirs.is_empty()
            && policy.env.is_empty()
            && !policy.inherit_env
            && policy.files.is_empty()
            && policy.embedded.is_empty()
            && policy.tcp_listen.is_empty()
            && policy.network.is_empty()
        {
            self.line("  none: no files, no environment, no network");
        }
        self.limits(policy);
    }

    fn network(&mut self, network: &Network) {
        let lists = [
            (&network.tcp_connect, "tcp   sockets connect to"),
            (&network.tcp_listen, "tcp   sockets listen on"),
            (&network.udp, "udp   sockets use"),
        ];
        for (grants, what) in lists {
            for grant in grants {
                self.line(format_args!("  {what} {grant}"));
            }
        }
        for grant in &network.resolve {
            self.line(format_args!("  names {} may be resolved", Plain(grant.pattern())));
        }
    }

    fn limits(&mut self, policy: &Policy) {
        if policy.dir_from == DirFrom::Exe {
            self.line("  paths on the host start at the folder of the executable");
        }
        for (name, stream) in ["input", "output", "error"].into_iter().zip(policy.stdio) {
            if stream == Stdio::Null {
                self.line(format_args!("  standard {name} is null"));
            }
        }
        if let Some(count) = policy.max_open_files {
            self.line(format_args!("  at most {count} open files"));
        }
        if let Some(count) = policy.max_table_elements {
            self.line(format_args!("  at most {count} elements in a table"));
        }
        if let Some(bytes) = policy.max_exception_bytes {
            self.line(format_args!("  at most {} of exceptions", Bytes(bytes)));
        }
        if let Some(count) = policy.max_threads {
            self.line(format_args!("  at most {count} threads besides the first one"));
        }
        if let Some(time) = policy.timeout {
            self.line(format_args!("  at most {time:?}"));
        }
        if let Some(fuel) = policy.fuel {
            self.line(format_args!("  at most {fuel} instructions"));
        }
        if let Some(seed) = policy.deterministic {
            self.line(format_args!("  deterministic, seed {seed}"));
        }
        if policy.harden {
            self.line("  the operating system refuses everything else");
        }
    }

    /// The modules of a program of several, with what each imports and from whom.
    fn modules(&mut self, modules: &[LinkedModule]) {
        if modules.is_empty() {
            return;
        }
        self.line(format_args!("modules: {}", modules.len()));
        for LinkedModule { name, source, imports, .. } in modules {
            self.line(format_args!("  {}: {}, {}", Plain(name), Plain(&source.name), Bytes(source.bytes)));
            for LinkedImport { import, provider } in imports {
                let provider = provider.as_ref().map_or("the runtime", |name| name.as_str());
                let (module, name) = (Plain(&import.module), Plain(&import.name));
                self.line(format_args!("    {module}.{name} from {}", Plain(provider)));
            }
        }
    }

    fn interface(&mut self, imports: &[Import], exports: &[Export]) {
        self.line(format_args!("imports: {}", imports.len()));
        for import in imports {
            self.line(format_args!("  {}.{}: {}", Plain(&import.module), Plain(&import.name), Plain(&import.ty)));
        }
        self.line(format_args!("exports: {}", exports.len()));
        for export in exports {
            self.line(format_args!("  {}: {}", Plain(&export.name), Plain(&export.ty)));
        }
    }

    fn sizes(&mut self, sections: &[Section], functions: &[Function]) {
        self.line("sections");
        for section in sections {
            self.line(format_args!("  {:>10}  {}", Bytes(section.bytes), Plain(&section.name)));
        }
        if !functions.is_empty() {
            self.line("largest functions");
        }
        for function in functions {
            self.line(format_args!("  {:>10}  {}", Bytes(function.bytes), Plain(&function.name)));
        }
    }
}

fn or_none(list: &str) -> &str {
    if list.is_empty() { "none" } else { list }
}

fn module_memory(memory: &Memory) -> String {
    let mut text = Bytes(memory.initial_bytes).to_string();
    match memory.maximum_bytes {
        Some(maximum) => text += &format!(", at most {}", Bytes(maximum)),
        None => text += ", no maximum",
    }
    text += &format!(", data {}", Bytes(memory.data_bytes));
    text += &format!(", {}-bit, bounds checks: {}", memory.index_bits, memory.bounds_checks);
    text += if memory.shared { ", shared" } else { "" };
    text += if memory.imported { ", imported" } else { "" };
    text
}

fn native_memory(memory: &report::Memory) -> String {
    match memory.maximum_bytes {
        Some(maximum) => format!("{}, at most {}", Bytes(memory.initial_bytes), Bytes(maximum)),
        None => format!("{}, no maximum", Bytes(memory.initial_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{DirGrant, EnvGrant};

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 B"),
            (10239, "10239 B"),
            (10240, "10 KiB"),
            (65536, "64 KiB"),
            (1 << 20, "1 MiB"),
            (3 << 19, "1.5 MiB"),
            (4 << 30, "4 GiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn policies_say_what_is_granted() {
        assert_eq!(
            policy_text(&Policy::default()),
            "capabilities, if you made this file yourself\n  none: no files, no environment, no network\n"
        );
        let policy = Policy {
            dirs: vec![DirGrant { host: "data".into(), guest: "/d".into(), read_only: true }],
            env: vec![
                EnvGrant { name: "A".into(), value: Some("b".into()) },
                EnvGrant { name: "LANG".into(), value: None },
            ],
            ..Policy::default()
        };
        let expected = "capabilities, if you made this file yourself\n  dir   data as /d, read-only\n  env   A=b\n  env   LANG, as it is at run time\n";
        assert_eq!(policy_text(&policy), expected);
    }
}
