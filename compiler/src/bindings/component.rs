//! Rust bindings of components: the types of WIT that its functions have, a method for each function that the component
//! exports, and a trait for those that it imports, over `wasmelt_embed::component`.
//!
//! Names of WIT are words of ASCII letters and digits with `-` between them. All that the text refers to has its whole path:
//! a type of WIT may have the name of a type of Rust.

mod exports;
mod imports;
mod types;
mod values;

use std::collections::HashMap;
use std::fmt::Write as _;

use wasmelt_abi::component::functions;
use wit_parser::{Function, FunctionKind, Handle, InterfaceId, Type, TypeDefKind, TypeId, World, WorldItem, WorldKey};

use self::types::{Parts, Scope, Types};
use super::{quoted, rust_identifier};
use crate::component;
use crate::error::Result;
use crate::header::Names;

/// Names in functions that parameters cannot have.
const RESERVED_PARAMS: [&str; 4] = ["store", "args", "exports", "NAME"];

/// Methods of `Exports` that the bindings themselves have.
const RESERVED_METHODS: [&str; 3] = ["new", "of", "instance"];

/// The receiver of a method, which no other parameter is called.
const SELF: &str = "self";

/// Returns the bindings of a component, the bytes `wasm`, that is the library `library`, which is linked into the host
/// (`is_linked`) or loaded.
pub(crate) fn rust(wasm: &[u8], library: &str, is_linked: bool) -> Result<String> {
    let (resolve, world) = component::interface(wasm)?;
    let world = &resolve.worlds[world];
    let mut types = Types::new(&resolve, world);
    let imports = Calls::of(&mut types, world, Side::Imports);
    let exports = Calls::of(&mut types, world, Side::Exports);
    types.name(imports.calls.iter().chain(&exports.calls));
    let mut text = String::new();
    write_head(&mut text, library, is_linked, &imports, &exports);
    types.write(&mut text);
    if !imports.calls.is_empty() || !types.hosts.is_empty() {
        imports::write(&mut text, &imports, &types);
    }
    exports::write(&mut text, &exports, &types);
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
    /// The resource that the component makes and that has the function.
    of: Option<TypeId>,
}

/// The functions of one side that Rust has types for.
struct Calls<'a> {
    calls: Vec<Call<'a>>,
    /// Methods that drop resources of the host, in their order.
    drops: Vec<String>,
    /// What the others are called.
    left_out: Vec<String>,
    /// Whether functions of WASI are among those that the host has.
    has_wasi: bool,
    /// Whether there are resources of the host among the values.
    has_hosts: bool,
}

/// The names of methods on one side.
struct Methods {
    side: Side,
    names: Names,
    /// Of resources that the component makes.
    of_resources: HashMap<TypeId, Names>,
}

impl<'a> Calls<'a> {
    fn of(types: &mut Types<'a>, world: &'a World, side: Side) -> Self {
        let (left_out, drops) = (Vec::new(), Vec::new());
        let mut calls = Self { calls: Vec::new(), drops, left_out, has_wasi: false, has_hosts: false };
        let (items, names) = match side {
            Side::Imports => (&world.imports, Names::default()),
            Side::Exports => (&world.exports, Names::without(&RESERVED_METHODS)),
        };
        let mut methods = Methods { side, names, of_resources: HashMap::new() };
        if side == Side::Imports {
            let drop =
                |host: &types::HostResource| methods.names.unique(rust_identifier(&format!("{}-drop", host.described)));
            calls.drops = types.hosts.iter().map(drop).collect();
        }
        for (key, item) in items {
            match item {
                WorldItem::Interface { id, .. } => calls.add_interface(types, (key, *id), &mut methods),
                WorldItem::Function(function) => {
                    let interface = if side == Side::Imports { "$root" } else { "" };
                    calls.add(types, interface, "", function, &mut methods);
                }
                WorldItem::Type { .. } => {}
            }
        }
        calls
    }

    fn add_interface(&mut self, types: &mut Types<'a>, (key, id): (&WorldKey, InterfaceId), methods: &mut Methods) {
        let name = types.resolve.name_world_key(key);
        let prefix = format!("{}-", types.interface_name(id));
        for function in types.resolve.interfaces[id].functions.values() {
            // The host has WASI.
            if methods.side == Side::Imports && is_of_wasi(&name, &function.name) {
                self.has_wasi = true;
            } else {
                self.add(types, &name, &prefix, function, methods);
            }
        }
    }

