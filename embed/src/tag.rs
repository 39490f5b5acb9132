//! Tags, which tell exceptions apart.

use core::ptr::NonNull;

use super::context::{AsContext, AsContextMut};
use super::store::{Handle, Inner};
use super::{Error, FuncType};

/// A tag of a store. Two tags are different even if their types are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub(super) Handle<TagEntity>);

/// A tag that a store owns.
pub(super) struct TagEntity {
    /// Its number: the index among the store's tags.
    pub(super) number: u32,
    pub(super) type_id: u32,
}

impl TagEntity {
    pub(super) fn create(store: &mut Inner, type_id: u32) -> Result<NonNull<Self>, Error> {
        let number = u32::try_from(store.tags.len()).map_err(|_| Error::system("a store has room for 2^32 tags"))?;
        Ok(store.tags.add(Self { number, type_id }))
    }
}

impl Tag {
    /// Makes a tag. `ty` must have no results.
    pub fn new(mut store: impl AsContextMut, ty: FuncType) -> Result<Self, Error> {
        if !ty.results().is_empty() {
            return Err(Error::usage("the type of a tag has no results"));
        }
        let mut store = store.as_context_mut();
        let inner = store.inner_mut();
        let type_id = inner.types.number(&ty)?;
        let tag = TagEntity::create(inner, type_id)?;
        Ok(Self(inner.handle(tag)))
    }

    /// Returns the type of the tag. The parameters are the types of an exception's values.
    pub fn ty(&self, store: impl AsContext) -> Result<FuncType, Error> {
        store.as_context().inner().tag_type(*self)
    }
}

impl Inner {
    pub(super) fn tag_type(&self, tag: Tag) -> Result<FuncType, Error> {
        // SAFETY: the store owns the tag.
        let tag = unsafe { self.follow(tag.0)?.as_ref() };
        Ok(self.types.entry(tag.type_id).public.clone())
    }
}
