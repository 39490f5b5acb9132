//! Backtraces of executables: names as in the source, positions in source files with `-g`, inlined functions among them,
//! offsets in the module without.
//!
//! The guest is `guests/inlined.cpp`: line numbers here are those of that file.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::support;
use crate::support::foreign::System;

/// What the guest's trap prints, with positions.
const POSITIONS: &str = "wasm trap: out of bounds memory access
    0: app::Table::at(long) const at inlined.cpp:11:16
       app::sum(app::Table const&, long) at inlined.cpp:17:18
       app::twice(app::Table const&, long) at inlined.cpp:21:12
    1: _start at inlined.cpp:30:17
";

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("backtrace::positions", positions),
        Trial::test("backtrace::offsets", || offsets(&[], true)),
        Trial::test("backtrace::strip", || offsets(&["--strip"], false)),
        Trial::test("backtrace::strip_with_debug_information", || offsets(&["--strip", "-g"], false)),
        Trial::test("backtrace::text", positions_in_text),
        Trial::test("backtrace::modules", positions_in_modules),
        Trial::test("backtrace::inlined", inlined),
        Trial::test("backtrace::unrolled", unrolled),
        Trial::test("backtrace::stack", exhausted_stack),
    ];
    trials.extend([System::LinuxAarch64, System::Windows].map(|system| system.trial("backtrace", positions_elsewhere)));
    trials
}

fn guest() -> PathBuf {
    support::repository().join("tests/run/guests/inlined.wasm")
}

/// What a program prints when it traps.
fn trap(command: &mut Command) -> Result<String, Failed> {
    Ok(support::run(command, b"")?.expect_code(134)?.stderr())
}

/// What a module in the text format prints when it traps, compiled with these options.
fn trap_of(text: &str, options: &[&str]) -> Result<String, Failed> {
    let folder = support::scratch();
    let (source, path) = (folder.path().join("guest.wat"), folder.path().join("guest"));
    fs::write(&source, text)?;
    support::compile(&source, &path, options)?;
    trap(&mut Command::new(&path))
}

fn is(found: &str, expected: &str) -> Result<(), Failed> {
    // Wine writes line ends as Windows does.
    if found.replace("\r\n", "\n") == expected { Ok(()) } else { Err(format!("printed:\n{found}").into()) }
}

fn positions() -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join("guest");
    support::compile(&guest(), &path, ["-g"])?;
    is(&trap(&mut Command::new(&path))?, POSITIONS)
}

fn positions_elsewhere(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join(system.file_name("guest"));
    let mut options: Vec<PathBuf> = system.options()?;
    options.push("-g".into());
    support::compile(&guest(), &path, options)?;
    is(&trap(&mut system.command(&path)?)?, POSITIONS)
}

/// Names that compilers made, one that nobody should print as it is, and none at all.
const NAMES: &str = r#"(module
    (func $"_ZN1t3oob17h86aa81139e20542bE" nop unreachable)
    (func $"_RNvCskwGfYPst2Cb_3foo16example_function" call 0 nop)
    (func $"_ZN3app5parseERKNS_6SourceEi" nop nop call 1)
    (func $"a\nerror: \u{202e}b" call 2 nop)
    (func call 3)
    (func (export "_start") call 4))"#;

const SHOWN: [&str; 6] = [
    "t::oob",
    "foo::example_function",
    "app::parse(app::Source const&, int)",
    "a\\nerror: \\u{202e}b",
    "<wasm function 4>",
    "<wasm function 5>",
];

/// Each frame's offset is that of its operator, or, where those are left out, of its function.
fn offsets(options: &[&str], are_exact: bool) -> Result<(), Failed> {
    let wasm = wat::parse_str(NAMES)?;
    // Inlined functions are known by operators alone.
    let inlining: &[&str] = if are_exact { &[] } else { &["-C", "inlining=n"] };
    let printed = trap_of(NAMES, &[options, inlining].concat())?;
    let mut lines = printed.lines();
    if lines.next() != Some("wasm trap: unreachable") {
        return Err(printed.into());
    }
    for (number, name) in SHOWN.iter().enumerate() {
        let line = lines.next().unwrap_or_default();
        let offset = line
            .strip_prefix(&format!("    {number}: {name} at offset 0x"))
            .and_then(|rest| usize::from_str_radix(rest, 16).ok());
        let Some(found) = offset.and_then(|offset| wasm.get(offset)) else {
            return Err(format!("frame {number} is {line:?} in:\n{printed}").into());
        };
        // `unreachable`, `call`; a function starts with the number of its locals.
        let expected = if number == 0 || !are_exact { 0 } else { 0x10 };
        if *found != expected {
            return Err(format!("there is {found:#x} where {line:?} points to").into());
        }
    }
    if let Some(more) = lines.next() { Err(format!("one line too many: {more}").into()) } else { Ok(()) }
}

