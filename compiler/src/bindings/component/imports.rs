//! The trait `Imports`, which the data of stores implements: the functions that a component imports, and what resources of the
//! host are.

use std::fmt::Write as _;

use super::types::{HostResource, Scope, Types};
use super::{Call, Calls, declared, described, params, quoted, result};

/// Types in the trait.
const IN_TRAIT: Scope<'_> = Scope { root: "", hosts: Some("Self") };

pub(super) fn write(text: &mut String, imports: &Calls<'_>, types: &Types<'_>) {
    text.push_str(
        "/// The functions that the component imports, implemented by the data of stores. What a function returns as its error \
         ends\n/// the guest's call.\n#[allow(clippy::too_many_arguments, dead_code, non_snake_case, reason = \"names and types are the \
         component's\")]\npub trait Imports: Sized + 'static {\n",
    );
    let resources = || types.hosts.iter().zip(&imports.drops);
    resources().for_each(|(host, drop)| write_resource(text, host, drop));
    for call in &imports.calls {
        let (params, result) = (declared(&params(call, types, IN_TRAIT)), result(call, types, IN_TRAIT));
        let _ = writeln!(
            text,
            "    /// {}.\n    fn {}(store: StoreContextMut<'_, Self>{params}) -> Result<{result}>;",
            described(&call.interface, call.function),
            call.method
        );
    }
    text.push_str(
        "}\n\n/// Defines the functions that the component imports.\n///\n/// # Errors\n/// When one of the names is defined already.\n\
         #[allow(dead_code, unused_mut, unused_variables, reason = \"types are the component's\")]\n\
         pub fn add_to_linker<T: Imports>(linker: &mut Linker<T>) -> Result<()> {\n",
    );
    for (HostResource { interface, name, .. }, drop) in resources() {
        let _ = writeln!(text, "    linker.resource({}, {}, T::{drop})?;", quoted(interface), quoted(name));
    }
    imports.calls.iter().for_each(|call| write_definition(text, call));
    text.push_str("    Ok(())\n}\n\n");
    if imports.calls.iter().any(|call| !call.function.params.is_empty()) {
        text.push_str(
            "fn __argument<V: Value>(args: &mut impl Iterator<Item = Val>) -> Result<V> {\n    \
             args.next().and_then(V::from_val).ok_or_else(__other)\n}\n\n",
        );
    }
}

/// Writes what a resource of the host is, and the method that drops one.
fn write_resource(text: &mut String, host: &HostResource, drop: &str) {
    let HostResource { interface, name, associated, .. } = host;
    let of = if interface == "$root" { String::new() } else { format!(" of `{interface}`") };
    let _ = writeln!(
        text,
        "    /// What tells `{name}`{of} from other resources: the type of its values in a `ResourceTable`, for example.\n    \
         type {associated}: 'static;\n    /// Ends a `{name}`{of} that the component owned and has dropped.\n    \
         fn {drop}(store: StoreContextMut<'_, Self>, resource: Resource<Self::{associated}>) -> Result<()>;"
    );
}

fn write_definition(text: &mut String, call: &Call<'_>) {
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
