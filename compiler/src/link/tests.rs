//! An image of hand-made machine code becomes an object, then an executable with a hand-made runtime, and runs.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Output};

use cranelift_codegen::binemit::Reloc as Kind;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::write::{Object, Relocation, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, Object as _, ObjectSection, ObjectSymbol, RelocationEncoding,
    RelocationFlags, RelocationKind, SectionKind, SymbolFlags, SymbolKind, SymbolScope, elf,
};
use target_lexicon::Triple;
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::descriptor::ProgramDescriptor;
use wasmelt_abi::symbols;

use super::{LinkOptions, archive, link};
use crate::emit::{self, Code, Terms, note};
use crate::error::{ErrorKind as WasmeltErrorKind, Result};
use crate::image::{Image, ImageFunction, InstanceImage, MemoryPlan, Record, Reloc, RelocTarget, Start};
use crate::options::{Linker, Runtime};

const NOTE: &str = "{\"source\":\"tests\"}";

/// Content of a function that nothing calls.
const UNREACHED: &[u8] = b"this must not be linked";

fn target() -> Triple {
    "x86_64-unknown-linux-gnu".parse().unwrap()
}

fn options<'a>(target: &'a Triple, linker: &'a Linker) -> LinkOptions<'a> {
    LinkOptions { target, linker, runtime: Runtime::Freestanding, runtime_dir: None, strip: false, debug_info: false }
}

fn function(id: u32, symbol: &str, code: &[u8], relocs: Vec<Reloc>) -> ImageFunction {
    ImageFunction {
        id,
        symbol: symbol.to_owned(),
        name: symbol.to_owned(),
        index: Some(0),
        code: code.to_vec(),
        start: Start::Aligned(16),
        relocs,
        traps: Vec::new(),
        body: 0,
        operators: Vec::new(),
        scopes: Vec::new(),
        inlined: Vec::new(),
        call_sites: Vec::new(),
        unwind: None,
        debug: None,
    }
}

/// A program that returns 42: 2 from a function that the first one calls, 30 from the runtime, 10 from a record.
fn image() -> Image<'static> {
    let record = |function, type_id| Record { function, type_id, distance: None };
    let call = |offset, target| Reloc { offset, kind: Kind::X86CallPCRel4, target, addend: -4 };
    let operand = |offset, target, addend| Reloc { offset, kind: Kind::X86PCRel4, target, addend };
    let entry = [
        0x53, // push rbx
        0xe8, 0, 0, 0, 0, // call two
        0x89, 0xc3, // mov ebx, eax
        0xe8, 0, 0, 0, 0, // call wasmelt_memory_fill
        0x01, 0xd8, // add eax, ebx
        0x03, 0x05, 0, 0, 0, 0,    // add eax, [record 1's type]
        0x5b, // pop rbx
        0xc3, // ret
    ];
    let two = [0xb8, 2, 0, 0, 0, 0xc3]; // mov eax, 2; ret
    Image {
        functions: vec![
            function(0, "two", &two, Vec::new()),
            function(
                1,
                "en\0try",
                &entry,
                vec![
                    call(2, RelocTarget::Function(0)),
                    call(9, RelocTarget::Builtin(Builtin::memory_fill)),
                    operand(17, RelocTarget::Record(0, 1), 0),
                ],
            ),
        ],
        entry: Some(1),
        instances: vec![InstanceImage { records: vec![record(0, 77), record(1, 10)], ..Default::default() }],
        ..Image::default()
    }
}

/// The object of an image, with hooks.
fn object_of(image: &Image<'_>, hooks: &[&'static str]) -> Result<Vec<u8>> {
    let terms = Terms { hooks: hooks.to_vec(), note: Some(NOTE.to_owned()), ..Terms::default() };
    emit::object(&Code::write(image, &target())?, &terms, &target())
}

/// A runtime: `_start` calls the program's entry and exits with what it returns.
fn runtime_object() -> Vec<u8> {
    runtime_object_with(false)
}

