//! Names: from a text of a guest to addresses.
//!
//! A text that is an address is that address, whatever is granted: nothing is asked for it. A name is resolved where a
//! grant covers it.

mod literal;

use core::cell::UnsafeCell;
use core::net::IpAddr;

use wasmelt_abi::network;

use super::policy;
use crate::growing::Growing;
use crate::sys::errno::Result as SystemResult;
use crate::sys::names;

pub use crate::sys::names::{Found, Unresolved};

/// Why a guest gets no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No grant covers the name.
    Denied,
    /// The text is neither an address nor a name in ASCII.
    NoName,
    /// Nobody knows it, or nobody could be asked.
    Unresolved(Unresolved),
    /// There is no room for the addresses.
    TooMany,
}

/// Addresses that a guest takes one by one.
#[derive(Clone, Copy, Debug)]
struct Answers {
    is_used: bool,
    found: Found,
    next: usize,
    polls: u32,
}

const NONE: Answers = Answers { is_used: false, found: Found::NONE, next: 0, polls: 0 };

/// The most answers that a guest holds at once.
const MAX_LEN: usize = 1024;

struct Global(UnsafeCell<Growing<Answers, 2>>);

// SAFETY: programs that were components have one thread, and each function below keeps its borrow to itself.
unsafe impl Sync for Global {}

static ANSWERS: Global = Global(UnsafeCell::new(Growing::new(NONE)));

fn answers() -> &'static mut Growing<Answers, 2> {
    // SAFETY: see `Global`.
    unsafe { &mut *ANSWERS.0.get() }
}

/// Resolves a name; the number of the answers.
pub fn resolve(text: &str) -> Result<u32, Failure> {
    let found = find(text)?;
    keep(found).map_err(|_| Failure::TooMany)
}

fn find(text: &str) -> Result<Found, Failure> {
    if let Some(ip) = literal::parse(text) {
        return Ok(Found::one(ip));
    }
    let name = text.as_bytes();
    if !network::is_name(name) {
        return Err(Failure::NoName);
    }
    if !policy::allows_name(name) {
        return Err(Failure::Denied);
    }
    let looked_up = names::look_up(text.strip_suffix('.').unwrap_or(text)).map_err(Failure::Unresolved)?;
    let mut found = Found::NONE;
    for ip in looked_up.as_slice() {
        // Whoever answered with an address of IPv4 written as one of IPv6 meant the former.
        found.add(ip.to_canonical());
    }
    Ok(found)
}

fn keep(found: Found) -> SystemResult<u32> {
    let mut index = 0;
    loop {
        match answers().slot(index) {
            Some(slot) if !slot.is_used => {
                *slot = Answers { is_used: true, found, next: 0, polls: 0 };
                // Less than `MAX_LEN`.
                return Ok(index as u32);
            }
            Some(_) => index += 1,
            None => {
                let answers = answers();
                answers.grow(NONE, MAX_LEN.saturating_sub(answers.len()))?;
            }
        }
    }
}

/// The next address; `None` after the last one.
pub fn next(number: u32) -> Option<IpAddr> {
    let answers = answers().slot(number as usize)?;
    let next = answers.found.as_slice().get(answers.next).copied()?;
    answers.next += 1;
    Some(next)
}

/// A guest has one more `pollable` of the answers.
pub fn add_poll(number: u32) {
    if let Some(answers) = answers().slot(number as usize) {
        answers.polls += 1;
    }
}

/// A `pollable` is gone.
pub fn remove_poll(number: u32) {
    if let Some(answers) = answers().slot(number as usize) {
        answers.polls = answers.polls.saturating_sub(1);
    }
}

/// Whether there is a `pollable` of the answers.
pub fn is_polled(number: u32) -> bool {
    answers().slot(number as usize).is_some_and(|answers| answers.polls > 0)
}

/// Forgets the answers.
pub fn forget(number: u32) {
    if let Some(answers) = answers().slot(number as usize) {
        *answers = NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_holds_so_many_answers_at_once_and_no_more() {
        let numbers: std::vec::Vec<u32> = (0..MAX_LEN).map(|_| resolve("10.1.2.3").unwrap()).collect();
        assert_eq!(resolve("10.1.2.3"), Err(Failure::TooMany));
        forget(numbers[77]);
        assert_eq!(resolve("10.1.2.4"), Ok(numbers[77]));
        assert_eq!(next(numbers[77]), Some(IpAddr::from([10, 1, 2, 4])));
        numbers.into_iter().for_each(forget);
    }
}
