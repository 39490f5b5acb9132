//! The types of a component that have names, written in Rust: records, variants, enumerations and flags, and how their values
//! come and go.

use std::fmt::Write as _;

use wit_parser::{Record, TypeDefKind, TypeId, Variant};

use super::types::{Scope, Types, upper_camel};
use crate::bindings::rust_identifier;
use crate::header::Names;

/// A type that is written: its name, and the type parameters that it has for resources of the host.
struct Head<'t> {
    name: &'t str,
    scope: Scope<'t>,
    params: Vec<&'t str>,
}

impl Head<'_> {
    /// The type with its parameters.
    fn declared(&self) -> String {
        if self.params.is_empty() {
            return self.name.to_owned();
        }
        format!("{}<{}>", self.name, self.params.join(", "))
    }

    /// What begins the implementation of `Value`.
    fn implemented(&self) -> String {
        let root = self.scope.root;
        let bounds: Vec<String> = self.params.iter().map(|param| format!("{param}: {root}Value")).collect();
        let generics = if bounds.is_empty() { String::new() } else { format!("<{}>", bounds.join(", ")) };
        format!("impl{generics} {root}Value for {}", self.declared())
    }

    /// Writes how values of the type come and go: the bodies of both functions, and the pattern of its values in any type.
    fn write_value(&self, text: &mut String, into: &str, pattern: &str, from: &str) {
        let root = self.scope.root;
        let _ = writeln!(
            text,
            "{} {{\n    fn into_val(self) -> {root}Val {{\n{into}    }}\n\n    \
             fn from_val(val: {root}Val) -> ::core::option::Option<Self> {{\n        \
             let {root}Val::{pattern} = val else {{ return ::core::option::Option::None }};\n{from}    }}\n}}",
            self.implemented()
        );
    }
}

impl Types<'_> {
    pub(super) fn write_type(&self, text: &mut String, id: TypeId, name: &str, root: &str) {
        let def = self.def(id);
        if root.is_empty() {
            text.push_str(
                "#[allow(dead_code, non_camel_case_types, non_snake_case, reason = \"names are the component's\")]\n",
            );
        }
        let scope = Scope { root, hosts: None };
        let head = Head { name, scope, params: self.params_of(id) };
        if !matches!(def.kind, TypeDefKind::Resource) {
            let _ = writeln!(text, "/// `{}`.", def.name.as_deref().unwrap_or_default());
        }
        match &def.kind {
            TypeDefKind::Record(record) => self.write_record(text, record, &head),
            TypeDefKind::Variant(variant) => self.write_variant(text, variant, &head),
            TypeDefKind::Enum(cases) => write_enum(text, &head, cases.cases.iter().map(|case| case.name.as_str())),
            TypeDefKind::Flags(flags) => write_flags(text, &head, flags.flags.iter().map(|flag| flag.name.as_str())),
            TypeDefKind::Resource => write_resource(text, &head, def.name.as_deref().unwrap_or_default()),
            kind => {
                let _ = writeln!(text, "pub type {} = {};", head.declared(), self.structure(kind, scope));
            }
        }
        text.push('\n');
    }

    fn write_record(&self, text: &mut String, record: &Record, head: &Head<'_>) {
        let root = head.scope.root;
        let mut names = Names::default();
        let fields: Vec<(&str, String, String)> = record
            .fields
            .iter()
            .map(|field| {
                let rust = names.unique(rust_identifier(&field.name));
                (field.name.as_str(), rust, self.rust(field.ty, head.scope))
            })
            .collect();
        let _ = writeln!(text, "#[derive(Clone, Debug, PartialEq)]\npub struct {} {{", head.declared());
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
        head.write_value(text, &into, "Record(fields)", &from);
    }

    fn write_variant(&self, text: &mut String, variant: &Variant, head: &Head<'_>) {
        let root = head.scope.root;
        let mut names = Names::default();
        let (mut cases, mut into, mut from) = (String::new(), String::new(), String::new());
        for case in &variant.cases {
            let (wit, rust) = (&case.name, names.unique(upper_camel(&case.name)));
            let _ = writeln!(cases, "    /// `{wit}`.");
            let (pattern, payload) = match case.ty {
                Some(ty) => {
                    let _ = writeln!(cases, "    {rust}({}),", self.rust(ty, head.scope));
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
        let _ = writeln!(text, "#[derive(Clone, Debug, PartialEq)]\npub enum {} {{\n{cases}}}\n", head.declared());
        let into = format!("        match self {{\n{into}        }}\n");
        let from = format!(
            "        match (case.as_str(), payload) {{\n{from}            _ => ::core::option::Option::None,\n        }}\n"
        );
        head.write_value(text, &into, "Variant(case, payload)", &from);
    }
}

/// Writes the type of handles of a resource that the component makes. Its functions come elsewhere.
fn write_resource(text: &mut String, head: &Head<'_>, wit: &str) {
    let (name, root) = (head.name, head.scope.root);
    let _ = writeln!(
        text,
        "/// `{wit}`, a resource that the component makes, and that the host has until the host drops it or gives it away. A \
         clone is the\n/// same handle.\n#[derive(Clone, Debug, PartialEq, Eq)]\npub struct {name}(pub {root}ResourceAny);\n"
    );
    let into = format!("        {root}Val::Resource(self.0)\n");
    head.write_value(text, &into, "Resource(resource)", "        ::core::option::Option::Some(Self(resource))\n");
}

fn write_enum<'w>(text: &mut String, head: &Head<'_>, cases: impl Iterator<Item = &'w str>) {
    let (name, root) = (head.name, head.scope.root);
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
    head.write_value(text, &into, "Enum(case)", &from);
}

fn write_flags<'w>(text: &mut String, head: &Head<'_>, flags: impl Iterator<Item = &'w str>) {
    let (name, root) = (head.name, head.scope.root);
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
    head.write_value(text, &into, "Flags(set)", &from);
}