/// A runtime that may hold the address of something.
fn runtime_object_with(address: bool) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let symbol = |object: &mut Object<'_>, name: &str, code: Option<&[u8]>| {
        let section = code.map(|code| {
            let name = format!(".text.{name}").into_bytes();
            let section = object.add_section(Vec::new(), name, SectionKind::Text);
            object.append_section_data(section, code, 16);
            section
        });
        let id = object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: 0,
            size: code.map_or(0, |code| code.len() as u64),
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: section.map_or(SymbolSection::Undefined, SymbolSection::Section),
            flags: SymbolFlags::None,
        });
        (id, section)
    };
    let start = [
        0x48, 0x8d, 0x05, 0, 0, 0, 0, // lea rax, [wasmelt_program.entry]
        0x48, 0x63, 0x08, // movsxd rcx, [rax]
        0x48, 0x01, 0xc8, // add rax, rcx
        0xff, 0xd0, // call rax
        0x89, 0xc7, // mov edi, eax
        0xb8, 60, 0, 0, 0, // mov eax, SYS_exit
        0x0f, 0x05, // syscall
    ];
    let (program, _) = symbol(&mut object, symbols::PROGRAM, None);
    let (_, section) = symbol(&mut object, "_start", Some(&start));
    let entry = std::mem::offset_of!(ProgramDescriptor, entry) as i64;
    let flags =
        RelocationFlags::Generic { kind: RelocationKind::Relative, encoding: RelocationEncoding::Generic, size: 32 };
    let relocation = Relocation { offset: 3, symbol: program, addend: entry - 4, flags };
    object.add_relocation(section.unwrap(), relocation).unwrap();
    // mov eax, 30; ret; and four bytes that say where the address is.
    let (_, fill) = symbol(&mut object, "wasmelt_memory_fill", Some(&[0xb8, 30, 0, 0, 0, 0xc3, 0, 0, 0, 0]));
    if address {
        let data = object.add_section(Vec::new(), b".data.address".to_vec(), SectionKind::Data);
        object.append_section_data(data, &[0; 8], 8);
        let place = object.section_symbol(data);
        object.add_relocation(fill.unwrap(), Relocation { offset: 6, symbol: place, addend: 0, flags }).unwrap();
        let flags = RelocationFlags::Generic {
            kind: RelocationKind::Absolute,
            encoding: RelocationEncoding::Generic,
            size: 64,
        };
        object.add_relocation(data, Relocation { offset: 0, symbol: program, addend: 0, flags }).unwrap();
    }
    symbol(&mut object, "wasmelt_memory_copy", Some(UNREACHED));
    symbol(&mut object, symbols::ABI_ANCHOR, Some(&[0]));
    object.write().unwrap()
}

/// A static library of one member, in the format of `ar` with its symbol table.
fn archive_of(object: &[u8]) -> Vec<u8> {
    let file = object::File::parse(object).unwrap();
    let names: Vec<&str> =
        file.symbols().filter(|s| s.is_definition() && s.is_global()).map(|s| s.name().unwrap()).collect();
    let table_len = (4 + names.iter().map(|name| 4 + name.len() + 1).sum::<usize>()).next_multiple_of(2);
    let header = |name: &str, len: usize| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 0, 0, 0, 644);
    let mut archive = b"!<arch>\n".to_vec();
    archive.extend(header("/", table_len).bytes());
    let member = (archive.len() + table_len) as u32;
    let end = archive.len() + table_len;
    archive.extend((names.len() as u32).to_be_bytes());
    archive.extend(names.iter().flat_map(|_| member.to_be_bytes()));
    archive.extend(names.iter().flat_map(|name| name.bytes().chain([0])));
    archive.resize(end, 0);
    archive.extend(header("start.o/", object.len()).bytes());
    archive.extend(object);
    archive.resize(archive.len().next_multiple_of(2), b'\n');
    archive
}

fn build(image: &Image<'_>, linker: &Linker) -> Result<Vec<u8>> {
    let target = target();
    link(object_of(image, &[])?, &archive_of(&runtime_object()), &options(&target, linker))
}

/// Runs an executable in an empty environment.
fn run(executable: &[u8]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("program");
    fs::write(&path, executable).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    loop {
        match Command::new(&path).env_clear().output() {
            // Another test forked while this one had the file open for writing.
            Err(e) if e.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => return output.unwrap(),
        }
    }
}

