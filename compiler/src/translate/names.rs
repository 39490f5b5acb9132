//! External names: how CLIF refers to what lies outside a function, and back again for relocations.

use cranelift_codegen::ir::UserExternalName;
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::host::{HostFunction, host_functions};

use crate::program::{FuncId, InstanceIndex};

/// Something outside a function that its code refers to, before functions have their final order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A function of the program.
    Function(FuncId),
    /// A runtime function.
    Builtin(u32),
    /// A host function: its index in [`host_functions`].
    Host(u32),
    /// The first byte of the text section.
    Text,
    /// The record of a function reference of an instance.
    Record(InstanceIndex, u32),
    /// A table of an instance that never changes.
    ConstTable(InstanceIndex, u32),
}

/// First of the namespaces of instances, two each.
const RECORDS: u32 = 4;

impl Name {
    /// The name of a builtin.
    pub fn builtin(builtin: Builtin) -> Self {
        Self::Builtin(builtin as u32)
    }

    /// The name of a host function.
    pub fn host(host: &'static HostFunction) -> Option<Self> {
        host_functions().position(|h| std::ptr::eq(h, host)).map(|i| Self::Host(i as u32))
    }

    /// As CLIF stores it.
    pub fn to_clif(self) -> UserExternalName {
        let (namespace, index) = match self {
            Self::Function(id) => (0, id.as_u32()),
            Self::Builtin(i) => (1, i),
            Self::Host(i) => (2, i),
            Self::Text => (3, 0),
            Self::Record(instance, i) => (RECORDS + 2 * instance.as_u32(), i),
            Self::ConstTable(instance, i) => (RECORDS + 2 * instance.as_u32() + 1, i),
        };
        UserExternalName { namespace, index }
    }

    /// From what CLIF stores.
    pub fn from_clif(name: &UserExternalName) -> Option<Self> {
        let i = name.index;
        Some(match name.namespace {
            0 => Self::Function(FuncId::from_u32(i)),
            1 => Self::Builtin(i),
            2 => Self::Host(i),
            3 => Self::Text,
            namespace => {
                let number = namespace.checked_sub(RECORDS)?;
                let instance = InstanceIndex::from_u32(number / 2);
                if number.is_multiple_of(2) { Self::Record(instance, i) } else { Self::ConstTable(instance, i) }
            }
        })
    }
}
