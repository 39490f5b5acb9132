//! Dependencies point one way: each part uses what it needs and nothing of a later stage.

use crate::{File, code_lines, rust};

/// What files below a folder must not name, and why.
struct Border {
    folder: &'static str,
    forbidden: &'static [&'static str],
    reason: &'static str,
}

const COMPILER: &str = "compiler/src/";

/// Whether a file of the compiler is the part that knows the system it runs on.
fn is_host(path: &str) -> bool {
    path.starts_with("compiler/src/host/")
}

const BORDERS: &[Border] = &[
    Border {
        folder: "compiler/src/component/",
        forbidden: &[
            "cranelift",
            "object::",
            "std::fs",
            "std::process",
            "std::env",
            "crate::program",
            "crate::translate",
            "crate::codegen",
            "crate::emit",
            "crate::link",
            "crate::driver",
            "crate::cli",
        ],
        reason: "component/ turns a component into the modules in it",
    },
    Border {
        folder: "compiler/src/module/",
        forbidden: &[
            "cranelift_codegen",
            "cranelift_frontend",
            "object::",
            "std::fs",
            "std::process",
            "std::env",
            "crate::program",
            "crate::translate",
            "crate::codegen",
            "crate::emit",
            "crate::link",
            "crate::driver",
            "crate::cli",
        ],
        reason: "module/ turns bytes into data",
    },
    Border {
        folder: "compiler/src/debug/",
        forbidden: &[
            "cranelift_codegen",
            "object::",
            "std::fs",
            "std::process",
            "crate::translate",
            "crate::codegen",
            "crate::link",
            "crate::driver",
            "crate::cli",
        ],
        reason: "debug/ knows the lines of a module, nothing of code",
    },
    Border {
        folder: "compiler/src/program",
        forbidden: &[
            "object::",
            "std::fs",
            "std::process",
            "crate::codegen",
            "crate::optimize",
            "crate::emit",
            "crate::link",
            "crate::driver",
            "crate::cli",
        ],
        reason: "a program is plain data, planned before code is generated",
    },
    Border {
        folder: "compiler/src/translate/",
        forbidden: &[
            "object::",
            "gimli",
            "std::fs",
            "std::process",
            "std::env",
            "crate::link",
            "crate::driver",
            "crate::cli",
            "crate::cache",
            "crate::output",
        ],
        reason: "translate/ knows CLIF and wasm, no files and no object formats",
    },
    Border {
        folder: "compiler/src/optimize/",
        forbidden: &[
            "wasmparser",
            "object::",
            "std::fs",
            "std::process",
            "crate::codegen",
            "crate::emit",
            "crate::link",
            "crate::driver",
            "crate::cli",
        ],
        reason: "optimize/ turns CLIF into CLIF",
    },
    Border {
        folder: "compiler/src/codegen/",
        forbidden: &[
            "object::",
            "std::fs",
            "std::process",
            "crate::link",
            "crate::driver",
            "crate::cli",
            "crate::cache",
        ],
        reason: "codegen/ makes machine code in memory",
    },
    Border {
        folder: "compiler/src/emit/",
        forbidden: &[
            "wasmparser",
            "std::fs",
            "std::process",
            "crate::module",
            "crate::program",
            "crate::translate",
            "crate::optimize",
            "crate::codegen",
            "crate::link",
            "crate::driver",
            "crate::cli",
        ],
        reason: "emit/ knows object formats, neither wasm nor programs",
    },
    Border {
        folder: "compiler/src/link/",
        forbidden: &[
            "wasmparser",
            "cranelift",
            "crate::module",
            "crate::program",
            "crate::translate",
            "crate::codegen",
            "crate::driver",
            "crate::cli",
        ],
        reason: "link/ knows linkers and no wasm",
    },
    Border {
        folder: "compiler/src/cli/",
        forbidden: &[
            "wasmparser::",
            "cranelift_frontend",
            "object::",
            "libwild",
            "crate::translate",
            "crate::emit::object",
            "crate::link::",
        ],
        reason: "cli/ says what the user typed; the library does the work",
    },
    Border {
        folder: COMPILER,
        forbidden: &["std::os::", "rustix", "same_file", "ctrlc", "wasmelt_runtime", "wasmelt_embed"],
        reason: "what depends on the host is in host/, and no part of a runtime is in the compiler",
    },
    Border {
        folder: "c-api/src/",
        forbidden: &[
            "wasmparser",
            "cranelift",
            "println!",
            "wasmelt_runtime",
            "wasmelt_abi",
            "std::fs",
            "std::process",
        ],
        reason: "c-api/ is embed/ in C, and beside it nothing but the compiler's library",
    },
    Border {
        folder: "runtime-lib/",
        forbidden: &["wasmparser", "cranelift", "extern crate alloc", "println!", "wasmelt_embed", "libloading"],
        reason: "the runtime is freestanding and holds no part of a compiler, nor of a host",
    },
    Border {
        folder: "embed/src/",
        forbidden: &[
            "wasmparser",
            "cranelift",
            "println!",
            "wasmelt_runtime::backtrace",
            "wasmelt_runtime::exception",
            "wasmelt_runtime::executable",
            "wasmelt_runtime::failure",
            "wasmelt_runtime::instance",
            "wasmelt_runtime::invoke",
            "wasmelt_runtime::process",
            "wasmelt_runtime::report",
            "wasmelt_runtime::threads",
            "wasmelt_runtime::trap",
        ],
        reason: "embed/ knows nothing of executables: it shares with them the judgement, memories and tables, WASI, and the system",
    },
    Border {
        folder: "embed/src/wasi/",
        forbidden: &["Process", "policy", "preopens", "listeners", "narrowing", "restrict", "harden"],
        reason: "a context is the whole state of its guests: nothing here names the state of the process",
    },
    Border {
        folder: "runtime-lib/src/guest/",
        forbidden: &[
            "crate::backtrace",
            "crate::builtins",
            "crate::exception",
            "crate::executable",
            "crate::failure",
            "crate::host",
            "crate::instance",
            "crate::invoke",
            "crate::memory",
            "crate::process",
            "crate::report",
            "crate::table",
            "crate::threads",
            "crate::trap",
            "crate::wasi",
        ],
        reason: "guest/ judges for executables and stores, and knows neither",
    },
    Border {
        folder: "runtime-lib/src/host/",
        forbidden: &["wasi", "wasi_snapshot_preview1", "wasi_unstable"],
        reason: "host/ is free of any version of WASI",
    },
    Border {
        folder: "runtime-lib/abi/",
        forbidden: &["rustix", "wasmelt_runtime", "std::fs"],
        reason: "the contract depends on nothing",
    },
];

