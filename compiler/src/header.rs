//! C headers of libraries: a typed function for each function that a module exports, over `wasmelt.h` of the C interface.
//!
//! Names come from whoever made the module: what becomes an identifier has letters, digits and `_` alone, and what becomes a
//! string has all else escaped. Comments show no name as it is.

use std::collections::HashMap;
use std::fmt::Write as _;

use wasmparser::ValType;

use crate::error::{Error, Result};
use crate::module::{Entity, FuncType, Module};

/// What follows the library's name in names of the header itself.
const RESERVED: [&str; 7] = ["t", "init", "delete", "load", "module", "find", "kinds_are"];

/// Libraries whose names begin like this would have functions of the C interface.
const TAKEN: [&str; 2] = ["wasm", "wasmelt"];

/// A function of the header.
struct Func<'a> {
    /// The name of the export, as what is in a string of C.
    export: String,
    /// The name in C, without the library's.
    name: String,
    ty: &'a FuncType,
}

/// Returns the header of a module that is the library `library`, which is linked into the host (`is_linked`) or loaded.
pub(crate) fn c(module: &Module<'_>, library: &str, is_linked: bool) -> Result<String> {
    check_name(library)?;
    let (funcs, left_out) = functions(module);
    let mut text = String::new();
    write_head(&mut text, library, is_linked, funcs.len(), left_out);
    write_init(&mut text, library, &funcs);
    funcs.iter().enumerate().for_each(|(index, func)| write_call(&mut text, library, index, func));
    text += "#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
    Ok(text)
}

/// Refuses libraries whose names cannot begin those of functions in C.
fn check_name(library: &str) -> Result<()> {
    let hint = "`--library-name` gives the library another name";
    if library.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Error::usage(format!(
            "no function in C has a name that begins like that of the library, {library}"
        ))
        .hint(hint));
    }
    if TAKEN.iter().any(|taken| library == *taken || library.starts_with(&format!("{taken}_"))) {
        return Err(Error::usage(format!(
            "functions of the library {library} would be named like those of `wasmelt.h`"
        ))
        .hint(hint));
    }
    Ok(())
}

/// The functions that C can call, and how many it cannot: those with references, and those whose names have a NUL.
fn functions<'a>(module: &'a Module<'_>) -> (Vec<Func<'a>>, usize) {
    let mut names = Names::without(&RESERVED);
    let (mut funcs, mut left_out) = (Vec::new(), 0);
    for export in &module.exports {
        let Entity::Func(func) = export.entity else { continue };
        let ty = module.func_type(func);
        if export.name.contains('\0') || ty.params.iter().chain(&ty.results).any(|ty| c_type(*ty).is_none()) {
            left_out += 1;
            continue;
        }
        let name = names.unique(identifier(export.name));
        funcs.push(Func { export: escaped(export.name), name, ty });
    }
    (funcs, left_out)
}

/// The name as an identifier of C: all but letters, digits and `_` is `_`.
pub(crate) fn identifier(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

/// The names of one scope.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// For each name that is used, the number that the next one of it may have.
    used: HashMap<String, u64>,
}

impl Names {
    /// A scope in which these names are used already.
    pub(crate) fn without(names: &[&str]) -> Self {
        Self { used: names.iter().map(|&name| (name.to_owned(), 2)).collect() }
    }

    /// The name, with a number behind it where another one has it.
    pub(crate) fn unique(&mut self, name: String) -> String {
        let Some(mut number) = self.used.get(&name).copied() else {
            self.used.insert(name.clone(), 2);
            return name;
        };
        let candidate = loop {
            let candidate = format!("{name}_{number}");
            number += 1;
            if !self.used.contains_key(&candidate) {
                break candidate;
            }
        };
        self.used.insert(name, number);
        self.used.insert(candidate.clone(), 2);
        candidate
    }
}

/// What stands for a name between quotation marks: bytes that could mean something else are octal, which ends by itself.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b' ' | b'-' | b'.' | b'_' => text.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => text.push(byte.into()),
            _ => drop(write!(text, "\\{byte:03o}")),
        }
    }
    text
}

