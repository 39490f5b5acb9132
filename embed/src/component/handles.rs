//! Handles on their way between the host and a component: owned ones change tables, borrowed ones are lent until the call
//! ends.
//!
//! In come unchecked handles of a guest, and handles of the host that may be of another store or given away already. A guest's
//! are a [`ComponentTrap`](super::ComponentTrap) where they are wrong, the host's an [`Error::Usage`].
//! Source: component model, "Canonical ABI" (`lift_own`, `lower_own`, `lift_borrow`, `lower_borrow`).
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: a guest reaches a resource of the host by an entry in its own table alone, of the type that the      ║
//! ║ function asks for. What is lent stays with its owner: neither side drops or gives away meanwhile.              ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::any::TypeId;
use core::cell::RefCell;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::{HashMap, HashSet};

use wasmelt_abi::canonical::{FIRST_OWN_RESOURCE, NO_RESOURCE, host_resource};
use wasmelt_plan::{Plan, ResourceType};
use wasmelt_runtime::component::handles::{Removed, Resource, Tables};

use super::ResourceAny;
use super::context::State;
use super::guest::trap;
use super::resources::Handle;
use crate::{Error, Result};

/// The most handles of guests' resources that the host has in a store.
const MAX_HELD: usize = 1 << 20;

/// The types of resources of a component, and what they are in the host.
pub(super) struct ResourceTypes {
    /// Of those that the component has defined, by number: the component instance that has.
    definers: Vec<u32>,
    imported: Vec<Imported>,
}

/// A type of resources that a component imports.
struct Imported {
    interface: String,
    name: String,
    /// The host's type; `None` where the host does not define one.
    host: Option<TypeId>,
    /// The number that entries have which functions over flattened values make.
    raw: u32,
}

/// A type of resources, as it was found.
#[derive(Clone, Copy)]
enum Found {
    /// One that the component has defined: its number, and the component instance.
    Guest { number: u32, definer: u32 },
    /// One of the host, with its number among all types of the component.
    Host { number: u32, ty: TypeId },
}

impl ResourceTypes {
    /// The types of a component; `host` finds those that the host defines, by interface and name, and `raw` the numbers of others.
    pub(super) fn new(
        plan: &Plan,
        raw: impl Fn(&str, &str) -> Option<u32>,
        host: impl Fn(&str, &str) -> Option<TypeId>,
    ) -> Self {
        let imported = plan.imported_resources.iter().map(|(interface, name)| Imported {
            interface: interface.clone(),
            name: name.clone(),
            host: host(interface, name),
            raw: raw(interface, name).or_else(|| host_resource(interface, name)).unwrap_or(NO_RESOURCE),
        });
        Self {
            definers: plan.resources.iter().map(|resource| resource.component).collect(),
            imported: imported.collect(),
        }
    }

    fn find(&self, ty: &ResourceType) -> Result<Found> {
        match ty {
            &ResourceType::Own(number) => match self.definers.get(number as usize) {
                Some(&definer) => Ok(Found::Guest { number, definer }),
                None => Err(Error::system("a component has no resource of this number")),
            },
            ResourceType::Imported(interface, name) => {
                let mut imported = self.imported.iter();
                let place = imported.position(|imported| imported.interface == *interface && imported.name == *name);
                let host = place.and_then(|place| Some((place, self.imported[place].host?)));
                let (place, ty) = host.ok_or_else(|| undefined(interface, name))?;
                Ok(Found::Host { number: (self.definers.len() + place) as u32, ty })
            }
        }
    }

    /// The number that entries of tables have for their type.
    pub(super) fn entry_type(&self, ty: &ResourceType) -> u32 {
        match (self.find(ty), ty) {
            (Ok(Found::Guest { number, .. } | Found::Host { number, .. }), _) => FIRST_OWN_RESOURCE + number,
            (Err(_), ResourceType::Imported(interface, name)) => {
                let mut imported = self.imported.iter();
                let found = imported.find(|imported| imported.interface == *interface && imported.name == *name);
                found.map_or(NO_RESOURCE, |imported| imported.raw)
            }
            (Err(_), ResourceType::Own(_)) => NO_RESOURCE,
        }
    }

    /// The number of a type that the component imports.
    pub(super) fn number_of(&self, interface: &str, name: &str) -> Result<u32> {
        match self.find(&ResourceType::Imported(interface.to_owned(), name.to_owned()))? {
            Found::Host { number, .. } | Found::Guest { number, .. } => Ok(number),
        }
    }

    /// Refuses a type that the host does not define.
    pub(super) fn check(&self, ty: &ResourceType) -> Result<()> {
        self.find(ty).map(|_| ())
    }
}

