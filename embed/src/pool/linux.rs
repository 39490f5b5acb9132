//! What pools ask of Linux: which pages were written, images of memories, and pages that are given up.

use core::ops::Range;
use core::ptr;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _};

use super::{Content, Error};
use crate::module::Module;
use crate::reservation::Reservation;
use wasmelt_runtime::rel::slice;
use wasmelt_runtime::sys::pages::{self, PAGE_BYTES};

/// Data of at least this length is mapped from an image; less is copied.
const IMAGE_BYTES: usize = 64 << 10;

/// The longest image.
const MAX_IMAGE_BYTES: usize = 256 << 20;

/// A longer table is given up and not cleared.
const CLEARED_TABLE_BYTES: usize = 256 << 10;

/// The system, as a pool uses it.
pub(super) struct System {
    /// `/proc/self/pagemap`; absent where it cannot be opened.
    pagemap: Option<File>,
    /// A page of one byte that is 0 in processes that the one with `pagemap` has forked.
    mine: Reservation,
}

impl System {
    pub(super) fn new() -> Result<Self, Error> {
        let mine = Reservation::new(1, 0, 1)?;
        // SAFETY: the page is this value's own.
        let wiped = unsafe {
            mine.start().write(1);
            libc::madvise(mine.start().cast(), PAGE_BYTES, libc::MADV_WIPEONFORK)
        };
        // Where it is not wiped, it says nothing.
        let pagemap = if wiped == 0 { File::open("/proc/self/pagemap").ok() } else { None };
        Ok(Self { pagemap, mine })
    }

    /// Makes a clean slot that is prepared for one content ready for another one.
    pub(super) fn prepare(
        &self,
        found_range: Range<usize>,
        wanted_range: Range<usize>,
        found: &Content,
        wanted: &Content,
    ) -> Result<(), Error> {
        let mut accessible_end = found_range.end;
        if found.image.is_some() {
            reserve_again(found_range)?;
            accessible_end = wanted_range.start;
        }
        if accessible_end < wanted_range.end {
            let len = wanted_range.end - accessible_end;
            // SAFETY: the pages belong to the slot, which nobody uses.
            unsafe { pages::commit(ptr::with_exposed_provenance_mut(accessible_end), len) }
                .map_err(|_| last_error("use the pages of a slot"))?;
        } else if accessible_end > wanted_range.end {
            reserve_again(wanted_range.end..accessible_end)?;
        }
        match &wanted.image {
            Some(image) => image.map(wanted_range.start),
            None => Ok(()),
        }
    }

    /// Makes a memory what it was when it was taken, where `used` may have been written. `is_kept` says whether so many bytes
    /// that were written are cleared; otherwise they are given up.
    pub(super) fn clean_memory(
        &self,
        used: Range<usize>,
        initial: Range<usize>,
        image: Option<&Image>,
        is_kept: impl FnOnce(usize) -> bool,
    ) -> Result<(), Error> {
        if used.end > initial.end {
            reserve_again(initial.end..used.end)?;
        }
        let mut regions = [PageRegion::default(); 64];
        match self.written(&initial, image.is_some(), &mut regions) {
            Some(regions) if is_kept(regions.iter().map(PageRegion::len).sum()) => {
                for region in regions {
                    // SAFETY: the pages belong to the slot, which nobody uses.
                    unsafe { restore(region.start as usize..region.end as usize, initial.start, image) };
                }
                Ok(())
            }
            _ => give_up(initial),
        }
    }

    /// Makes the elements of a table null.
    pub(super) fn clean_table(&self, used: Range<usize>, keep_bytes: usize) -> Result<(), Error> {
        if used.len() > CLEARED_TABLE_BYTES.min(keep_bytes) {
            return give_up(used.start..pages::round_up(used.end).unwrap_or(used.end));
        }
        // SAFETY: the pages belong to the slot, which nobody uses, and are accessible.
        unsafe { ptr::write_bytes(ptr::with_exposed_provenance_mut::<u8>(used.start), 0, used.len()) };
        Ok(())
    }

    /// Gives up what deep recursion has used of a stack, beyond so many bytes at its upper end, where calls begin. The rest
    /// stays as it is: no code reads what it has not written.
    pub(super) fn clean_stack(&self, range: Range<usize>, keep_bytes: usize) -> Result<(), Error> {
        let end = range.end.saturating_sub(keep_bytes);
        if end > range.start { give_up(range.start..end) } else { Ok(()) }
    }

