//! Copies between bytes of the host and a memory that other threads may write to at the same time.
//!
//! The host accesses such a memory by whole aligned words alone, atomically and without any order among them: all its
//! threads agree about the size of each access, and no reference to bytes that may change is ever made.

// ---------------------------------------------------------------------------------------------------------------
// Security: what is read here was written by guests, at any moment. Each byte is read once, into memory of the host.
// ---------------------------------------------------------------------------------------------------------------

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const WORD_BYTES: usize = size_of::<usize>();

/// The word around an address, and the offset of the address in it.
fn word_around(address: *const u8) -> (*const AtomicUsize, usize) {
    let offset = address.addr() % WORD_BYTES;
    (address.wrapping_sub(offset).cast(), offset)
}

/// Copies `bytes.len()` bytes from `from` on, each as it is at some moment of the call.
///
/// # Safety
/// The bytes, and all of the words that they lie in, are readable and writable, and no thread accesses them otherwise than
/// atomically.
pub(super) unsafe fn read(from: *const u8, bytes: &mut [u8]) {
    let (mut word, offset) = word_around(from);
    let mut next = || {
        // SAFETY: by this function's contract: there are bytes left, which lie in this word.
        let value = unsafe { (*word).load(Relaxed) };
        word = word.wrapping_add(1);
        value.to_ne_bytes()
    };
    let first_bytes = if offset == 0 { 0 } else { bytes.len().min(WORD_BYTES - offset) };
    let (first, rest) = bytes.split_at_mut(first_bytes);
    if !first.is_empty() {
        first.copy_from_slice(&next()[offset..offset + first_bytes]);
    }
    let mut words = rest.chunks_exact_mut(WORD_BYTES);
    for bytes in &mut words {
        bytes.copy_from_slice(&next());
    }
    let last = words.into_remainder();
    if !last.is_empty() {
        last.copy_from_slice(&next()[..last.len()]);
    }
}

/// Copies `bytes` to `to`. What other threads write next to them at the same time stays.
///
/// # Safety
/// As [`read`].
pub(super) unsafe fn write(to: *mut u8, bytes: &[u8]) {
    let (mut word, offset) = word_around(to);
    let mut next = || {
        // SAFETY: by this function's contract: there are bytes left, which lie in this word.
        let this = unsafe { &*word };
        word = word.wrapping_add(1);
        this
    };
    let first_bytes = if offset == 0 { 0 } else { bytes.len().min(WORD_BYTES - offset) };
    let (first, rest) = bytes.split_at(first_bytes);
    if !first.is_empty() {
        replace(next(), offset, first);
    }
    let (words, last) = rest.as_chunks();
    for &bytes in words {
        next().store(usize::from_ne_bytes(bytes), Relaxed);
    }
    if !last.is_empty() {
        replace(next(), 0, last);
    }
}

/// Replaces bytes of a word, and leaves the others as they are at that moment.
fn replace(word: &AtomicUsize, offset: usize, bytes: &[u8]) {
    let mut old = word.load(Relaxed);
    loop {
        let mut new = old.to_ne_bytes();
        new[offset..offset + bytes.len()].copy_from_slice(bytes);
        match word.compare_exchange_weak(old, usize::from_ne_bytes(new), Relaxed, Relaxed) {
            Ok(_) => return,
            Err(now) => old = now,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const WORDS: usize = 6;
    const BYTES: usize = WORDS * WORD_BYTES;

    struct Place([AtomicUsize; WORDS]);

    impl Place {
        fn new() -> Self {
            Self([const { AtomicUsize::new(0) }; WORDS])
        }

        fn at(&self, offset: usize) -> *mut u8 {
            assert!(offset <= BYTES);
            self.0.as_ptr().cast_mut().cast::<u8>().wrapping_add(offset)
        }

        fn all(&self) -> Vec<u8> {
            self.0.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect()
        }
    }

    #[test]
    fn each_range_is_copied_and_nothing_else() {
        for start in 0..=BYTES {
            for end in start..=BYTES {
                let place = Place::new();
                let bytes: Vec<u8> = (start..end).map(|offset| offset as u8 + 1).collect();
                // SAFETY: the range is inside, and no other thread has the words.
                unsafe { write(place.at(start), &bytes) };
                let expected: Vec<u8> = (0..BYTES)
                    .map(|offset| if (start..end).contains(&offset) { offset as u8 + 1 } else { 0 })
                    .collect();
                assert_eq!(place.all(), expected, "{start}..{end}");
                let mut back = vec![0xff; end - start];
                // SAFETY: as above.
                unsafe { read(place.at(start), &mut back) };
                assert_eq!(back, bytes, "{start}..{end}");
            }
        }
    }

    #[test]
    fn neighbours_do_not_overwrite_each_other() {
        const ROUNDS: u8 = if cfg!(miri) { 20 } else { 200 };
        let place = Place::new();
        // Three bytes for each thread: words are shared by up to four of them.
        thread::scope(|scope| {
            for number in 0..BYTES / 3 {
                let place = &place;
                scope.spawn(move || {
                    for round in 1..=ROUNDS {
                        // SAFETY: the range is inside, and all threads use these functions.
                        unsafe { write(place.at(number * 3), &[round; 3]) };
                        let mut back = [0; 3];
                        // SAFETY: as above.
                        unsafe { read(place.at(number * 3), &mut back) };
                        assert_eq!(back, [round; 3]);
                    }
                });
            }
        });
        assert_eq!(place.all(), [ROUNDS; BYTES]);
    }
}
