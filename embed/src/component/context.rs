//! What an instance of a component has in its store: handles, and the context of WASI.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: the state is in one place at a time. A function of the host takes it out of the store and puts it    ║
//! ║ back when it is done, so a guest that is called in between (its `realloc`) finds none and cannot call another. ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::any::Any;
use core::cell::{OnceCell, RefCell, UnsafeCell};
use core::fmt;
use std::collections::HashMap;

use wasmelt_runtime::component::handles::Tables;
use wasmelt_runtime::wasi::p2::transfer::BUFFER_BYTES;

use super::RawResource;
use super::calls::Calls;
use super::guest::trap;
use super::handles::Held;
use crate::wasi::WasiCtx;
use crate::{AsContextMut, Error, Global, Memory, Result, TypedFunc};

/// What allocates in the memory of a component instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Realloc {
    /// Old address, old length, alignment, new length; the new address.
    pub(super) func: TypedFunc<(i32, i32, i32, i32), i32>,
    /// The flag of the component instance, see [`State::may_leave`].
    pub(super) may_leave: Option<Global>,
}

/// All that an instance of a component has besides its code and memory. A store has one, in the data of the host.
#[derive(Default)]
pub struct ComponentCtx {
    /// `None` while a function of the host runs.
    pub(super) state: Option<Box<State>>,
}

pub(super) struct State {
    pub(super) wasi: WasiCtx,
    pub(super) handles: RefCell<Tables>,
    /// What the host has of the component's resources.
    pub(super) held: RefCell<Held>,
    /// The calls that are under way, and what they have lent.
    pub(super) calls: RefCell<Calls>,
    /// Flags of component instances: 0 while the instance may call nobody outside. Those that are not here always may, but for
    /// what [`ComponentCtx::state`] says.
    pub(super) may_leave: HashMap<u32, Global>,
    /// By number of the type of resources that the component has defined; `None` until the instance with the function is there.
    pub(super) destructors: Vec<Option<TypedFunc<i32, ()>>>,
    /// Data of who implements interfaces.
    pub(super) data: RefCell<Option<Box<dyn Any + Send>>>,
    buffer: OnceCell<Box<UnsafeCell<[u8; BUFFER_BYTES]>>>,
    /// Memory and `realloc` of each function that core modules import.
    pub(super) canon: Vec<Canon>,
    pub(super) life: Life,
}

/// What functions of the host work on, for one import.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Canon {
    pub(super) memory: Option<Memory>,
    pub(super) realloc: Option<Realloc>,
    /// Of functions that copy strings: the memory that is written to, where `memory` is the one that is read.
    pub(super) to: Option<Memory>,
}

/// Whether the instance may be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Nobody has made the instance.
    Empty,
    /// It may.
    Ready,
    /// A call has begun, and has not returned.
    Entered,
}

impl ComponentCtx {
    /// Makes the context of an instance that finds this when it calls WASI.
    pub fn new(wasi: WasiCtx) -> Self {
        Self {
            state: Some(Box::new(State {
                wasi,
                handles: RefCell::new(Tables::new()),
                held: RefCell::default(),
                calls: RefCell::default(),
                may_leave: HashMap::new(),
                destructors: Vec::new(),
                data: RefCell::new(None),
                buffer: OnceCell::new(),
                canon: Vec::new(),
                life: Life::Empty,
            })),
        }
    }

    /// Gives functions of the host data of this type, which they find by [`Guest::data`](super::Guest::data).
    #[must_use]
    pub fn with_data(self, data: impl Any + Send) -> Self {
        if let Some(state) = &self.state {
            *state.data.borrow_mut() = Some(Box::new(data));
        }
        self
    }

    /// Makes a handle of the component instance with this number, to call it with.
    ///
    /// # Errors
    /// [`Error::Usage`] while a function of the host runs, and [`Error::System`] when there are too many handles.
    pub fn insert(&mut self, component: u32, resource: RawResource) -> Result<u32> {
        let state = self.state.as_mut().ok_or_else(|| Error::usage("a function of the host has the context"))?;
        let inserted = state.handles.get_mut().insert(component, resource);
        inserted.map_err(|_| Error::system("a component has too many handles"))
    }

    /// Begins a request, for an instance that answers one after the other: it may wait so long, and what it has sent counts
    /// from here. The monotonic clock of the context must be the system's.
    pub fn begin_request(&mut self, time: core::time::Duration) {
        if let Some(state) = &mut self.state {
            state.wasi.limit_waiting(time);
            state.wasi.sent.get_mut().clear();
        }
    }

    /// Returns the data that was given; `None` while a function of the host runs, and where it is not of this type.
    pub fn data_mut<D: Any>(&mut self) -> Option<&mut D> {
        self.state.as_mut()?.data.get_mut().as_mut()?.downcast_mut()
    }

    /// Takes the data that was given.
    pub fn take_data<D: Any>(&mut self) -> Option<D> {
        let data = self.state.as_mut()?.data.get_mut().take()?;
        data.downcast().ok().map(|data| *data)
    }
}

impl State {
    /// Where bytes lie between the system and the guest.
    pub(super) fn buffer(&self) -> *mut [u8; BUFFER_BYTES] {
        self.buffer.get_or_init(|| Box::new(UnsafeCell::new([0; BUFFER_BYTES]))).get()
    }
}

/// Runs code of the host on the state, which guests that are called meanwhile do not find; a trap with these words where nobody
/// may have it.
pub(super) fn with_state<S: AsContextMut, R>(
    store: &mut S,
    context: fn(&mut S::Data) -> &mut ComponentCtx,
    words: &str,
    f: impl FnOnce(&mut S, &State) -> Result<R>,
) -> Result<R> {
    let state = context(store.as_context_mut().data_mut()).state.take().ok_or_else(|| trap(words))?;
    let result = f(store, &state);
    context(store.as_context_mut().data_mut()).state = Some(state);
    result
}

/// Runs code of a component instance that may call nobody outside, as its flag says meanwhile.
pub(super) fn without_leaving<S: AsContextMut, R>(
    store: &mut S,
    may_leave: Option<Global>,
    f: impl FnOnce(&mut S) -> Result<R>,
) -> Result<R> {
    let Some(flag) = may_leave else { return f(store) };
    flag.set(store.as_context_mut(), crate::Val::I32(0))?;
    let result = f(store)?;
    // Whoever is called may be left: the host calls no other.
    flag.set(store.as_context_mut(), crate::Val::I32(1))?;
    Ok(result)
}

impl Drop for State {
    fn drop(&mut self) {
        // The context of WASI closes what descriptors stand for.
        self.handles.get_mut().clear();
    }
}

impl fmt::Debug for ComponentCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentCtx")
            .field("wasi", &self.state.as_ref().map(|state| &state.wasi))
            .finish_non_exhaustive()
    }
}
