//! Recognises the toolchain of a module by an import that nothing provides, and says how that toolchain builds for
//! WASI.

use wasmparser::ValType;

use crate::module::FuncType;

/// Functions that Emscripten takes from its JavaScript under other names than its own prefixes: the beginnings of names.
const EMSCRIPTEN: &[&str] = &[
    "emscripten_",
    "_emscripten_",
    "__emscripten_",
    "__syscall_",
    "invoke_",
    "__cxa_",
    "_abort_js",
    "_tzset_js",
    "_localtime_js",
    "_gmtime_js",
    "_mktime_js",
    "_timegm_js",
    "_mmap_js",
    "_munmap_js",
    "_setitimer_js",
    "_dlopen_js",
    "_dlsym_js",
];

/// Functions that AssemblyScript takes from JavaScript: whole names, or beginnings that end with a dot.
const ASSEMBLY_SCRIPT: &[&str] =
    &["abort", "trace", "seed", "console.", "Date.", "performance.", "process.", "crypto."];

/// What linkers take from outside for code that is not a complete program.
const UNLINKED: &[&str] = &[
    "__linear_memory",
    "__indirect_function_table",
    "__stack_pointer",
    "__memory_base",
    "__table_base",
    "__c_longjmp",
    "__cpp_exception",
];

/// What to do about an import that nothing provides, where the import tells which toolchain made the module. `ty` is
/// the type of an imported function.
pub(super) fn advice(module: &str, name: &str, ty: Option<&FuncType>) -> Option<&'static str> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    Some(match module {
        _ if module.starts_with("__wbindgen") || module == "wbg" || name.starts_with("__wb") => {
            "wasm-bindgen built the module for JavaScript: build the program with `cargo build --target wasm32-wasip1`, and without crates that call JavaScript (js-sys, web-sys, or a feature such as `js` of getrandom)"
        }
        "go" | "gojs" => {
            "Go built the module for JavaScript: build it for WASI with `GOOS=wasip1 GOARCH=wasm go build`, or `tinygo build -target=wasip1`"
        }
        "env" if name.starts_with("syscall/js.") || name.starts_with("runtime.") => {
            "TinyGo built the module for JavaScript: build it for WASI with `tinygo build -target=wasip1`"
        }
        "wasix_32v1" | "wasix_64v1" => {
            "the module was built for WASIX, which is Wasmer's extension of WASI: build it for WASI preview 1, `wasm32-wasip1`"
        }
        // `wasi:cli/stdout@0.2.0`: the interfaces of components.
        _ if is_interface(module) || is_interface(module.trim_start_matches("[export]")) || module == "$root" => {
            "the module is the inside of a component (WASI 0.2): give the component itself, or build the program for WASI preview 1, `wasm32-wasip1` in place of `wasm32-wasip2`"
        }
        "env" if is_assembly_script(name, ty) => {
            "AssemblyScript built the module for JavaScript: `npm install @assemblyscript/wasi-shim` and `asc --config node_modules/@assemblyscript/wasi-shim/asconfig.json` build it for WASI; `asc --use abort=` alone turns `abort` into a trap"
        }
        "env" if UNLINKED.contains(&name) => {
            "the module is an object or a dynamic library, not a program: link it (clang without `-c` and `-shared`, or `wasm-ld`)"
        }
        "env" if starts(EMSCRIPTEN) => EMSCRIPTEN_ADVICE,
        // Emscripten shortens names where it optimises.
        "a" if name.len() <= 2 => EMSCRIPTEN_ADVICE,
        _ => return None,
    })
}

const EMSCRIPTEN_ADVICE: &str = "Emscripten built the module for JavaScript: build it for WASI with `emcc -sSTANDALONE_WASM -o app.wasm`, or with wasi-sdk where it uses files (`clang --target=wasm32-wasip1`)";

/// Whether a module name is one of the component model: `namespace:package/interface@version`.
fn is_interface(module: &str) -> bool {
    module.split_once(':').is_some_and(|(namespace, rest)| !namespace.is_empty() && rest.contains('/'))
}

/// C programs have functions of these names as well, but not with the strings and positions of AssemblyScript.
fn is_assembly_script(name: &str, ty: Option<&FuncType>) -> bool {
    let params = ty.map_or(&[][..], |ty| &ty.params);
    match name {
        "abort" => *params == [ValType::I32; 4],
        "trace" => params.len() == 7,
        "seed" => params.is_empty(),
        _ => ASSEMBLY_SCRIPT.iter().any(|prefix| prefix.ends_with('.') && name.starts_with(prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchains_are_told_apart() {
        let four = FuncType { params: [ValType::I32; 4].into(), results: Box::default() };
        let none = FuncType::default();
        for (module, name, ty, word) in [
            ("env", "emscripten_resize_heap", &none, "Emscripten"),
            ("env", "__syscall_openat", &four, "Emscripten"),
            ("a", "b", &none, "Emscripten"),
            ("wbg", "__wbg_log_1d3ae0273d8f4f8a", &none, "wasm-bindgen"),
            ("__wbindgen_placeholder__", "__wbindgen_describe", &none, "wasm-bindgen"),
            ("./app_bg.js", "__wbg_log_1d3ae0273d8f4f8a", &none, "wasm-bindgen"),
            ("gojs", "runtime.wasmExit", &none, "Go built"),
            ("go", "runtime.ticks", &none, "Go built"),
            ("env", "syscall/js.valueGet", &none, "TinyGo"),
            ("env", "abort", &four, "AssemblyScript"),
            ("env", "console.log", &none, "AssemblyScript"),
            ("env", "__linear_memory", &none, "an object"),
            ("wasi:cli/stdout@0.2.0", "get-stdout", &none, "a component"),
            ("[export]wasi:http/incoming-handler@0.2.0", "x", &none, "a component"),
            ("wasix_32v1", "proc_fork", &none, "WASIX"),
        ] {
            let found = advice(module, name, Some(ty)).unwrap_or_default();
            assert!(found.contains(word), "{module} {name}: {found}");
        }
        for (module, name) in
            [("host", "log"), ("env", "abort"), ("env", "sqlite3_open"), ("wasi_snapshot_preview1", "x")]
        {
            assert_eq!(advice(module, name, Some(&none)), None, "{module} {name}");
        }
    }
}
