//! Debug information of `-g`, read back as debuggers do: which line of the source a function's code belongs to, in objects
//! of every target and in what is linked; a debugger stops where it is told to.
//!
//! The guest is `guests/lines.c`: line numbers here are those of that file.

use std::path::Path;
use std::process::Command;
use std::{fs, str};

use gimli::{EndianSlice, LittleEndian};
use libtest_mimic::{Failed, Trial};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};

use crate::support;
use crate::support::foreign::System;

/// A function of the guest: its name, the line where it is declared, and a line of its body.
const FUNCTIONS: [(&str, u64, u64); 3] = [("print", 13, 16), ("digits", 19, 23), ("_start", 28, 32)];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("debug::x86_64::object", || object_has_lines("x86_64-unknown-linux-gnu")),
        Trial::test("debug::x86_64::executable", || executable_has_lines(&[], "lines.wasm")),
        Trial::test("debug::dwarf5", || executable_has_lines(&[], "lines-dwarf5.wasm")),
        Trial::test("debug::text", text_has_lines),
        Trial::test("debug::library", library_has_lines),
        Trial::test("debug::strip", nothing_is_left_by_strip),
    ];
    for system in System::ALL {
        let name = system.name();
        trials.push(Trial::test(format!("debug::{name}::object"), move || object_has_lines(system.triple())));
        let name = format!("debug::{name}::executable");
        trials.push(match system.cannot_be_linked() {
            Some(why) => support::skipped(name, why),
            None => Trial::test(name, move || executable_for_has_lines(system)),
        });
    }
    for (name, program, test) in [
        ("debug::gdb", "gdb", debugger_stops as support::Test),
        ("debug::verify", "llvm-dwarfdump", is_accepted_by_llvm),
    ] {
        trials.push(match support::find_program(program) {
            Some(_) => Trial::test(name, test),
            None => support::skipped(name, format!("there is no {program}")),
        });
    }
    trials
}

fn compile(module: &str, out: &Path, options: &[&str]) -> Result<Vec<u8>, Failed> {
    let guest = support::repository().join("tests/run/guests").join(module);
    let mut command = support::wasmelt();
    command.args(["compile", "-g", "-o"]).arg(out).args(options).arg(guest);
    support::run(&mut command, b"")?.expect_code(0)?;
    Ok(fs::read(out)?)
}

fn object_has_lines(triple: &str) -> Result<(), Failed> {
    let folder = support::scratch();
    let compile = |threads: &str| {
        compile("lines.wasm", &folder.path().join("lines.o"), &["--emit", "obj", "-j", threads, "--target", triple])
    };
    let object = compile("1")?;
    if object != compile("2")? {
        return Err("another number of threads makes another object".into());
    }
    check(&object, &FUNCTIONS, "/guest/lines.c")
}

fn executable_has_lines(options: &[&str], module: &str) -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join("lines");
    let bytes = compile(module, &path, options)?;
    support::run(&mut Command::new(&path), b"")?.expect_code(0)?.expect_stdout("2107\n")?;
    check(&bytes, &FUNCTIONS, "/guest/lines.c")
}

fn executable_for_has_lines(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join(system.file_name("lines"));
    let options = system.options()?;
    let options: Vec<&str> = options.iter().filter_map(|option| option.to_str()).collect();
    let bytes = compile("lines.wasm", &path, &options)?;
    if system.cannot_be_run().is_none() {
        support::run(&mut system.command(&path)?, b"")?.expect_code(0)?.expect_stdout("2107\n")?;
    }
    // On macOS, debug information stays in objects.
    if matches!(system, System::Mac | System::MacAarch64) {
        Ok(())
    } else {
        check(&bytes, &FUNCTIONS, "/guest/lines.c")
    }
}

fn library_has_lines() -> Result<(), Failed> {
    let folder = support::scratch();
    let bytes = compile("lines.wasm", &folder.path().join("lines.so"), &["--emit", "cdylib"])?;
    check(&bytes, &FUNCTIONS, "/guest/lines.c")
}