fn can_run() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

#[test]
fn an_image_becomes_an_executable_that_runs() {
    let executable = build(&image(), &Linker::Embedded).unwrap();
    if can_run() {
        assert_eq!(run(&executable).status.code(), Some(42));
    }
    assert!(executable.len() < 4096, "{} bytes", executable.len());
    assert_eq!(note::read_note(&executable).unwrap().as_deref(), Some(NOTE));
    assert!(!executable.windows(UNREACHED.len()).any(|w| w == UNREACHED));

    let file = object::File::parse(&*executable).unwrap();
    let names: Vec<&str> = file.symbols().map(|s| s.name().unwrap()).collect();
    assert!(names.contains(&"two") && names.contains(&"en?try"), "{names:?}");
}

#[test]
fn segments_are_writable_or_executable_and_nothing_is_relocated() {
    let executable = build(&with_large_data(), &Linker::Embedded).unwrap();
    let file = ElfFile64::<Endianness>::parse(&*executable).unwrap();
    let endian = file.endian();
    assert_eq!(file.elf_header().e_type(endian), elf::ET_DYN);
    for segment in file.elf_program_headers() {
        let flags = segment.p_flags(endian);
        assert!(!flags.contains(elf::PF_W) || !flags.contains(elf::PF_X), "{segment:?}");
        assert_ne!(segment.p_type(endian), elf::PT_INTERP);
    }
    for section in file.sections() {
        assert!(!section.name().unwrap().starts_with(".rela"), "{}", section.name().unwrap());
    }
}

/// The program with data for a whole stretch of pages.
fn with_large_data() -> Image<'static> {
    let memory = MemoryPlan {
        context_offset: -16,
        page_size_log2: 16,
        flags: 0,
        initial_bytes: 1 << 20,
        maximum_bytes: 1 << 20,
        reserve_bytes: 1 << 20,
        guard_bytes: 0,
    };
    let data = vec![0x5a; 300_000];
    let mut image = image();
    image.instances[0].memories = vec![memory];
    image.instances[0].initial = vec![(1024, data.into())];
    image
}

#[test]
fn pages_for_the_memory_have_pages_of_their_own() {
    let executable = build(&with_large_data(), &Linker::Embedded).unwrap();
    let file = object::File::parse(&*executable).unwrap();
    let image = file.section_by_name(".wasmelt.image").unwrap();
    let (start, end) = (image.address(), image.address() + image.size());
    assert_eq!((start % 4096, end % 4096), (0, 0));
    assert!(end - start >= 300_000);
    for other in file.sections().filter(|s| s.index() != image.index() && s.address() != 0) {
        assert!(other.address() + other.size() <= start || other.address() >= end, "{}", other.name().unwrap());
    }
    assert!(executable.len() < 320_000, "{} bytes", executable.len());
    if can_run() {
        assert_eq!(run(&executable).status.code(), Some(42));
    }
}

#[test]
fn output_does_not_depend_on_the_number_of_threads() {
    let build_with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| build(&with_large_data(), &Linker::Embedded).unwrap())
    };
    let first = build_with(1);
    assert!(first == build_with(1));
    assert!(first == build_with(2));
    assert!(first == build_with(7));
}

#[test]
fn strip_leaves_out_the_symbol_table_and_keeps_the_note() {
    let (target, linker) = (target(), Linker::Embedded);
    let options = LinkOptions { strip: true, ..options(&target, &linker) };
    let object = object_of(&image(), &[]).unwrap();
    let executable = link(object.clone(), &archive_of(&runtime_object()), &options).unwrap();
    assert_eq!(object::File::parse(&*executable).unwrap().symbols().count(), 0);
    assert_eq!(note::read_note(&executable).unwrap().as_deref(), Some(NOTE));
    if can_run() {
        assert_eq!(run(&executable).status.code(), Some(42));
    }
}

#[test]
fn a_missing_runtime_function_is_an_error_that_names_it() {
    let mut image = image();
    image.functions[1].relocs[1].target = RelocTarget::Builtin(Builtin::table_grow);
    let error = build(&image, &Linker::Embedded).unwrap_err();
    assert_eq!(error.kind(), WasmeltErrorKind::Link);
    assert!(error.to_string().contains("wasmelt_table_grow"), "{error}");
}

