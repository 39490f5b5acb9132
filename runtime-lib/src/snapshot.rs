//! `compile --preinit`: runs the initialiser of a later program, and writes what the instance is then.
//!
//! The hook takes over from the usual course of an executable, as that of `--invoke` does. The snapshot goes to standard
//! output, so what the guest writes there goes to standard error. What lies outside the instance is in no snapshot: an
//! initialiser that leaves descriptors open, or closes granted ones, is refused.

use wasmelt_abi::context::{Memory, Table};
use wasmelt_abi::layout::dropped_bytes;
use wasmelt_abi::snapshot;
use wasmelt_abi::trap::START_FAILED_EXIT_CODE;

use crate::executable;
use crate::failure::Failure;
use crate::host::descriptor::{Descriptor, Kind};
use crate::host::descriptors;
use crate::instance::Instance;
use crate::rel::slice;
use crate::report::Report;
use crate::sys::errno::Errno;
use crate::sys::fs::Handle;
use crate::sys::io_stream::{self, Buffer};
use crate::sys::{self, Stream, io_memory};

/// Memory is looked through in pieces of so many bytes: those that are zero are left out.
const PIECE_BYTES: usize = 4096;

/// Runs the initialiser, writes the snapshot, and ends the process.
///
/// # Safety
/// `vmctx` is the context of a complete instance in which no code has run, the only one of its program; this is the last
/// hook of the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_snapshot(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) };
    let program = instance.program();
    let Some(initialiser) = program.invoke_entry.get() else { Failure::Check.end([0; 2]) };
    if descriptors::leads_to(1, Handle::STDOUT) {
        descriptors::redirect_standard(1, Handle::STDERR);
    }
    let before = Descriptors::now();
    let mut no_values = [[0u64; 2]; 1];
    // SAFETY: the entry is called once, then the initialiser, which has neither parameters nor results.
    unsafe {
        executable::call(&program.entry, vmctx);
        let initialiser = core::mem::transmute::<*const u8, InvokeEntry>(initialiser);
        initialiser(vmctx, no_values.as_mut_ptr());
    }
    before.compare();
    write_snapshot(instance);
    sys::exit(0)
}

/// The code behind [`invoke_entry`](wasmelt_abi::descriptor::ProgramDescriptor::invoke_entry).
type InvokeEntry = unsafe extern "C" fn(vmctx: *mut u8, values: *mut [u64; 2]);

/// What each number stood for at a moment: a word for each, see [`Self::word`].
struct Descriptors {
    words: *mut u64,
    len: usize,
}

impl Descriptors {
    /// What they stand for now. The words are never given back: the process ends soon.
    fn now() -> Self {
        let copied = descriptors::with(|table| {
            let numbers = table.numbers();
            let copied = io_memory::map(numbers.len() * size_of::<u64>()).map(|words| {
                let words = words.cast::<u64>();
                for fd in numbers.clone() {
                    // SAFETY: the mapping has a word for each number.
                    unsafe { words.add(fd as usize).write(Self::word(table.get(fd))) };
                }
                Self { words, len: numbers.len() }
            });
            (copied, Handle::STDIN)
        });
        copied.unwrap_or_else(|_| Failure::Commit.end([0; 2]))
    }

    /// What a descriptor is, and which grant it came from; 0 for none.
    fn word(descriptor: Result<Descriptor, Errno>) -> u64 {
        match descriptor {
            Ok(descriptor) => u64::from(descriptor.grant) << 8 | descriptor.kind as u64,
            Err(_) => Kind::Free as u64,
        }
    }

    fn of(&self, fd: u32) -> u64 {
        // SAFETY: there is a word for each number below the length.
        if (fd as usize) < self.len { unsafe { self.words.add(fd as usize).read() } } else { Kind::Free as u64 }
    }

