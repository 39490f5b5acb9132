//! Rust bindings of components: the types of WIT that its functions have, a method for each function that the component
//! exports, and a trait for those that it imports, over `wasmelt_embed::component`.
//!
//! Names of WIT are words of ASCII letters and digits with `-` between them. All that the text refers to has its whole path:
//! a type of WIT may have the name of a type of Rust.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use wit_parser::{
    Function, FunctionKind, InterfaceId, Record, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner, Variant,
    World, WorldItem, WorldKey,
};

use super::{quoted, rust_identifier};
use crate::component;
use crate::error::Result;
use crate::header::unique;

/// Names in the file's outermost module that types of a world cannot have.
const RESERVED: [&str; 14] = [
    "AsContextMut",
    "Component",
    "Error",
    "Exports",
    "Func",
    "Imports",
    "Instance",
    "Iterator",
    "Linker",
    "Result",
    "Sized",
    "StoreContextMut",
    "Val",
    "Value",
];

/// Methods of `Exports` that the bindings themselves have.
const RESERVED_METHODS: [&str; 3] = ["new", "of", "instance"];

/// The most parts of a type without a name: a type that uses another one several times, which does so too, would fill disks.
const MAX_PARTS: usize = 100;

/// The most elements of tuples that Rust has traits for.
const MAX_ELEMENTS: usize = 16;

/// Returns the bindings of a component, the bytes `wasm`, that is the library `library`, which is linked into the host
/// (`is_linked`) or loaded.
pub(crate) fn rust(wasm: &[u8], library: &str, is_linked: bool) -> Result<String> {
    let (resolve, world) = component::interface(wasm)?;
    let world = &resolve.worlds[world];
    let mut types = Types::new(&resolve);
    let imports = Calls::of(&mut types, world, Side::Imports);
    let exports = Calls::of(&mut types, world, Side::Exports);
    types.name(imports.calls.iter().chain(&exports.calls));
    let mut text = String::new();
    write_head(&mut text, library, is_linked, &imports, &exports);
    types.write(&mut text);
    if !imports.calls.is_empty() {
        write_imports(&mut text, &imports.calls, &types);
    }
    write_exports(&mut text, &exports.calls, &types);
    Ok(text)
}

/// Whose functions these are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Imports,
    Exports,
}

/// A function that the component imports or exports.
struct Call<'a> {
    /// The interface with its version: as linkers and instances name it.
    interface: String,
    method: String,
    function: &'a Function,
}

/// The functions of one side that Rust has types for.
struct Calls<'a> {
    calls: Vec<Call<'a>>,
    /// How many others there are.
    left_out: usize,
    /// Whether functions of WASI are among those.
    has_wasi: bool,
}

impl<'a> Calls<'a> {
    fn of(types: &mut Types<'a>, world: &'a World, side: Side) -> Self {
        let mut calls = Self { calls: Vec::new(), left_out: 0, has_wasi: false };
        let mut used: HashSet<String> = match side {
            Side::Imports => HashSet::new(),
            Side::Exports => RESERVED_METHODS.iter().map(|&name| name.to_owned()).collect(),
        };
        let items = if side == Side::Imports { &world.imports } else { &world.exports };
        for (key, item) in items {
            match item {
                WorldItem::Interface { id, .. } => calls.add_interface(types, (key, *id), side, &mut used),
                WorldItem::Function(function) => {
                    let interface = if side == Side::Imports { "$root" } else { "" };
                    calls.add(types, interface, "", function, &mut used);
                }
                WorldItem::Type { .. } => {}
            }
        }
        calls
    }

    fn add_interface(
        &mut self,
        types: &mut Types<'a>,
        (key, id): (&WorldKey, InterfaceId),
        side: Side,
        used: &mut HashSet<String>,
    ) {
        let interface = &types.resolve.interfaces[id];
        let is_wasi = interface.package.is_some_and(|package| types.resolve.packages[package].name.namespace == "wasi");
        // The host has all of WASI.
        if is_wasi && side == Side::Imports {
            self.has_wasi |= !interface.functions.is_empty();
            return;
        }
        let name = types.resolve.name_world_key(key);
        let prefix = format!("{}-", types.interface_name(id));
        for function in interface.functions.values() {
            self.add(types, &name, &prefix, function, used);
        }
    }

