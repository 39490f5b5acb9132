//! Rust bindings of libraries: a method for everything that a module exports, and a trait for the functions that it imports,
//! over the crate `wasmelt-embed`.
//!
//! Names come from whoever made the module: what becomes an identifier has letters, digits and `_` alone, and what becomes a
//! string, or stands in a comment, has all else escaped.

#[cfg(feature = "component")]
mod component;

use std::collections::HashMap;
use std::fmt::Write as _;

use wasmelt_abi::host::host_functions;
use wasmparser::{AbstractHeapType, HeapType, RefType, ValType};

use crate::header::{Names, identifier};
use crate::module::{self, Entity, FuncType, Module};

/// Methods of `Exports` that the bindings themselves have.
const RESERVED: [&str; 3] = ["new", "of", "instance"];

/// The most parameters, and the most results, of functions that are typed in Rust.
const MAX_VALUES: usize = 16;

/// The words of Rust, all editions, that are not identifiers. `crate`, `self` and `super` cannot be raw ones.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "Self",
];

#[cfg(feature = "component")]
pub(crate) use component::rust as rust_of_component;

/// Refuses components: this compiler was built without them.
#[cfg(not(feature = "component"))]
pub(crate) fn rust_of_component(_wasm: &[u8], _library: &str, _is_linked: bool) -> crate::error::Result<String> {
    Err(crate::error::Error::input("this wasmelt was built without support for components")
        .hint("build wasmelt with the feature `component`, which is on by default"))
}

/// Returns the bindings of a module that is the library `library`, which is linked into the host (`is_linked`) or loaded.
pub(crate) fn rust(module: &Module<'_>, library: &str, is_linked: bool) -> String {
    let (imports, left_to_host) = imports(module);
    let items = items(module);
    let mut text = String::new();
    write_head(&mut text, library, is_linked, left_to_host);
    if !imports.is_empty() {
        write_imports(&mut text, &imports);
    }
    write_exports(&mut text, &items);
    text
}

/// A function that the module imports.
struct Import<'a> {
    method: String,
    module: &'a str,
    name: &'a str,
    ty: &'a FuncType,
}

/// Something that the module exports: its methods, and what it is.
struct Item<'a> {
    method: String,
    name: &'a str,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Typed(&'a FuncType),
    /// Of a type that Rust has no name for.
    Func,
    Memory,
    SharedMemory,
    Table,
    Tag,
    /// A number, and the method that sets the global where it can change.
    Number(ValType, Option<String>),
    Global,
}

/// The functions that hosts implement, and how many names are the host's to define: what is not a function, what Rust cannot
/// type, and WASI.
fn imports<'a>(module: &'a Module<'_>) -> (Vec<Import<'a>>, usize) {
    // A linker has one definition for a name, which may be imported again.
    let mut names = Vec::<((&str, &str), Option<&FuncType>)>::new();
    let mut places = HashMap::new();
    for import in &module.imports {
        let (name, ty) = ((import.module, import.name), typed_function(module, import));
        let place = *places.entry(name).or_insert(names.len());
        match names.get_mut(place) {
            Some((_, before)) if *before != ty => *before = None,
            Some(_) => {}
            None => names.push((name, ty)),
        }
    }
    let mut methods = Names::default();
    let import = |&((module, name), ty): &((&'a str, &'a str), Option<&'a FuncType>)| {
        let ty = ty?;
        Some(Import { method: methods.unique(rust_identifier(&format!("{module}_{name}"))), module, name, ty })
    };
    let imports: Vec<_> = names.iter().filter_map(import).collect();
    let left_out = names.len() - imports.len();
    (imports, left_out)
}

/// The type of an import that hosts implement in Rust.
fn typed_function<'a>(module: &'a Module<'_>, import: &module::Import<'_>) -> Option<&'a FuncType> {
    let Entity::Func(func) = import.entity else { return None };
    let is_of_wasi = host_functions().any(|function| function.module == import.module);
    Some(module.func_type(func)).filter(|ty| is_typed(ty) && !is_of_wasi)
}

