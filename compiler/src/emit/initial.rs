//! How the initial bytes of context and memory 0 get there: small and sparse ones are copied when the program starts,
//! large ones become pages of the executable that are moved into place, at a cost that does not depend on their size.

use std::borrow::Cow;
use std::ops::Range;

/// Initial bytes by offset from `vmctx`, see [`InstanceImage::initial`](crate::image::InstanceImage::initial).
type Pieces<'a> = [(i64, Cow<'a, [u8]>)];

/// Zeros between two runs of bytes that are worth leaving out: about what one more chunk takes in the file.
const COPY_GAP_BYTES: u64 = 32;

/// Shortest stretch of pages that is mapped. Here mapping starts to win where a program leaves most of its data alone,
/// and costs a little where it writes to all of it, see docs/RATIONALE.md "Why is only large data mapped?".
const MAP_MIN_BYTES: u64 = 64 << 10;

/// A stretch of pages is mapped when at least one byte in so many belongs to a run: the file grows no further.
const MAP_MAX_DILUTION: u64 = 4;

/// The initial bytes, divided up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Initial {
    /// Bytes to copy: offset from `vmctx`, and what.
    pub(super) copies: Vec<(i64, Vec<u8>)>,
    /// Pages to map: where in memory 0, page-aligned. Their bytes lie one behind the other in `pages`.
    pub(super) maps: Vec<Range<u64>>,
    /// The pages of all `maps`.
    pub(super) pages: Vec<u8>,
}

/// The pages of all instances, one behind the other.
pub(super) fn join(initial: Vec<Initial>) -> Vec<u8> {
    let mut parts = initial.into_iter().map(|initial| initial.pages);
    let mut pages = parts.next().unwrap_or_default();
    parts.for_each(|part| pages.extend(part));
    pages
}

/// Divides up `pieces`, which are in order and do not overlap, for a memory of `memory_bytes` and pages of
/// `page_bytes`.
pub(super) fn plan(pieces: &Pieces<'_>, memory_bytes: u64, page_bytes: u64) -> Initial {
    let mut initial = Initial::default();
    // In the context, nothing but the given bytes may be written: what lies between them is the runtime's.
    for (offset, bytes) in pieces.iter().filter(|(offset, _)| *offset < 0) {
        initial.copies.push((*offset, bytes.to_vec()));
    }
    let runs = memory_runs(pieces);
    let mut rest = &runs[..];
    while !rest.is_empty() {
        let (count, span) = stretch(rest, page_bytes);
        let (here, next) = rest.split_at(count);
        let filled: u64 = here.iter().map(|run| run.end - run.start).sum();
        let len = span.end - span.start;
        if len >= MAP_MIN_BYTES && filled >= len / MAP_MAX_DILUTION && span.end <= memory_bytes {
            let at = initial.pages.len();
            initial.pages.resize(at + len as usize, 0);
            gather(pieces, span.start, &mut initial.pages[at..]);
            initial.maps.push(span);
        } else {
            for run in here {
                let mut bytes = vec![0; (run.end - run.start) as usize];
                gather(pieces, run.start, &mut bytes);
                initial.copies.push((run.start as i64, bytes));
            }
        }
        rest = next;
    }
    initial
}

/// The stretches of memory 0 that are not zero, without the long runs of zeros in them: in order, apart.
fn memory_runs(pieces: &Pieces<'_>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for (offset, bytes) in pieces {
        let Ok(base) = u64::try_from(*offset) else { continue };
        let mut at = 0;
        while let Some(skip) = bytes[at..].iter().position(|&b| b != 0) {
            let start = at + skip;
            let len = bytes[start..].iter().position(|&b| b == 0).unwrap_or(bytes.len() - start);
            at = start + len;
            let run = base + start as u64..base + at as u64;
            match runs.last_mut() {
                // What lies between is zero in memory as well, so filling it in does no harm.
                Some(last) if run.start - last.end <= COPY_GAP_BYTES => last.end = run.end,
                _ => runs.push(run),
            }
        }
    }
    runs
}

/// The pages of the first runs that follow one another without a page between them: how many runs, and which pages.
fn stretch(runs: &[Range<u64>], page_bytes: u64) -> (usize, Range<u64>) {
    let page_start = |at: u64| at / page_bytes * page_bytes;
    let start = runs.first().map_or(0, |run| page_start(run.start));
    let (mut count, mut end) = (0, start);
    for run in runs {
        if page_start(run.start) > end {
            break;
        }
        end = run.end.next_multiple_of(page_bytes);
        count += 1;
    }
    (count, start..end)
}