    fn add(
        &mut self,
        types: &mut Types<'a>,
        interface: &str,
        prefix: &str,
        function: &'a Function,
        used: &mut HashSet<String>,
    ) {
        let mut parts = function.params.iter().map(|param| param.ty).chain(function.result);
        if function.kind != FunctionKind::Freestanding || !parts.all(|ty| types.parts(ty).is_some()) {
            self.left_out += 1;
            return;
        }
        let method = unique(rust_identifier(&format!("{prefix}{}", function.name)), used);
        self.calls.push(Call { interface: interface.to_owned(), method, function });
    }
}

/// The types of a component.
struct Types<'a> {
    resolve: &'a Resolve,
    /// How many parts each type has that was looked at; `None` where Rust has no type for it.
    parts: HashMap<TypeId, Option<usize>>,
    /// Those that have names and are used, each after those that it is made of, with the name of its module, empty for the
    /// file's outermost one, and its own.
    named: Vec<(TypeId, String, String)>,
    places: HashMap<TypeId, usize>,
}

impl<'a> Types<'a> {
    fn new(resolve: &'a Resolve) -> Self {
        Self { resolve, parts: HashMap::new(), named: Vec::new(), places: HashMap::new() }
    }

    fn def(&self, id: TypeId) -> &'a TypeDef {
        &self.resolve.types[id]
    }

    /// The name of an interface within its package.
    fn interface_name(&self, id: InterfaceId) -> &'a str {
        self.resolve.interfaces[id].name.as_deref().unwrap_or("interface")
    }

    /// How many parts the Rust type has that a type becomes; `None` where Rust has no type for it.
    fn parts(&mut self, ty: Type) -> Option<usize> {
        match ty {
            Type::ErrorContext => None,
            Type::Id(id) => {
                if let Some(&known) = self.parts.get(&id) {
                    return known;
                }
                let inner = inner_types(&self.def(id).kind)
                    .and_then(|inner| inner.into_iter().try_fold(1, |sum: usize, ty| Some(sum + self.parts(ty)?)));
                let has_name = self.def(id).name.is_some();
                let parts = inner.filter(|&parts| has_name || parts <= MAX_PARTS);
                let parts = parts.map(|parts| if has_name { 1 } else { parts });
                self.parts.insert(id, parts);
                parts
            }
            _ => Some(1),
        }
    }

    /// Gives names to the types that functions use.
    fn name<'c>(&mut self, calls: impl Iterator<Item = &'c Call<'c>>) {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        for Call { function, .. } in calls {
            for ty in function.params.iter().map(|param| param.ty).chain(function.result) {
                self.visit(ty, &mut seen, &mut order);
            }
        }
        let mut modules: HashMap<InterfaceId, String> = HashMap::new();
        let mut module_names = HashSet::new();
        let mut used: HashMap<String, HashSet<String>> = HashMap::new();
        used.insert(String::new(), RESERVED.iter().map(|&name| name.to_owned()).collect());
        for id in order {
            let Some(name) = &self.def(id).name else { continue };
            let module = match self.def(id).owner {
                TypeOwner::Interface(interface) => modules
                    .entry(interface)
                    .or_insert_with(|| unique(rust_identifier(self.interface_name(interface)), &mut module_names)),
                _ => "",
            };
            let name = unique(upper_camel(name), used.entry(module.to_owned()).or_default());
            self.places.insert(id, self.named.len());
            self.named.push((id, module.to_owned(), name));
        }
    }

    /// Puts a type behind those that it is made of.
    fn visit(&self, ty: Type, seen: &mut HashSet<TypeId>, order: &mut Vec<TypeId>) {
        let Type::Id(id) = ty else { return };
        if seen.insert(id) {
            let inner = inner_types(&self.def(id).kind).into_iter().flatten();
            inner.for_each(|ty| self.visit(ty, seen, order));
            order.push(id);
        }
    }

    /// The Rust type of values. `root` is the path of the file's outermost module.
    fn rust(&self, ty: Type, root: &str) -> String {
        let name = match ty {
            Type::Bool => "bool",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S8 => "i8",
            Type::S16 => "i16",
            Type::S32 => "i32",
            Type::S64 => "i64",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::Char => "char",
            Type::String => "::std::string::String",
            // Functions with such a type are left out.
            Type::ErrorContext => "()",
            Type::Id(id) => return self.rust_of(id, root),
        };
        name.to_owned()
    }

    fn rust_of(&self, id: TypeId, root: &str) -> String {
        match self.places.get(&id).map(|&place| &self.named[place]) {
            Some((_, module, name)) if module.is_empty() => format!("{root}{name}"),
            Some((_, module, name)) => format!("{root}{module}::{name}"),
            None => self.structure(&self.def(id).kind, root),
        }
    }

    /// The Rust type of what has no name.
    fn structure(&self, kind: &TypeDefKind, root: &str) -> String {
        let optional = |ty: Option<Type>| ty.map_or_else(|| "()".to_owned(), |ty| self.rust(ty, root));
        match kind {
            TypeDefKind::Tuple(tuple) => {
                let types: String = tuple.types.iter().map(|&ty| self.rust(ty, root) + ", ").collect();
                format!("({types})").replace(", )", if tuple.types.len() == 1 { ",)" } else { ")" })
            }
            TypeDefKind::Option(ty) => format!("::core::option::Option<{}>", self.rust(*ty, root)),
            TypeDefKind::Result(result) => {
                format!("::core::result::Result<{}, {}>", optional(result.ok), optional(result.err))
            }
            TypeDefKind::List(ty) => format!("::std::vec::Vec<{}>", self.rust(*ty, root)),
            TypeDefKind::Type(ty) => self.rust(*ty, root),
            // All others have names, or functions with them are left out.
            _ => "()".to_owned(),
        }
    }

    /// Writes the types that have names, each interface's into a module of its own.
    fn write(&self, text: &mut String) {
        let mut modules: Vec<&str> = self.named.iter().map(|(_, module, _)| module.as_str()).collect();
        modules.sort_unstable();
        modules.dedup();
        for module in modules {
            let types = self.named.iter().filter(|(_, of, _)| of == module);
            if module.is_empty() {
                types.for_each(|(id, _, name)| self.write_type(text, *id, name, ""));
                continue;
            }
            let mut inner = String::new();
            types.for_each(|(id, _, name)| self.write_type(&mut inner, *id, name, "super::"));
            let _ = writeln!(text, "/// Types of `{}`.", self.path_of(module));
            let _ = writeln!(
                text,
                "#[allow(dead_code, non_camel_case_types, non_snake_case, reason = \"names are the component's\")]\npub mod {module} {{"
            );
            for line in inner.lines() {
                let _ = if line.is_empty() { writeln!(text) } else { writeln!(text, "    {line}") };
            }
            text.push_str("}\n\n");
        }
    }

    /// The name of the interface that a module is for.
    fn path_of(&self, module: &str) -> String {
        let owner = self.named.iter().find(|(_, of, _)| of == module).map(|(id, ..)| self.def(*id).owner);
        match owner {
            Some(TypeOwner::Interface(id)) => {
                self.resolve.id_of(id).unwrap_or_else(|| self.interface_name(id).to_owned())
            }
            _ => module.to_owned(),
        }
    }

    fn write_type(&self, text: &mut String, id: TypeId, name: &str, root: &str) {
        let def = self.def(id);
        if root.is_empty() {
            text.push_str(
                "#[allow(dead_code, non_camel_case_types, non_snake_case, reason = \"names are the component's\")]\n",
            );
        }
        let _ = writeln!(text, "/// `{}`.", def.name.as_deref().unwrap_or_default());
        match &def.kind {
            TypeDefKind::Record(record) => self.write_record(text, record, name, root),
            TypeDefKind::Variant(variant) => self.write_variant(text, variant, name, root),
            TypeDefKind::Enum(cases) => {
                write_enum(text, (name, root), cases.cases.iter().map(|case| case.name.as_str()));
            }
            TypeDefKind::Flags(flags) => {
                write_flags(text, (name, root), flags.flags.iter().map(|flag| flag.name.as_str()));
            }
            kind => {
                let _ = writeln!(text, "pub type {name} = {};", self.structure(kind, root));
            }
        }
        text.push('\n');
    }

    fn write_record(&self, text: &mut String, record: &Record, name: &str, root: &str) {
        let mut used = HashSet::new();
        let fields: Vec<(&str, String, String)> = record
            .fields
            .iter()
            .map(|field| {
                let rust = unique(rust_identifier(&field.name), &mut used);
                (field.name.as_str(), rust, self.rust(field.ty, root))
            })
            .collect();
        let _ = writeln!(text, "#[derive(Clone, Debug, PartialEq)]\npub struct {name} {{");
        for (wit, field, ty) in &fields {
            let _ = writeln!(text, "    /// `{wit}`.\n    pub {field}: {ty},");
        }
        let into: String = fields
            .iter()
            .map(|(wit, field, _)| format!("            (\"{wit}\".into(), {root}Value::into_val(self.{field})),\n"))
            .collect();
        let from: String = fields
            .iter()
            .map(|(wit, field, _)| {
                format!(
                    "            {field}: {root}Value::from_val(fields.next().filter(|(name, _)| name == \"{wit}\")?.1)?,\n"
                )
            })
            .collect();
        text.push_str("}\n\n");
        let into = format!("        {root}Val::Record(::std::vec![\n{into}        ])\n");
        let from = format!(
            "        let mut fields = fields.into_iter();\n        let value = Self {{\n{from}        }};\n        \
             fields.next().is_none().then_some(value)\n"
        );
        write_value(text, (name, root), &into, "Record(fields)", &from);
    }

    fn write_variant(&self, text: &mut String, variant: &Variant, name: &str, root: &str) {
        let mut used = HashSet::new();
        let (mut cases, mut into, mut from) = (String::new(), String::new(), String::new());
        for case in &variant.cases {
            let (wit, rust) = (&case.name, unique(upper_camel(&case.name), &mut used));
            let _ = writeln!(cases, "    /// `{wit}`.");
            let (pattern, payload) = match case.ty {
                Some(ty) => {
                    let _ = writeln!(cases, "    {rust}({}),", self.rust(ty, root));
                    let payload =
                        format!("::core::option::Option::Some(::std::boxed::Box::new({root}Value::into_val(value)))");
                    let _ = writeln!(
                        from,
                        "            (\"{wit}\", ::core::option::Option::Some(value)) => {root}Value::from_val(*value).map(Self::{rust}),"
                    );
                    (format!("{rust}(value)"), payload)
                }
                None => {
                    let _ = writeln!(cases, "    {rust},");
                    let _ = writeln!(
                        from,
                        "            (\"{wit}\", ::core::option::Option::None) => ::core::option::Option::Some(Self::{rust}),"
                    );
                    (rust, "::core::option::Option::None".to_owned())
                }
            };
            let _ = writeln!(into, "            Self::{pattern} => {root}Val::Variant(\"{wit}\".into(), {payload}),");
        }
        let _ = writeln!(text, "#[derive(Clone, Debug, PartialEq)]\npub enum {name} {{\n{cases}}}\n");
        let into = format!("        match self {{\n{into}        }}\n");
        let from = format!(
            "        match (case.as_str(), payload) {{\n{from}            _ => ::core::option::Option::None,\n        }}\n"
        );
        write_value(text, (name, root), &into, "Variant(case, payload)", &from);
    }
}