/// `wasmtime-environ` changes with each release: one folder knows it.
pub(crate) fn one_folder_knows_wasmtime_environ(files: &[File]) -> Vec<String> {
    let others =
        rust(files).filter(|file| file.path.starts_with(COMPILER) && !file.path.starts_with("compiler/src/component/"));
    let lines = others.flat_map(|file| code_lines(&file.text).map(move |(number, line)| (file, number, line)));
    lines
        .filter(|(.., line)| names(line, "wasmtime_environ"))
        .map(|(file, number, _)| format!("{}:{number}: wasmtime-environ is known to component/ alone", file.path))
        .collect()
}

pub(crate) fn use_only_what_they_may(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for border in BORDERS {
        let is_inside = |path: &str| path.starts_with(border.folder) && !(border.folder == COMPILER && is_host(path));
        let inside: Vec<&File> = rust(files).filter(|file| is_inside(&file.path)).collect();
        if inside.is_empty() {
            breaches.push(format!("{}: there is no such part any more; its border needs another name", border.folder));
        }
        for file in inside.into_iter().filter(|file| !is_test(&file.path)) {
            for (number, line) in code_lines(before_unit_tests(&file.text)) {
                for word in border.forbidden.iter().filter(|word| names(&line, word)) {
                    breaches.push(format!("{}:{number}: `{word}`: {}", file.path, border.reason));
                }
            }
        }
    }
    breaches
}

/// `sys/` is the ground floor of the runtime: a path that starts at the crate leads into `sys/` itself.
pub(crate) fn sys_stands_on_nothing(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in rust(files).filter(|file| file.path.starts_with("runtime-lib/src/sys/")) {
        for (number, line) in code_lines(before_unit_tests(&file.text)) {
            let mut paths = line.split("crate::").skip(1);
            if paths.any(|path| path.split(|c: char| !c.is_alphanumeric() && c != '_').next() != Some("sys")) {
                breaches.push(format!("{}:{number}: sys/ names another part of the runtime", file.path));
            }
        }
    }
    breaches
}