    fn add(
        &mut self,
        types: &mut Types<'a>,
        interface: &str,
        prefix: &str,
        function: &'a Function,
        methods: &mut Methods,
    ) {
        let interface = interface.to_owned();
        let Some(parts) = typed(types, function, methods.side) else {
            self.left_out.push(described(&interface, function));
            return;
        };
        self.has_hosts |= !parts.hosts.is_empty();
        let of = function.kind.resource().map(|id| types.origin(id));
        let item = match function.kind {
            FunctionKind::Constructor(_) => "new",
            _ => function.item_name(),
        };
        let of_guest = of.filter(|&id| methods.side == Side::Exports && types.is_guest(id));
        let method = match (of_guest, of.and_then(|id| types.def(id).name.as_deref())) {
            (Some(id), _) => {
                let names = methods.of_resources.entry(id).or_insert_with(|| Names::without(&["drop"]));
                names.unique(rust_identifier(item))
            }
            (None, Some(resource)) => methods.names.unique(rust_identifier(&format!("{prefix}{resource}-{item}"))),
            (None, None) => methods.names.unique(rust_identifier(&format!("{prefix}{item}"))),
        };
        self.calls.push(Call { interface, method, function, of: of_guest });
    }
}

/// What the values of a function consist of, where Rust has the function.
fn typed(types: &mut Types<'_>, function: &Function, side: Side) -> Option<Parts> {
    let is_known = match function.kind {
        FunctionKind::Freestanding => true,
        FunctionKind::Method(id) | FunctionKind::Static(id) | FunctionKind::Constructor(id) => {
            let id = types.origin(id);
            types.host(id).is_some() || types.is_guest(id)
        }
        _ => false,
    };
    let parts = types.parts_of_function(function).filter(|_| is_known)?;
    // On the other side, an interface that the component imports as well is taken for the host's.
    let of_shared = function.kind.resource().is_some_and(|id| types.is_shared(id));
    (side == Side::Imports || !(parts.is_shared || of_shared)).then_some(parts)
}

/// Whether the runtime has a function of an interface, which is named with its version.
fn is_of_wasi(interface: &str, name: &str) -> bool {
    let interface = interface.split_once('@').map_or(interface, |(interface, _)| interface);
    interface.starts_with("wasi:") && functions().any(|function| function.module == interface && function.name == name)
}

fn write_head(text: &mut String, library: &str, is_linked: bool, imports: &Calls<'_>, exports: &Calls<'_>) {
    let mut notes = String::new();
    if imports.has_wasi {
        notes.push_str("//\n// The component imports WASI as well, which `Linker::define_wasi` defines.\n");
    }
    let sides = [
        (imports, "imports", "The host defines them with `Linker::func_flat`"),
        (exports, "exports", "`Func::call_flat` calls them"),
    ];
    for (calls, does, way_out) in sides {
        if calls.left_out.is_empty() {
            continue;
        }
        let _ = writeln!(
            notes,
            "//\n// The component {does} more functions: with resources of WASI, with resources of an interface that the component \
             imports\n// and exports, or with types that are not in Rust. {way_out}:"
        );
        calls.left_out.iter().for_each(|name| _ = writeln!(notes, "// - {name}"));
    }
    let head =
        include_str!("component_head.txt").replace("VERSION", env!("CARGO_PKG_VERSION")).replace("NOTE\n", &notes);
    let found = match is_linked {
        true => include_str!("component_linked.txt"),
        false => include_str!("component_loaded.txt"),
    };
    *text += &(head + found).replace("LIBRARY", library);
}

/// A parameter of a function in Rust.
struct Param {
    name: String,
    ty: String,
    /// The expression that is its value.
    value: String,
}

/// The parameters of a function. What an exported function borrows of the component's own is a reference.
fn params(call: &Call<'_>, types: &Types<'_>, scope: Scope<'_>) -> Vec<Param> {
    let mut names = Names::without(&RESERVED_PARAMS);
    let param = |(index, param): (usize, &wit_parser::Param)| {
        let is_self = index == 0 && call.of.is_some() && matches!(call.function.kind, FunctionKind::Method(_));
        let name = if is_self { SELF.to_owned() } else { names.unique(rust_identifier(&param.name)) };
        let (ty, root) = (types.rust(param.ty, scope), scope.root);
        match is_lent_by_host(param.ty, types) {
            true => {
                let value = format!("{root}Value::into_val(::core::clone::Clone::clone({name}))");
                Param { ty: format!("&{ty}"), value, name }
            }
            false => Param { value: format!("{root}Value::into_val({name})"), ty, name },
        }
    };
    call.function.params.iter().enumerate().map(param).collect()
}

/// Whether a type is a borrow of a resource that the component makes.
fn is_lent_by_host(ty: Type, types: &Types<'_>) -> bool {
    let Type::Id(id) = ty else { return false };
    match types.def(id).kind {
        TypeDefKind::Handle(Handle::Borrow(id)) => types.is_guest(types.origin(id)),
        _ => false,
    }
}

fn result(call: &Call<'_>, types: &Types<'_>, scope: Scope<'_>) -> String {
    call.function.result.map_or_else(|| "()".to_owned(), |ty| types.rust(ty, scope))
}

