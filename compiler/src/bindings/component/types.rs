//! The types of a component in Rust: which there are, what they are called, and how their values come and go.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use wit_parser::{
    InterfaceId, Record, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner, Variant, World, WorldItem, WorldKey,
};

use super::Call;
use crate::bindings::rust_identifier;
use crate::header::Names;

/// Names in the file's outermost module that types of a world cannot have.
const RESERVED: [&str; 15] = [
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
    "T",
    "Val",
    "Value",
];

/// The most parts of a type without a name: a type that uses another one several times, which does so too, would fill disks.
const MAX_PARTS: usize = 100;

/// The most elements of tuples that Rust has traits for.
const MAX_ELEMENTS: usize = 16;

/// The types of a component.
pub(super) struct Types<'a> {
    pub(super) resolve: &'a Resolve,
    /// What interfaces are called in Rust.
    interfaces: HashMap<InterfaceId, String>,
    /// How many parts each type has that was looked at; `None` where Rust has no type for it.
    parts: HashMap<TypeId, Option<usize>>,
    /// Those that have names and are used, each after those that it is made of, with the name of its module, empty for the
    /// file's outermost one, and its own.
    named: Vec<(TypeId, String, String)>,
    places: HashMap<TypeId, usize>,
}

impl<'a> Types<'a> {
    pub(super) fn new(resolve: &'a Resolve, world: &World) -> Self {
        let (parts, named, places) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { resolve, interfaces: interface_names(resolve, world), parts, named, places }
    }

    fn def(&self, id: TypeId) -> &'a TypeDef {
        &self.resolve.types[id]
    }

    pub(super) fn interface_name(&self, id: InterfaceId) -> &str {
        self.interfaces.get(&id).map_or("interface", String::as_str)
    }

    /// How many parts the Rust type has that a type becomes; `None` where Rust has no type for it.
    pub(super) fn parts(&mut self, ty: Type) -> Option<usize> {
        match ty {
            Type::ErrorContext => None,
            Type::Id(id) => {
                if let Some(&known) = self.parts.get(&id) {
                    return known;
                }
                let inner = inner_types(&self.def(id).kind)
                    .and_then(|inner| inner.into_iter().try_fold(1, |sum: usize, ty| Some(sum + self.parts(ty)?)));
                // Another name for a type is written as that type is.
                let is_type_of_its_own = matches!(
                    self.def(id).kind,
                    TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_)
                );
                let parts = inner.filter(|&parts| is_type_of_its_own || parts <= MAX_PARTS);
                let parts = parts.map(|parts| if is_type_of_its_own { 1 } else { parts });
                self.parts.insert(id, parts);
                parts
            }
            _ => Some(1),
        }
    }

    /// Gives names to the types that functions use.
    pub(super) fn name<'c>(&mut self, calls: impl Iterator<Item = &'c Call<'c>>) {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        for Call { function, .. } in calls {
            for ty in function.params.iter().map(|param| param.ty).chain(function.result) {
                self.visit(ty, &mut seen, &mut order);
            }
        }
        let mut names: HashMap<String, Names> = HashMap::from([(String::new(), Names::without(&RESERVED))]);
        for id in order {
            let Some(name) = &self.def(id).name else { continue };
            let module = match self.def(id).owner {
                TypeOwner::Interface(interface) => self.interface_name(interface).to_owned(),
                _ => String::new(),
            };
            let name = names.entry(module.clone()).or_default().unique(upper_camel(name));
            self.places.insert(id, self.named.len());
            self.named.push((id, module, name));
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
    pub(super) fn rust(&self, ty: Type, root: &str) -> String {
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
    pub(super) fn write(&self, text: &mut String) {
        let mut modules: BTreeMap<&str, Vec<(TypeId, &str)>> = BTreeMap::new();
        for (id, module, name) in &self.named {
            modules.entry(module).or_default().push((*id, name));
        }
        for (module, types) in modules {
            if module.is_empty() {
                types.into_iter().for_each(|(id, name)| self.write_type(text, id, name, ""));
                continue;
            }
            let interface = types.first().map_or_else(String::new, |&(id, _)| self.interface_of(id));
            let mut inner = String::new();
            types.into_iter().for_each(|(id, name)| self.write_type(&mut inner, id, name, "super::"));
            let _ = writeln!(
                text,
                "/// Types of `{interface}`.\n\
                 #[allow(dead_code, non_camel_case_types, non_snake_case, reason = \"names are the component's\")]\npub mod {module} {{"
            );
            for line in inner.lines() {
                let _ = if line.is_empty() { writeln!(text) } else { writeln!(text, "    {line}") };
            }
            text.push_str("}\n\n");
        }
    }

    /// The interface that a type belongs to, in full.
    fn interface_of(&self, id: TypeId) -> String {
        let TypeOwner::Interface(id) = self.def(id).owner else { return String::new() };
        let interface = &self.resolve.interfaces[id];
        let full = interface.package.and_then(|_| self.resolve.id_of(id));
        full.unwrap_or_else(|| self.interface_name(id).to_owned())
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
        let mut names = Names::default();
        let fields: Vec<(&str, String, String)> = record
            .fields
            .iter()
            .map(|field| {
                let rust = names.unique(rust_identifier(&field.name));
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
        let mut names = Names::default();
        let (mut cases, mut into, mut from) = (String::new(), String::new(), String::new());
        for case in &variant.cases {
            let (wit, rust) = (&case.name, names.unique(upper_camel(&case.name)));
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

/// What interfaces are called in Rust: by their own names. Those of one name in several packages have the package's before
/// that, and its version behind where there are several.
fn interface_names(resolve: &Resolve, world: &World) -> HashMap<InterfaceId, String> {
    let inline = world.imports.iter().chain(&world.exports).filter_map(|(key, item)| match (key, item) {
        (WorldKey::Name(name), WorldItem::Interface { id, .. }) => Some((*id, vec![rust_identifier(name)])),
        _ => None,
    });
    let mut choices: BTreeMap<InterfaceId, Vec<String>> = inline.collect();
    for (id, interface) in resolve.interfaces.iter() {
        let (Some(name), Some(package)) = (&interface.name, interface.package) else { continue };
        let package = &resolve.packages[package].name;
        let long = format!("{}-{}-{name}", package.namespace, package.name);
        let version = package.version.as_ref().map_or_else(String::new, ToString::to_string);
        let names = [name.as_str(), &long, &format!("{long}-{version}")].map(rust_identifier);
        choices.insert(id, names.into());
    }
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in choices.values().flatten() {
        *counts.entry(name).or_default() += 1;
    }
    let mut names = Names::default();
    let mut of = |choices: &[String]| {
        let alone = choices.iter().find(|name| counts[name.as_str()] == 1).or(choices.last());
        names.unique(alone.cloned().unwrap_or_default())
    };
    choices.iter().map(|(&id, choices)| (id, of(choices))).collect()
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
    let mut names = Names::default();
    let (mut list, mut into, mut from) = (String::new(), String::new(), String::new());
    for wit in cases {
        let rust = names.unique(upper_camel(wit));
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
    let mut names = Names::default();
    let (mut list, mut into, mut from) = (String::new(), String::new(), String::new());
    for wit in flags {
        let rust = names.unique(rust_identifier(wit));
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
pub(super) fn upper_camel(name: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    rust_identifier(&name.split('-').map(upper).collect::<String>())
}
