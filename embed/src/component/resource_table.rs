//! What a host has behind the numbers of its resources.

use core::any::Any;
use core::fmt;
use std::collections::HashMap;

use super::Resource;

/// The most values, unless the host says otherwise: a guest can make as many handles.
const MAX_LEN: usize = 1 << 20;

/// Values of the host, each behind the number of a [`Resource`]. The number of a value that was deleted comes again after 2³²
/// others, so a resource that is used too late finds nothing.
#[derive(Default)]
pub struct ResourceTable {
    values: HashMap<u32, Box<dyn Any + Send>>,
    next: u32,
    most: Option<usize>,
}

impl ResourceTable {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many values there may be, 1,048,576 unless this is called. Those that are there stay.
    pub fn set_max_capacity(&mut self, most: usize) {
        self.most = Some(most);
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns how many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Inserts a value.
    ///
    /// # Errors
    /// [`ResourceTableError::Full`].
    pub fn push<R: Send + 'static>(&mut self, value: R) -> Result<Resource<R>, ResourceTableError> {
        // Some number is free: there are fewer values than numbers.
        if self.values.len() >= self.most.unwrap_or(MAX_LEN).min(u32::MAX as usize) {
            return Err(ResourceTableError::Full);
        }
        while self.values.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let rep = self.next;
        self.next = rep.wrapping_add(1);
        self.values.insert(rep, Box::new(value));
        Ok(Resource::new_own(rep))
    }

    /// Returns the value of a resource, owned or borrowed.
    ///
    /// # Errors
    /// [`ResourceTableError::NotPresent`], and [`ResourceTableError::WrongType`].
    pub fn get<R: 'static>(&self, resource: &Resource<R>) -> Result<&R, ResourceTableError> {
        let value = self.values.get(&resource.rep()).ok_or(ResourceTableError::NotPresent)?;
        value.downcast_ref().ok_or(ResourceTableError::WrongType)
    }

    /// Returns the value of a resource, to change it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_mut<R: 'static>(&mut self, resource: &Resource<R>) -> Result<&mut R, ResourceTableError> {
        let value = self.values.get_mut(&resource.rep()).ok_or(ResourceTableError::NotPresent)?;
        value.downcast_mut().ok_or(ResourceTableError::WrongType)
    }

    /// Removes the value of a resource, which is owned.
    ///
    /// # Errors
    /// As [`Self::get`]; [`ResourceTableError::Borrowed`] when the resource is borrowed.
    pub fn delete<R: 'static>(&mut self, resource: Resource<R>) -> Result<R, ResourceTableError> {
        self.get(&resource)?;
        if !resource.owned() {
            return Err(ResourceTableError::Borrowed);
        }
        let value = self.values.remove(&resource.rep()).ok_or(ResourceTableError::NotPresent)?;
        value.downcast().map(|value| *value).map_err(|_| ResourceTableError::WrongType)
    }
}

impl fmt::Debug for ResourceTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceTable").field("len", &self.values.len()).finish_non_exhaustive()
    }
}

/// Why a [`ResourceTable`] refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceTableError {
    /// There are as many values as there may be.
    Full,
    /// No value has this number: the value was deleted, or the number is not of this table.
    NotPresent,
    /// The value is of another type.
    WrongType,
    /// The resource is borrowed, and whoever has it keeps it.
    Borrowed,
}

impl fmt::Display for ResourceTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the table of resources is full",
            Self::NotPresent => "the resource is not in the table",
            Self::WrongType => "the resource has another type",
            Self::Borrowed => "the resource is borrowed and cannot be removed from the table",
        })
    }
}

impl core::error::Error for ResourceTableError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_until_they_are_deleted() {
        let mut table = ResourceTable::new();
        let [one, two] = ["one", "two"].map(|text| table.push(text.to_owned()).unwrap());
        table.get_mut(&two).unwrap().push('!');
        assert_eq!((table.get(&one).unwrap().as_str(), table.get(&two).unwrap().as_str()), ("one", "two!"));
        assert_eq!(table.get(&Resource::<u8>::new_own(one.rep())), Err(ResourceTableError::WrongType));
        assert_eq!(
            table.delete(Resource::<String>::new_borrow(one.rep())),
            Err(ResourceTableError::Borrowed),
            "it stays"
        );
        assert_eq!(table.delete(one.clone()), Ok("one".to_owned()));
        let three = table.push("three".to_owned()).unwrap();
        assert_ne!(three.rep(), one.rep());
        assert_eq!(table.get(&one), Err(ResourceTableError::NotPresent));
        assert_eq!(table.delete(one), Err(ResourceTableError::NotPresent));
        table.set_max_capacity(2);
        assert_eq!(table.push(0u8).unwrap_err(), ResourceTableError::Full);
        assert_eq!((table.len(), table.is_empty()), (2, false));
    }

    #[test]
    fn numbers_come_again_after_all_others() {
        let mut table = ResourceTable { next: u32::MAX, ..ResourceTable::default() };
        let reps = [(); 3].map(|()| table.push(()).unwrap().rep());
        assert_eq!(reps, [u32::MAX, 0, 1]);
        table.next = u32::MAX;
        assert_eq!(table.push(()).unwrap().rep(), 2);
    }
}
