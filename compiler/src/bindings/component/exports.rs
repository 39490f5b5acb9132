//! `Exports`, which has a method for each function that a component exports, and the methods of resources that the component
//! makes.

use std::collections::HashMap;
use std::fmt::Write as _;

use wit_parser::{TypeDefKind, TypeId};

use super::types::{Scope, Types};
use super::{Call, Calls, SELF, declared, described, params, quoted, result};

/// Types in methods.
const IN_METHODS: Scope<'_> = Scope { root: "", hosts: Some("T") };

/// What is allowed in methods, whose names and parameters are the component's.
const ALLOWED: &str = "#[allow(clippy::new_ret_no_self, clippy::should_implement_trait, clippy::too_many_arguments, \
                       clippy::wrong_self_convention, dead_code, non_snake_case, reason = \"names and types are the component's\")]\n";

pub(super) fn write(text: &mut String, exports: &Calls<'_>, types: &Types<'_>) {
    let bound = if exports.has_hosts { "Imports" } else { "'static" };
    text.push_str(
        "/// What an instance of the component exports. It is good for the instance's store alone.\n\
         #[allow(dead_code, reason = \"the host decides\")]\npub struct Exports<T> {\n    instance: Instance<T>,\n",
    );
    for index in 0..exports.calls.len() {
        let _ = writeln!(text, "    item_{index}: Func<T>,");
    }
    let _ = write!(text, "}}\n\n{ALLOWED}impl<T: {bound}> Exports<T> {{\n");
    text.push_str(include_str!("../component_exports.txt"));
    for (index, call) in exports.calls.iter().enumerate() {
        let (interface, name) = (quoted(&call.interface), quoted(&call.function.name));
        let _ = writeln!(text, "            item_{index}: instance.get_func(&mut store, {interface}, {name})?,");
    }
    text.push_str(
        "            instance,\n        })\n    }\n\n    /// Returns the instance.\n    pub fn instance(&self) -> Instance<T> {\n        \
         self.instance.clone()\n    }\n",
    );
    let mut of_resources: HashMap<TypeId, Vec<(usize, &Call<'_>)>> = HashMap::new();
    for (index, call) in exports.calls.iter().enumerate() {
        match call.of {
            Some(id) => of_resources.entry(id).or_default().push((index, call)),
            None => write_method(text, (index, call), types, bound),
        }
    }
    text.push_str("}\n\n");
    let is_resource = |id: TypeId| matches!(types.def(id).kind, TypeDefKind::Resource);
    for (id, module, name) in types.named().iter().filter(|(id, ..)| is_resource(*id)) {
        let path = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
        let _ = write!(text, "{ALLOWED}impl {path} {{");
        let calls = of_resources.remove(id).unwrap_or_default();
        calls.into_iter().for_each(|call| write_method(text, call, types, bound));
        let _ = write!(text, include_str!("../component_resource.txt"), bound = bound);
    }
    text.push_str(
        "#[allow(dead_code, reason = \"components differ in what they need\")]\nfn __other() -> Error {\n    \
         Error::msg(format_args!(\"the component is not {NAME}: its functions have other types\"))\n}\n",
    );
}

/// Writes the method that calls a function: one of `Exports`, or of the resource that has the function.
fn write_method(text: &mut String, (index, call): (usize, &Call<'_>), types: &Types<'_>, bound: &str) {
    let (mut params, result) = (params(call, types, IN_METHODS), result(call, types, IN_METHODS));
    let values: Vec<String> = params.iter().map(|param| param.value.clone()).collect();
    let has_self = params.first().is_some_and(|param| param.name == SELF);
    params.drain(..usize::from(has_self));
    let (generics, receiver, exports) = match (call.of, has_self) {
        (None, _) => (String::new(), "&self, ", "self"),
        (Some(_), true) => (format!("<T: {bound}>"), "&self, exports: &Exports<T>, ", "exports"),
        (Some(_), false) => (format!("<T: {bound}>"), "exports: &Exports<T>, ", "exports"),
    };
    let _ = write!(
        text,
        "\n    /// Calls {}.\n    ///\n    /// # Errors\n    /// As those of `Func::call`, and when the component is another \
         one.\n    pub fn {}{generics}({receiver}store: impl AsContextMut<Data = T>{}) -> Result<{result}> {{\n        \
         let result = {exports}.item_{index}.call(store, &[{}])?;\n        Value::from_payload(result).ok_or_else(__other)\n    }}\n",
        described(&call.interface, call.function),
        call.method,
        declared(&params),
        values.join(", ")
    );
}
