//! A list that grows, for tables of components and sockets: the first elements lie in the list itself, the others in a mapping.

use core::ptr;

use crate::sys::errno::{Errno, Result};
use crate::sys::io_memory;

/// A list of at least `N` elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growing<T, const N: usize> {
    first: [T; N],
    /// Elements from `N` on.
    more: *mut T,
    more_len: usize,
}

// SAFETY: the mapping is the list's own.
unsafe impl<T: Send, const N: usize> Send for Growing<T, N> {}

impl<T: Copy, const N: usize> Growing<T, N> {
    /// A list that needs no mapping yet.
    pub(crate) const fn new(fill: T) -> Self {
        Self { first: [fill; N], more: ptr::null_mut(), more_len: 0 }
    }

    /// Makes the list what [`Growing::new`] makes: gives the mapping back, and fills the first elements anew.
    pub(super) fn clear(&mut self, fill: T) {
        self.first = [fill; N];
        if self.more_len != 0 {
            // SAFETY: the mapping is given up here, and no reference into it lives.
            unsafe { io_memory::unmap(self.more.cast(), self.more_len * size_of::<T>()) };
        }
        (self.more, self.more_len) = (ptr::null_mut(), 0);
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        N + self.more_len
    }

    /// The element at a place, where there is one.
    pub(crate) fn slot(&mut self, index: usize) -> Option<&mut T> {
        match index.checked_sub(N) {
            None => self.first.get_mut(index),
            // SAFETY: `more` holds `more_len` initialised elements.
            Some(index) if index < self.more_len => Some(unsafe { &mut *self.more.add(index) }),
            Some(_) => None,
        }
    }

    /// Adds elements, as many as lie in the mapping, and `most` of them at most; how many were added. Fails where `most` is 0.
    pub(crate) fn grow(&mut self, fill: T, most: usize) -> Result<usize> {
        let added = if self.more_len == 0 { (4096 / size_of::<T>()).max(1) } else { self.more_len }.min(most);
        if added == 0 {
            return Err(Errno::Mfile);
        }
        let new_len = self.more_len + added;
        let new = io_memory::map(new_len * size_of::<T>())?.cast::<T>();
        for index in 0..new_len {
            let element = self.slot(N + index).map_or(fill, |element| *element);
            // SAFETY: the mapping has room for `new_len` elements, and is aligned to a page.
            unsafe { new.add(index).write(element) };
        }
        if self.more_len != 0 {
            // SAFETY: the old mapping is given up here, and no reference into it lives.
            unsafe { io_memory::unmap(self.more.cast(), self.more_len * size_of::<T>()) };
        }
        (self.more, self.more_len) = (new, new_len);
        Ok(added)
    }
}