fn undefined(interface: &str, name: &str) -> Error {
    Error::usage(match interface.starts_with("wasi:") {
        true => format!(
            "a function has the resource `{name}` of `{interface}` among its values, which is WASI's: call the function with \
             `call_flat`, or define it with `func_flat`"
        ),
        false => format!("`Linker::resource` has not defined the resource `{name}` of `{interface}`"),
    })
}

/// What a component's table has for a resource of the type with this number.
pub(super) fn entry(number: u32, representation: u32) -> Resource {
    Resource::Own { ty: FIRST_OWN_RESOURCE + number, representation }
}

/// The representation of the resource of the type with this number that a handle of a component instance stands for.
fn look_up(tables: &mut Tables, component: u32, number: u32, handle: u32) -> Result<u32> {
    match tables.get(component, handle) {
        Some(Resource::Own { ty, representation }) if ty == FIRST_OWN_RESOURCE + number => Ok(representation),
        Some(_) => Err(trap(format!("handle index {handle} used with the wrong type"))),
        None => Err(trap(format!("unknown handle index {handle}"))),
    }
}

/// Drops a handle of a component instance; the representation of what it owned.
pub(super) fn drop_handle(state: &State, component: u32, number: u32, handle: u32) -> Result<Option<u32>> {
    let mut tables = state.handles.borrow_mut();
    let representation = look_up(&mut tables, component, number, handle)?;
    match tables.take(component, handle) {
        Ok(Removed::Owned(_)) => Ok(Some(representation)),
        Ok(Removed::Lent(call)) => {
            state.calls.borrow_mut().give_back(call);
            Ok(None)
        }
        Err(_) => Err(trap("cannot remove owned resource while borrowed")),
    }
}

/// The handles that the host has of guests' resources.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<u64, HeldResource>);

/// A resource that the host has.
#[derive(Debug)]
struct HeldResource {
    /// The number of its type.
    number: u32,
    representation: u32,
    /// How often it is lent at this moment.
    loans: u32,
}

impl Held {
    fn insert(&mut self, number: u32, representation: u32) -> Result<ResourceAny> {
        /// Handles of all stores differ, so that none is good in another store.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if self.0.len() >= MAX_HELD {
            return Err(trap("cannot allocate another handle: too many handles"));
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        self.0.insert(id, HeldResource { number, representation, loans: 0 });
        Ok(ResourceAny(Handle::Guest(id)))
    }

    fn get(&mut self, id: u64) -> Result<&mut HeldResource> {
        self.0
            .get_mut(&id)
            .ok_or_else(|| Error::usage("a resource was dropped or given away already, or belongs to another store"))
    }

    /// The resource of a handle, of the type with this number.
    fn get_typed(&mut self, id: u64, number: u32) -> Result<&mut HeldResource> {
        let held = self.get(id)?;
        if held.number == number { Ok(held) } else { Err(other_type()) }
    }

    /// Takes a resource away from the host: the number of its type, and the representation.
    pub(super) fn take(&mut self, resource: ResourceAny) -> Result<(u32, u32)> {
        let Handle::Guest(id) = resource.0 else {
            return Err(Error::usage("a resource of the host's own is not dropped by an instance"));
        };
        let held = self.get(id)?;
        if held.loans > 0 {
            return Err(Error::usage("a resource cannot be given away or dropped while it is lent"));
        }
        let taken = (held.number, held.representation);
        self.0.remove(&id);
        Ok(taken)
    }
}

fn other_type() -> Error {
    Error::usage("a resource has another type than the function's")
}

/// What is lent for a call, and goes back when the call has ended.
#[derive(Debug, Default)]
pub(super) struct Loans {
    /// Handles of the host.
    held: Vec<u64>,
    /// Handles of component instances.
    handles: Vec<(u32, u32)>,
}

impl Loans {
    /// Ends all of them.
    pub(super) fn end(&mut self, state: &State) {
        let (mut held, mut tables) = (state.held.borrow_mut(), state.handles.borrow_mut());
        for id in self.held.drain(..) {
            if let Ok(resource) = held.get(id) {
                resource.loans = resource.loans.saturating_sub(1);
            }
        }
        self.handles.drain(..).for_each(|(component, handle)| tables.end_loan(component, handle));
    }
}

/// Which handles of the host the arguments of a call have.
#[derive(Default)]
pub(super) struct Uses {
    given: HashSet<u64>,
    lent: HashSet<u64>,
}

/// What passes between the host and a component instance, for the time of one call.
#[derive(Clone, Copy)]
pub(super) struct Passage<'a> {
    state: &'a State,
    types: &'a ResourceTypes,
    component: u32,
    loans: &'a RefCell<Loans>,
}

impl<'a> Passage<'a> {
    pub(super) fn new(state: &'a State, types: &'a ResourceTypes, component: u32, loans: &'a RefCell<Loans>) -> Self {
        Self { state, types, component, loans }
    }

