//! Plugins: loaded modules, and instances of them that work.

use std::path::Path;
use std::time::Duration;

use wasmelt_embed::wasi::WasiCtxBuilder;
use wasmelt_embed::{
    Deadlines, Error, Instance, InstancePre, Module, Result, Store, StoreConfig, StoreLimitsBuilder, WasmParams,
    WasmResults,
};

use crate::abi::{self, ROOT};
use crate::host;
use crate::state::{Exchange, Settings, State, Way};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(1);

/// Exchanges that have ended, and that an instance still works on.
const MAX_ENDING: usize = 64;

/// What an instance of a plugin may take.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Limits {
    /// Milliseconds after which a callback of a filter is stopped
    #[arg(long = "deadline-ms", default_value = "50")]
    deadline_ms: u64,
    /// Bytes of a filter's memory
    #[arg(long = "max-memory", default_value = "67108864")]
    max_memory_bytes: usize,
}

/// A module that is loaded.
pub(crate) struct Plugin {
    ready: InstancePre<State>,
    settings: Settings,
    limits: Limits,
    deadlines: Deadlines,
}

impl Plugin {
    /// Loads a library that wasmelt made of a plugin.
    pub(crate) fn load(file: &Path, settings: Settings, limits: Limits) -> Result<Self> {
        let bytes = std::fs::read(file)?;
        // SAFETY: the operator says that wasmelt made the file.
        let module = unsafe { Module::from_bytes(&bytes, "filter") }?;
        if !module.exports().any(|export| export.name == "proxy_abi_version_0_2_1") {
            return Err(Error::msg("the module is not a plugin of the Proxy-Wasm ABI 0.2.1"));
        }
        let mut linker = host::linker()?;
        // Queues, metrics and gRPC: a plugin that uses them is told so by name.
        linker.define_unknown_imports_as_traps(&module)?;
        let deadlines = Deadlines::new();
        deadlines.tick_every(TICK)?;
        Ok(Self { ready: linker.instantiate_pre(&module)?, settings, limits, deadlines })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes an instance that is configured.
    pub(crate) fn start(&self) -> Result<Vm> {
        let limits = StoreLimitsBuilder::new().memory_size(self.limits.max_memory_bytes).instances(1).build();
        let wasi = WasiCtxBuilder::new().inherit_stderr().build();
        let state = State::new(wasi, limits, self.settings.clone());
        let mut store = Store::with_config(state, StoreConfig::default());
        store.limiter(|state| &mut state.limits);
        let deadline = Duration::from_millis(self.limits.deadline_ms);
        store.set_deadline(&self.deadlines, deadline)?;
        let instance = self.ready.instantiate(&mut store)?;
        let mut vm = Vm { store, instance, deadlines: self.deadlines.clone(), deadline, last_context: ROOT };
        // The module is a reactor or, by older conventions, a command.
        if vm.call::<(), ()>(ROOT, "_initialize", ())?.is_none() {
            vm.call::<(), ()>(ROOT, "_start", ())?;
        }
        vm.call::<(u32, u32), ()>(ROOT, "proxy_on_context_create", (ROOT, 0))?;
        let len = u32::try_from(self.settings.configuration.len()).map_err(Error::host)?;
        for (name, len) in [("proxy_on_vm_start", 0), ("proxy_on_configure", len)] {
            if vm.call::<(u32, u32), u32>(ROOT, name, (ROOT, len))? == Some(0) {
                return Err(Error::msg(format!("the plugin refuses: {name} returned false")));
            }
        }
        Ok(vm)
    }
}

/// An instance of a plugin, in which many exchanges are under way.
pub(crate) struct Vm {
    store: Store<State>,
    instance: Instance,
    deadlines: Deadlines,
    deadline: Duration,
    last_context: u32,
}

impl Vm {
    pub(crate) fn state(&mut self) -> &mut State {
        self.store.data_mut()
    }

    /// Calls an export about a context; `None` where the plugin has no such export.
    pub(crate) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        name: &str,
        params: P,
    ) -> Result<Option<R>> {
        let Some(function) = self.instance.get_func(&self.store, name) else { return Ok(None) };
        self.store.data_mut().effective = context;
        self.store.set_deadline(&self.deadlines, self.deadline)?;
        let function = function.typed::<P, R>(&self.store)?;
        function.call(&mut self.store, params).map(Some)
    }

    /// Begins an exchange; its context.
    pub(crate) fn begin(&mut self) -> Result<u32> {
        self.last_context = self.last_context.wrapping_add(1).max(ROOT + 1);
        let context = self.last_context;
        self.state().exchanges.insert(context, Exchange::default());
        self.call::<(u32, u32), ()>(context, "proxy_on_context_create", (context, ROOT))?;
        Ok(context)
    }

    /// Tells the filter of header fields or of a part of a body; whether the message goes on.
    pub(crate) fn show(&mut self, context: u32, way: Way, callback: usize, len: usize, is_end: bool) -> Result<bool> {
        let params = (context, u32::try_from(len).map_err(Error::host)?, u32::from(is_end));
        let action = self.call::<(u32, u32, u32), u32>(context, way.callbacks()[callback], params)?;
        let goes_on = action.is_none_or(|action| action == abi::CONTINUE);
        if let Some(exchange) = self.state().exchanges.get_mut(&context) {
            exchange.is_paused[way as usize] = !goes_on;
        }
        Ok(goes_on)
    }

    /// The proxy is done with an exchange; the filter may not be yet.
    pub(crate) fn end(&mut self, context: u32) -> Result<()> {
        if let Some(exchange) = self.state().exchanges.get_mut(&context) {
            exchange.end();
        }
        if self.call::<u32, u32>(context, "proxy_on_done", context)? != Some(0)
            && let Some(exchange) = self.state().exchanges.get_mut(&context)
        {
            exchange.is_done = true;
        }
        self.forget_done()?;
        if self.state().exchanges.values().filter(|exchange| exchange.is_ending).count() > MAX_ENDING {
            return Err(Error::msg("the filter is not done with too many exchanges that have ended"));
        }
        Ok(())
    }

    /// Ends what plugin and proxy are done with.
    pub(crate) fn forget_done(&mut self) -> Result<()> {
        let exchanges = self.state().exchanges.iter();
        let done: Vec<u32> = exchanges.filter(|(_, exchange)| exchange.is_done).map(|(&context, _)| context).collect();
        for context in done {
            self.call::<u32, ()>(context, "proxy_on_log", context)?;
            self.call::<u32, ()>(context, "proxy_on_delete", context)?;
            self.state().exchanges.remove(&context);
        }
        Ok(())
    }
}