/// Copies what `pieces` say about the bytes of memory 0 from `start` on into `into`, which is zero.
fn gather(pieces: &Pieces<'_>, start: u64, into: &mut [u8]) {
    let end = start + into.len() as u64;
    let first =
        pieces.partition_point(|(offset, bytes)| offset.saturating_add_unsigned(bytes.len() as u64) <= start as i64);
    for (offset, bytes) in &pieces[first..] {
        let Ok(base) = u64::try_from(*offset) else { continue };
        if base >= end {
            break;
        }
        let (from, to) = (base.max(start), (base + bytes.len() as u64).min(end));
        into[(from - start) as usize..(to - start) as usize]
            .copy_from_slice(&bytes[(from - base) as usize..(to - base) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn piece(offset: i64, bytes: Vec<u8>) -> (i64, Cow<'static, [u8]>) {
        (offset, Cow::Owned(bytes))
    }

    /// What the runtime makes of a plan: memory 0.
    fn memory(initial: &Initial, len: usize) -> Vec<u8> {
        let mut memory = vec![0; len];
        let mut source = 0;
        for map in &initial.maps {
            assert!(map.start % PAGE == 0 && map.end % PAGE == 0 && map.end > map.start);
            let len = (map.end - map.start) as usize;
            memory[map.start as usize..map.end as usize].copy_from_slice(&initial.pages[source..source + len]);
            source += len;
        }
        assert_eq!(source, initial.pages.len());
        for (offset, bytes) in initial.copies.iter().filter(|(offset, _)| *offset >= 0) {
            memory[*offset as usize..*offset as usize + bytes.len()].copy_from_slice(bytes);
        }
        memory
    }

    #[test]
    fn small_data_is_copied_without_its_zeros() {
        let mut bytes = vec![0; 1000];
        bytes[10..20].fill(1);
        bytes[900] = 2;
        let initial = plan(&[piece(1024, bytes)], 65536, PAGE);
        assert_eq!(initial.copies, [(1034, vec![1; 10]), (1924, vec![2])]);
        assert!(initial.maps.is_empty());
    }

    #[test]
    fn neighbours_are_joined_in_memory_but_not_in_the_context() {
        let pieces = [piece(-64, vec![1]), piece(-62, vec![0]), piece(8, vec![3]), piece(12, vec![4])];
        let initial = plan(&pieces, 65536, PAGE);
        assert_eq!(initial.copies, [(-64, vec![1]), (-62, vec![0]), (8, vec![3, 0, 0, 0, 4])]);
    }

    #[test]
    fn large_data_is_mapped_and_small_data_near_it_comes_along() {
        let pieces = [piece(0, vec![7; 3]), piece(5000, vec![8; 100_000]), piece(300_000, vec![9; 5])];
        let initial = plan(&pieces, 327_680, PAGE);
        assert_eq!(initial.maps, std::slice::from_ref(&(0..106_496)));
        assert_eq!(initial.copies, [(300_000, vec![9; 5])]);
        let memory = memory(&initial, 327_680);
        for (offset, bytes) in &pieces {
            assert_eq!(memory[*offset as usize..*offset as usize + bytes.len()], bytes[..]);
        }
        assert_eq!(memory.iter().filter(|&&b| b != 0).count(), 100_008);
    }

    #[test]
    fn sparse_data_does_not_widen_the_file() {
        let mut bytes = vec![0; 1 << 20];
        bytes.iter_mut().step_by(2048).for_each(|b| *b = 1);
        let initial = plan(&[piece(0, bytes.clone())], 1 << 20, PAGE);
        assert!(initial.pages.is_empty());
        assert_eq!(initial.copies.len(), 512);
        assert_eq!(memory(&initial, 1 << 20), bytes);
    }

    #[test]
    fn nothing_is_mapped_beyond_the_end_of_memory() {
        let initial = plan(&[piece(0, vec![1; 100_000])], 100_000, PAGE);
        assert_eq!(initial.copies, [(0, vec![1; 100_000])]);
        assert!(initial.maps.is_empty());
    }
}
