//! Rust bindings of components: the types of WIT that its functions have, a method for each function that the component
//! exports, and a trait for those that it imports, over `wasmelt_embed::component`.
//!
//! Names of WIT are words of ASCII letters and digits with `-` between them. All that the text refers to has its whole path:
//! a type of WIT may have the name of a type of Rust.

mod types;

use std::fmt::Write as _;

use wasmelt_abi::component::functions;
use wit_parser::{Function, FunctionKind, InterfaceId, World, WorldItem, WorldKey};

use self::types::Types;
use super::{quoted, rust_identifier};
use crate::component;
use crate::error::Result;
use crate::header::Names;

/// Names in functions that parameters cannot have.
const RESERVED_PARAMS: [&str; 3] = ["store", "args", "NAME"];

/// Methods of `Exports` that the bindings themselves have.
const RESERVED_METHODS: [&str; 3] = ["new", "of", "instance"];

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
        let mut methods = match side {
            Side::Imports => Names::default(),
            Side::Exports => Names::without(&RESERVED_METHODS),
        };
        let items = if side == Side::Imports { &world.imports } else { &world.exports };
        for (key, item) in items {
            match item {
                WorldItem::Interface { id, .. } => calls.add_interface(types, (key, *id), side, &mut methods),
                WorldItem::Function(function) => {
                    let interface = if side == Side::Imports { "$root" } else { "" };
                    calls.add(types, interface, "", function, &mut methods);
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
        methods: &mut Names,
    ) {
        let name = types.resolve.name_world_key(key);
        let prefix = format!("{}-", types.interface_name(id));
        for function in types.resolve.interfaces[id].functions.values() {
            // The host has WASI.
            if side == Side::Imports && is_of_wasi(&name, &function.name) {
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
        methods: &mut Names,
    ) {
        let mut parts = function.params.iter().map(|param| param.ty).chain(function.result);
        if function.kind != FunctionKind::Freestanding || !parts.all(|ty| types.parts(ty).is_some()) {
            self.left_out += 1;
            return;
        }
        let method = methods.unique(rust_identifier(&format!("{prefix}{}", function.name)));
        self.calls.push(Call { interface: interface.to_owned(), method, function });
    }
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
    let mut names = Names::without(&RESERVED_PARAMS);
    let params = call.function.params.iter();
    params.map(|param| (names.unique(rust_identifier(&param.name)), types.rust(param.ty, ""))).collect()
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
        let arguments: String = (0..call.function.params.len()).map(|_| ", __argument(&mut args)?").collect();
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
            "fn __argument<V: Value>(args: &mut impl Iterator<Item = Val>) -> Result<V> {\n    \
             args.next().and_then(V::from_val).ok_or_else(__other)\n}\n\n",
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
             let result = self.item_{index}.call(store, &[{}])?;\n        Value::from_payload(result).ok_or_else(__other)\n    }}\n",
            described(call),
            call.method,
            declared(&params),
            values.trim_end_matches(", ")
        );
    }
    text.push_str(
        "}\n\n#[allow(dead_code, reason = \"components differ in what they need\")]\nfn __other() -> Error {\n    \
         Error::msg(format_args!(\"the component is not {NAME}: its functions have other types\"))\n}\n",
    );
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