/// The type in C and the member of `wasmelt_value_t`; `None` for references.
fn c_type(ty: ValType) -> Option<(&'static str, &'static str)> {
    Some(match ty {
        ValType::I32 => ("int32_t", "i32"),
        ValType::I64 => ("int64_t", "i64"),
        ValType::F32 => ("float32_t", "f32"),
        ValType::F64 => ("float64_t", "f64"),
        ValType::V128 => ("uint8_t", "v128"),
        ValType::Ref(_) => return None,
    })
}

/// The kinds of the types, as digits: what `wasm_valtype_kind` returns for each.
fn kinds(types: &[ValType]) -> String {
    let kind = |ty: &ValType| match ty {
        ValType::I32 => '0',
        ValType::I64 => '1',
        ValType::F32 => '2',
        ValType::F64 => '3',
        _ => '4',
    };
    types.iter().map(kind).collect()
}

fn write_head(text: &mut String, library: &str, is_linked: bool, count: usize, left_out: usize) {
    let note = match left_out {
        0 => String::new(),
        _ => format!(
            "\n *\n * {left_out} of its functions take or return references, or have names with a NUL: `wasm_func_call` \
             calls those."
        ),
    };
    let room = count.max(1);
    let _ = write!(
        text,
        "/*\n * The functions of the module `{library}`, made by wasmelt with the library. Each returns NULL, or why the call \
         ended: a trap\n * that the caller deletes; then results are not set. What `wasm.h` says about threads holds.{note}\n */\n\n\
         #ifndef {library}_WASMELT_MODULE_H\n#define {library}_WASMELT_MODULE_H\n\n#include \"wasmelt.h\"\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n"
    );
    if is_linked {
        let _ = write!(
            text,
            "WASMELT_DECLARE_MODULE({library});\n\n\
             /* The module, which is linked into the program. The caller deletes it; NULL where that fails. */\n\
             static inline wasm_module_t* {library}_module(void) {{\n  return WASMELT_LINKED_MODULE({library});\n}}\n\n"
        );
    } else {
        let _ = write!(
            text,
            "/* The module, from the library's file. The caller deletes it; NULL where that fails. */\n\
             static inline wasm_module_t* {library}_load(const char* path) {{\n  \
             return wasmelt_load_module(path, \"{library}\");\n}}\n\n"
        );
    }
    let _ = write!(
        text,
        "/* The functions of an instance. */\ntypedef struct {library}_t {{\n  wasm_func_t* funcs[{room}];\n}} {library}_t;\n\n"
    );
}

