//! Debug information of real modules is read; damaged and hostile one does no harm.

use wasmelt_abi::positions;

use super::positions::Builder;
use super::*;
use crate::driver;
use crate::options::{Emit, Options};

/// Compiled from `tests/run/guests/lines.c`, in two versions of DWARF.
const LINES: [&[u8]; 2] = [
    include_bytes!("../../../tests/run/guests/lines.wasm"),
    include_bytes!("../../../tests/run/guests/lines-dwarf5.wasm"),
];

/// Compiled from `tests/run/guests/inlined.cpp`.
const INLINED: &[u8] = include_bytes!("../../../tests/run/guests/inlined.wasm");

/// What is damaged.
const GUESTS: [&[u8]; 3] = [LINES[0], LINES[1], INLINED];

fn parsed(wasm: &[u8]) -> Module<'_> {
    crate::module::parse(wasm, crate::features::default_features()).unwrap()
}

fn bodies(module: &Module<'_>) -> Vec<Range<usize>> {
    module.bodies.values().map(|body| body.range.clone()).collect()
}

fn read(wasm: &[u8]) -> SourceMap {
    let module = parsed(wasm);
    SourceMap::read(&module, wasm, "lines.wasm", &bodies(&module))
}

/// The function of this name as if each operator were one instruction.
fn function(map: &SourceMap, wasm: &[u8], name: &str) -> FunctionDebug {
    let module = parsed(wasm);
    let index = module.func_names.iter().find(|(_, found)| **found == name).map(|(index, _)| *index).unwrap();
    let body = module.bodies[module.defined_func(index).unwrap()].range.clone();
    map.function(body.clone(), (0..).zip(body.map(|offset| Some(offset as u32))))
}

#[test]
fn lines_and_declarations_are_those_of_the_source() {
    for wasm in LINES {
        let map = read(wasm);
        assert!(!map.is_damaged);
        let digits = function(&map, wasm, "digits");
        let unit = &map.units[digits.unit as usize];
        assert_eq!((&unit.name[..], &unit.directory[..], unit.language), (&b"lines.c"[..], &b"/guest"[..], Some(0x1d)));
        let (file, line) = digits.declaration.unwrap();
        assert_eq!((&*unit.files[file as usize].name, line), (&b"lines.c"[..], 19));
        assert!(unit.files.iter().all(|file| file.directory.is_empty()), "{unit:?}");
        let lines: Vec<u32> = digits.lines.iter().map(|line| line.line).filter(|&line| line != 0).collect();
        assert_eq!(lines.iter().min(), Some(&19));
        assert_eq!(lines.iter().max(), Some(&25));
        // The frame is made where the first statement starts, and nowhere else.
        let body: Vec<u32> = digits.lines.iter().filter(|line| line.is_body).map(|line| line.line).collect();
        assert_eq!(body, [20]);
    }
}

#[test]
fn functions_without_lines_get_those_of_the_text() {
    let text = "(module\n  (func $f (result i32)\n    i32.const 1\n    drop\n    i32.const 2)\n  (func $g))\n";
    let wasm = wat::parse_str(text).unwrap();
    let map = read(&wasm);
    let f = function(&map, &wasm, "f");
    let unit = &map.units[f.unit as usize];
    assert_eq!((&unit.name[..], &*unit.files[0].name), (&b"lines.wasm"[..], &b"lines.wat"[..]));
    let printed = wasmprinter::print_bytes(&wasm).unwrap();
    let line_of = |text: &str| printed.lines().position(|line| line.contains(text)).unwrap() as u32 + 1;
    assert_eq!(f.declaration, Some((0, line_of("func $f"))));
    let lines: Vec<u32> = f.lines.iter().map(|line| line.line).collect();
    let declared = line_of("func $f");
    let expected =
        [declared, line_of("i32.const 1"), line_of("drop"), line_of("i32.const 2"), line_of("i32.const 2") + 1];
    assert_eq!(lines, expected, "{printed}");
    assert_eq!(function(&map, &wasm, "g").declaration, Some((0, line_of("func $g"))));
}

