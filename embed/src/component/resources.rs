//! Resources among the values of component functions: those of the host, which the host knows by numbers of its own, and
//! those of components, of which the host has handles.

use core::any::{TypeId, type_name};
use core::fmt;
use core::marker::PhantomData;

use super::{Val, Value};
use crate::{Error, Result};

/// A resource of the host, which components know as one of the type that [`Linker::resource`](super::Linker::resource) has
/// defined with `R`. `R` tells resources apart and needs no values: what is behind the number `rep` is the host's to know, in a
/// [`ResourceTable`](super::ResourceTable) for example.
///
/// A resource that is owned was given away by the one who had it, or is given away by the host. A resource that is borrowed
/// is good as long as the call lasts that it was lent for.
pub struct Resource<R> {
    rep: u32,
    is_owned: bool,
    marker: PhantomData<fn() -> R>,
}

impl<R: 'static> Resource<R> {
    /// Makes a resource to give away.
    pub fn new_own(rep: u32) -> Self {
        Self { rep, is_owned: true, marker: PhantomData }
    }

    /// Makes a resource to lend for the time of a call.
    pub fn new_borrow(rep: u32) -> Self {
        Self { rep, is_owned: false, marker: PhantomData }
    }

    /// Returns the number by which the host knows it.
    pub fn rep(&self) -> u32 {
        self.rep
    }

    /// Returns whether it is owned, and not borrowed.
    pub fn owned(&self) -> bool {
        self.is_owned
    }

    /// Returns a resource whose type was not known as one of this type.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is one of another type.
    pub fn try_from_resource_any(resource: ResourceAny) -> Result<Self> {
        match resource.0 {
            Handle::Host { rep, is_owned, ty } if ty == TypeId::of::<R>() => {
                Ok(Self { rep, is_owned, marker: PhantomData })
            }
            _ => Err(Error::usage(format!("the resource is not one of the type {}", type_name::<R>()))),
        }
    }
}

impl<R> Clone for Resource<R> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<R> PartialEq for Resource<R> {
    fn eq(&self, other: &Self) -> bool {
        (self.rep, self.is_owned) == (other.rep, other.is_owned)
    }
}

impl<R> Eq for Resource<R> {}

impl<R> fmt::Debug for Resource<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("rep", &self.rep).field("owned", &self.is_owned).finish()
    }
}

impl<R: 'static> Value for Resource<R> {
    fn into_val(self) -> Val {
        Val::Resource(self.into())
    }

    fn from_val(val: Val) -> Option<Self> {
        let Val::Resource(resource) = val else { return None };
        Self::try_from_resource_any(resource).ok()
    }
}

/// A resource of any type: a handle of what a component has made, or a [`Resource`].
///
/// A component that returns a resource of its own gives it to the host, which has it until it gives it to a component, or drops it
/// by [`Instance::resource_drop`](super::Instance::resource_drop). A copy is the same handle: once it was given away or dropped,
/// all of its copies are refused, and so are handles of other stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceAny(pub(super) Handle);

/// What a resource is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handle {
    /// One that a component has made, by a number that no other handle of the process has.
    Guest(u64),
    /// One of the host.
    Host {
        /// What the host knows it by.
        rep: u32,
        is_owned: bool,
        ty: TypeId,
    },
}

impl ResourceAny {
    /// Returns whether the resource is owned, and not borrowed.
    pub fn owned(&self) -> bool {
        match self.0 {
            Handle::Guest(_) => true,
            Handle::Host { is_owned, .. } => is_owned,
        }
    }
}

impl<R: 'static> From<Resource<R>> for ResourceAny {
    fn from(Resource { rep, is_owned, .. }: Resource<R>) -> Self {
        Self(Handle::Host { rep, is_owned, ty: TypeId::of::<R>() })
    }
}

impl Value for ResourceAny {
    fn into_val(self) -> Val {
        Val::Resource(self)
    }

    fn from_val(val: Val) -> Option<Self> {
        if let Val::Resource(resource) = val { Some(resource) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_one_of_its_type_alone() {
        struct Door;
        struct Window;
        let door = Resource::<Door>::new_own(7);
        assert_eq!(Resource::<Door>::from_val(door.clone().into_val()), Some(door.clone()));
        assert_eq!(Resource::<Window>::from_val(door.clone().into_val()), None);
        assert_eq!(Resource::<Door>::from_val(Val::U32(7)), None);
        let any = ResourceAny::from_val(door.into_val()).unwrap();
        assert!(any.owned() && !ResourceAny::from(Resource::<Door>::new_borrow(7)).owned());
        let error = Resource::<Window>::try_from_resource_any(any).unwrap_err().to_string();
        assert!(error.contains("Window"), "{error}");
    }
}