/// Without debug information of its own, a module has the lines of its text, as `--emit wat` prints it.
fn positions_in_text() -> Result<(), Failed> {
    let text = "(module\n  (func $inner\n    unreachable)\n  (func (export \"_start\")\n    call $inner))";
    is(
        &trap_of(text, &["-g"])?,
        "wasm trap: unreachable\n    0: inner at guest.wat:5\n    1: <wasm function 1> at guest.wat:8\n",
    )
}

/// Modules whose functions lie at the same offsets have the lines of their own files.
fn positions_in_modules() -> Result<(), Failed> {
    let folder = support::scratch();
    let path = |name: &str| folder.path().join(name);
    let modules = [
        ("first.wat", "(module (func (export \"trap\") unreachable))"),
        ("second.wat", "(module (import \"first\" \"trap\" (func $trap)) (func $on (export \"on\") nop call $trap))"),
        (
            "main.wat",
            "(module (import \"second\" \"on\" (func $on)) (func $start (export \"_start\") nop nop call $on))",
        ),
    ];
    for (name, text) in modules {
        fs::write(path(name), text)?;
    }
    let preloads =
        ["first", "second"].map(|name| format!("--preload={name}={}", path(&format!("{name}.wat")).display()));
    support::compile(&path("main.wat"), &path("main"), ["-g", &preloads[0], &preloads[1]])?;
    is(
        &trap(&mut Command::new(path("main")))?,
        "wasm trap: unreachable\n    0: first!<wasm function 0> at first.wat:5\n    1: second!on at second.wat:7\n    \
         2: main!start at main.wat:8\n",
    )
}

/// Where a body took the place of a call, its function has a line like any other: with offsets, and with names of its own.
fn inlined() -> Result<(), Failed> {
    let text = r#"(module (memory 1)
        (func $load (param i32) (result i32) local.get 0 i32.load)
        (func $twice (param i32) (result i32) local.get 0 call $load local.get 0 call $load i32.add)
        (func (export "_start") i32.const -4 call $twice drop))"#;
    let wasm = wat::parse_str(text)?;
    let at = |code: &[u8]| wasm.windows(code.len()).position(|found| found == code).ok_or("no such code");
    let (load, first, call) = (at(&[0x28, 2])?, at(&[0x10, 0])?, at(&[0x10, 1, 0x1a])?);
    let message = "wasm trap: out of bounds memory access\n";
    let frames = format!("    0: load at offset {load:#x}\n    1: twice at offset {first:#x}\n");
    let shown = format!("{message}{frames}    2: <wasm function 2> at offset {call:#x}\n");
    for options in [&[][..], &["-C", "inlining=n"], &["-O", "opt-level=s"]] {
        is(&trap_of(text, options)?, &shown)?;
    }
    // Without operators, only functions that have code are known.
    is(&trap_of(text, &["--strip"])?, &format!("{message}    0: <wasm function 2> at offset {:#x}\n", call - 3))?;
    is(
        &trap_of(text, &["-g"])?,
        &format!(
            "{message}    0: load at guest.wat:8\n    1: twice at guest.wat:12\n    2: <wasm function 2> at guest.wat:19\n"
        ),
    )
}

/// A function that was inlined into itself has a line for each of its calls.
fn unrolled() -> Result<(), Failed> {
    let text = r#"(module
        (func $down (param i32) (result i32)
          local.get 0
          i32.eqz
          if unreachable end
          local.get 0
          i32.const 1
          i32.sub
          call $down
          local.get 0
          i32.add)
        (func $main (export "_start") i32.const 10 call $down drop))"#;
    for options in [&[][..], &["-C", "inlining=n"]] {
        let printed = trap_of(text, options)?;
        let lines = printed.lines().skip(1).map(str::trim_start);
        let shown = lines.clone().filter(|line| line.contains(": down at offset")).count();
        let counts = lines.clone().filter_map(|line| line.strip_prefix("... (")?.split_once(" more of the same call"));
        let counted: usize = counts.filter_map(|(count, _)| count.parse::<usize>().ok()).sum();
        if shown + counted != 11 || !lines.last().is_some_and(|line| line.starts_with("11: main at offset")) {
            return Err(printed.into());
        }
    }
    Ok(())
}

/// A function that finds no room on the stack is shown where it is declared.
fn exhausted_stack() -> Result<(), Failed> {
    let text = "(module (func $deep (export \"_start\")\n call $deep\n nop))";
    let printed = trap_of(text, &["-g"])?;
    let mut lines = printed.lines();
    let frames = [lines.next(), lines.next(), lines.next()];
    let expected = ["wasm trap: call stack exhausted", "    0: deep at guest.wat:4", "    1: deep at guest.wat:5"];
    let has_end = lines.next().is_some_and(|line| line.ends_with(" more of the same call)"));
    if frames == expected.map(Some) && has_end { Ok(()) } else { Err(format!("printed:\n{printed}").into()) }
}