#[test]
fn inlined_functions_are_found_with_the_calls_that_they_stand_for() {
    let map = read(INLINED);
    let module = parsed(INLINED);
    let body = bodies(&module).remove(0);
    // `i32.load` of an aligned value.
    let loads = body.clone().filter(|&at| INLINED[at..].starts_with(&[0x28, 2]));
    let loads: Vec<u32> = loads.map(|at| at as u32).collect();
    let table = table([(&map, vec![(body, loads.clone())])]);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let found = |&load: &u32| -> Vec<_> {
        positions::find(&table, 0, load).unwrap().map(|p| (p.function.map(text), p.line)).collect()
    };
    let [at, sum] =
        ["app::Table::at(long) const", "app::sum(app::Table const&, long)"].map(|name| Some(name.to_owned()));
    for line in [16, 17] {
        let expected = [(at.clone(), 11), (sum.clone(), line), (None, 21)];
        assert!(loads.iter().map(found).any(|found| found == expected), "{:?}", loads.iter().map(found));
    }
}

#[test]
fn functions_of_several_modules_are_told_apart() {
    // The same function twice, at the same offset of its module, in files of two names.
    let (wasm, name) = (wat::parse_str("(module (func $f unreachable))").unwrap(), ["a.wat", "b.wat"]);
    let module = parsed(&wasm);
    let body = bodies(&module).remove(0);
    let operator = body.start as u32 + 1;
    let maps = name.map(|name| SourceMap::read(&module, &wasm, name, &bodies(&module)));
    let table = table(maps.each_ref().map(|map| (map, vec![(body.clone(), vec![operator])])));
    let file = |start| positions::find(&table, start, operator).and_then(|mut found| found.next()).map(|p| p.file);
    assert_eq!([file(0), file(1), file(2)], [Some(&b"a.wat"[..]), Some(&b"b.wat"[..]), None]);
}

/// The table of these functions of modules, whose code starts at 0, 1 and so on.
fn table<'a>(modules: impl IntoIterator<Item = (&'a SourceMap, Vec<(Range<usize>, Vec<u32>)>)>) -> Vec<u8> {
    let (mut builder, mut next) = (Builder::default(), 0);
    for (map, functions) in modules {
        let count = functions.len() as u32;
        builder.add(map, (next..).zip(functions).map(|(start, (body, operators))| (start, body, operators)));
        next += count;
    }
    let parts = builder.finish();
    let mut table = Vec::new();
    let rows = parts.rows.iter().map(|(start, rows)| (*start, rows.as_slice()));
    positions::encode(&parts.strings, &parts.scopes, rows, |byte| table.push(byte));
    table
}

/// The same numbers on every host and in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// A module with damage in one of its sections of debug information: bytes changed, or the end lost.
fn damage<'a>(module: &Module<'a>, random: &mut Random) -> Vec<(&'a str, Vec<u8>)> {
    let mut sections: Vec<_> = module.debug.sections.iter().map(|&(name, bytes)| (name, bytes.to_vec())).collect();
    let chosen = random.below(sections.len());
    let bytes = &mut sections[chosen].1;
    if random.below(4) == 0 {
        bytes.truncate(random.below(bytes.len()));
    } else {
        for _ in 0..=random.below(4) {
            let place = random.below(bytes.len());
            bytes[place] = [0, 0xff, 0x7f, 0x80, random.below(256) as u8][random.below(5)];
        }
    }
    sections
}

#[test]
fn damage_is_survived() {
    let mut random = Random(1);
    let mut damaged = 0;
    for wasm in GUESTS {
        let intact = parsed(wasm);
        for _ in 0..4000 {
            let sections = damage(&intact, &mut random);
            let mut module = parsed(wasm);
            module.debug.sections = sections.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
            let map = SourceMap::read(&module, wasm, "lines.wasm", &bodies(&module));
            damaged += usize::from(map.is_damaged);
            let len: usize = sections.iter().map(|(_, bytes)| bytes.len()).sum();
            assert!(map.rows.len() <= 2 * len, "{} rows from {len} bytes", map.rows.len());
            assert!(map.scopes.len() <= len && map.scope_starts.len() <= 2 * len);
            let operators: Vec<u32> = (0..wasm.len() as u32).collect();
            let functions = bodies(&module).into_iter().map(|body| (body.clone(), operators[body].to_vec())).collect();
            let table = table([(&map, functions)]);
            positions::find(&table, 0, random.below(wasm.len()) as u32).into_iter().flatten().count();
        }
    }
    assert!(damaged > 500, "only {damaged} of 12000 were noticed");
}