fn declared(params: &[Param]) -> String {
    params.iter().map(|param| format!(", {}: {}", param.name, param.ty)).collect()
}

/// What messages and comments call a function.
fn described(interface: &str, function: &Function) -> String {
    match interface {
        "" | "$root" => format!("`{}`", function.name),
        interface => format!("`{}` of `{interface}`", function.name),
    }
}

#[cfg(test)]
mod tests {
    use super::types::upper_camel;
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
        assert!(text.contains("// The component imports more functions"), "{text}");
        assert!(text.contains("\n// - `wide` of `a:b/c`\n") && !text.contains("c_wide"), "{text}");
        let make = "fn c_make(store: StoreContextMut<'_, Self>) -> Result<c::Record<Resource<Self::CThing>>>;";
        assert!(text.contains(make), "{text}");
        assert!(text.contains("linker.resource(\"a:b/c\", \"thing\", T::c_thing_drop)?;"), "{text}");
    }

    /// What has the resources of an interface on both sides could be the host's or the component's.
    #[test]
    fn what_is_imported_and_exported_is_left_out_where_it_is_exported() {
        let text = r#"(component
            (import "a:b/c" (instance $c
              (export "thing" (type $thing (sub resource)))
              (export "use" (func (param "thing" (borrow $thing))))))
            (core module $m (func (export "use") (param i32)))
            (core instance $m (instantiate $m))
            (type $own (resource (rep i32)))
            (func $use (param "thing" (borrow $own)) (canon lift (core func $m "use")))
            (component $interface
              (import "thing" (type $in (sub resource)))
              (import "use" (func $use (param "thing" (borrow $in))))
              (export $out "thing" (type $in))
              (export "use" (func $use) (func (param "thing" (borrow $out)))))
            (instance $e (instantiate $interface (with "thing" (type $own)) (with "use" (func $use))))
            (export "a:b/c" (instance $e)))"#;
        let text = rust(&wat::parse_str(text).unwrap(), "library", false).unwrap();
        assert!(text.contains("fn c_use(store: StoreContextMut<'_, Self>, thing: Resource<Self::CThing>)"), "{text}");
        assert!(text.contains("// The component exports more functions") && !text.contains("fn c_use(&self"), "{text}");
    }

    /// Resources of the host are parameters of types: a type with too many would be written at great length.
    #[test]
    fn a_type_has_so_many_resources_of_the_host_and_no_more() {
        let resources: String = (0..17).map(|n| format!("(export \"r{n}\" (type $r{n} (sub resource)))")).collect();
        let record = |count: usize| (0..count).map(|n| format!("(field \"f{n}\" (own $r{n}))")).collect::<String>();
        let (few, many) = (record(16), record(17));
        let text = bindings(&format!(
            r#"{resources} (type $few' (record {few})) (export "few" (type $few (eq $few')))
               (type $many' (record {many})) (export "many" (type $many (eq $many')))
               (export "f" (func (param "a" $few))) (export "g" (func (param "a" $many)))"#
        ));
        assert!(text.contains("fn c_f(") && text.contains("// - `g` of `a:b/c`"), "{text}");
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
    fn another_name_for_a_type_is_no_way_around_that() {
        let mut types = "(type $t0 (tuple u8 u8))".to_owned();
        for level in 1..16 {
            let inner = level - 1;
            let _ = write!(
                types,
                "(type $u{level} (tuple $t{inner} $t{inner}))(export \"t{level}\" (type $t{level} (eq $u{level})))"
            );
        }
        let text = bindings(&format!(r#"{types} (export "many" (func (param "a" $t15)))"#));
        assert!(!text.contains("c_many") && text.len() < 10_000, "{text}");
    }

    #[test]
    fn interfaces_of_one_name_are_told_apart_by_their_packages() {
        let interface = r#"(instance (export "f" (func)))"#;
        let names = ["a:x/types", "b:y/types@1.0.0", "b:y/types@2.0.0", "c:z/other", "wasi:config/store@0.2.0"];
        let imports: String = names.iter().map(|name| format!("(import \"{name}\" {interface})")).collect();
        let text = format!("(component {imports} (import \"plain\" {interface}))");
        let text = rust(&wat::parse_str(text).unwrap(), "library", false).unwrap();
        let methods = ["a_x_types_f", "b_y_types_1_0_0_f", "b_y_types_2_0_0_f", "other_f", "store_f", "plain_f"];
        for method in methods {
            assert!(text.contains(&format!("    fn {method}(store")), "{method}: {text}");
        }
        assert!(!text.contains("define_wasi"), "{text}");
    }

    #[test]
    fn names_become_types_of_rust() {
        for (name, expected) in [("http-version", "HttpVersion"), ("self", "Self_"), ("a1-b2", "A1B2"), ("X-y", "XY")] {
            assert_eq!(upper_camel(name), expected, "{name}");
        }
    }
}
