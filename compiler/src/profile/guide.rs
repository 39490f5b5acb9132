//! What a profile says about the functions of a program: which parts of them are never executed, which way branches go,
//! and how often calls are made.

use std::collections::HashMap;
use std::fmt;

use rayon::prelude::*;

use super::{Entry, Outline, Profile};
use crate::error::{Error, Result};
use crate::module::BranchHints;
use crate::program::{FuncId, Piece, Program};

/// Of all that is executed, so much happens in parts that are hot, in percent.
const HOT_PERCENT: u128 = 99;

/// What is known of the functions of a program.
#[derive(Debug)]
pub struct Guide {
    functions: HashMap<FuncId, Guided>,
    /// How often a part is executed, at least, that is hot.
    hot: u64,
    /// How many functions of modules the program has.
    total: usize,
}

/// What is known of a function.
#[derive(Debug, Default)]
pub struct Guided {
    /// How often it was called.
    pub calls: u64,
    /// Which way its branches go, where they go one way alone.
    pub hints: BranchHints,
    /// Where each part begins, from the start of the body, in order, and how often it was executed.
    parts: Box<[(u32, u64)]>,
}

impl Guide {
    /// What `profile` says about `program`.
    pub fn of(program: &Program<'_>, profile: &Profile) -> Result<Self> {
        let bodies = program.functions.ids().filter_map(|id| match program.functions.piece(id) {
            Piece::Function(instance, func) => Some((id, &program.instances[instance].module, func)),
            _ => None,
        });
        let bodies: Vec<_> = bodies.collect();
        let total = bodies.len();
        let guided = bodies.into_par_iter().map(|(id, module, func)| {
            let outline = Outline::of(module, func)?;
            Ok(profile.counters(&outline).map(|counters| (id, Guided::of(&outline, counters))))
        });
        let functions: HashMap<_, _> = guided.filter_map(Result::transpose).collect::<Result<_>>()?;
        Ok(Self { functions, hot: hot(profile.all_counters().collect()), total })
    }

    /// What is known of a function.
    pub fn function(&self, id: FuncId) -> Option<&Guided> {
        self.functions.get(&id)
    }

    /// Whether what is executed so often is among the parts where most of the time goes.
    pub fn is_hot(&self, count: u64) -> bool {
        count >= self.hot
    }
}

/// How many functions a profile knows, of those of all programs that one compilation is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    known: usize,
    total: usize,
}

impl Share {
    /// Counts the functions of a program.
    pub fn add(&mut self, guide: &Guide) {
        self.known += guide.functions.len();
        self.total += guide.total;
    }

    /// What the user should know of it. It is an error where the profile knows nothing.
    pub fn judge(&self) -> Result<Option<&'static str>> {
        if self.known == 0 && self.total > 0 {
            return Err(Error::input("the profile knows none of the functions that there are to compile")
                .hint("a profile is of one module: compile the module itself with `--profile-generate`, and run it"));
        }
        Ok((self.known < self.total / 2).then_some(
            "the profile knows less than half of the functions: it is of another version of the module, or of another module",
        ))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the profile knows {} of {} functions", self.known, self.total)
    }
}

impl Guided {
    fn of(outline: &Outline, counters: &[u64]) -> Self {
        let regions = || outline.regions.iter().zip(counters);
        let hints = regions().filter_map(|(region, &count)| {
            let before = counters[region.before? as usize];
            let taken = match region.entry {
                Entry::Then => count,
                Entry::Untaken => before.saturating_sub(count),
                Entry::Join => return None,
            };
            let hint = if taken == 0 { Some(false) } else { (taken >= before).then_some(true) };
            hint.filter(|_| before > 0).map(|hint| (region.offset, hint))
        });
        Self {
            calls: counters.first().copied().unwrap_or(0),
            hints: BranchHints::new(hints.collect()),
            parts: regions().map(|(region, &count)| (region.offset, count)).collect(),
        }
    }

    /// Whether any part of it was ever executed.
    pub fn is_executed(&self) -> bool {
        self.parts.iter().any(|&(_, count)| count > 0)
    }

    /// How often the operator at this offset from the start of the body was executed.
    pub fn count_at(&self, offset: usize) -> u64 {
        let before = self.parts.partition_point(|&(begin, _)| (begin as usize) < offset);
        before.checked_sub(1).map_or(self.calls, |part| self.parts[part].1)
    }

    /// Whether the part that begins behind the operator at this offset was never executed.
    pub fn is_unused_behind(&self, offset: usize) -> bool {
        let found = self.parts.binary_search_by_key(&offset, |&(begin, _)| begin as usize);
        found.is_ok_and(|part| self.parts[part].1 == 0)
    }
}

/// The least count of those that make up [`HOT_PERCENT`] of the sum of all.
fn hot(mut counts: Vec<u64>) -> u64 {
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let all: u128 = counts.iter().map(|&count| u128::from(count)).sum();
    let mut sum = 0;
    let least = counts.into_iter().find(|&count| {
        sum += u128::from(count);
        sum * 100 >= all * HOT_PERCENT
    });
    least.unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::Region;
    use super::*;

    fn region(offset: u32, entry: Entry, before: Option<u32>) -> Region {
        Region { offset, entry, before }
    }

    #[test]
    fn branches_that_go_one_way_are_hints() {
        let regions =
            vec![region(0, Entry::Join, None), region(3, Entry::Then, Some(0)), region(7, Entry::Untaken, Some(1))];
        let outline = Outline { digest: [0; 16], regions };
        let hints = |counters: [u64; 3]| [3, 7].map(|offset| Guided::of(&outline, &counters).hints.likely(offset));
        assert_eq!(hints([10, 5, 3]), [None, None]);
        assert_eq!(hints([10, 0, 0]), [Some(false), None]);
        assert_eq!(hints([10, 10, 10]), [Some(true), Some(false)]);
        assert_eq!(hints([10, 10, 0]), [Some(true), Some(true)]);
        assert_eq!(hints([0, 0, 0]), [None, None]);
        // What cannot be is a hint all the same, and no panic.
        assert_eq!(hints([1, u64::MAX, u64::MAX]), [Some(true), Some(false)]);
        let guided = Guided::of(&outline, &[10, 0, 4]);
        assert_eq!([1, 3, 4, 7, 8, 1000].map(|offset| guided.count_at(offset)), [10, 10, 0, 0, 4, 4]);
        assert_eq!([0, 3, 4, 7].map(|offset| guided.is_unused_behind(offset)), [false, true, false, false]);
    }

    #[test]
    fn hot_is_where_most_of_the_time_goes() {
        assert_eq!(hot(vec![1, 1000, 2, 900]), 900);
        assert_eq!(hot(vec![5]), 5);
        assert_eq!(hot(vec![0, 0]), 1);
        assert_eq!(hot(Vec::new()), u64::MAX);
        assert_eq!(hot(vec![u64::MAX; 3]), u64::MAX);
    }
}
