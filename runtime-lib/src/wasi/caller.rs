//! Who calls a function of preview 1: the guest's memory, the state that its calls work on, and what it was started with.

use wasmelt_abi::descriptor::Policy;

use crate::host::descriptor::Descriptor;
use crate::host::guest_memory::GuestMemory;
use crate::host::policy;
use crate::host::state::{Process, State};
use crate::host::tree;
use crate::rel::slice;
use crate::sys::errno::Result;

/// A guest that calls, for as long as the call lasts.
pub trait Caller: Copy {
    /// See [`Self::state`].
    type State: State;

    /// What the call works on.
    fn state(self) -> Self::State;

    /// The memory that the guest's addresses lie in.
    fn memory(self) -> GuestMemory;

    /// Calls `f` with each argument, in parts, the guest's own name first.
    fn for_each_argument(self, f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()>;

    /// Calls `f` with each environment variable that the guest may see, in parts that make up `NAME=value`.
    fn for_each_variable(self, f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()>;

    /// Calls `f` with the guest's name of the granted directory that a descriptor is; `None` where it is something else.
    fn with_guest_name<T>(self, descriptor: &Descriptor, f: impl FnOnce(&[u8]) -> T) -> Option<T>;
}

/// The guest of an executable, by the context of the calling instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Executable(*mut u8);

impl Executable {
    /// The guest with this context.
    ///
    /// # Safety
    /// `vmctx` is a live context as long as the value is used.
    #[inline]
    pub(super) unsafe fn new(vmctx: *mut u8) -> Self {
        Self(vmctx)
    }

    #[inline]
    fn policy(self) -> &'static Policy {
        // SAFETY: whoever made the value has promised it.
        unsafe { policy::of(self.0) }
    }
}

impl Caller for Executable {
    type State = Process;

    #[inline]
    fn state(self) -> Process {
        Process
    }

    #[inline]
    fn memory(self) -> GuestMemory {
        // SAFETY: whoever made the value has promised it.
        unsafe { GuestMemory::of(self.0) }
    }

    #[inline]
    fn for_each_argument(self, f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
        policy::for_each_argument(self.policy(), f)
    }

    #[inline]
    fn for_each_variable(self, f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
        policy::for_each_variable(self.policy(), f)
    }

    #[inline]
    fn with_guest_name<T>(self, descriptor: &Descriptor, f: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let policy = self.policy();
        if descriptor.is_of_tree() {
            return tree::guest_name(policy, descriptor).map(f);
        }
        let index = (descriptor.grant as usize).checked_sub(1)?;
        policy::directories(policy).get(index).map(|grant| f(slice(&grant.guest)))
    }
}
