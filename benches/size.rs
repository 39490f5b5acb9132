//! Size: what modules become, on disk, and how much of it is code.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Result, support};
use object::{Object as _, ObjectSection as _};

const MODULES: &[&str] = &[
    "hello.wat",
    "c/hello.wasm",
    "c/csvsum.wasm",
    "rust/wordfreq.wasm",
    "go/factor.wasm",
    "zig/checksum.wasm",
    "assemblyscript/life.wasm",
];

fn main() -> Result {
    common::main(1, bench)
}

fn bench(arguments: &common::Arguments) -> Result {
    let folder = support::scratch();
    println!("size: examples and the programs of the corpus, in bytes; the last column is executable / module");
    common::print_row(&["", "module", "executable", "-Os", "--strip", "code", "ratio"].map(ToOwned::to_owned));
    for module in MODULES.iter().filter(|module| arguments.select(module)) {
        row(module, &support::repository().join("examples").join(module), &[], folder.path())?;
    }
    if arguments.select("hello, two modules") {
        let benches = support::repository().join("benches");
        let preload = format!("print={}", benches.join("hello_print.wat").display());
        row("hello, two modules", &benches.join("hello_main.wat"), &["--preload", &preload], folder.path())?;
    }
    for program in common::corpus()?.iter().filter(|p| !p.is_kernel && arguments.select(&p.name)) {
        row(&program.name, &program.wasm, &[], folder.path())?;
    }
    if let Some(cc) = common::peer("cc") {
        for (name, flags) in
            [("C: hello, static", &["-O2", "-static", "-s"][..]), ("C: hello, dynamic", &["-O2", "-s"])]
        {
            let program = folder.path().join("c");
            let source = support::repository().join("benches/hello.c");
            if Command::new(&cc).args(flags).arg(source).arg("-o").arg(&program).status()?.success() {
                common::print_row(&[name.to_owned(), "-".to_owned(), fs::metadata(program)?.len().to_string()]);
            }
        }
    }
    Ok(())
}

fn row(name: &str, module: &Path, options: &[&str], folder: &Path) -> Result {
    let executable = folder.join("executable");
    let compile = |flag: &str| -> Result<Option<Vec<u8>>> {
        let mut command = support::wasmelt();
        command.arg("compile").arg(module).arg("-o").arg(&executable).args(options).arg(flag);
        let output = command.output()?;
        if output.status.success() { Ok(Some(fs::read(&executable)?)) } else { Ok(None) }
    };
    let module_bytes = fs::metadata(module)?.len();
    let Some(plain) = compile("-O")? else {
        common::print_row(&[name.to_owned(), module_bytes.to_string(), "not supported".to_owned()]);
        return Ok(());
    };
    let code = object::File::parse(&*plain)?.section_by_name(".text").map_or(0, |section| section.size());
    let shown = |bytes: Option<Vec<u8>>| bytes.map_or("-".to_owned(), |bytes| bytes.len().to_string());
    common::print_row(&[
        name.to_owned(),
        module_bytes.to_string(),
        plain.len().to_string(),
        shown(compile("-Os")?),
        shown(compile("--strip")?),
        code.to_string(),
        format!("{:.2}", plain.len() as f64 / module_bytes as f64),
    ]);
    Ok(())
}