fn nothing_is_left_by_strip() -> Result<(), Failed> {
    let folder = support::scratch();
    let bytes = compile("lines.wasm", &folder.path().join("lines"), &["--strip"])?;
    let file = object::File::parse(&*bytes)?;
    match file.sections().find(|section| section.name().is_ok_and(|name| name.starts_with(".debug"))) {
        Some(section) => Err(format!("there is a section {:?}", section.name()).into()),
        None => Ok(()),
    }
}

/// A module without debug information gets the lines of its text.
fn text_has_lines() -> Result<(), Failed> {
    let folder = support::scratch();
    let (guest, path) = (folder.path().join("text.wat"), folder.path().join("text.o"));
    let source = "(func $helper (param i32) (result i32) local.get 0 i32.const 1 i32.add)\n\
                  (func $main (export \"_start\") i32.const 41 call $helper drop)";
    fs::write(&guest, source)?;
    support::run(support::wasmelt().args(["compile", "-g", "--emit", "obj", "-o"]).arg(&path).arg(&guest), b"")?
        .expect_code(0)?;
    let printed = support::run(support::wasmelt().args(["compile", "--emit", "wat", "-o", "-"]).arg(&guest), b"")?;
    let text = printed.expect_code(0)?.stdout();
    let line_of =
        |part: &str| (1..).zip(text.lines()).find(|(_, line)| line.contains(part)).map_or(0, |(line, _)| line);
    let functions = [
        ("helper", line_of("(func $helper (;"), line_of("i32.add")),
        ("main", line_of("(func $main (;"), line_of("call $helper")),
    ];
    check(&fs::read(path)?, &functions, "text.wat")
}

/// Sections with their relocations applied, as far as they concern debug information.
fn relocated<'a>(file: &object::File<'a>, name: &str) -> Result<Vec<u8>, Failed> {
    let Some(section) = file.section_by_name(name) else { return Ok(Vec::new()) };
    let mut data = section.data()?.to_vec();
    if file.format() == object::BinaryFormat::MachO {
        // Addresses stand where they belong.
        return Ok(data);
    }
    for (offset, relocation) in section.relocations() {
        let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
        let bytes = usize::from(relocation.size() / 8).max(if is_address(&relocation) { 8 } else { 4 });
        let place = &mut data[offset as usize..][..bytes];
        let mut value = [0; 8];
        if relocation.has_implicit_addend() {
            value[..bytes].copy_from_slice(place);
        }
        let added = i64::from_le_bytes(value) + relocation.addend();
        // All are relative to a section: in an object, each starts at 0.
        let value = file.symbol_by_index(symbol)?.address().wrapping_add_signed(added);
        place.copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
    Ok(data)
}

fn is_address(relocation: &object::Relocation) -> bool {
    relocation.kind() == object::RelocationKind::Absolute && relocation.size() == 64
}

/// Checks that each function's code has a line of its body in the file, and that it is declared where it is.
fn check(bytes: &[u8], functions: &[(&str, u64, u64)], file_name: &str) -> Result<(), Failed> {
    let file = object::File::parse(bytes)?;
    let mut sections = std::collections::HashMap::new();
    for id in [gimli::SectionId::DebugAbbrev, gimli::SectionId::DebugInfo, gimli::SectionId::DebugLine] {
        sections.insert(id, relocated(&file, id.name())?);
    }
    sections.insert(gimli::SectionId::DebugRanges, relocated(&file, ".debug_ranges")?);
    let section = |id| sections.get(&id).map_or(&[][..], Vec::as_slice);
    let dwarf = gimli::Dwarf::load(|id| Ok::<_, gimli::Error>(EndianSlice::new(section(id), LittleEndian)))?;
    for &(name, declared, body) in functions {
        let found = find(&dwarf, name)?.ok_or_else(|| format!("there is no function {name}"))?;
        if found.declared != declared {
            return Err(format!("{name} is declared at line {}, not {declared}", found.declared).into());
        }
        if !found.lines.contains(&(file_name.to_owned(), body)) {
            return Err(format!("{name} has no code for {file_name}:{body}, but {:?}", found.lines).into());
        }
        // Runtimes have a `_start` of their own.
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name) && symbol.is_definition());
        if let Some(symbol) = symbol.filter(|symbol| name != "_start" && symbol.address() != found.address) {
            return Err(format!("{name} is at {:#x}, its symbol at {:#x}", found.address, symbol.address()).into());
        }
    }
    Ok(())
}