#[test]
fn a_runtime_that_would_have_to_be_relocated_is_refused() {
    let (target, linker) = (target(), Linker::Embedded);
    let archive = archive_of(&runtime_object_with(true));
    let object = object_of(&image(), &[]).unwrap();
    let error = link(object.clone(), &archive, &options(&target, &linker)).unwrap_err();
    assert!(error.to_string().starts_with("1 places of the executable would have to be relocated"), "{error}");
    // The hook of `--invoke` relocates its program.
    let object = object_of(&image(), &[symbols::HOOK_INVOKE]).unwrap();
    let error = link(object.clone(), &archive, &options(&target, &linker)).unwrap_err();
    assert!(error.to_string().contains("wasmelt_hook_invoke"), "{error}");
}

#[test]
fn packing_drops_what_nobody_reads() {
    let executable = build(&image(), &Linker::Embedded).unwrap();
    let file = ElfFile64::<Endianness>::parse(&*executable).unwrap();
    let names: Vec<&str> = file.sections().map(|section| section.name().unwrap()).collect();
    assert!(names.contains(&".text") && names.contains(&symbols::NOTE_SECTION), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with(".dyn") || name.contains("hash")), "{names:?}");
    let endian = file.endian();
    let loaded = file.elf_program_headers().iter().filter(|s| s.p_type(endian) == elf::PT_LOAD);
    let executable_ranges = loaded.filter(|s| s.p_flags(endian).contains(elf::PF_X)).map(|s| s.file_range(endian));
    for (start, len) in executable_ranges {
        for section in file.sections().filter(|section| section.address() == 0) {
            let Some((at, _)) = section.file_range() else { continue };
            assert!(!(start..start + len).contains(&at), "{} can be executed", section.name().unwrap());
        }
    }
    assert_eq!(super::pack::pack(&executable).unwrap(), executable, "packed twice");
}

#[test]
fn damaged_inputs_are_errors() {
    let (target, linker) = (target(), Linker::Embedded);
    let options = options(&target, &linker);
    let object = object_of(&image(), &[]).unwrap();
    let archive = archive_of(&runtime_object());
    assert!(link(object[..object.len() / 2].to_vec(), &archive, &options).is_err());
    assert!(link(object.clone(), &archive[..archive.len() / 2], &options).is_err());
    assert!(link(object.clone(), b"junk", &options).is_err());
}

#[test]
fn an_external_linker_that_fails_reports_its_command_and_output() {
    let error = build(&image(), &Linker::Program("/nonexistent/ld".into())).unwrap_err();
    assert!(error.to_string().starts_with("cannot run the linker /nonexistent/ld: "), "{error}");
    if can_run() {
        assert!(error.to_string().ends_with(": no such file or directory"), "{error}");
        let error = build(&image(), &Linker::Program("false".into())).unwrap_err();
        assert!(error.to_string().contains("the linker failed (exit status: 1): \"false\" \"-static\""), "{error}");
    }
}

#[test]
fn external_linkers_make_the_same_program() {
    for (linker, program) in [(Linker::Cc, "cc"), (Linker::Program("ld".into()), "ld")] {
        let found = Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
        if !found || !can_run() {
            println!("skipped: {program} is not there");
            continue;
        }
        let executable = build(&with_large_data(), &linker).unwrap_or_else(|e| panic!("{program}: {e}"));
        assert_eq!(run(&executable).status.code(), Some(42), "{program}");
        assert_eq!(note::read_note(&executable).unwrap().as_deref(), Some(NOTE), "{program}");
    }
}

/// This program without `PATH` and everything else links as well: nothing is run to do so. Windows cannot do without some
/// variables.
#[test]
#[cfg(unix)]
fn the_embedded_linker_needs_no_other_program() {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "link::tests::an_image_becomes_an_executable_that_runs"])
        .env_clear()
        .env("PATH", "")
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn the_embedded_archive_fits_this_compiler() {
    let host = target_lexicon::HOST;
    if can_run() {
        archive::find(&host, Runtime::Freestanding, None).unwrap().check_version().unwrap();
    }
}
