//! Functions of an earlier compilation are reused (`compile --cache`): what comes out is what comes out without them.

use std::fs;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use wasm_encoder::{CodeSection, Module, RawSection};
use wasmparser::{BinaryReader, CodeSectionReader, Parser, Payload};

use crate::support;

pub(crate) fn trials() -> Vec<Trial> {
    let changed = |name: &'static str, options: &'static [&'static str]| {
        let trial = format!("reuse::{}{}", name.replace('/', "::"), options.join(" "));
        Trial::test(trial, move || a_changed_module_is_compiled_as_ever(name, options))
    };
    vec![
        changed("c/csvsum.wasm", &[]),
        changed("rust/wordfreq.wasm", &[]),
        changed("zig/checksum.wasm", &["-Os"]),
        changed("assemblyscript/life.wasm", &["--emit", "cdylib", "--fuel"]),
        changed("rust/wordfreq.wasm", &["--target", "aarch64-linux", "--emit", "obj"]),
        Trial::test("reuse::a_function_gets_a_caller", a_function_gets_a_caller),
        Trial::test("reuse::other_options_reuse_nothing", other_options_reuse_nothing),
        Trial::test("reuse::a_damaged_cache_is_as_good_as_none", a_damaged_cache_is_as_good_as_none),
    ]
}

/// A module with the body of some functions changed by operators that do nothing: all later ones lie elsewhere.
fn with_nops(wasm: &[u8], is_changed: impl Fn(usize) -> bool) -> Result<Vec<u8>, Failed> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let Payload::CodeSectionStart { range, .. } = &payload {
            let reader = CodeSectionReader::new(BinaryReader::new(&wasm[range.clone()], range.start))?;
            let mut code = CodeSection::new();
            for (index, body) in reader.into_iter().enumerate() {
                let body = body?;
                let (end, body) = body.as_bytes().split_last().ok_or("an empty body")?;
                let nops: &[u8] = if is_changed(index) { &[1; 200] } else { &[] };
                code.raw(&[body, nops, &[*end]].concat());
            }
            module.section(&code);
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: &wasm[range] });
        }
    }
    Ok(module.finish())
}

/// How many functions of how many were reused.
type Reused = (usize, usize);

/// The output, and what was reused where a cache was used.
fn compile(folder: &Path, module: &[u8], options: &[&str]) -> Result<(Vec<u8>, Option<Reused>), Failed> {
    let (path, out) = (folder.join("module.wasm"), folder.join("out"));
    fs::write(&path, module)?;
    let mut command = support::wasmelt();
    command.env("WASMELT_CACHE_DIR", folder.join("cache"));
    command.args(["compile", "-v"]).arg(&path).arg("-o").arg(&out).args(options);
    let said = support::run(&mut command, b"")?.expect_code(0)?.stderr();
    let reused = said.lines().find_map(|line| {
        let (_, counts) = line.strip_suffix(" functions were compiled before")?.rsplit_once(": ")?;
        let (reused, all) = counts.split_once(" of ")?;
        Some((reused.parse().ok()?, all.parse().ok()?))
    });
    Ok((fs::read(&out)?, reused))
}

fn example(name: &str) -> Result<Vec<u8>, Failed> {
    Ok(fs::read(support::repository().join("examples").join(name))?)
}