#[test]
fn damaged_modules_are_compiled() {
    let mut random = Random(2);
    let options = |triple: &str| Options {
        target: triple.parse().unwrap(),
        emit: Emit::Obj,
        debug_info: true,
        threads: 1,
        ..Options::default()
    };
    let options = ["x86_64-unknown-linux-gnu", "aarch64-apple-darwin", "x86_64-pc-windows-gnu"].map(options);
    for wasm in GUESTS {
        let module = parsed(wasm);
        for round in 0..150 {
            let mut changed = wasm.to_vec();
            for (name, bytes) in damage(&module, &mut random) {
                let (_, original) = module.debug.sections.iter().find(|(found, _)| *found == name).unwrap();
                let start = original.as_ptr() as usize - wasm.as_ptr() as usize;
                changed[start..start + bytes.len()].copy_from_slice(&bytes);
                changed[start + bytes.len()..start + original.len()].fill(0);
            }
            driver::compile(&changed, "lines.wasm", &options[round % 3], &driver::NoProgress).unwrap();
        }
    }
}

/// Sections of debug information in which many units share tables.
fn shared(
    units: usize,
    abbreviations: &[u8],
    line: &[u8],
    stmt_list: impl Fn(usize) -> u32,
) -> [(&'static str, Vec<u8>); 3] {
    let mut info = Vec::new();
    for unit in 0..units {
        // Length, version, abbreviations, address size; abbreviation 1 with DW_AT_stmt_list.
        info.extend([12, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4, 1]);
        info.extend(stmt_list(unit).to_le_bytes());
    }
    [(".debug_info", info), (".debug_abbrev", abbreviations.to_vec()), (".debug_line", line.to_vec())]
}

fn read_sections(sections: &[(&'static str, Vec<u8>)]) -> SourceMap {
    let wasm = LINES[0];
    let mut module = parsed(wasm);
    module.debug.sections = sections.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    SourceMap::read(&module, wasm, "lines.wasm", &bodies(&module))
}

/// Abbreviation 1: a compile unit with DW_AT_stmt_list as DW_FORM_sec_offset.
const STMT_LIST: [u8; 8] = [1, 0x11, 0, 0x10, 0x17, 0, 0, 0];

#[test]
fn entries_of_no_length_are_refused() {
    // Version 5; an entry is a path in the form DW_FORM_flag_present, of which there are 2^62.
    let mut line = vec![5, 0, 8, 0, 0, 0, 0, 0, 1, 1, 1, 0xfb, 14, 1, 1, 1, 0x19];
    line.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]);
    let mut section = (line.len() as u32).to_le_bytes().to_vec();
    section.extend(line);
    let map = read_sections(&shared(1, &STMT_LIST, &section, |_| 0));
    assert!(map.is_damaged);
}

#[test]
fn tables_that_many_units_share_are_not_read_many_times() {
    // Each unit names a line program that starts within the one before: all end with the section.
    let units = 50_000;
    let mut line = Vec::new();
    for i in 0..units {
        let rest = (units - i) * 16 - 4;
        line.extend((rest as u32).to_le_bytes());
        line.extend([4, 0, 0xff, 0xff, 0, 0, 1, 1, 1, 0xfb, 14, 13]);
    }
    // Were each read to its end, this would take minutes.
    let map = read_sections(&shared(units, &STMT_LIST, &line, |unit| unit as u32 * 16));
    assert!(map.is_damaged);
}

#[test]
fn a_damaged_unit_leaves_nothing_behind() {
    let wasm = LINES[0];
    let intact = parsed(wasm);
    assert!(!dwarf::read(&intact, &bodies(&intact)).declarations.is_empty());
    let info = intact.debug.sections.iter().find(|(name, _)| *name == ".debug_info").unwrap().1;
    let mut info = info.to_vec();
    // The end of the last list of entries becomes an entry of a kind that is nowhere described.
    *info.last_mut().unwrap() = 0x7f;
    let mut module = parsed(wasm);
    for (name, bytes) in &mut module.debug.sections {
        if *name == ".debug_info" {
            *bytes = &info;
        }
    }
    let map = dwarf::read(&module, &bodies(&module));
    assert!(map.is_damaged && map.units.is_empty() && map.rows.is_empty());
    assert!(map.declarations.is_empty(), "{:?}", map.declarations);
}