/// Writes how values of a type come and go: the bodies of both functions, and the pattern of its values in any type.
fn write_value(text: &mut String, (name, root): (&str, &str), into: &str, pattern: &str, from: &str) {
    let _ = writeln!(
        text,
        "impl {root}Value for {name} {{\n    fn into_val(self) -> {root}Val {{\n{into}    }}\n\n    \
         fn from_val(val: {root}Val) -> ::core::option::Option<Self> {{\n        \
         let {root}Val::{pattern} = val else {{ return ::core::option::Option::None }};\n{from}    }}\n}}"
    );
}

fn write_enum<'w>(text: &mut String, (name, root): (&str, &str), cases: impl Iterator<Item = &'w str>) {
    let mut used = HashSet::new();
    let (mut list, mut into, mut from) = (String::new(), String::new(), String::new());
    for wit in cases {
        let rust = unique(upper_camel(wit), &mut used);
        let _ = writeln!(list, "    /// `{wit}`.\n    {rust},");
        let _ = writeln!(into, "            Self::{rust} => \"{wit}\",");
        let _ = writeln!(from, "            \"{wit}\" => ::core::option::Option::Some(Self::{rust}),");
    }
    let _ = writeln!(text, "#[derive(Clone, Copy, Debug, PartialEq, Eq)]\npub enum {name} {{\n{list}}}\n");
    let into = format!("        let case = match self {{\n{into}        }};\n        {root}Val::Enum(case.into())\n");
    let from =
        format!("        match case.as_str() {{\n{from}            _ => ::core::option::Option::None,\n        }}\n");
    write_value(text, (name, root), &into, "Enum(case)", &from);
}

