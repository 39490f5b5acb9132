//! The headers: they compile in C and C++, declare just what the library defines, and lay out structures as it does.

use std::collections::BTreeSet;
use std::fs;

use libtest_mimic::Failed;

use crate::{folder, library, strict, support, tool};

/// Compilers with the standards that the headers are for.
const STANDARDS: [(&str, &str, &str); 5] = [
    ("gcc", "-std=c99", "c"),
    ("gcc", "-std=c11", "c"),
    ("g++", "-std=c++11", "cc"),
    ("g++", "-std=c++20", "cc"),
    ("clang", "-std=c99", "c"),
];

pub(crate) fn compile_without_warnings() -> Result<(), Failed> {
    let scratch = support::scratch();
    for header in ["wasm.h", "wasmelt.h"] {
        for (compiler, standard, ending) in STANDARDS {
            let source = scratch.path().join(format!("header.{ending}"));
            fs::write(
                &source,
                format!("#include \"{header}\"\n#include \"{header}\"\nint main(void) {{ return 0; }}\n"),
            )?;
            tool(strict(compiler, standard).arg("-fsyntax-only").arg(&source))?;
        }
    }
    Ok(())
}

/// Names of functions that are declared, and not defined, in the headers.
pub(crate) fn declared() -> Result<BTreeSet<String>, Failed> {
    let header = folder("c-api/include/wasmelt.h");
    // What the preprocessor leaves of a declaration is `extern` and its own, of a definition `static`.
    let text = tool(strict("gcc", "-std=c99").args(["-E", "-P", "-DWASM_API_EXTERN=DECLARED"]).arg(header))?.stdout();
    let mut names = BTreeSet::new();
    for declaration in text.split("DECLARED").skip(1) {
        let name = declaration.split('(').next().unwrap_or_default().trim_end();
        names.extend(name.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned));
    }
    Ok(names)
}

pub(crate) fn declare_what_the_library_has() -> Result<(), Failed> {
    let symbols = tool(std::process::Command::new("nm").args(["--defined-only", "--extern-only"]).arg(library()?))?;
    // Members of the archive that are of other crates have symbols of executables.
    let mut own = false;
    let mut defined = BTreeSet::new();
    for line in symbols.stdout().lines() {
        if let Some(member) = line.strip_suffix(':') {
            own = member.starts_with("wasmelt_c_api");
        } else if let Some((_, name)) = line.split_once(" T ").filter(|_| own)
            && name.starts_with("wasm")
        {
            defined.insert(name.to_owned());
        }
    }
    let declared = declared()?;
    let missing: Vec<_> = declared.difference(&defined).collect();
    let undeclared: Vec<_> = defined.difference(&declared).collect();
    if declared.len() < 300 || !missing.is_empty() || !undeclared.is_empty() {
        let count = declared.len();
        return Err(format!("{count} declared; not defined: {missing:?}; not declared: {undeclared:?}").into());
    }
    // Modules have symbols that begin like this.
    match declared.iter().find(|name| name.starts_with(wasmelt_abi::symbols::LIBRARY_PREFIX)) {
        Some(name) => Err(format!("{name} could be the symbol of a module").into()),
        None => Ok(()),
    }
}

/// Sizes and offsets in C, which the library has as `wasmelt_c_api::layout`.
pub(crate) fn lay_out_structures_as_the_library() -> Result<(), Failed> {
    let mut text = String::from("#include \"wasmelt.h\"\n");
    for (expression, value) in wasmelt_c_api::layout::facts() {
        text += &format!("_Static_assert({expression} == {value}, \"{expression} is {value} in the library\");\n");
    }
    let scratch = support::scratch();
    let source = scratch.path().join("layout.c");
    fs::write(&source, text)?;
    tool(strict("gcc", "-std=c11").arg("-fsyntax-only").arg(&source)).map(|_| ())
}
