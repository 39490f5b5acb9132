//! Clocks: which there are, what time they show, how fine they are.

pub use crate::sys::io_clock::{Clock, now, resolution};