fn write_flags<'w>(text: &mut String, (name, root): (&str, &str), flags: impl Iterator<Item = &'w str>) {
    let mut used = HashSet::new();
    let (mut list, mut into, mut from) = (String::new(), String::new(), String::new());
    for wit in flags {
        let rust = unique(rust_identifier(wit), &mut used);
        let _ = writeln!(list, "    /// `{wit}`.\n    pub {rust}: bool,");
        let _ = writeln!(into, "        if self.{rust} {{\n            set.push(\"{wit}\".into());\n        }}");
        let _ = writeln!(from, "                \"{wit}\" => value.{rust} = true,");
    }
    let _ = writeln!(
        text,
        "#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]\n\
         #[allow(clippy::struct_excessive_bools, reason = \"these are flags\")]\npub struct {name} {{\n{list}}}\n"
    );
    let into = format!("        let mut set = ::std::vec::Vec::new();\n{into}        {root}Val::Flags(set)\n");
    let from = format!(
        "        let mut value = Self::default();\n        for flag in set {{\n            match flag.as_str() {{\n{from}                \
         _ => return ::core::option::Option::None,\n            }}\n        }}\n        ::core::option::Option::Some(value)\n"
    );
    write_value(text, (name, root), &into, "Flags(set)", &from);
}

/// The types that a type is made of; `None` where Rust has no type for it.
fn inner_types(kind: &TypeDefKind) -> Option<Vec<Type>> {
    Some(match kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
        TypeDefKind::Flags(_) | TypeDefKind::Enum(_) => Vec::new(),
        TypeDefKind::Tuple(tuple) if tuple.types.len() <= MAX_ELEMENTS => tuple.types.clone(),
        TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).collect(),
        TypeDefKind::Option(ty) | TypeDefKind::List(ty) | TypeDefKind::Type(ty) => vec![*ty],
        TypeDefKind::Result(result) => [result.ok, result.err].into_iter().flatten().collect(),
        _ => return None,
    })
}

