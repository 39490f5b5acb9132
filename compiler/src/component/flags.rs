//! Flags of component instances: whether one may call other components and the host at this moment. Adapters read and
//! write them as globals, so a module that has nothing but these globals is the first instance of such a program.

use std::collections::{BTreeSet, HashMap};

use wasm_encoder::{ConstExpr, ExportKind, ExportSection, GlobalSection, GlobalType, Module, ValType};
use wasmtime_environ::PrimaryMap;
use wasmtime_environ::component::{
    CoreDef, GlobalInitializer, InstantiateModule, Trampoline as Upstream, TrampolineIndex,
};

use super::World;
use crate::module::GlobalIndex;

/// Component instances that have a flag, in order.
#[derive(Default)]
pub(super) struct Flags(Vec<u32>);

impl Flags {
    /// The instances whose flags something reads: adapters, and what makes and drops resources that components define. In a
    /// library without adapters, the host needs none: it knows whom it has called.
    pub(super) fn find(
        world: World,
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
        let is_composed =
            initializers.iter().any(|initializer| matches!(initializer, GlobalInitializer::InstantiateModule(_, None)));
        match world {
            World::Library if !is_composed => Self::default(),
            _ => Self(of_adapters.chain(of_resources).collect::<BTreeSet<_>>().into_iter().collect()),
        }
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

    /// The module that has the flags as globals, all of them set, and exports each under its number; `None` where there are none.
    pub(super) fn module(&self) -> Option<Vec<u8>> {
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        let (mut globals, mut exports) = (GlobalSection::new(), ExportSection::new());
        for number in 0..self.0.len() as u32 {
            globals.global(ty, &ConstExpr::i32_const(1));
            exports.export(&number.to_string(), ExportKind::Global, number);
        }
        let mut module = Module::new();
        module.section(&globals).section(&exports);
        (!self.0.is_empty()).then(|| module.finish())
    }
}