    /// The pages that somebody has written: all that are neither the one of zeros nor, where one is mapped, a file's; of each
    /// page, that question takes the system twice as long as all others. `None` where the system does not say, or there are
    /// too many pieces.
    fn written<'r>(
        &self,
        range: &Range<usize>,
        has_file: bool,
        regions: &'r mut [PageRegion],
    ) -> Option<&'r [PageRegion]> {
        let pagemap = self.pagemap.as_ref()?;
        // SAFETY: the page is this value's own; the kernel clears it in a new process, before anything runs there.
        if unsafe { self.mine.start().read_volatile() } == 0 {
            return None;
        }
        let not_written = PAGE_IS_PFNZERO | if has_file { PAGE_IS_FILE } else { 0 };
        let mut scan = ScanArgument {
            size: size_of::<ScanArgument>() as u64,
            start: range.start as u64,
            end: range.end as u64,
            vec: regions.as_mut_ptr().expose_provenance() as u64,
            vec_len: regions.len() as u64,
            category_inverted: not_written,
            category_mask: not_written,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_PRESENT,
            ..ScanArgument::default()
        };
        // SAFETY: the structures are complete, and `regions` has room for `vec_len`.
        let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN as _, &raw mut scan) };
        let found = usize::try_from(found).ok()?;
        // A full list may lack pieces.
        if scan.walk_end == scan.end && found < regions.len() { regions.get(..found) } else { None }
    }
}

/// Makes pages inaccessible, and zeros for whoever makes them accessible again.
fn reserve_again(range: Range<usize>) -> Result<(), Error> {
    map(range, libc::PROT_NONE, libc::MAP_ANONYMOUS | libc::MAP_STACK, -1)
}

/// Gives pages up: they are what they were mapped as.
fn give_up(range: Range<usize>) -> Result<(), Error> {
    // SAFETY: the pages belong to a slot that nobody uses.
    let result =
        unsafe { libc::madvise(ptr::with_exposed_provenance_mut(range.start), range.len(), libc::MADV_DONTNEED) };
    if result == 0 { Ok(()) } else { Err(last_error("give up the pages of a slot")) }
}

fn map(range: Range<usize>, protection: i32, flags: i32, file: i32) -> Result<(), Error> {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_FIXED;
    // SAFETY: the pages belong to a slot that nobody uses.
    let mapped =
        unsafe { libc::mmap(ptr::with_exposed_provenance_mut(range.start), range.len(), protection, flags, file, 0) };
    if mapped == libc::MAP_FAILED { Err(last_error("map the pages of a slot")) } else { Ok(()) }
}

fn last_error(what: &str) -> Error {
    Error::system(format!("cannot {what}: {}", std::io::Error::last_os_error()))
}

/// Writes what the pages of a memory had at the start.
///
/// # Safety
/// The pages belong to a slot that nobody uses, whose memory starts at `memory`.
unsafe fn restore(pages: Range<usize>, memory: usize, image: Option<&Image>) {
    let inside = image.map_or(0..0, |image| memory + image.start..memory + image.start + image.len);
    let copied = pages.start.max(inside.start)..pages.end.min(inside.end);
    let zero = |range: Range<usize>| {
        if !range.is_empty() {
            // SAFETY: by this function's contract.
            unsafe { ptr::write_bytes(ptr::with_exposed_provenance_mut::<u8>(range.start), 0, range.len()) };
        }
    };
    match image {
        Some(image) if !copied.is_empty() => {
            zero(pages.start..copied.start);
            zero(copied.end..pages.end);
            let source = image.bytes().wrapping_add(copied.start - inside.start);
            // SAFETY: by this function's contract, and the image has these bytes.
            unsafe {
                ptr::copy_nonoverlapping(source, ptr::with_exposed_provenance_mut(copied.start), copied.len());
            }
        }
        _ => zero(pages),
    }
}

/// What the first pages of a memory are, as a file of the system's memory.
#[derive(Debug)]
pub(crate) struct Image {
    file: File,
    /// Where in the memory it starts.
    start: usize,
    len: usize,
    /// The same bytes, for the host to read.
    mapped: Reservation,
}