fn write_init(text: &mut String, library: &str, funcs: &[Func<'_>]) {
    let count = funcs.len();
    // Compilers warn about what is never less than zero.
    let loops = if count == 0 {
        format!("static inline void {library}_delete({library}_t* self) {{\n  (void)self;\n}}\n\n")
    } else {
        format!(
            "static inline void {library}_delete({library}_t* self) {{\n  size_t i;\n  \
             for (i = 0; i < {count}; i++) wasm_func_delete(self->funcs[i]);\n}}\n\n"
        )
    };
    let _ = write!(
        text,
        "/* Deletes what `{library}_init` has found. The instance stays. */\n{loops}\
         /* Whether the types have these kinds. */\n\
         static inline bool {library}_kinds_are(const wasm_valtype_vec_t* types, const char* kinds) {{\n  size_t i;\n  \
         if (types->size != strlen(kinds)) return false;\n  for (i = 0; i < types->size; i++) {{\n    \
         if (wasm_valtype_kind(types->data[i]) != kinds[i] - '0') return false;\n  }}\n  return true;\n}}\n\n\
         /* The function with this name and these types; NULL where there is none. */\n\
         static inline wasm_func_t* {library}_find(\n    const wasm_instance_t* instance, const char* name, const char* params, \
         const char* results) {{\n  \
         wasm_extern_t* item = wasmelt_instance_export(instance, name);\n  wasm_func_t* func = wasm_extern_as_func(item);\n  \
         wasm_functype_t* type = func ? wasm_func_type(func) : NULL;\n  bool fits = type && \
         {library}_kinds_are(wasm_functype_params(type), params) &&\n              \
         {library}_kinds_are(wasm_functype_results(type), results);\n  wasm_functype_delete(type);\n  \
         if (fits) return func;\n  wasm_extern_delete(item);\n  return NULL;\n}}\n\n\
         /*\n * Finds the functions of an instance of the module. Returns false where one is missing or has another type: the \
         instance is one\n * of another module then. `{library}_delete` gives back what was found. They are good as long as \
         their store is not reset.\n */\n\
         static inline bool {library}_init({library}_t* self, const wasm_instance_t* instance) {{\n  \
         memset(self, 0, sizeof *self);\n  (void)instance;\n"
    );
    for (index, func) in funcs.iter().enumerate() {
        let (params, results) = (kinds(&func.ty.params), kinds(&func.ty.results));
        let export = &func.export;
        let _ = writeln!(
            text,
            "  if (!(self->funcs[{index}] = {library}_find(instance, \"{export}\", \"{params}\", \"{results}\"))) goto missing;"
        );
    }
    text.push_str("  return true;\n");
    if count > 0 {
        let _ =
            write!(text, "missing:\n  {library}_delete(self);\n  memset(self, 0, sizeof *self);\n  return false;\n");
    }
    text.push_str("}\n\n");
}

/// The names of a list of values: one without a number where it stands alone.
fn named(types: &[ValType], name: &str, is_numbered: bool) -> Vec<(String, ValType)> {
    let number = |index| if is_numbered || types.len() > 1 { format!("{name}{index}") } else { name.to_owned() };
    types.iter().enumerate().map(|(index, &ty)| (number(index), ty)).collect()
}

fn write_call(text: &mut String, library: &str, index: usize, func: &Func<'_>) {
    let (params, results) = (named(&func.ty.params, "p", true), named(&func.ty.results, "result", false));
    let name = &func.name;
    let _ = write!(text, "static inline wasm_trap_t* {library}_{name}(const {library}_t* self");
    for (param, ty) in &params {
        let (of, _) = c_type(*ty).unwrap_or_default();
        let _ = match ty {
            ValType::V128 => write!(text, ", const {of} {param}[16]"),
            _ => write!(text, ", {of} {param}"),
        };
    }
    for (result, ty) in &results {
        let (of, _) = c_type(*ty).unwrap_or_default();
        let _ = match ty {
            ValType::V128 => write!(text, ", {of} {result}[16]"),
            _ => write!(text, ", {of}* {result}"),
        };
    }
    let count = params.len().max(results.len());
    let _ = write!(text, ") {{\n  wasmelt_value_t values[{}];\n  wasm_trap_t* trap;\n", count.max(1));
    for (at, (param, ty)) in params.iter().enumerate() {
        let (_, member) = c_type(*ty).unwrap_or_default();
        let _ = match ty {
            ValType::V128 => writeln!(text, "  memcpy(values[{at}].v128, {param}, 16);"),
            _ => writeln!(text, "  values[{at}].{member} = {param};"),
        };
    }
    let _ = writeln!(text, "  trap = wasmelt_func_call(self->funcs[{index}], values, {count});");
    if !results.is_empty() {
        text.push_str("  if (trap) return trap;\n");
    }
    for (at, (result, ty)) in results.iter().enumerate() {
        let (_, member) = c_type(*ty).unwrap_or_default();
        let _ = match ty {
            ValType::V128 => writeln!(text, "  memcpy({result}, values[{at}].v128, 16);"),
            _ => writeln!(text, "  *{result} = values[{at}].{member};"),
        };
    }
    text.push_str("  return trap;\n}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_exports_become_identifiers_and_strings() {
        assert_eq!(identifier("a-b.c"), "a_b_c");
        assert_eq!(identifier(""), "_");
        assert_eq!(escaped("*/ \"\\??/\u{e9}"), "\\052\\057 \\042\\134\\077\\077\\057\\303\\251");
        let mut names = Names::without(&["init", "g_2"]);
        for (name, expected) in
            [("init", "init_2"), ("init", "init_3"), ("f", "f"), ("g", "g"), ("g", "g_3"), ("init_2", "init_2_2")]
        {
            assert_eq!(names.unique(name.to_owned()), expected);
        }
    }

    #[test]
    fn some_names_of_libraries_are_refused() {
        for name in ["9p", "wasm", "wasm_memory", "wasmelt_x"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("wasmtool").is_ok());
    }
}
