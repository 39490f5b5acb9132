//! The types of a component in Rust: which there are, and what they are called.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use wit_parser::{
    Function, Handle, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner, World, WorldItem, WorldKey,
};

use super::{Call, is_of_wasi};
use crate::bindings::rust_identifier;
use crate::header::Names;

/// Names in the file's outermost module that types of a world cannot have.
const RESERVED: [&str; 17] = [
    "AsContextMut",
    "Component",
    "Error",
    "Exports",
    "Func",
    "Imports",
    "Instance",
    "Iterator",
    "Linker",
    "Resource",
    "ResourceAny",
    "Result",
    "Sized",
    "StoreContextMut",
    "T",
    "Val",
    "Value",
];

/// The most parts of a type without a name: a type that uses another one several times, which does so too, would fill disks.
const MAX_PARTS: usize = 100;

/// The most resources of the host in one type: each is a parameter of the type, and is written wherever the type is.
const MAX_PARAMS: usize = 16;

/// The most elements of tuples that Rust has traits for.
const MAX_ELEMENTS: usize = 16;

/// A resource that the host defines.
pub(super) struct HostResource {
    /// The interface with its version, as linkers name it.
    pub(super) interface: String,
    pub(super) name: String,
    /// Interface and name, as functions of the resource begin.
    pub(super) described: String,
    /// The associated type of `Imports` that says what it is to the host.
    pub(super) associated: String,
}

/// What a type of Rust consists of.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    /// How many parts are written out.
    count: usize,
    /// The resources of the host in it, each once.
    pub(super) hosts: Vec<usize>,
    /// Whether there are resources of which it is not known whose they are.
    pub(super) is_shared: bool,
}

impl Parts {
    /// Adds those of a type within; `None` where there are too many.
    fn add(&mut self, other: &Self) -> Option<()> {
        self.count = self.count.checked_add(other.count)?;
        for host in &other.hosts {
            if !self.hosts.contains(host) {
                self.hosts.push(*host);
            }
        }
        self.is_shared |= other.is_shared;
        (self.hosts.len() <= MAX_PARAMS).then_some(())
    }
}

/// Where a type is written.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    /// The path of the file's outermost module.
    pub(super) root: &'s str,
    /// Whose associated types the host's resources are; `None` where they are parameters of the type.
    pub(super) hosts: Option<&'s str>,
}

/// The types of a component.
pub(super) struct Types<'a> {
    pub(super) resolve: &'a Resolve,
    /// What interfaces are called in Rust.
    interfaces: HashMap<InterfaceId, String>,
    /// What each type consists of that was looked at; `None` where Rust has no type for it.
    parts: HashMap<TypeId, Option<Parts>>,
    /// Those that have names and are used, each after those that it is made of, with the name of its module, empty for the
    /// file's outermost one, and its own.
    named: Vec<(TypeId, String, String)>,
    places: HashMap<TypeId, usize>,
    /// The resources that the host defines.
    pub(super) hosts: Vec<HostResource>,
    host_places: HashMap<TypeId, usize>,
    /// Those that the component makes.
    guests: HashSet<TypeId>,
    /// Those of interfaces that the component imports and exports, which are one interface here: they count as the host's.
    shared: HashSet<TypeId>,
}

impl<'a> Types<'a> {
    pub(super) fn new(resolve: &'a Resolve, world: &World) -> Self {
        let (parts, named, places) = (HashMap::new(), Vec::new(), HashMap::new());
        let interfaces = interface_names(resolve, world);
        let (hosts, host_places) = (Vec::new(), HashMap::new());
        let (guests, shared) = (HashSet::new(), HashSet::new());
        let mut types = Self { resolve, interfaces, parts, named, places, hosts, host_places, guests, shared };
        types.find_resources(world);
        types
    }

    /// Finds out whose each resource is.
    fn find_resources(&mut self, world: &World) {
        let mut associated = Names::default();
        for (key, item) in &world.imports {
            let (interface, prefix) = match item {
                WorldItem::Interface { id, .. } => {
                    (self.resolve.name_world_key(key), format!("{}-", self.interface_name(*id).replace('_', "-")))
                }
                _ => ("$root".to_owned(), String::new()),
            };
            for (name, id) in self.resources_of(item) {
                if !is_of_wasi(&interface, &format!("[resource-drop]{name}")) {
                    let described = format!("{prefix}{name}");
                    let associated = associated.unique(upper_camel(&described));
                    let (interface, name) = (interface.clone(), name.to_owned());
                    self.host_places.insert(id, self.hosts.len());
                    self.hosts.push(HostResource { interface, name, described, associated });
                }
            }
        }
        let exported: Vec<_> = world.exports.values().flat_map(|item| self.resources_of(item)).collect();
        for (_, id) in exported {
            let whose = if self.host(id).is_some() { &mut self.shared } else { &mut self.guests };
            whose.insert(id);
        }
    }