/// Whether the line has this word, not as a part of a longer one.
fn names(line: &str, word: &str) -> bool {
    let in_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        // `cranelift` stands for all crates whose name begins with it, `object::` for all paths into it.
        let whole = word.ends_with(':') || word == "cranelift" || !in_word(after.chars().next());
        whole && !in_word(line[..at].chars().next_back())
    })
}

/// Whether the file holds nothing but unit tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("/testing.rs")
}

/// The part of a file that is compiled into the product.
fn before_unit_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |end| &text[..end])
}

/// Where `unsafe` may stand: what is linked into executables and into host programs.
const RUNTIMES: [&str; 3] = ["runtime-lib/", "embed/", "c-api/"];

/// Host programs: what they do in `unsafe` blocks is to name libraries that wasmelt made, and in one place to fault.
const HOSTS: &[&str] = &[
    "examples/edge-server/src/tenant.rs",
    "examples/proxy-wasm/src/plugin.rs",
    "examples/rust-host/host.rs",
    "benches/embedding.rs",
    "benches/stops.rs",
    "fuzz/benches/embedding.rs",
    "fuzz/src/library.rs",
    "server/src/lib.rs",
    "tests/component/library.rs",
    "tests/embed-host/src/modules.rs",
    "tests/embed/bindings.rs",
    "tests/embed/components.rs",
    "tests/embed/main.rs",
    "tests/spec/libraries.rs",
    "tests/wasi/embedded.rs",
];

/// A guest program that calls another component by the canonical ABI, as generated bindings would.
const GUEST: &str = "examples/composed/report.rs";

/// How they do that.
const BY_HOSTS: &[&str] = &[
    "Library::open(",
    "Module::load(",
    "Module::from_bytes(",
    "Component::load(",
    "linked_component!(",
    // A server is a program of C to those who link it, and has its arguments as one.
    "#[unsafe(no_mangle)]",
    "CStr::from_ptr(*argv.add(",
    "wasmtime::Module::deserialize_file(",
    "linked_module!(",
    "odd::load(",
    "rules_2::load(",
    "shelf::load(",
    "nowhere.read_volatile(",
];

pub(crate) fn unsafe_only_in_the_runtime(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in rust(files).filter(|file| !RUNTIMES.iter().any(|folder| file.path.starts_with(folder))) {
        let is_host = HOSTS.contains(&file.path.as_str());
        for (number, line) in code_lines(&file.text) {
            let word = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
            // How a guest program exports a function: it runs in the sandbox.
            let is_export = file.path.starts_with("examples/") && line.trim() == "#[unsafe(no_mangle)]";
            let is_export = is_export || file.path == GUEST;
            if word && !is_export && !(is_host && BY_HOSTS.iter().any(|what| line.contains(what))) {
                breaches.push(format!("{}:{number}: `unsafe` outside runtime-lib/, embed/ and c-api/", file.path));
            }
        }
    }
    for host in HOSTS.iter().filter(|host| !files.iter().any(|file| file.path == **host)) {
        breaches.push(format!("{host}: is named as a host program and is none"));
    }
    if !files.iter().any(|f| f.path == "compiler/src/lib.rs" && f.text.contains("#![forbid(unsafe_code)]")) {
        breaches.push("compiler/src/lib.rs: `#![forbid(unsafe_code)]` is missing".to_owned());
    }
    breaches
}

pub(crate) fn unsafe_blocks_have_reasons(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in rust(files) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (number, line) in code_lines(&file.text) {
            let opens_block = line.contains("unsafe {") && !line.contains("unsafe fn");
            let explains = |line: &&str| line.trim_start().starts_with("//") && line.contains("SAFETY:");
            // The comment stands above the statement, which may begin some lines before the block.
            let above = &lines[number.saturating_sub(8)..number];
            if opens_block && !above.iter().any(explains) {
                breaches.push(format!("{}:{number}: an unsafe block without `// SAFETY:`", file.path));
            }
        }
    }
    breaches
}
