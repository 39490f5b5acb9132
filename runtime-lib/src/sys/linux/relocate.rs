//! Relocation of a static position-independent executable by itself.
//!
//! Afterwards, addresses stored in data are right. There is no dynamic linker, and programs and the runtime hold no
//! addresses, with one exception: the standard library's code for floats, which only `--invoke` uses. So only its hook
//! calls this, and the linker stage refuses any other program with relocations.

// ---------------------------------------------------------------------------------------------------------------
// Until `relocate` returns, no code may use anything that the linker could have put an address into: no `match` that
// becomes a table, no function pointer in data. So there are only reads through the header here.
// ---------------------------------------------------------------------------------------------------------------

unsafe extern "C" {
    /// This executable's header, in memory; defined by the linker.
    #[link_name = "__ehdr_start"]
    static HEADER: FileHeader;
}

/// The ELF header, `Elf64_Ehdr`.
#[repr(C)]
struct FileHeader {
    ident: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    entry: u64,
    program_headers_offset: u64,
    section_headers_offset: u64,
    flags: u32,
    header_bytes: u16,
    program_header_bytes: u16,
    program_header_count: u16,
}

/// A program header, `Elf64_Phdr`.
#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    file_offset: u64,
    address: u64,
    physical_address: u64,
    file_bytes: u64,
    memory_bytes: u64,
    align: u64,
}

/// A relocation, `Elf64_Rela`.
#[repr(C)]
struct Relocation {
    offset: u64,
    info: u64,
    addend: u64,
}

/// A position-independent file.
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NULL: u64 = 0;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_RELRSZ: u64 = 35;
const DT_RELR: u64 = 36;

/// "The load address plus the addend", the only relocation that static linking leaves.
#[cfg(target_arch = "x86_64")]
const R_RELATIVE: u32 = 8;
/// "The load address plus the addend", the only relocation that static linking leaves.
#[cfg(target_arch = "aarch64")]
const R_RELATIVE: u32 = 1027;

/// Applies the executable's own relocations.
///
/// # Safety
/// This is the only call, and nothing has used data with addresses in it before.
#[inline(never)]
pub unsafe fn relocate() {
    let header = &raw const HEADER;
    // SAFETY: the kernel has mapped the header, and with it the program headers.
    let (kind, offset, count) =
        unsafe { ((*header).kind, (*header).program_headers_offset, (*header).program_header_count) };
    if kind != ET_DYN {
        return;
    }
    let mut program_header = header.wrapping_byte_add(offset as usize).cast::<ProgramHeader>();
    let (mut load_address, mut dynamic) = (header as u64, 0);
    for _ in 0..count {
        // SAFETY: one of `count` program headers.
        let (kind, file_offset, address) =
            unsafe { ((*program_header).kind, (*program_header).file_offset, (*program_header).address) };
        if kind == PT_LOAD && file_offset == 0 {
            load_address = (header as u64).wrapping_sub(address);
        } else if kind == PT_DYNAMIC {
            dynamic = address;
        }
        program_header = program_header.wrapping_add(1);
    }
    if dynamic != 0 {
        // SAFETY: that is the dynamic section, which the program headers say is there.
        unsafe { apply(load_address, load_address.wrapping_add(dynamic) as *const [u64; 2]) };
    }
}

/// Applies the relocations that a dynamic section names.
///
/// # Safety
/// `entry` is the first entry of the executable's dynamic section, loaded at `load_address`.
unsafe fn apply(load_address: u64, mut entry: *const [u64; 2]) {
    let (mut rela, mut rela_bytes, mut relr, mut relr_bytes) = (0, 0, 0, 0);
    loop {
        // SAFETY: the section ends with `DT_NULL`.
        let [tag, value] = unsafe { entry.read() };
        if tag == DT_NULL {
            break;
        } else if tag == DT_RELA {
            rela = value;
        } else if tag == DT_RELASZ {
            rela_bytes = value;
        } else if tag == DT_RELR {
            relr = value;
        } else if tag == DT_RELRSZ {
            relr_bytes = value;
        }
        entry = entry.wrapping_add(1);
    }
    // SAFETY: the section describes both tables, and the places they name are in writable segments.
    unsafe {
        apply_rela(load_address, load_address.wrapping_add(rela) as *const Relocation, rela_bytes);
        apply_relr(load_address, load_address.wrapping_add(relr) as *const u64, relr_bytes);
    }
}

/// # Safety
/// `relocation` is a table of this many bytes, whose places are writable.
unsafe fn apply_rela(load_address: u64, mut relocation: *const Relocation, bytes: u64) {
    for _ in 0..bytes / size_of::<Relocation>() as u64 {
        // SAFETY: an entry of the table.
        let Relocation { offset, info, addend } = unsafe { relocation.read() };
        if info as u32 == R_RELATIVE {
            // SAFETY: the place is writable.
            unsafe { (load_address.wrapping_add(offset) as *mut u64).write(load_address.wrapping_add(addend)) };
        }
        relocation = relocation.wrapping_add(1);
    }
}

/// The compact table: an even entry is a place, an odd one has a bit for each of the 63 words that follow.
/// Source: the generic ELF specification, "Relative Relocation Table".
///
/// # Safety
/// `entry` is a table of this many bytes, whose places are writable.
unsafe fn apply_relr(load_address: u64, mut entry: *const u64, bytes: u64) {
    let mut next = core::ptr::null_mut::<u64>();
    for _ in 0..bytes / 8 {
        // SAFETY: an entry of the table.
        let value = unsafe { entry.read() };
        if value & 1 == 0 {
            let place = load_address.wrapping_add(value) as *mut u64;
            // SAFETY: the place is writable.
            unsafe { place.write(place.read().wrapping_add(load_address)) };
            next = place.wrapping_add(1);
        } else {
            let (mut bits, mut place) = (value >> 1, next);
            while bits != 0 {
                if bits & 1 == 1 {
                    // SAFETY: the place is writable.
                    unsafe { place.write(place.read().wrapping_add(load_address)) };
                }
                bits >>= 1;
                place = place.wrapping_add(1);
            }
            next = next.wrapping_add(63);
        }
        entry = entry.wrapping_add(1);
    }
}