impl Image {
    /// The image of a module's memory 0; `None` where copying its data is better, or the system has no room.
    pub(crate) fn of(module: &Module) -> Option<Self> {
        let chunks = slice(&module.plan().copies);
        let chunks = chunks.iter().filter(|chunk| chunk.dest_offset >= 0);
        let chunks: Vec<_> = chunks.map(|chunk| (chunk.dest_offset as usize, slice(&chunk.bytes))).collect();
        let data: usize = chunks.iter().map(|(_, bytes)| bytes.len()).sum();
        let first = chunks.iter().map(|&(at, _)| at).min()?;
        let end = chunks.iter().map(|&(at, bytes)| at + bytes.len()).max()?;
        let start = first / PAGE_BYTES * PAGE_BYTES;
        let len = pages::round_up(end)? - start;
        if data < IMAGE_BYTES || len > MAX_IMAGE_BYTES.min(4 * data) {
            return None;
        }
        let mut contents = vec![0; len];
        for (at, bytes) in chunks {
            contents[at - start..][..bytes.len()].copy_from_slice(bytes);
        }
        let file = sealed_file(&contents).ok()?;
        let mapped = Reservation::new(len as u64, 0, 0).ok()?;
        let addresses = mapped.start() as usize..mapped.start() as usize + len;
        map(addresses, libc::PROT_READ, 0, file.as_raw_fd()).ok()?;
        Some(Self { file, start, len, mapped })
    }

    fn bytes(&self) -> *const u8 {
        self.mapped.start()
    }

    /// Puts it into the memory that starts at this address, copy-on-write.
    fn map(&self, memory: usize) -> Result<(), Error> {
        let start = memory + self.start;
        map(start..start + self.len, libc::PROT_READ | libc::PROT_WRITE, 0, self.file.as_raw_fd())
    }
}

/// A file in memory with these bytes, which nobody can change any more.
fn sealed_file(contents: &[u8]) -> std::io::Result<File> {
    // SAFETY: the name ends with a NUL.
    let descriptor =
        unsafe { libc::memfd_create(c"wasmelt-image".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if descriptor < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(contents)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: the call changes nothing but the file.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(file),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// `PAGEMAP_SCAN` of `linux/fs.h`: `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: u32 = 0xc060_6610;
const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
const PAGE_IS_PFNZERO: u64 = 1 << 5;

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

const _: () = assert!(size_of::<ScanArgument>() == 0x60);

/// `struct page_region`: addresses.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

impl PageRegion {
    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pages of a slot, both written to.
    fn dirty() -> (Reservation, Range<usize>) {
        let pages = Reservation::new(2 * PAGE_BYTES as u64, 0, 2 * PAGE_BYTES as u64).unwrap();
        let range = pages.range();
        // SAFETY: the pages are this test's own.
        unsafe { ptr::write_bytes(pages.start(), 7, range.len()) };
        (pages, range)
    }

    fn is_clean(pages: &Reservation) -> bool {
        // SAFETY: the pages are this test's own.
        let bytes = unsafe { core::slice::from_raw_parts(pages.start(), pages.range().len()) };
        bytes.iter().all(|&byte| byte == 0)
    }

    #[test]
    fn what_was_written_is_found_and_cleared() {
        let system = System::new().unwrap();
        let (pages, range) = dirty();
        let mut regions = [PageRegion::default(); 64];
        // A kernel before 6.7 does not say.
        if let Some(found) = system.written(&range, false, &mut regions) {
            assert_eq!(found.iter().map(PageRegion::len).sum::<usize>(), range.len());
        }
        system.clean_memory(range.clone(), range.clone(), None, |_| true).unwrap();
        assert!(is_clean(&pages));
    }

    #[test]
    fn a_list_that_may_lack_something_says_nothing() {
        let system = System::new().unwrap();
        let (_pages, range) = dirty();
        assert!(system.written(&range, false, &mut [PageRegion::default(); 1]).is_none());
    }

    #[test]
    fn a_forked_process_does_not_believe_what_the_kernel_says_of_another_one() {
        let system = System::new().unwrap();
        let (pages, range) = dirty();
        // SAFETY: what the kernel does in a new process.
        unsafe { system.mine.start().write(0) };
        assert!(system.written(&range, false, &mut [PageRegion::default(); 64]).is_none());
        system.clean_memory(range.clone(), range, None, |_| true).unwrap();
        assert!(is_clean(&pages));
    }
}