fn a_changed_module_is_compiled_as_ever(name: &str, options: &[&str]) -> Result<(), Failed> {
    let scratch = support::scratch();
    let wasm = example(name)?;
    let cached = [options, &["--cache"]].concat();
    // Nothing, one function, every seventh one, all: each after the one before.
    for change in ["first", "same", "one", "another", "some", "all"] {
        let module = with_nops(&wasm, |index| match change {
            "one" => index == 3,
            "another" => index == 11,
            "some" => index % 7 == 0,
            "all" => true,
            _ => false,
        })?;
        let (expected, none) = compile(scratch.path(), &module, options)?;
        let (found, reused) = compile(scratch.path(), &module, &cached)?;
        let (reused, all) = reused.ok_or("nothing was said of the cache")?;
        if none.is_some() || found != expected {
            return Err(format!("{change}: the output differs, {reused} of {all} functions reused").into());
        }
        // Entries and trampolines are always made; a function that is inlined makes its callers anew.
        let is_right = match change {
            "first" => reused == 0,
            // Every seventh function had changed before.
            "all" => reused < all / 4,
            "same" => reused > all / 2,
            _ => reused > all / 4 && reused < all,
        };
        if !is_right {
            return Err(format!("{change}: {reused} of {all} functions reused").into());
        }
    }
    Ok(())
}

/// A small function that somebody calls is made to be taken into its callers, as long as it stays small. One that nobody
/// calls takes all that it likes into itself.
fn a_function_gets_a_caller() -> Result<(), Failed> {
    let scratch = support::scratch();
    let module = |body: &str| {
        // 17 instructions of CLIF: $f becomes too large while it takes all of them.
        let add = "(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))";
        let set = "(i32.store (i32.const 8) (i32.const 1))";
        let calls = "(call $h)".repeat(30);
        format!(
            r#"(module (memory (export "memory") 1) (func $h {add} {set}) (func $f (export "f") {calls})
                (func (export "_start") {body}))"#
        )
    };
    let [without, with] = ["nop", "(call $f)"].map(|body| module(body).into_bytes());
    let compile =
        |module: &[u8], cache: &[&str]| compile(scratch.path(), module, &[&["--emit", "cdylib"], cache].concat());
    compile(&without, &["--cache"])?;
    let (expected, _) = compile(&with, &[])?;
    match compile(&with, &["--cache"])? {
        (found, _) if found == expected => Ok(()),
        (_, reused) => Err(format!("the output differs, {reused:?} functions reused").into()),
    }
}

fn other_options_reuse_nothing() -> Result<(), Failed> {
    let scratch = support::scratch();
    let wasm = example("c/csvsum.wasm")?;
    compile(scratch.path(), &wasm, &["--cache"])?;
    for options in [&["--cache", "-O0"][..], &["--cache", "--cpu", "baseline"], &["--cache", "-C", "inlining=n"]] {
        match compile(scratch.path(), &wasm, options)?.1 {
            Some((0, _)) => {}
            found => return Err(format!("{options:?}: {found:?}").into()),
        }
    }
    // What is granted decides nothing about code.
    match compile(scratch.path(), &wasm, &["--cache", "--dir", "/tmp"])?.1 {
        Some((reused, all)) if reused > all / 2 => Ok(()),
        found => Err(format!("another grant: {found:?}").into()),
    }
}

fn a_damaged_cache_is_as_good_as_none() -> Result<(), Failed> {
    let scratch = support::scratch();
    let wasm = example("c/csvsum.wasm")?;
    let (expected, _) = compile(scratch.path(), &wasm, &["--cache"])?;
    let kept = || -> Result<Vec<_>, Failed> {
        let entries =
            fs::read_dir(scratch.path().join("cache"))?.flat_map(|entry| fs::read_dir(entry.ok()?.path()).ok());
        let files = entries.flatten().map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failed>>()?;
        Ok(files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "functions")).collect())
    };
    let [path] = &kept()?[..] else { return Err("there is not one file of functions".into()) };
    let whole = fs::read(path)?;
    let modified = fs::metadata(path)?.modified()?;
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(path, damaged)?;
        // As if nobody had written to it.
        fs::File::options().write(true).open(path)?.set_modified(modified)?;
        let (found, reused) = compile(scratch.path(), &wasm, &["--cache"])?;
        if found != expected || reused.is_none_or(|(reused, _)| reused != 0) {
            return Err(format!("damage at {at}: {reused:?}").into());
        }
    }
    Ok(())
}
