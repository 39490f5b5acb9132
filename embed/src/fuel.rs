//! Fuel: how much the guests of a store may execute.

// ---------------------------------------------------------------------------------------------------------------
// Security: once a budget was set, no code that does not count gets into the store. The counter belongs to the store, so
// guests that call each other have one budget, and code keeps it in a register between calls alone.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::interface::Interface;

use super::context::Caller;
use super::module::Module;
use super::store::{Inner, Store};
use super::{AsContext as _, AsContextMut as _, Error};

impl<T> Store<T> {
    /// Sets how much guests may execute from now on, all of them together: an operator costs 1, structure and `drop`
    /// nothing, an entry into a function 1, a bulk operation 1 for each byte or element. What runs out is
    /// [`Trap::OutOfFuel`](crate::Trap::OutOfFuel). A store starts with none; more than `i64::MAX` is as much as that.
    ///
    /// What a guest has executed since its last call when it traps is not counted, unless it runs out of fuel or executes
    /// `unreachable`. The same guest with the same fuel always does the same.
    ///
    /// ```no_run
    /// # fn main() -> wasmelt_embed::Result<()> {
    /// # use wasmelt_embed::{Linker, Module, Store, Trap};
    /// // SAFETY: `wasmelt compile plugin.wasm --emit cdylib --fuel -o plugin.so` made the file.
    /// let module = unsafe { Module::load("./plugin.so".as_ref(), "plugin") }?;
    /// let mut store = Store::new(());
    /// store.set_fuel(1_000_000)?;
    /// let instance = Linker::new().instantiate(&mut store, &module)?;
    /// let run = instance.get_typed_func::<(), ()>(&store, "run")?;
    /// match run.call(&mut store, ()) {
    ///     Err(error) if error.downcast_ref() == Some(&Trap::OutOfFuel) => println!("it takes too long"),
    ///     result => println!("{} were left", store.get_fuel()?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Usage`] when a module of the store was compiled without `--fuel`. From now on such a module is an error of
    /// instantiation.
    pub fn set_fuel(&mut self, fuel: u64) -> Result<(), Error> {
        self.as_context_mut().inner_mut().set_fuel(fuel)
    }

    /// Returns how much is left of what [`Self::set_fuel`] has set.
    ///
    /// # Errors
    /// [`Error::Usage`] when nothing was set.
    pub fn get_fuel(&self) -> Result<u64, Error> {
        self.as_context().inner().fuel()
    }

    /// Sets how much guests may execute before they give the executor its thread back: the future of a call that can wait
    /// (`call_async`) is pending then, wakes itself at once, and goes on with the next interval when it is polled again. The
    /// guest traps when all the fuel that [`Self::set_fuel`] has set is used up; where it is used up makes no difference.
    /// Without an interval, which is how a store starts, guests keep their thread.
    ///
    /// What cannot wait does not give the executor back: a guest that `call` calls, by the host or in a function of the host
    /// that is not asynchronous, goes on with the next interval at once.
    ///
    /// # Errors
    /// As for [`Self::set_fuel`], and [`Error::Usage`] for an interval of 0.
    pub fn fuel_async_yield_interval(&mut self, interval: Option<u64>) -> Result<(), Error> {
        self.as_context_mut().inner_mut().fuel_async_yield_interval(interval)
    }
}

impl<T> Caller<'_, T> {
    /// Sets how much guests may execute from now on, see [`Store::set_fuel`].
    ///
    /// # Errors
    /// As for [`Store::set_fuel`].
    pub fn set_fuel(&mut self, fuel: u64) -> Result<(), Error> {
        self.as_context_mut().inner_mut().set_fuel(fuel)
    }

    /// Returns how much is left, see [`Store::get_fuel`].
    ///
    /// # Errors
    /// As for [`Store::get_fuel`].
    pub fn get_fuel(&self) -> Result<u64, Error> {
        self.as_context().inner().fuel()
    }

    /// Sets how much guests may execute before they give the executor back, see [`Store::fuel_async_yield_interval`].
    ///
    /// # Errors
    /// As for [`Store::fuel_async_yield_interval`].
    pub fn fuel_async_yield_interval(&mut self, interval: Option<u64>) -> Result<(), Error> {
        self.as_context_mut().inner_mut().fuel_async_yield_interval(interval)
    }
}

impl Inner {
    fn set_fuel(&mut self, fuel: u64) -> Result<(), Error> {
        self.want(Interface::COUNTS_FUEL)?;
        self.stop.set_fuel(fuel);
        Ok(())
    }

    fn fuel_async_yield_interval(&mut self, interval: Option<u64>) -> Result<(), Error> {
        if interval == Some(0) {
            return Err(Error::usage("a guest cannot give the executor back after no fuel: the interval is 0"));
        }
        self.want(Interface::COUNTS_FUEL)?;
        self.stop.set_fuel_interval(interval);
        Ok(())
    }

    fn fuel(&self) -> Result<u64, Error> {
        if self.wanted & Interface::COUNTS_FUEL == 0 {
            return Err(Error::usage("no fuel was set: see `Store::set_fuel`"));
        }
        Ok(self.stop.fuel())
    }

    /// From now on, all code of the store must have been compiled so that the host can stop it in this way.
    pub(super) fn want(&mut self, flag: u32) -> Result<(), Error> {
        for module in self.modules() {
            check_module(module, flag)?;
        }
        self.wanted |= flag;
        Ok(())
    }

    /// Refuses a module that cannot be stopped in a way that the host wants.
    pub(super) fn check_stops(&self, module: &Module) -> Result<(), Error> {
        check_module(module, self.wanted)
    }
}

/// Refuses a module without all of these flags.
fn check_module(module: &Module, wanted: u32) -> Result<(), Error> {
    let ways = [
        (Interface::COUNTS_FUEL, "does not count fuel", "--fuel"),
        (Interface::INTERRUPTIBLE, "cannot be interrupted", "--interruptible"),
    ];
    let missing = wanted & !module.interface().flags;
    if let Some((_, lack, option)) = ways.into_iter().find(|(flag, ..)| missing & flag != 0) {
        let name = module.name();
        return Err(Error::usage(format!("module {name:?} {lack}: compile it with `--emit cdylib {option}`")));
    }
    Ok(())
}