/// `http-version` as Rust writes types and cases: `HttpVersion`.
fn upper_camel(name: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    rust_identifier(&name.split('-').map(upper).collect::<String>())
}

fn write_head(text: &mut String, library: &str, is_linked: bool, imports: &Calls<'_>, exports: &Calls<'_>) {
    let mut notes = String::new();
    if imports.has_wasi {
        notes.push_str("//\n// The component imports WASI as well, which `Linker::define_wasi` defines.\n");
    }
    if imports.left_out > 0 {
        let _ = writeln!(
            notes,
            "//\n// The component imports {} functions more, with resources or types that are not in Rust: the host defines them \
             with\n// `Linker::func_flat`.",
            imports.left_out
        );
    }
    if exports.left_out > 0 {
        let _ = writeln!(
            notes,
            "//\n// The component exports {} functions more, with resources or types that are not in Rust: `Func::call_flat` calls \
             them.",
            exports.left_out
        );
    }
    let head =
        include_str!("component_head.txt").replace("VERSION", env!("CARGO_PKG_VERSION")).replace("NOTE\n", &notes);
    let found = match is_linked {
        true => include_str!("component_linked.txt"),
        false => include_str!("component_loaded.txt"),
    };
    *text += &(head + found).replace("LIBRARY", library);
}