    /// Checks that the host can give a resource to the component.
    pub(super) fn check_own(&self, ty: &ResourceType, resource: ResourceAny, uses: &mut Uses) -> Result<()> {
        match (self.types.find(ty)?, resource.0) {
            (Found::Guest { number, .. }, Handle::Guest(id)) => {
                let is_lent = self.state.held.borrow_mut().get_typed(id, number)?.loans > 0;
                if is_lent || uses.lent.contains(&id) || !uses.given.insert(id) {
                    return Err(Error::usage("a resource is given away while it is lent, or twice"));
                }
                Ok(())
            }
            (Found::Host { ty, .. }, Handle::Host { ty: given, is_owned, .. }) if ty == given => match is_owned {
                true => Ok(()),
                false => Err(Error::usage("a borrowed resource cannot be given away")),
            },
            _ => Err(other_type()),
        }
    }

    /// Checks that the host can lend a resource to the component.
    pub(super) fn check_borrow(&self, ty: &ResourceType, resource: ResourceAny, uses: &mut Uses) -> Result<()> {
        match (self.types.find(ty)?, resource.0) {
            (Found::Guest { number, .. }, Handle::Guest(id)) => {
                self.state.held.borrow_mut().get_typed(id, number)?;
                uses.lent.insert(id);
                match uses.given.contains(&id) {
                    true => Err(Error::usage("a resource is lent after it was given away")),
                    false => Ok(()),
                }
            }
            (Found::Host { ty, .. }, Handle::Host { ty: given, .. }) if ty == given => Ok(()),
            _ => Err(other_type()),
        }
    }

    /// Gives a resource to the component: its handle.
    pub(super) fn lower_own(&self, ty: &ResourceType, resource: ResourceAny) -> Result<u32> {
        self.check_own(ty, resource, &mut Uses::default())?;
        let given = match (self.types.find(ty)?, resource.0) {
            (Found::Host { number, .. }, Handle::Host { rep, .. }) => entry(number, rep),
            _ => {
                let (number, representation) = self.state.held.borrow_mut().take(resource)?;
                entry(number, representation)
            }
        };
        let handle = self.state.handles.borrow_mut().insert(self.component, given);
        handle.map_err(|_| trap("cannot allocate another handle: too many handles"))
    }

    /// Lends a resource to the component for the time of the call: its handle, or the representation for the instance that
    /// has defined the type.
    pub(super) fn lower_borrow(&self, ty: &ResourceType, resource: ResourceAny) -> Result<u32> {
        self.check_borrow(ty, resource, &mut Uses::default())?;
        let lent = match (self.types.find(ty)?, resource.0) {
            (Found::Guest { number, definer }, Handle::Guest(id)) => {
                let mut held = self.state.held.borrow_mut();
                let resource = held.get(id)?;
                resource.loans += 1;
                self.loans.borrow_mut().held.push(id);
                if definer == self.component {
                    return Ok(resource.representation);
                }
                entry(number, resource.representation)
            }
            (Found::Host { number, .. }, Handle::Host { rep, .. }) => entry(number, rep),
            _ => return Err(other_type()),
        };
        let call = self.state.calls.borrow_mut().lend();
        let handle = self.state.handles.borrow_mut().insert_lent(self.component, lent, call);
        handle.map_err(|_| trap("cannot allocate another handle: too many handles"))
    }

    /// Takes a resource that the component gives to the host.
    pub(super) fn lift_own(&self, ty: &ResourceType, handle: u32) -> Result<ResourceAny> {
        let found = self.types.find(ty)?;
        let (Found::Guest { number, .. } | Found::Host { number, .. }) = found;
        let mut tables = self.state.handles.borrow_mut();
        let representation = look_up(&mut tables, self.component, number, handle)?;
        match tables.take(self.component, handle) {
            Ok(Removed::Owned(_)) => {}
            Ok(Removed::Lent(_)) => return Err(trap("cannot lift own resource from a borrow")),
            Err(_) => return Err(trap("cannot remove owned resource while borrowed")),
        }
        match found {
            Found::Guest { number, .. } => self.state.held.borrow_mut().insert(number, representation),
            Found::Host { ty, .. } => Ok(ResourceAny(Handle::Host { rep: representation, is_owned: true, ty })),
        }
    }

    /// A resource of the host that the component lends for the time of the call.
    pub(super) fn lift_borrow(&self, ty: &ResourceType, handle: u32) -> Result<ResourceAny> {
        let Found::Host { number, ty } = self.types.find(ty)? else {
            return Err(Error::system("a component imports a function that borrows a resource of the component's own"));
        };
        let mut tables = self.state.handles.borrow_mut();
        let rep = look_up(&mut tables, self.component, number, handle)?;
        if tables.begin_loan(self.component, handle) {
            self.loans.borrow_mut().handles.push((self.component, handle));
        }
        Ok(ResourceAny(Handle::Host { rep, is_owned: false, ty }))
    }
}