fn items<'a>(module: &'a Module<'_>) -> Vec<Item<'a>> {
    let mut methods = Names::without(&RESERVED);
    let item = |export: &'a module::Export<'_>| {
        let method = methods.unique(rust_identifier(export.name));
        let kind = match export.entity {
            Entity::Func(func) => match module.func_type(func) {
                ty if is_typed(ty) => Kind::Typed(ty),
                _ => Kind::Func,
            },
            Entity::Memory(memory) if module.memories[memory].shared => Kind::SharedMemory,
            Entity::Memory(_) => Kind::Memory,
            Entity::Table(_) => Kind::Table,
            Entity::Tag(_) => Kind::Tag,
            Entity::Global(global) => {
                let global = &module.globals[global];
                match global.ty {
                    ValType::Ref(_) => Kind::Global,
                    ty => Kind::Number(ty, global.mutable.then(|| methods.unique(format!("set_{method}")))),
                }
            }
        };
        Item { method, name: export.name, kind }
    };
    module.exports.iter().map(item).collect()
}

/// An identifier of Rust for a name.
fn rust_identifier(name: &str) -> String {
    let name = identifier(name);
    if name.starts_with(|c: char| c.is_ascii_digit()) || name == "_" {
        format!("_{name}")
    } else if KEYWORDS.contains(&name.as_str()) {
        name + "_"
    } else {
        name
    }
}

fn is_typed(ty: &FuncType) -> bool {
    let has_names = |types: &[ValType]| types.len() <= MAX_VALUES && types.iter().all(|&ty| rust_type(ty).is_some());
    has_names(&ty.params) && has_names(&ty.results)
}

/// The Rust type of values; `None` where there is none, for references to functions of one type.
fn rust_type(ty: ValType) -> Option<&'static str> {
    Some(match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::V128 => "[u8; 16]",
        ValType::Ref(ty) => reference(ty)?,
    })
}

fn reference(ty: RefType) -> Option<&'static str> {
    let HeapType::Abstract { shared: false, ty: heap } = ty.heap_type() else { return None };
    Some(match (heap, ty.is_nullable()) {
        (AbstractHeapType::Func, true) => "Option<Func>",
        (AbstractHeapType::Func, false) => "Func",
        (AbstractHeapType::Extern, true) => "Option<ExternRef>",
        (AbstractHeapType::Extern, false) => "ExternRef",
        (AbstractHeapType::Exn, true) => "Option<Exception>",
        (AbstractHeapType::Exn, false) => "Exception",
        _ => return None,
    })
}

/// A list as one type: nothing, one value, or a tuple.
fn list_type(types: &[ValType]) -> String {
    let names: Vec<_> = types.iter().filter_map(|&ty| rust_type(ty)).collect();
    match &names[..] {
        [name] => (*name).to_owned(),
        names => format!("({})", names.join(", ")),
    }
}

/// Parameters with names, each after a comma.
fn params(types: &[ValType]) -> String {
    let param = |(index, &ty): (usize, &ValType)| format!(", p{index}: {}", rust_type(ty).unwrap_or_default());
    types.iter().enumerate().map(param).collect()
}

/// The names of parameters, between commas.
fn arguments(types: &[ValType]) -> String {
    (0..types.len()).map(|index| format!("p{index}")).collect::<Vec<_>>().join(", ")
}

/// A name between quotation marks.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.escape_default())
}

fn write_head(text: &mut String, library: &str, is_linked: bool, left_to_host: usize) {
    let note = match left_to_host {
        0 => String::new(),
        _ => format!(
            "//\n// The module imports {left_to_host} more: WASI, what is not a function, and functions that Rust cannot type. The \
             host defines\n// those in its linker.\n"
        ),
    };
    let head = include_str!("bindings/head.txt").replace("VERSION", env!("CARGO_PKG_VERSION")).replace("NOTE", &note);
    let module = if is_linked { include_str!("bindings/linked.txt") } else { include_str!("bindings/loaded.txt") };
    *text += &(head + module).replace("LIBRARY", library);
}