    /// The resources that something of a world defines.
    fn resources_of(&self, item: &WorldItem) -> Vec<(&'a str, TypeId)> {
        let types: Vec<TypeId> = match item {
            WorldItem::Interface { id, .. } => self.resolve.interfaces[*id].types.values().copied().collect(),
            WorldItem::Type { id, .. } => vec![*id],
            WorldItem::Function(_) => Vec::new(),
        };
        let resources = types.into_iter().filter(|&id| matches!(self.def(id).kind, TypeDefKind::Resource));
        resources.filter_map(|id| Some((self.def(id).name.as_deref()?, id))).collect()
    }

    /// The type that a name stands for in the end.
    pub(super) fn origin(&self, id: TypeId) -> TypeId {
        match self.def(id).kind {
            TypeDefKind::Type(Type::Id(other)) => self.origin(other),
            _ => id,
        }
    }

    /// Whether the component makes resources of a type.
    pub(super) fn is_guest(&self, id: TypeId) -> bool {
        self.guests.contains(&id)
    }

    /// Whether it is not known whose the resources of a type are.
    pub(super) fn is_shared(&self, id: TypeId) -> bool {
        self.shared.contains(&self.origin(id))
    }

    /// The place of a resource among those of the host.
    pub(super) fn host(&self, id: TypeId) -> Option<usize> {
        self.host_places.get(&id).copied()
    }

    /// The type parameters that a type has: one for each resource of the host in it.
    pub(super) fn params_of(&self, id: TypeId) -> Vec<&str> {
        let hosts = self.parts.get(&id).and_then(Option::as_ref).map_or(&[][..], |parts| &parts.hosts);
        hosts.iter().map(|&host| self.hosts[host].associated.as_str()).collect()
    }

    /// The handle of a resource of the host.
    fn host_handle(&self, associated: &str, scope: Scope<'_>) -> String {
        match scope.hosts {
            None => associated.to_owned(),
            Some(owner) => format!("{}Resource<{owner}::{associated}>", scope.root),
        }
    }

