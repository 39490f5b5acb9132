//! Work on many items of unequal size on all threads, whose outcome does not depend on the number of threads.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::error::Result;
use crate::progress::Progress;

/// Calls `work` with each item; the results in the items' order. Large items come first, so that no thread is left alone
/// with one at the end. Of several errors the first in the items' order counts.
pub(crate) fn map<T: Send, R: Send>(
    items: Vec<T>,
    size: impl Fn(&T) -> usize,
    progress: &dyn Progress,
    work: impl Fn(T) -> Result<R> + Sync + Send,
) -> Result<Vec<R>> {
    let total = items.len();
    let mut items: Vec<_> = items.into_iter().enumerate().collect();
    items.sort_by_key(|(_, item)| Reverse(size(item)));
    let done = AtomicUsize::new(0);
    let mut results: Vec<_> = items
        .into_par_iter()
        .with_max_len(1)
        .map(|(place, item)| {
            let result = work(item);
            progress.functions(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            (place, result)
        })
        .collect();
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
