//! `cargo xtask c-api`: the C libraries under the names that programs link with, and the headers.
//!
//! Cargo makes the static library. The shared one is linked from it here: the runtime, which is part of both, has symbols of
//! executables, which a shared library of rustc's would export, and which no program has to see.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

use crate::{Result, compiler, root, run};

/// What the names of the library's own members begin with.
const MEMBER: &[u8] = b"wasmelt_c_api";

/// What the libraries need of the system.
const SYSTEM_LIBRARIES: [&str; 5] = ["-lgcc_s", "-lpthread", "-ldl", "-lm", "-lc"];

/// Makes headers and libraries.
pub(crate) fn execute(with_compiler: bool, out: &Path) -> Result<()> {
    let mut cargo = Command::new(compiler::cargo());
    cargo.current_dir(root()).args(["build", "--locked", "--release", "--package", "wasmelt-c-api"]);
    if with_compiler {
        cargo.args(["--features", "compiler"]);
    }
    run(&mut cargo)?;
    let built = target_folder().join("release/libwasmelt_c_api.a");
    let name = if with_compiler { "libwasmelt" } else { "libwasmelt-runtime" };
    let (include, lib) = (out.join("include"), out.join("lib"));
    fs::create_dir_all(&include)?;
    fs::create_dir_all(&lib)?;
    for header in ["wasm.h", "wasmelt.h"] {
        fs::copy(root().join("c-api/include").join(header), include.join(header))?;
    }
    let archive = lib.join(format!("{name}.a"));
    fs::copy(&built, &archive).map_err(|e| format!("cannot copy {}: {e}", built.display()))?;
    if cfg!(target_os = "linux") {
        link_shared(&archive, &lib.join(format!("{name}.so")))?;
    }
    let packages = lib.join("pkgconfig");
    fs::create_dir_all(&packages)?;
    fs::write(packages.join(format!("{}.pc", &name[3..])), package(&name[3..]))?;
    println!("{}", out.display());
    Ok(())
}

/// What `pkg-config` knows of a library; it finds the folder by its own place.
fn package(name: &str) -> String {
    format!(
        "prefix=${{pcfiledir}}/../..\nName: {name}\nDescription: Host programs of WebAssembly modules that wasmelt compiles\n\
         Version: {}\nCflags: -I${{prefix}}/include\nLibs: -L${{prefix}}/lib -l{name}\nLibs.private: {}\n",
        env!("CARGO_PKG_VERSION"),
        SYSTEM_LIBRARIES.join(" ")
    )
}

fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Links the shared library, which exports the functions of the headers alone.
fn link_shared(archive: &Path, library: &Path) -> Result<()> {
    let functions = functions(archive)?;
    let script = library.with_extension("map");
    let names: String = functions.iter().map(|name| format!("    {name};\n")).collect();
    fs::write(&script, format!("{{\n  global:\n{names}  local: *;\n}};\n"))?;
    let file_name = library.file_name().unwrap_or_default().to_string_lossy();
    let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-shared", "-Wl,--gc-sections", "-Wl,-z,relro,-z,now", "-Wl,--strip-all"]);
    cc.arg(format!("-Wl,-soname,{file_name}")).arg(format!("-Wl,--version-script={}", script.display()));
    cc.args(functions.iter().map(|name| format!("-Wl,--undefined={name}")));
    run(cc.arg("-o").arg(library).arg(archive).args(SYSTEM_LIBRARIES))?;
    fs::remove_file(&script)?;
    Ok(())
}

/// The functions of the headers, as the archive has them.
fn functions(archive: &Path) -> Result<BTreeSet<String>> {
    let bytes = fs::read(archive)?;
    let mut functions = BTreeSet::new();
    for member in ArchiveFile::parse(&*bytes)?.members() {
        let member = member?;
        if !member.name().starts_with(MEMBER) {
            continue;
        }
        let file = object::File::parse(member.data(&*bytes)?)?;
        let names = file.symbols().filter(|symbol| symbol.is_global() && symbol.is_definition());
        let names = names.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
        functions.extend(names.filter(|name| name.starts_with("wasm_") || name.starts_with("wasmelt_")));
    }
    if functions.is_empty() { Err("the static library has no functions".into()) } else { Ok(functions) }
}
