//! Flags of component instances: whether one may call other components and the host at this moment. Adapters read and
//! write them as globals, so a module that has nothing but these globals is the first instance of such a program.

use std::collections::{BTreeSet, HashMap};

use wasmtime_environ::PrimaryMap;
use wasmtime_environ::component::{
    CoreDef, GlobalInitializer, InstantiateModule, Trampoline as Upstream, TrampolineIndex,
};

use crate::module::GlobalIndex;

/// Component instances that have a flag, in order.
#[derive(Default)]
pub(super) struct Flags(Vec<u32>);

impl Flags {
    /// The instances whose flags something reads: adapters, and what makes and drops resources that components define.
    pub(super) fn find(
        initializers: &[GlobalInitializer],
        trampolines: &PrimaryMap<TrampolineIndex, Upstream>,
    ) -> Self {
        let arguments = initializers.iter().flat_map(|initializer| match initializer {
            GlobalInitializer::InstantiateModule(InstantiateModule::Static(_, arguments), _) => &arguments[..],
            _ => &[],
        });
        let of_adapters = arguments.filter_map(|argument| match argument {
            CoreDef::InstanceFlags(component) => Some(component.as_u32()),
            _ => None,
        });
        let of_resources = trampolines.values().filter_map(|trampoline| match trampoline {
            Upstream::ResourceNew { instance, .. } => Some(instance.as_u32()),
            _ => None,
        });
        Self(of_adapters.chain(of_resources).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// How many instances of modules come before those of the component.
    pub(super) fn instance_count(&self) -> usize {
        usize::from(!self.0.is_empty())
    }

    /// The flag of a component instance: instance of a module, and global.
    pub(super) fn global(&self, component: u32) -> Option<(usize, GlobalIndex)> {
        let place = self.0.binary_search(&component).ok()?;
        Some((0, GlobalIndex::from_u32(place as u32)))
    }

    /// All flags, by component instance.
    pub(super) fn globals(&self) -> HashMap<u32, (usize, GlobalIndex)> {
        self.0.iter().filter_map(|&component| Some((component, self.global(component)?))).collect()
    }

    /// The module that has the flags as globals, all of them set; `None` where there are none.
    pub(super) fn module(&self) -> Option<Vec<u8>> {
        const GLOBAL_SECTION: u8 = 6;
        /// A mutable `i32`, `i32.const 1`, `end`.
        const FLAG: [u8; 5] = [0x7f, 1, 0x41, 1, 0x0b];
        if self.0.is_empty() {
            return None;
        }
        let mut globals = leb128(self.0.len());
        globals.extend(self.0.iter().flat_map(|_| FLAG));
        let section = [&[GLOBAL_SECTION][..], &leb128(globals.len()), &globals].concat();
        Some([b"\0asm\x01\0\0\0", &section[..]].concat())
    }
}

/// A number as the binary format writes it.
fn leb128(value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    wasmelt_abi::leb128::write(value as u64, |byte| bytes.push(byte));
    bytes
}
