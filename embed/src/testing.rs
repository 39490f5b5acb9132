//! A library for unit tests, as the compiler would make it: its code is assembly, its descriptor is put together here.

use core::cell::UnsafeCell;
use core::mem;
use core::ptr;
use std::sync::OnceLock;

use wasmelt_abi::ABI_VERSION;
use wasmelt_abi::code_map::{self, Function, Site};
use wasmelt_abi::context::{FuncRef, HEAD_BYTES, LIBRARY_HEAD_OFFSET, MEMORY0_BASE_OFFSET};
use wasmelt_abi::descriptor::{MemoryPlan, ProgramDescriptor};
use wasmelt_abi::interface::{
    EntityPlan, ExportEntry, FuncPlan, FuncTypeEntry, ImportEntry, Interface, Kind, TypeCode,
};

use super::Module;
use wasmelt_abi::rel::{refer, refer_slice};

/// Bytes of each function of the code.
const SLOT: u32 = 64;

/// Number of functions of the code.
const SLOTS: u32 = 9;

const FUNC_REFS: i32 = LIBRARY_HEAD_OFFSET - 240;

/// The code, in slots of [`SLOT`] bytes. All guest functions have the type `(i32, i32) -> i32`.
#[unsafe(naked)]
unsafe extern "C" fn code() {
    core::arch::naked_asm!(
        // 0: `to_wasm`
        ".balign 64",
        "push rbp; mov rbp, rsp; push rbx; push rbx",
        "mov rbx, rdx; mov rax, rsi; mov esi, [rbx]; mov edx, [rbx + 16]",
        "call rax",
        "mov [rbx], eax; pop rbx; pop rbx; pop rbp; ret",
        // 1: `to_host`
        ".balign 64",
        "push rbp; mov rbp, rsp; sub rsp, 32",
        "mov [rsp], rsi; mov [rsp + 16], rdx; mov rsi, rsp",
        "call [rdi]",
        "mov eax, [rsp]; leave; ret",
        // 2: adds
        ".balign 64",
        "lea eax, [rsi + rdx]; ret",
        // 3: traps, after it has changed every register that callees keep
        ".balign 64",
        "push rbp; mov rbp, rsp",
        "mov ebx, 1; mov r12, rbx; mov r13, rbx; mov r14, rbx; mov r15, rbx",
        "mov ecx, [rsp - 8]",
        "call 3f",
        "3: ud2",
        // 4: calls the import
        ".balign 64",
        "push rbp; mov rbp, rsp; push rbx; push rbx; mov rbx, rdi",
        "mov rax, [rdi + {func_refs}]; mov rdi, [rdi + {func_refs} + 8]",
        "call rax",
        "mov rdi, rbx; pop rbx; pop rbx; pop rbp; ret",
        // 5: calls itself
        ".balign 64",
        "5: push rbp; mov rbp, rsp; call 5b; leave; ret",
        // 6: writes to memory
        ".balign 64",
        "mov esi, esi; mov rax, [rdi - 16]; mov [rax + rsi], edx; mov eax, [rax + rsi]; ret",
        // 7: the entry
        ".balign 64",
        "ret",
        // 8: adds 1 to all of memory that can be had, by a builtin
        ".balign 64",
        "push rbp; mov rbp, rsp; mov rax, [rdi + {head} + 16]; mov edx, edx; call [rax]; leave; ret",
        ".balign 64",
        func_refs = const FUNC_REFS,
        head = const LIBRARY_HEAD_OFFSET,
    )
}

/// Offset of the trapping instruction.
fn trap_offset() -> u32 {
    // SAFETY: the code is there.
    let bytes = unsafe { core::slice::from_raw_parts(text(), (SLOT * SLOTS) as usize) };
    let trap = bytes.windows(2).position(|pair| pair == [0x0f, 0x0b]).unwrap();
    trap as u32
}

/// First byte of the code, behind the padding.
fn text() -> *const u8 {
    ptr::with_exposed_provenance((code as *const () as usize).next_multiple_of(64))
}

/// A descriptor and what it refers to.
#[repr(C)]
struct Parts {
    descriptor: ProgramDescriptor,
    interface: Interface,
    memory: [MemoryPlan; 1],
    memory_plan: [EntityPlan; 1],
    types: [FuncTypeEntry; 1],
    params: [TypeCode; 2],
    results: [TypeCode; 1],
    funcs: [FuncPlan; 7],
    imports: [ImportEntry; 1],
    exports: [ExportEntry; 7],
    names: [[u8; 8]; 8],
    code_map: [u8; 128],
}

struct Place(UnsafeCell<mem::MaybeUninit<Parts>>);

// SAFETY: written once, before anybody reads it.
unsafe impl Sync for Place {}

/// In the program's data, so that its code is near enough.
static PLACE: Place = Place(UnsafeCell::new(mem::MaybeUninit::zeroed()));

