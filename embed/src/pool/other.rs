//! Systems other than Linux, where pools are not supported.

use core::ops::Range;

use super::{Content, Error};
use crate::module::Module;

/// There is none.
pub(super) enum System {}

/// There is none.
#[derive(Debug)]
pub(crate) enum Image {}

impl System {
    pub(super) fn new() -> Result<Self, Error> {
        Err(Error::system("pools of stores are supported on Linux: leave `StoreConfig::pool` out"))
    }

    pub(super) fn prepare(&self, _: Range<usize>, _: Range<usize>, _: &Content, _: &Content) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn clean_memory(
        &self,
        _: Range<usize>,
        _: Range<usize>,
        _: Option<&Image>,
        _: impl FnOnce(usize) -> bool,
    ) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn clean_table(&self, _: Range<usize>, _: usize) -> Result<(), Error> {
        match *self {}
    }

    pub(super) fn clean_stack(&self, _: Range<usize>, _: usize) -> Result<(), Error> {
        match *self {}
    }
}

impl Image {
    pub(crate) fn of(_: &Module) -> Option<Self> {
        None
    }
}
