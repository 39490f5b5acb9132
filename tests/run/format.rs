//! What an executable is made of: nothing that a dynamic linker would have to do, nothing that is writable and
//! executable, symbols of functions; and that one refuses to run on a CPU that lacks what it needs.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{LittleEndian, Object, ObjectSymbol};

use crate::support;

pub(crate) fn trials() -> Vec<Trial> {
    let linkers = [("embedded", None), ("cc", Some("cc")), ("ld", Some("ld"))];
    let mut trials: Vec<Trial> = linkers
        .into_iter()
        .map(|(linker, program)| match program.is_none_or(|program| support::find_program(program).is_some()) {
            true => Trial::test(format!("format::{linker}"), move || nothing_but_the_program(linker)),
            false => support::skipped(format!("format::{linker}"), format!("`{linker}` is not on PATH")),
        })
        .collect();
    trials.push(Trial::test("format::cpu_feature", a_missing_cpu_feature_is_named));
    trials
}

fn compile_hello(executable: &Path, options: &[&str]) -> Result<Vec<u8>, Failed> {
    support::compile(&support::repository().join("examples/hello.wat"), executable, options)?;
    Ok(fs::read(executable)?)
}

fn nothing_but_the_program(linker: &str) -> Result<(), Failed> {
    let folder = support::scratch();
    let options: &[&str] = if linker == "embedded" { &[] } else { &["--linker", linker] };
    let path = folder.path().join("hello");
    let bytes = compile_hello(&path, options)?;
    support::run(&mut Command::new(&path), b"")?.expect_code(0)?.expect_stdout("Hello, world!\n")?;

    let file = ElfFile64::<LittleEndian>::parse(&*bytes)?;
    let mut breaches = Vec::new();
    if file.elf_header().e_type(LittleEndian) != elf::ET_DYN {
        breaches.push("it is not position-independent".to_owned());
    }
    for segment in file.elf_program_headers() {
        let (kind, flags) = (segment.p_type(LittleEndian), segment.p_flags(LittleEndian));
        if kind == elf::PT_DYNAMIC || kind == elf::PT_INTERP {
            breaches.push("it asks for a dynamic linker".to_owned());
        }
        if flags.contains(elf::PF_X) && (flags.contains(elf::PF_W) || kind == elf::PT_GNU_STACK) {
            breaches.push(format!("a segment is writable and executable: {segment:?}"));
        }
    }
    let has = |name: &str| file.symbols().any(|symbol| symbol.name() == Ok(name));
    for name in ["_start", "wasmelt_text", "wasi_snapshot_preview1.fd_write"] {
        if !has(name) {
            breaches.push(format!("the symbol {name} is missing"));
        }
    }
    breaches.extend(file.symbols().filter_map(|symbol| {
        let name = symbol.name().ok()?;
        ["_ZN", "_R"].iter().any(|start| name.starts_with(start)).then(|| format!("a name of Rust's is left: {name}"))
    }));
    if breaches.is_empty() { Ok(()) } else { Err(breaches.join("\n").into()) }
}

/// Replaces the instruction that tries a feature by one that no CPU has.
fn a_missing_cpu_feature_is_named() -> Result<(), Failed> {
    const TRIED: [u8; 5] = [0xf2, 0x0f, 0xd0, 0xc0, 0xc3]; // addsubps xmm0, xmm0; ret
    let folder = support::scratch();
    let path = folder.path().join("hello");
    let mut bytes = compile_hello(&path, &["--cpu", "x86-64-v3"])?;
    let places: Vec<usize> =
        bytes.windows(TRIED.len()).enumerate().filter(|(_, w)| **w == TRIED).map(|(i, _)| i).collect();
    let &[place] = &places[..] else { return Err(format!("found the instruction at {places:x?}").into()) };
    bytes[place..place + 2].copy_from_slice(&[0x0f, 0x0b]); // ud2
    fs::write(&path, bytes)?;
    support::run(&mut Command::new(&path), b"")?
        .expect_code(69)?
        .expect_stdout("")?
        .expect_stderr("this program needs a CPU feature that this machine lacks: sse3\n")?;
    Ok(())
}