/// The names of a function's parameters in Rust, with their types.
fn params(call: &Call<'_>, types: &Types<'_>) -> Vec<(String, String)> {
    let mut used: HashSet<String> = ["store", "args"].iter().map(|&name| name.to_owned()).collect();
    let params = call.function.params.iter();
    params.map(|param| (unique(rust_identifier(&param.name), &mut used), types.rust(param.ty, ""))).collect()
}

fn result(call: &Call<'_>, types: &Types<'_>) -> String {
    call.function.result.map_or_else(|| "()".to_owned(), |ty| types.rust(ty, ""))
}

fn declared(params: &[(String, String)]) -> String {
    params.iter().map(|(name, ty)| format!(", {name}: {ty}")).collect()
}

/// What messages and comments call a function.
fn described(call: &Call<'_>) -> String {
    match call.interface.as_str() {
        "" | "$root" => format!("`{}`", call.function.name),
        interface => format!("`{}` of `{interface}`", call.function.name),
    }
}

fn write_imports(text: &mut String, calls: &[Call<'_>], types: &Types<'_>) {
    text.push_str(
        "/// The functions that the component imports, implemented by the data of stores. What a function returns as its error \
         ends\n/// the guest's call.\n#[allow(clippy::too_many_arguments, dead_code, non_snake_case, reason = \"names and types are the \
         component's\")]\npub trait Imports: Sized + 'static {\n",
    );
    for call in calls {
        let (params, result) = (declared(&params(call, types)), result(call, types));
        let _ = writeln!(
            text,
            "    /// {}.\n    fn {}(store: StoreContextMut<'_, Self>{params}) -> Result<{result}>;",
            described(call),
            call.method
        );
    }
    text.push_str(
        "}\n\n/// Defines the functions that the component imports.\n///\n/// # Errors\n/// When one of the names is defined already.\n\
         #[allow(dead_code, unused_mut, unused_variables, reason = \"types are the component's\")]\n\
         pub fn add_to_linker<T: Imports>(linker: &mut Linker<T>) -> Result<()> {\n",
    );
    for call in calls {
        let arguments: String = (0..call.function.params.len()).map(|_| ", argument(&mut args)?").collect();
        let _ = writeln!(
            text,
            "    linker.func_new({}, {}, |store, args| {{\n        let mut args = args.iter().cloned();\n        \
             T::{}(store{arguments}).map(Value::into_payload)\n    }})?;",
            quoted(&call.interface),
            quoted(&call.function.name),
            call.method
        );
    }
    text.push_str("    Ok(())\n}\n\n");
    if calls.iter().any(|call| !call.function.params.is_empty()) {
        text.push_str(
            "fn argument<V: Value>(args: &mut impl Iterator<Item = Val>) -> Result<V> {\n    \
             args.next().and_then(V::from_val).ok_or_else(other)\n}\n\n",
        );
    }
}

fn write_exports(text: &mut String, calls: &[Call<'_>], types: &Types<'_>) {
    text.push_str(
        "/// What an instance of the component exports. It is good for the instance's store alone.\n\
         #[allow(dead_code, reason = \"the host decides\")]\npub struct Exports<T> {\n    instance: Instance<T>,\n",
    );
    for index in 0..calls.len() {
        let _ = writeln!(text, "    item_{index}: Func<T>,");
    }
    text.push_str(
        "}\n\n#[allow(clippy::too_many_arguments, clippy::wrong_self_convention, dead_code, non_snake_case, reason = \"names and types are the \
         component's\")]\nimpl<T: 'static> Exports<T> {\n",
    );
    text.push_str(include_str!("component_exports.txt"));
    for (index, call) in calls.iter().enumerate() {
        let (interface, name) = (quoted(&call.interface), quoted(&call.function.name));
        let _ = writeln!(text, "            item_{index}: instance.get_func(&mut store, {interface}, {name})?,");
    }
    text.push_str(
        "            instance,\n        })\n    }\n\n    /// Returns the instance.\n    pub fn instance(&self) -> Instance<T> {\n        \
         self.instance.clone()\n    }\n",
    );
    for (index, call) in calls.iter().enumerate() {
        let (params, result) = (params(call, types), result(call, types));
        let values: String = params.iter().map(|(name, _)| format!("Value::into_val({name}), ")).collect::<String>();
        let _ = write!(
            text,
            "\n    /// Calls {}.\n    ///\n    /// # Errors\n    /// As those of `Func::call`, and when the component is another \
             one.\n    pub fn {}(&self, store: impl AsContextMut<Data = T>{}) -> Result<{result}> {{\n        \
             let result = self.item_{index}.call(store, &[{}])?;\n        Value::from_payload(result).ok_or_else(other)\n    }}\n",
            described(call),
            call.method,
            declared(&params),
            values.trim_end_matches(", ")
        );
    }
    text.push_str(
        "}\n\n#[allow(dead_code, reason = \"components differ in what they need\")]\nfn other() -> Error {\n    \
         Error::msg(format_args!(\"the component is not {NAME}: its functions have other types\"))\n}\n",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bindings of a component that imports functions of an interface.
    fn bindings(interface: &str) -> String {
        let text = format!("(component (import \"a:b/c\" (instance {interface})))");
        rust(&wat::parse_str(text).expect("the text is valid"), "library", false).expect("the component is valid")
    }

    #[test]
    fn what_rust_has_no_type_for_is_left_out_and_counted() {
        let text = bindings(
            r#"(export "plain" (func (param "a" u8)))
               (type $wide (tuple u8 u8 u8 u8 u8 u8 u8 u8 u8 u8 u8 u8 u8 u8 u8 u8 u8))
               (export "wide" (func (param "a" $wide)))
               (export "thing" (type $thing (sub resource)))
               (type $record' (record (field "a" (own $thing))))
               (export "record" (type $record (eq $record')))
               (export "make" (func (result $record)))
               (export "[constructor]thing" (func (result (own $thing))))"#,
        );
        assert!(text.contains("fn c_plain(store: StoreContextMut<'_, Self>, a: u8) -> Result<()>;"), "{text}");
        assert!(text.contains("// The component imports 3 functions more"), "{text}");
        assert!(!text.contains("Record") && !text.contains("c_wide"), "{text}");
    }

    /// Each type has the one before twice: written out, the last would have 2^16 parts.
    #[test]
    fn types_without_names_do_not_double() {
        let mut types = "(type $t0 (tuple u8 u8))".to_owned();
        for level in 1..16 {
            let _ = write!(types, "(type $t{level} (tuple $t{} $t{}))", level - 1, level - 1);
        }
        let text = bindings(&format!(
            r#"{types} (export "few" (func (param "a" $t3))) (export "many" (func (param "a" $t15)))"#
        ));
        assert!(text.contains("c_few") && !text.contains("c_many") && text.len() < 10_000, "{text}");
    }

    #[test]
    fn names_become_types_of_rust() {
        for (name, expected) in [("http-version", "HttpVersion"), ("self", "Self_"), ("a1-b2", "A1B2"), ("X-y", "XY")] {
            assert_eq!(upper_camel(name), expected, "{name}");
        }
    }
}