/// What debug information says of a function.
struct Found {
    address: u64,
    declared: u64,
    /// Files and lines of its code.
    lines: Vec<(String, u64)>,
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The function of this name that lines belong to.
fn find(dwarf: &gimli::Dwarf<Slice<'_>>, name: &str) -> Result<Option<Found>, Failed> {
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        let unit = dwarf.unit(header)?;
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            let string = |at| entry.attr_value(at).and_then(|value| dwarf.attr_string(&unit, value).ok());
            if entry.tag() != gimli::DW_TAG_subprogram
                || string(gimli::DW_AT_name).is_none_or(|n| n.slice() != name.as_bytes())
            {
                continue;
            }
            let Some(gimli::AttributeValue::Addr(address)) = entry.attr_value(gimli::DW_AT_low_pc) else { continue };
            let len = entry.attr(gimli::DW_AT_high_pc).and_then(gimli::Attribute::udata_value).unwrap_or(0);
            let declared = entry.attr(gimli::DW_AT_decl_line).and_then(gimli::Attribute::udata_value).unwrap_or(0);
            let lines = lines_between(&unit, address..address + len)?;
            return Ok(Some(Found { address, declared, lines }));
        }
    }
    Ok(None)
}

fn lines_between(unit: &gimli::Unit<Slice<'_>>, code: std::ops::Range<u64>) -> Result<Vec<(String, u64)>, Failed> {
    let text = |value: gimli::AttributeValue<Slice<'_>>| match value {
        gimli::AttributeValue::String(text) => str::from_utf8(text.slice()).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let mut lines = Vec::new();
    let Some(program) = unit.line_program.clone() else { return Ok(lines) };
    let mut rows = program.rows();
    while let Some((header, row)) = rows.next_row()? {
        let Some(file) = row.file(header).filter(|_| code.contains(&row.address()) && !row.end_sequence()) else {
            continue;
        };
        let directory = file.directory(header).map(text).unwrap_or_default();
        let name = text(file.path_name());
        let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
        lines.push((path, row.line().map_or(0, |line| line.get())));
    }
    Ok(lines)
}

/// A debugger stops at a line, and knows who called.
fn debugger_stops() -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join("lines");
    compile("lines.wasm", &path, &[])?;
    let mut command = Command::new("gdb");
    command.args(["-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "break lines.c:23", "-ex", "run"]);
    command.args(["-ex", "bt", "-ex", "break print", "-ex", "delete 1", "-ex", "continue", "-ex", "bt 1"]).arg(&path);
    let text = support::run(&mut command, b"")?.expect_code(0)?.stdout();
    // In a container that allows no tracing, it says so.
    if text.contains("ptrace: Operation not permitted") {
        return Err("nothing can be traced here".into());
    }
    for part in ["digits () at lines.c:23", "in _start () at lines.c:30", "print () at lines.c:14"] {
        if !text.contains(part) {
            return Err(format!("`{part}` is not in what gdb says:\n{text}").into());
        }
    }
    Ok(())
}

fn is_accepted_by_llvm() -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join("lines.o");
    let triples = System::ALL.map(System::triple);
    for triple in triples.into_iter().chain(["x86_64-unknown-linux-gnu"]) {
        compile("lines.wasm", &path, &["--emit", "obj", "--target", triple])?;
        let mut command = Command::new("llvm-dwarfdump");
        let outcome = support::run(command.arg("--verify").arg(&path), b"")?;
        if outcome.code() != 0 {
            return Err(format!("for {triple}:{}", outcome.shown()).into());
        }
    }
    Ok(())
}