    /// Ends the process where a number stands for something else than it did.
    fn compare(&self) {
        let after = Self::now();
        // The table grows and never shrinks.
        let changed = (0..after.len as u32).find(|&fd| self.of(fd) != after.of(fd));
        if let Some(fd) = changed {
            let is_free = after.of(fd) == Kind::Free as u64;
            let mut report = Report::new(Stream::Error);
            report.failure().text("the initialiser ").text(if is_free { "closed" } else { "left open" });
            report.text(" descriptor ").decimal(fd.into(), 0);
            report.text(", and no later run would find it so: what it opens (`path_open`) it has to close (`fd_close`), and nothing else");
            report.exit(START_FAILED_EXIT_CODE);
        }
    }
}

/// Writes the state of an instance to standard output.
fn write_snapshot(instance: Instance) {
    let (program, plan) = (instance.program(), instance.plan());
    write_words(&[snapshot::START, core::ptr::from_ref(program) as u64, plan.context_bytes.into()]);
    // SAFETY: the context lies below `vmctx`, as long as the plan says, and no code runs.
    unsafe { write_bytes(instance.vmctx().wrapping_sub(plan.context_bytes as usize), plan.context_bytes as usize) };
    write_words(&[plan.segment_count.into()]);
    let dropped = dropped_bytes(plan.segment_count) as usize;
    match instance.dropped_bit(0) {
        // SAFETY: there are bits for all segments.
        Some((words, _)) => unsafe { write_bytes(words.cast(), dropped) },
        None => (0..dropped / size_of::<u64>()).for_each(|_| write_words(&[0])),
    }
    let memories = slice(&plan.memories);
    write_words(&[memories.len() as u64]);
    for memory in memories {
        // SAFETY: the record is that of a memory of this instance.
        write_memory(unsafe { instance.memory_at(memory).read() });
    }
    let tables = slice(&plan.tables);
    write_words(&[tables.len() as u64]);
    for table in tables {
        // SAFETY: so is this one of a table.
        let Table { base, length_elements } = unsafe { instance.table_at(table).read() };
        write_words(&[length_elements]);
        // SAFETY: the table has so many elements.
        unsafe { write_bytes(base.cast(), length_elements as usize * size_of::<u64>()) };
    }
    write_words(&[snapshot::END]);
}

/// Writes the length of a memory and what is not zero in it.
fn write_memory(memory: Memory) {
    let Memory { base, length_bytes } = memory;
    write_words(&[length_bytes]);
    let len = length_bytes as usize;
    let mut at = 0;
    while at < len {
        let start = at;
        while at < len && !is_zero(base, at, len) {
            at += PIECE_BYTES.min(len - at);
        }
        if at > start {
            write_words(&[start as u64, (at - start) as u64]);
            // SAFETY: the piece lies in the memory.
            unsafe { write_bytes(base.add(start), at - start) };
        } else {
            at += PIECE_BYTES.min(len - at);
        }
    }
    write_words(&[length_bytes, 0]);
}

/// Whether the piece of a memory of `len` bytes is zero that starts at `at`.
fn is_zero(base: *const u8, at: usize, len: usize) -> bool {
    // SAFETY: the piece lies in the memory, which nothing else uses.
    let piece = unsafe { core::slice::from_raw_parts(base.add(at), PIECE_BYTES.min(len - at)) };
    // SAFETY: each pattern of bits is a number.
    let (front, words, back) = unsafe { piece.align_to::<u64>() };
    front.iter().chain(back).all(|&byte| byte == 0) && words.iter().all(|&word| word == 0)
}

fn write_words(words: &[u64]) {
    // SAFETY: words are bytes, little-endian ones on all targets.
    unsafe { write_bytes(words.as_ptr().cast(), size_of_val(words)) }
}

/// Writes bytes; ends the process where that fails.
///
/// # Safety
/// The bytes are readable, and nothing changes them.
unsafe fn write_bytes(start: *const u8, len: usize) {
    let mut done = 0;
    while done < len {
        let rest = Buffer { base: start.wrapping_add(done).cast_mut(), len_bytes: len - done };
        // SAFETY: by this function's contract.
        match unsafe { io_stream::write(Handle::STDOUT, &[rest]) } {
            Ok(written) => done += written,
            Err(Errno::Intr) => {}
            // Whoever reads it is gone.
            Err(_) => sys::exit(START_FAILED_EXIT_CODE),
        }
    }
}
