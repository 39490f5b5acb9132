//! Calls across modules: the same loop calls a function of its own module, and the same function of a preloaded one, as
//! executables and in wasmtime.
//!
//! CPU seconds (user and system) of whole processes, run in turn.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Result, support};

/// A function that is called over and over, of a module with a memory, a global and a table.
struct Kernel {
    name: &'static str,
    /// Its type.
    ty: &'static str,
    /// What it does.
    body: &'static str,
    /// How it is called; `$x` is what came out last.
    call: &'static str,
}

const KERNELS: &[Kernel] = &[
    Kernel {
        name: "arithmetic",
        ty: "(param i64) (result i64)",
        body: "(i64.xor (i64.mul (local.get 0) (i64.const 31)) (i64.shr_u (local.get 0) (i64.const 7)))",
        call: "(call $f (local.get $x))",
    },
    Kernel {
        name: "memory of the callee",
        ty: "(param i64) (result i64)",
        body: "(i64.store offset=64 (i32.wrap_i64 (i64.and (local.get 0) (i64.const 0xff8))) (local.get 0))
               (i64.add (i64.load (i32.wrap_i64 (i64.and (local.get 0) (i64.const 0xff8)))) (i64.const 1))",
        call: "(call $f (local.get $x))",
    },
    Kernel {
        name: "global of the callee",
        ty: "(param i64) (result i64)",
        body: "(global.set $count (i64.add (global.get $count) (local.get 0))) (global.get $count)",
        call: "(call $f (local.get $x))",
    },
    Kernel {
        name: "eight arguments, two results",
        ty: "(param i64 i64 i64 i64 f64 f64 i32 i32) (result i64 f64)",
        body: "(i64.add (i64.xor (local.get 0) (local.get 1)) (i64.sub (local.get 2) (local.get 3)))
               (f64.add (local.get 4) (local.get 5))",
        call: "(call $f (local.get $x) (i64.const 3) (local.get $n) (i64.const 4) (f64.const 1) (f64.const 2)
                   (i32.const 1) (i32.const 2)) drop",
    },
    Kernel {
        name: "through the callee's table",
        ty: "(param i64) (result i64)",
        body: "(i64.add (local.get 0) (i64.const 3))",
        call: "(call_indirect $t (type $f) (local.get $x) (i32.wrap_i64 (i64.and (local.get $n) (i64.const 1))))",
    },
];

/// Calls in one run.
const CALLS: u64 = 100_000_000;

impl Kernel {
    /// The function and what belongs to it.
    fn callee(&self) -> String {
        let Self { ty, body, .. } = self;
        format!(
            "(type $f (func {ty})) (memory 1) (global $count (mut i64) (i64.const 1))
             (table $t (export \"t\") 2 2 funcref) (elem (table $t) (i32.const 0) func $f $f)
             (func $f (export \"f\") (type $f) {body})
             (func (export \"set\") (param funcref) (table.set $t (i32.const 0) (local.get 0)))"
        )
    }

    /// The loop that calls.
    fn caller(&self) -> String {
        let call = self.call;
        format!(
            "(func (export \"_start\") (local $n i64) (local $x i64)
                 (local.set $n (i64.const {CALLS}))
                 (loop $l
                     (local.set $x {call})
                     (br_if $l (i64.ne (i64.const 0) (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))
                 (if (i64.eq (local.get $x) (i64.const 0x7654321)) (then (unreachable))))"
        )
    }

    fn imports(&self) -> String {
        let ty = self.ty;
        format!(
            "(type $f (func {ty})) (import \"callee\" \"f\" (func $f (type $f)))
             (import \"callee\" \"t\" (table $t 2 2 funcref))"
        )
    }
}

fn main() -> Result {
    common::main(5, bench)
}

fn bench(arguments: &common::Arguments) -> Result {
    let folder = support::scratch();
    let wasmtime = common::peer("wasmtime");
    println!(
        "calls within and across modules: ns of CPU time for each of {CALLS} rounds of a loop, medians of {} runs in turn",
        arguments.runs
    );
    let header = ["", "within", "across", "ratio", "wasmtime", "across", "ratio"];
    common::print_row(&header.map(ToOwned::to_owned));
    for kernel in KERNELS.iter().filter(|kernel| arguments.select(kernel.name)) {
        let nanos = measure(kernel, wasmtime.as_deref(), arguments.runs, folder.path())?;
        let mut cells = vec![kernel.name.to_owned()];
        for pair in nanos.chunks(2) {
            let [within, across] = pair else { return Err("each way is measured twice".into()) };
            cells.extend([format!("{within:.2}"), format!("{across:.2}"), format!("{:.2}", across / within)]);
        }
        common::print_row(&cells);
    }
    Ok(())
}

/// Nanoseconds of a round: within, across, and the same of wasmtime.
fn measure(kernel: &Kernel, wasmtime: Option<&Path>, runs: usize, folder: &Path) -> Result<Vec<f64>> {
    let write = |name: &str, parts: &[String]| -> Result<PathBuf> {
        let path = folder.join(name).with_extension("wasm");
        fs::write(&path, wat::parse_str(format!("(module {})", parts.concat()))?)?;
        Ok(path)
    };
    let callee = write("callee", &[kernel.callee()])?;
    let within = write("within", &[kernel.callee(), kernel.caller()])?;
    let across = write("across", &[kernel.imports(), kernel.caller()])?;
    let preload = format!("callee={}", callee.display());
    let ways: [(&PathBuf, &[&str]); 2] = [(&within, &[]), (&across, &["--preload", &preload])];
    let mut contenders = Vec::new();
    for (module, options) in ways {
        let executable = module.with_extension("");
        let output = support::wasmelt().arg("compile").args(options).arg(module).arg("-o").arg(&executable).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        contenders.push((Command::new(executable), Vec::new()));
    }
    for (module, options) in ways.into_iter().filter(|_| wasmtime.is_some()) {
        let mut command = Command::new(wasmtime.unwrap_or(Path::new("wasmtime")));
        command.arg("run").args(options).arg(module);
        contenders.push((command, Vec::new()));
    }
    for _ in 0..runs {
        for (command, seconds) in &mut contenders {
            let measured = common::measure(command, None)?;
            if measured.exit_code != Some(0) {
                return Err(format!("{command:?} ends with {:?}", measured.exit_code).into());
            }
            seconds.push(measured.sample.cpu_seconds);
        }
    }
    Ok(contenders.iter().map(|(_, seconds)| common::median(seconds) * 1e9 / CALLS as f64).collect())
}