fn write_imports(text: &mut String, imports: &[Import<'_>]) {
    text.push_str(
        "/// The functions that the module imports, implemented by the data of stores. What a function returns as its error ends \
         the\n/// guest's call.\n#[allow(clippy::too_many_arguments, dead_code, non_snake_case, reason = \"names and types are the module's\")]\n\
         pub trait Imports: Sized + 'static {\n",
    );
    for Import { method, module, name, ty } in imports {
        let _ = writeln!(
            text,
            "    /// {} of {}.\n    fn {method}(caller: Caller<'_, Self>{}) -> Result<{}>;",
            quoted(name),
            quoted(module),
            params(&ty.params),
            list_type(&ty.results)
        );
    }
    text.push_str(
        "}\n\n/// Defines the functions that the module imports.\n///\n/// # Errors\n/// When one of the names is defined already.\n\
         #[allow(clippy::too_many_arguments, dead_code, reason = \"types are the module's\")]\n\
         pub fn add_to_linker<T: Imports>(linker: &mut Linker<T>) -> Result<()> {\n",
    );
    for Import { method, module, name, ty } in imports {
        let (params, arguments) = (params(&ty.params), arguments(&ty.params));
        let comma = if arguments.is_empty() { "" } else { ", " };
        let _ = writeln!(
            text,
            "    linker.func_wrap({}, {}, |caller: Caller<'_, T>{params}| T::{method}(caller{comma}{arguments}))?;",
            quoted(module),
            quoted(name)
        );
    }
    text.push_str("    Ok(())\n}\n\n");
}

fn write_exports(text: &mut String, items: &[Item<'_>]) {
    text.push_str(
        "/// What an instance of the module exports. It is good for the instance's store alone.\n#[derive(Clone, Debug)]\n\
         #[allow(dead_code, reason = \"the host decides\")]\npub struct Exports {\n    instance: Instance,\n",
    );
    for (index, item) in items.iter().enumerate() {
        let _ = writeln!(text, "    item_{index}: {},", item.field_type());
    }
    text.push_str(
        "}\n\n#[allow(clippy::too_many_arguments, clippy::wrong_self_convention, dead_code, non_snake_case, reason = \"names and types are the module's\")]\n\
         impl Exports {\n",
    );
    text.push_str(include_str!("bindings/exports.txt"));
    for (index, item) in items.iter().enumerate() {
        let _ = writeln!(text, "            item_{index}: {},", item.find());
    }
    text.push_str("        })\n    }\n\n    /// Returns the instance.\n    pub fn instance(&self) -> Instance {\n        self.instance\n    }\n");
    for (index, item) in items.iter().enumerate() {
        item.write_methods(text, index);
    }
    text.push_str(
        "}\n\n#[allow(dead_code, reason = \"modules differ in what they need\")]\n\
         fn missing(name: &str) -> Error {\n    Error::msg(format_args!(\"the instance is not one of the module {NAME}: it has no {name:?} of \
         this type\"))\n}\n",
    );
    if items.iter().any(|item| matches!(item.kind, Kind::Number(..))) {
        text.push_str(include_str!("bindings/number.txt"));
    }
}

impl Item<'_> {
    fn field_type(&self) -> String {
        match &self.kind {
            Kind::Typed(ty) => format!("TypedFunc<{}, {}>", list_type(&ty.params), list_type(&ty.results)),
            Kind::Func => "Func".to_owned(),
            Kind::Memory => "Memory".to_owned(),
            Kind::SharedMemory => "SharedMemory".to_owned(),
            Kind::Table => "Table".to_owned(),
            Kind::Tag => "Tag".to_owned(),
            Kind::Number(..) | Kind::Global => "Global".to_owned(),
        }
    }

    /// The expression that finds it in `instance` of `store`.
    fn find(&self) -> String {
        let name = quoted(self.name);
        let get = |method: &str| format!("instance.{method}(&store, {name}).ok_or_else(|| missing({name}))?");
        match &self.kind {
            Kind::Typed(_) => format!("instance.get_typed_func(&store, {name})?"),
            Kind::Func => get("get_func"),
            Kind::Memory => get("get_memory"),
            Kind::SharedMemory => get("get_shared_memory"),
            Kind::Table => get("get_table"),
            Kind::Tag => get("get_tag"),
            Kind::Number(ty, set) => {
                format!("number(&store, instance, {name}, ValType::{}, {})?", variant(*ty), set.is_some())
            }
            Kind::Global => get("get_global"),
        }
    }

    fn write_methods(&self, text: &mut String, index: usize) {
        let (method, name) = (&self.method, quoted(self.name));
        let _ = match &self.kind {
            Kind::Typed(ty) => write!(
                text,
                "\n    /// Calls {name}.\n    ///\n    /// # Errors\n    /// As those of `TypedFunc::call`.\n    \
                 pub fn {method}(&self, store: impl AsContextMut{}) -> Result<{}> {{\n        \
                 self.item_{index}.call(store, {})\n    }}\n",
                params(&ty.params),
                list_type(&ty.results),
                match ty.params.len() {
                    1 => arguments(&ty.params),
                    _ => format!("({})", arguments(&ty.params)),
                }
            ),
            Kind::Number(ty, set) => {
                write_number(text, index, (method, &name), *ty, set.as_deref());
                return;
            }
            _ => write!(
                text,
                "\n    /// Returns {name}.\n    pub fn {method}(&self) -> {} {{\n        self.item_{index}{}\n    }}\n",
                self.field_type(),
                if matches!(self.kind, Kind::SharedMemory) { ".clone()" } else { "" }
            ),
        };
    }
}

fn write_number(text: &mut String, index: usize, (method, name): (&str, &str), ty: ValType, set: Option<&str>) {
    let (variant, rust) = (variant(ty), rust_type(ty).unwrap_or_default());
    let (from, to) = match ty {
        ValType::F32 | ValType::F64 => (format!("{rust}::from_bits(value)"), "value.to_bits()"),
        _ => ("value".to_owned(), "value"),
    };
    let _ = write!(
        text,
        "\n    /// Returns the value of {name}.\n    ///\n    /// # Errors\n    /// When the store is another one.\n    \
         pub fn {method}(&self, store: impl AsContext) -> Result<{rust}> {{\n        \
         match self.item_{index}.get(store)? {{\n            Val::{variant}(value) => Ok({from}),\n            \
         _ => Err(missing({name})),\n        }}\n    }}\n"
    );
    if let Some(set) = set {
        let _ = write!(
            text,
            "\n    /// Sets the value of {name}.\n    ///\n    /// # Errors\n    /// When the store is another one.\n    \
             pub fn {set}(&self, store: impl AsContextMut, value: {rust}) -> Result<()> {{\n        \
             self.item_{index}.set(store, Val::{variant}({to}))\n    }}\n"
        );
    }
}

/// The variant of `Val` and `ValType` of a number.
fn variant(ty: ValType) -> &'static str {
    match ty {
        ValType::I64 => "I64",
        ValType::F32 => "F32",
        ValType::F64 => "F64",
        ValType::V128 => "V128",
        _ => "I32",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::default_features;

    #[test]
    fn what_rust_cannot_implement_is_left_to_the_host() {
        let wasm = wat::parse_str(
            r#"(module
                (type $t (func))
                (import "two" "types" (func (param i32)))
                (import "two" "types" (func (param i64)))
                (import "one" "type" (func (param i64)))
                (import "one" "type" (func (param i64)))
                (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
                (import "a" "memory" (memory 1))
                (import "a" "reference" (func (param (ref $t)))))"#,
        );
        let wasm = wasm.expect("the text is valid");
        let module = module::parse(&wasm, default_features()).expect("the module is valid");
        let (imports, left_out) = imports(&module);
        assert_eq!(imports.iter().map(|import| &*import.method).collect::<Vec<_>>(), ["one_type"]);
        assert_eq!(left_out, 4);
    }

    #[test]
    fn names_become_identifiers_of_rust() {
        for (name, expected) in [
            ("a-b", "a_b"),
            ("", "__"),
            ("_", "__"),
            ("9p", "_9p"),
            ("self", "self_"),
            ("Self", "Self_"),
            ("\u{e9}", "__"),
        ] {
            assert_eq!(rust_identifier(name), expected, "{name}");
        }
        assert_eq!(quoted("*/ \"\\\n\u{202e}"), "\"*/ \\\"\\\\\\n\\u{202e}\"");
    }
}