    pub(super) fn def(&self, id: TypeId) -> &'a TypeDef {
        &self.resolve.types[id]
    }

    pub(super) fn interface_name(&self, id: InterfaceId) -> &str {
        self.interfaces.get(&id).map_or("interface", String::as_str)
    }

    /// What the Rust type consists of that a type becomes; `None` where Rust has no type for it.
    pub(super) fn parts(&mut self, ty: Type) -> Option<Parts> {
        let Type::Id(id) = ty else {
            return (ty != Type::ErrorContext).then(|| Parts { count: 1, ..Parts::default() });
        };
        if let Some(known) = self.parts.get(&id) {
            return known.clone();
        }
        let parts = self.parts_of(id);
        self.parts.insert(id, parts.clone());
        parts
    }

    fn parts_of(&mut self, id: TypeId) -> Option<Parts> {
        let mut parts = Parts { count: 1, ..Parts::default() };
        match self.def(id).kind {
            TypeDefKind::Resource => {
                self.inner_types(id)?;
                parts.hosts.extend(self.host(id));
                parts.is_shared = self.shared.contains(&id);
            }
            _ => self.inner_types(id)?.into_iter().try_for_each(|ty| parts.add(&self.parts(ty)?))?,
        }
        // Another name for a type is written as that type is.
        let is_type_of_its_own = matches!(
            self.def(id).kind,
            TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_)
        );
        if is_type_of_its_own {
            parts.count = 1;
        }
        (parts.count <= MAX_PARTS && parts.hosts.len() <= MAX_PARAMS).then_some(parts)
    }

    /// What the types of a function's values consist of; `None` where Rust has no type for one of them.
    pub(super) fn parts_of_function(&mut self, function: &Function) -> Option<Parts> {
        let mut parts = Parts::default();
        function.parameter_and_result_types().try_for_each(|ty| parts.add(&self.parts(ty)?))?;
        Some(parts)
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
        // Type parameters and associated types have names as well.
        let taken: Vec<&str> = self.hosts.iter().map(|host| host.associated.as_str()).collect();
        let outermost = Names::without(&[&RESERVED, &taken[..]].concat());
        let mut names: HashMap<String, Names> = HashMap::from([(String::new(), outermost)]);
        for id in order {
            let Some(name) = self.def(id).name.as_ref().filter(|_| self.host(id).is_none()) else { continue };
            let module = match self.def(id).owner {
                TypeOwner::Interface(interface) => self.interface_name(interface).to_owned(),
                _ => String::new(),
            };
            let name = names.entry(module.clone()).or_insert_with(|| Names::without(&taken)).unique(upper_camel(name));
            self.places.insert(id, self.named.len());
            self.named.push((id, module, name));
        }
    }

    /// The types that have names, with their modules and names.
    pub(super) fn named(&self) -> &[(TypeId, String, String)] {
        &self.named
    }

    /// Puts a type behind those that it is made of.
    fn visit(&self, ty: Type, seen: &mut HashSet<TypeId>, order: &mut Vec<TypeId>) {
        let Type::Id(id) = ty else { return };
        if seen.insert(id) {
            let inner = self.inner_types(id).into_iter().flatten();
            inner.for_each(|ty| self.visit(ty, seen, order));
            order.push(id);
        }
    }

    /// The types that a type is made of; `None` where Rust has no type for it.
    fn inner_types(&self, id: TypeId) -> Option<Vec<Type>> {
        Some(match &self.def(id).kind {
            TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
            TypeDefKind::Flags(_) | TypeDefKind::Enum(_) => Vec::new(),
            TypeDefKind::Tuple(tuple) if tuple.types.len() <= MAX_ELEMENTS => tuple.types.clone(),
            TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).collect(),
            TypeDefKind::Option(ty) | TypeDefKind::List(ty) | TypeDefKind::Type(ty) => vec![*ty],
            TypeDefKind::Result(result) => [result.ok, result.err].into_iter().flatten().collect(),
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => vec![Type::Id(self.origin(*id))],
            // Those of WASI have no values here.
            TypeDefKind::Resource if self.is_guest(id) || self.host(id).is_some() => Vec::new(),
            _ => return None,
        })
    }

    /// The Rust type of values.
    pub(super) fn rust(&self, ty: Type, scope: Scope<'_>) -> String {
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
            Type::Id(id) => return self.rust_of(id, scope),
        };
        name.to_owned()
    }

    fn rust_of(&self, id: TypeId, scope: Scope<'_>) -> String {
        let root = scope.root;
        let path = match self.places.get(&id).map(|&place| &self.named[place]) {
            Some((_, module, name)) if module.is_empty() => format!("{root}{name}"),
            Some((_, module, name)) => format!("{root}{module}::{name}"),
            None => return self.structure(&self.def(id).kind, scope),
        };
        let params: Vec<_> = self.params_of(id).into_iter().map(|param| self.host_handle(param, scope)).collect();
        if params.is_empty() { path } else { format!("{path}<{}>", params.join(", ")) }
    }

    /// The Rust type of what has no name.
    pub(super) fn structure(&self, kind: &TypeDefKind, scope: Scope<'_>) -> String {
        let optional = |ty: Option<Type>| ty.map_or_else(|| "()".to_owned(), |ty| self.rust(ty, scope));
        match kind {
            TypeDefKind::Tuple(tuple) => {
                let types: String = tuple.types.iter().map(|&ty| self.rust(ty, scope) + ", ").collect();
                format!("({types})").replace(", )", if tuple.types.len() == 1 { ",)" } else { ")" })
            }
            TypeDefKind::Option(ty) => format!("::core::option::Option<{}>", self.rust(*ty, scope)),
            TypeDefKind::Result(result) => {
                format!("::core::result::Result<{}, {}>", optional(result.ok), optional(result.err))
            }
            TypeDefKind::List(ty) => format!("::std::vec::Vec<{}>", self.rust(*ty, scope)),
            TypeDefKind::Type(ty) => self.rust(*ty, scope),
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => match self.host(self.origin(*id)) {
                Some(host) => self.host_handle(&self.hosts[host].associated, scope),
                None => self.rust_of(self.origin(*id), scope),
            },
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

/// `http-version` as Rust writes types and cases: `HttpVersion`.
pub(super) fn upper_camel(name: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    rust_identifier(&name.split('-').map(upper).collect::<String>())
}