/// The module.
///
/// It imports `host.call` and exports `add`, `trap`, `call`, `recurse`, `poke`, `grow` and its memory of one page.
pub(super) fn module() -> Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE
        .get_or_init(|| {
            // SAFETY: nobody else has the place yet, and all zeros is a value of every field.
            let parts = unsafe { (*PLACE.0.get()).assume_init_mut() };
            fill(parts);
            // SAFETY: the descriptor is complete, and stays.
            unsafe { Module::from_descriptor(&parts.descriptor, "test") }.unwrap()
        })
        .clone()
}

fn fill(parts: &mut Parts) {
    let names = ["host", "call", "add", "trap", "recurse", "poke", "grow", "memory"];
    for (place, name) in parts.names.iter_mut().zip(names) {
        place[..name.len()].copy_from_slice(name.as_bytes());
    }
    let name = |parts: &Parts, name: &str| {
        let index = names.iter().position(|&other| other == name).unwrap();
        // SAFETY: the parts are in a static.
        unsafe { core::slice::from_raw_parts(parts.names[index].as_ptr(), name.len()) }
    };
    parts.params = [TypeCode::I32; 2];
    parts.results = [TypeCode::I32];
    refer_slice(&mut parts.types[0].params, &parts.params);
    refer_slice(&mut parts.types[0].results, &parts.results);
    refer(&mut parts.types[0].to_wasm, text());
    refer(&mut parts.types[0].to_host, text().wrapping_add(SLOT as usize));
    let exported = [("add", 2), ("trap", 3), ("call", 4), ("recurse", 5), ("poke", 6), ("grow", 8)];
    let (module, field) = (name(parts, "host"), name(parts, "call"));
    refer_slice(&mut parts.imports[0].module, module);
    refer_slice(&mut parts.imports[0].name, field);
    for (i, (export, slot)) in exported.into_iter().enumerate() {
        parts.funcs[i + 1] = FuncPlan { code_offset: slot * SLOT, type_number: 0 };
        let export = name(parts, export);
        refer_slice(&mut parts.exports[i].name, export);
        parts.exports[i].index = i as u32 + 1;
    }
    let memory = name(parts, "memory");
    refer_slice(&mut parts.exports[6].name, memory);
    parts.exports[6].kind = Kind::Memory as u32;
    parts.memory[0] = MemoryPlan {
        context_offset: MEMORY0_BASE_OFFSET,
        page_size_log2: 16,
        flags: 0,
        initial_bytes: 1 << 16,
        maximum_bytes: 3 << 16,
        reserve_bytes: 1 << 32,
        guard_bytes: 1 << 16,
    };
    parts.memory_plan[0].minimum = 1;
    parts.memory_plan[0].maximum = 3;
    parts.memory_plan[0].flags = EntityPlan::HAS_MAXIMUM;
    parts.memory_plan[0].page_size_log2 = 16;
    let interface = &mut parts.interface;
    refer_slice(&mut interface.types, &parts.types);
    refer_slice(&mut interface.imports, &parts.imports);
    refer_slice(&mut interface.exports, &parts.exports);
    refer_slice(&mut interface.funcs, &parts.funcs);
    refer_slice(&mut interface.memories, &parts.memory_plan);
    interface.func_refs_offset = FUNC_REFS;
    interface.imported[Kind::Func as usize] = 1;
    let trap = trap_offset();
    let guest = [(0, u32::MAX, ""), (2, 1, "add"), (3, 2, "trap"), (4, 3, "call"), (5, 4, "recurse"), (6, 5, "poke")];
    let sites = [Site { offset: trap, operator: 0, trap: Some(wasmelt_abi::trap::Trap::Unreachable) }];
    let functions = guest.map(|(slot, index, name)| {
        let sites = if name == "trap" { &sites[..] } else { &[] };
        Function { start: slot * SLOT, index, body: 0, name, sites }
    });
    let mut at = 0;
    code_map::encode(functions, |byte| {
        parts.code_map[at] = byte;
        at += 1;
    });
    let descriptor = &mut parts.descriptor;
    descriptor.abi_version = ABI_VERSION;
    let plan = &mut descriptor.first;
    plan.context_bytes = (-FUNC_REFS) as u32;
    assert!(FUNC_REFS.unsigned_abs() as usize - HEAD_BYTES >= 7 * size_of::<FuncRef>());
    refer_slice(&mut plan.memories, &parts.memory);
    refer(&mut descriptor.interface, &raw const parts.interface);
    refer(&mut descriptor.code.text, text());
    descriptor.code.text_bytes = SLOT * SLOTS;
    refer_slice(&mut descriptor.code.code_map, &parts.code_map[..at]);
    refer(&mut descriptor.entry, text().wrapping_add(7 * SLOT as usize));
}
