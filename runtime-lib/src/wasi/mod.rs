//! WASI: host functions under the names that guests import. Each version is a thin front over [`crate::host`].

pub mod caller;
pub mod exports;
pub mod p1;
pub mod p2;
mod signatures;
pub mod threads;
pub mod trace;
pub mod unstable;
