//! Start-up: process runs of a hello world, against the floor that the system sets and against peers.
//!
//! All commands run in turn; the table has medians, and ratios to an empty static program.

mod common;
#[path = "../tests/run/modules.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod modules;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Result, support};

/// Something that is started over and over.
struct Contender {
    name: &'static str,
    command: Command,
    micros: Vec<f64>,
}

fn main() -> Result {
    common::main(300, bench)
}

fn bench(arguments: &common::Arguments) -> Result {
    let folder = support::scratch();
    let mut contenders: Vec<Contender> = Vec::new();
    let mut add = |name, command| {
        if arguments.select(name) {
            contenders.push(Contender { name, command, micros: Vec::new() });
        }
    };
    let hello = support::repository().join("examples/hello.wat");
    if let Some(cc) = common::peer("cc") {
        let flags = ["-O2", "-nostdlib", "-static", "-ffreestanding"];
        add("empty static program", Command::new(c_program(&cc, "empty", "empty", &flags, folder.path())?));
    }
    add("wasmelt: hello", Command::new(compile(&hello, "hello", folder.path())?));
    // The cost of each wall: a grant alone, with the filter of system calls and Landlock, with a timer.
    for (name, options) in
        [("wasmelt: hello, --harden", &["--harden"][..]), ("wasmelt: hello, --timeout", &["--timeout", "1m"])]
    {
        add(name, Command::new(compile_with(&hello, &name.replace([' ', ':', ','], "-"), folder.path(), options)?));
    }
    // The same as two modules with a memory each.
    let [main, library] = ["main", "print"].map(|name| support::repository().join(format!("benches/hello_{name}.wat")));
    let preload = format!("print={}", library.display());
    let linked = compile_with(&main, "hello-linked", folder.path(), &["--preload", &preload])?;
    add("wasmelt: hello, two modules", Command::new(linked));
    let open = support::repository().join("benches/open.wat");
    for (name, options) in [
        ("wasmelt: open a file", &[][..]),
        ("wasmelt: open a file, --harden", &["--harden"]),
        ("wasmelt: open a file, narrowed", &[]),
    ] {
        let grant = [&["--dir", "/etc::/etc:ro"], options].concat();
        let program = compile_with(&open, &name.replace([' ', ':', ','], "-"), folder.path(), &grant)?;
        let mut command = Command::new(program);
        if name.ends_with("narrowed") {
            command.env("WASMELT_POLICY", "read-only=*;max-memory=1G;max-open-files=100");
        }
        add(name, command);
    }
    for (name, bytes) in [("wasmelt: 1 KB of data", 1000), ("wasmelt: 20 MB of data", 20_000_000)] {
        let module = folder.path().join(format!("data-{bytes}.wasm"));
        fs::write(&module, modules::large_data(65536, &modules::pattern(bytes)))?;
        add(name, Command::new(compile(&module, &format!("data-{bytes}"), folder.path())?));
    }
    // What a program computes before it answers, in each run or when it is compiled.
    let prepare = support::repository().join("benches/prepare.wat");
    for (name, options) in [("wasmelt: a table", &[][..]), ("wasmelt: a table, --preinit", &["--preinit"])] {
        let program = compile_with(&prepare, &name.replace([' ', ':', ','], "-"), folder.path(), options)?;
        add(name, Command::new(program));
    }
    if let Some(cc) = support::find_program("cc") {
        add(
            "C: hello, static",
            Command::new(c_program(&cc, "hello", "hello-static", &["-O2", "-static"], folder.path())?),
        );
        add("C: hello, dynamic", Command::new(c_program(&cc, "hello", "hello-dynamic", &["-O2"], folder.path())?));
    }
    let wasm = folder.path().join("hello.wasm");
    fs::write(&wasm, wat::parse_file(&hello)?)?;
    if let Some(wasmtime) = common::peer("wasmtime") {
        let precompiled = folder.path().join("hello.cwasm");
        run(Command::new(&wasmtime).arg("compile").arg(&wasm).arg("-o").arg(&precompiled))?;
        let mut command = Command::new(&wasmtime);
        command.args(["run", "--allow-precompiled"]).arg(precompiled);
        add("wasmtime run, precompiled", command);
        let mut command = Command::new(&wasmtime);
        command.args(["run", "-C", "cache=n"]).arg(&wasm);
        add("wasmtime run", command);
        let mut command = Command::new(&wasmtime);
        command.args(["run", "-C", "cache=n", "--preload", &preload]).arg(main);
        add("wasmtime run, two modules", command);
    }
    if let Some(node) = common::peer("node") {
        let mut command = Command::new(node);
        command.arg("--no-warnings").arg(support::repository().join("benches/node_wasi.mjs")).arg(&wasm);
        add("node, WASI", command);
    }
    measure(&mut contenders, arguments.runs)?;
    print(&contenders, arguments.runs);
    Ok(())
}

/// Rounds of one run each, so that what disturbs the machine disturbs all.
fn measure(contenders: &mut [Contender], runs: usize) -> Result {
    const WARM_UP: usize = 3;
    for round in 0..runs + WARM_UP {
        for contender in &mut *contenders {
            // What takes a hundred times as long needs no more than a tenth of the runs.
            let slow = common::median(&contender.micros) > 5000.0;
            if slow && round % 10 != 0 {
                continue;
            }
            let micros = common::start_up_micros(&mut contender.command)?;
            if round >= WARM_UP {
                contender.micros.push(micros);
            }
        }
    }
    Ok(())
}

fn print(contenders: &[Contender], runs: usize) {
    println!("start-up: whole process runs in turn, medians of up to {runs}, microseconds");
    common::print_row(&["", "median", "minimum", "/ empty", "/ hello"].map(ToOwned::to_owned));
    let median_of =
        |name: &str| contenders.iter().find(|c| c.name == name).map_or(f64::NAN, |c| common::median(&c.micros));
    let (empty, hello) = (median_of("empty static program"), median_of("wasmelt: hello"));
    for contender in contenders {
        let median = common::median(&contender.micros);
        let minimum = contender.micros.iter().copied().fold(f64::INFINITY, f64::min);
        let ratio = |base: f64| if base.is_nan() { "-".to_owned() } else { format!("{:.2}", median / base) };
        let cells = [format!("{median:.1}"), format!("{minimum:.1}"), ratio(empty), ratio(hello)];
        common::print_row(&[&[contender.name.to_owned()][..], &cells].concat());
    }
    let growth = median_of("wasmelt: 20 MB of data") / median_of("wasmelt: 1 KB of data");
    println!("20 MB of data / 1 KB of data: {growth:.2}");
}

fn compile(module: &Path, name: &str, folder: &Path) -> Result<PathBuf> {
    compile_with(module, name, folder, &[])
}

fn compile_with(module: &Path, name: &str, folder: &Path, options: &[&str]) -> Result<PathBuf> {
    let executable = folder.join(name);
    run(support::wasmelt().arg("compile").arg(module).args(options).arg("-o").arg(&executable))?;
    Ok(executable)
}

fn c_program(cc: &Path, source: &str, name: &str, flags: &[&str], folder: &Path) -> Result<PathBuf> {
    let program = folder.join(name);
    let source = support::repository().join(format!("benches/{source}.c"));
    run(Command::new(cc).args(flags).arg(source).arg("-o").arg(&program))?;
    Ok(program)
}

fn run(command: &mut Command) -> Result {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}
