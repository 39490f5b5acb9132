//! Rust bindings that the compiler writes: hosts are compiled with them by rustc, without warnings, and run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Failed;
use wasmelt::options::Options;

use super::*;
use support::portable;

/// The folder with the crate for hosts, compiled.
fn crate_for_hosts() -> Result<PathBuf, Failed> {
    let target = Options::default().target.to_string();
    let build = ["build", "--locked", "--package", "wasmelt-embed", "--profile", "embed-host", "--target", &target];
    portable::cargo(&build)?;
    Ok(portable::folder().join(target).join("embed-host"))
}

/// Compiles a module to a library, with its bindings beside it.
fn library(folder: &Path, source: &Path, name: &str, output: &str, options: &[&str]) -> Result<(), Failed> {
    let mut all: Vec<OsString> = options.iter().map(Into::into).collect();
    all.extend(["--library-name".into(), name.into(), "--bindings".into()]);
    all.push(folder.join(format!("{name}.rs")).into());
    support::compile(source, &folder.join(output), all)
}

/// Compiles a host; its path.
fn host_program(folder: &Path, source: &str, options: &[&str]) -> Result<PathBuf, Failed> {
    let (library, program) = (crate_for_hosts()?, folder.join("host"));
    fs::write(folder.join("host.rs"), source)?;
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "-D", "warnings", "-D", "unsafe_op_in_unsafe_fn", "-W", "missing_docs"]);
    rustc.arg("--extern").arg(format!("wasmelt_embed={}", library.join("libwasmelt_embed.rlib").display()));
    // Macros that are compiled for this machine lie apart.
    rustc.arg("-L").arg(library.join("deps")).arg("-L").arg(portable::folder().join("embed-host/deps"));
    rustc.arg("-L").arg(folder).args(options).arg("-o").arg(&program);
    support::run(rustc.arg(folder.join("host.rs")), b"")?.expect_code(0)?;
    Ok(program)
}

#[test]
fn a_host_with_two_versions_of_a_plugin() -> Result<(), Failed> {
    let scratch = support::scratch();
    let (folder, sources) = (scratch.path(), support::repository().join("examples/rust-host"));
    library(folder, &sources.join("rules.wat"), "rules_1", "librules_1.a", &["--emit", "staticlib"])?;
    library(folder, &sources.join("rules-2.wat"), "rules_2", "rules_2.so", &["--emit", "cdylib"])?;
    let host = host_program(folder, &fs::read_to_string(sources.join("host.rs"))?, &["-l", "static=rules_1"])?;
    let expected = fs::read(sources.join("host.expected"))?;
    support::run(Command::new(host).arg(folder.join("rules_2.so")), b"")?.expect_code(0)?.expect_stdout(expected)?;
    Ok(())
}

/// Names of all kinds, all types, and imports that Rust cannot type, that come twice, and that are WASI's.
const ODD: &str = r#"(module
    (type $callback (func (param i32)))
    (import "a-b" "c" (func $c (param i32 i64 f32 f64 v128) (result v128 i64)))
    (import "a" "b-c" (func (result f32)))
    (import "a-b" "c" (func (param i32 i64 f32 f64 v128) (result v128 i64)))
    (import "typed" "reference" (func (param (ref $callback))))
    (import "host" "memory" (memory 1))
    (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))
    (memory (export "memory") 1)
    (memory (export "shared") 1 1 shared)
    (table (export "table") 2 funcref)
    (tag (export "tag") (param i32))
    (global (export "i32") (mut i32) (i32.const 7))
    (global (export "i64") i64 (i64.const -7))
    (global (export "f32") (mut f32) (f32.const 1.5))
    (global (export "f64") f64 (f64.const 2.5))
    (global (export "v128") (mut v128) (v128.const i32x4 1 2 3 4))
    (global (export "reference") funcref (ref.null func))
    (func (export "set_i32") (param i32))
    (func (export "self") (result i32) (i32.const 1))
    (func (export "new") (result i32) (i32.const 2))
    (func (export "fn") (result i32) (i32.const 3))
    (func (export "") (result i32) (i32.const 4))
    (func (export "9\"}\n/*\e2\80\ae") (result i32) (i32.const 5))
    (func (export "a-b") (result i32) (i32.const 6))
    (func (export "a_b") (result i32) (i32.const 7))
    (func (export "CamelCase") (result i32) (i32.const 8))
    (func (export "nothing"))
    (func (export "references") (param funcref externref) (result externref funcref) (local.get 1) (local.get 0))
    (func (export "typed") (param (ref null $callback)))
    (func (export "many") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
        (local.get 15))
    (func (export "too many") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32))
    (func (export "through") (param i32 i64 f32 f64 v128) (result v128 i64)
        (call $c (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))))"#;

const ODD_HOST: &str = r#"//! A host of a module with odd names.
mod odd;

use wasmelt_embed::{Caller, Error, ExternRef, Func, Linker, Memory, MemoryType, Result, Store};

struct Host;

impl odd::Imports for Host {
    fn a_b_c(_: Caller<'_, Self>, a: i32, b: i64, c: f32, d: f64, e: [u8; 16]) -> Result<([u8; 16], i64)> {
        assert_eq!((a, b, c, d), (1, 2, 3.5, 4.5));
        Ok((e, b + i64::from(a)))
    }
    fn a_b_c_2(_: Caller<'_, Self>) -> Result<f32> {
        Err(Error::msg("never"))
    }
}

fn main() -> Result<()> {
    assert_eq!(odd::NAME, "odd");
    // SAFETY: wasmelt made the file.
    let module = unsafe { odd::load(std::env::args().nth(1).unwrap()) }?;
    let mut linker = Linker::new();
    odd::add_to_linker(&mut linker)?;
    assert!(odd::add_to_linker(&mut linker).is_err(), "names are defined once");
    let mut store = Store::new(Host);
    assert!(odd::Exports::new(&mut store, &linker, &module).is_err(), "the host defines the rest");
    let ty = MemoryType { minimum: 1, maximum: None, index_64: false, shared: false, page_size_log2: 16 };
    let memory = Memory::new(&mut store, ty)?;
    linker.define(&store, "host", "memory", memory)?;
    linker.define_unknown_imports_as_traps(&module)?;
    let odd = odd::Exports::new(&mut store, &linker, &module)?;

    assert_eq!((odd.i32(&store)?, odd.i64(&store)?, odd.f32(&store)?, odd.f64(&store)?), (7, -7, 1.5, 2.5));
    let mut lanes = odd.v128(&store)?;
    assert_eq!((lanes[0], lanes[4], lanes[8], lanes[12]), (1, 2, 3, 4));
    lanes[0] = 9;
    odd.set_i32(&mut store, -1)?;
    odd.set_f32(&mut store, -0.0)?;
    odd.set_v128(&mut store, lanes)?;
    assert_eq!((odd.i32(&store)?, odd.f32(&store)?.to_bits(), odd.v128(&store)?), (-1, 1 << 31, lanes));
    assert_eq!(odd.memory().data(&store).len(), 65536);
    assert_eq!(odd.shared().data_size(), 65536);
    assert_eq!(odd.table().size(&store)?, 2);
    assert_eq!(odd.tag().ty(&store)?.params().len(), 1);
    assert_eq!(odd.reference().ty(&store)?.mutable, false);

    odd.set_i32_2(&mut store, 1)?;
    let results = [
        odd.self_(&mut store)?,
        odd.new_2(&mut store)?,
        odd.fn_(&mut store)?,
        odd.__(&mut store)?,
        odd._9______(&mut store)?,
        odd.a_b(&mut store)?,
        odd.a_b_2(&mut store)?,
        odd.CamelCase(&mut store)?,
    ];
    assert_eq!(results, [1, 2, 3, 4, 5, 6, 7, 8]);
    odd.nothing(&mut store)?;
    let func: Func = odd.typed();
    let (reference, same) = odd.references(&mut store, Some(func), ExternRef::new(5))?;
    assert!(reference.is_some() && same == Some(func));
    assert_eq!(odd.many(&mut store, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)?, 15);
    assert_eq!(odd.too_many().ty(&store)?.params().len(), 17);
    assert_eq!(odd.through(&mut store, 1, 2, 3.5, 4.5, lanes)?, (lanes, 3));

    let mut other = Store::new(Host);
    assert!(odd.nothing(&mut other).is_err() && odd.i32(&other).is_err() && odd.set_i32(&mut other, 1).is_err());
    Ok(())
}
"#;

#[test]
fn names_and_types_of_all_kinds() -> Result<(), Failed> {
    let scratch = support::scratch();
    let (folder, source) = (scratch.path(), scratch.path().join("odd.wat"));
    fs::write(&source, ODD)?;
    library(folder, &source, "odd", "odd.so", &["--emit", "cdylib"])?;
    let host = host_program(folder, ODD_HOST, &[])?;
    support::run(Command::new(host).arg(folder.join("odd.so")), b"")?.expect_code(0)?;
    Ok(())
}

const COMPONENT_HOST: &str = r#"//! A host of a component with types of all kinds.
mod odd;

use odd::host::{Access, All, Point, Shape, Val};
use wasmelt_embed::component::{ComponentCtx, Linker, Resource};
use wasmelt_embed::wasi::WasiCtxBuilder;
use wasmelt_embed::{Error, Result, Store, StoreContextMut};

struct Host {
    component: ComponentCtx,
    told: Vec<(String, u32)>,
}

impl odd::Imports for Host {
    fn host_through(_: StoreContextMut<'_, Self>, value: All) -> Result<All> {
        Ok(All { shape: Shape::Self_(vec![value.point.clone()]), success: Err(()), option: None, ..value })
    }
    fn host_tell(mut store: StoreContextMut<'_, Self>, text: String, number: u32) -> Result<()> {
        store.data_mut().told.push((text, number));
        if number == 13 { Err(Error::msg("not this one")) } else { Ok(()) }
    }
    fn add(_: StoreContextMut<'_, Self>, a: u8, b: u8) -> Result<u8> {
        Ok(a.wrapping_add(b))
    }
    type HostThing = ();
    fn host_thing_use(_: StoreContextMut<'_, Self>, _: Resource<()>) -> Result<()> {
        Ok(())
    }
    fn host_take(_: StoreContextMut<'_, Self>, _: Resource<()>) -> Result<()> {
        Ok(())
    }
    fn host_thing_drop(_: StoreContextMut<'_, Self>, _: Resource<()>) -> Result<()> {
        Ok(())
    }
}

fn store() -> Store<Host> {
    Store::new(Host { component: ComponentCtx::new(WasiCtxBuilder::new().build()), told: Vec::new() })
}

fn main() -> Result<()> {
    let component = COMPONENT;
    let mut linker = Linker::new(|host: &mut Host| &mut host.component);
    linker.define_wasi()?;
    odd::add_to_linker(&mut linker)?;
    assert!(odd::add_to_linker(&mut linker).is_err(), "names are defined once");
    let mut store = store();
    let odd = odd::Exports::new(&mut store, &linker, &component)?;
    let all = All {
        a: true,
        b: -1,
        c: 255,
        d: -2,
        e: 65535,
        f: i32::MIN,
        g: u32::MAX,
        h: i64::MIN,
        i: u64::MAX,
        j: -0.5,
        k: f64::INFINITY,
        l: '\u{10ffff}',
        m: "caf\u{e9}".into(),
        point: Point { x: -3, type_: 1.5 },
        shape: Shape::Circle(2.0),
        color: Val::DarkGreen,
        access: Access { read: true, match_: true, ..Access::default() },
        bytes: vec![0, 1, 255],
        option: Some(Val::Self_),
        result: Err("no".into()),
        success: Ok(()),
        pair: (7, "seven".into()),
        single: ('x',),
    };
    assert_eq!(odd.guest_echo(&mut store, all.clone())?, all);
    let through = odd.guest_through(&mut store, all.clone())?;
    let expected = All { shape: Shape::Self_(vec![all.point.clone()]), success: Err(()), option: None, ..all.clone() };
    assert_eq!(through, expected);
    assert_eq!(odd.new_2(&mut store, 200, 100)?, 44);
    odd.guest_tell(&mut store, "one".into(), 1)?;
    assert!(odd.guest_tell(&mut store, String::new(), 13).is_err());
    assert_eq!(store.data().told, [("one".to_owned(), 1), (String::new(), 13)]);
    let mut other = self::store();
    assert!(odd.guest_echo(&mut other, all).is_err());
    Ok(())
}
"#;

#[test]
fn types_of_components() -> Result<(), Failed> {
    let scratch = support::scratch();
    let (folder, source) = (scratch.path(), support::repository().join("tests/embed/components/odd.wat"));
    library(folder, &source, "odd", "odd.so", &["--emit", "cdylib"])?;
    let load = "{\n        // SAFETY: wasmelt made the file.\n        unsafe { odd::load(std::env::args().nth(1).unwrap()) }?\n    }";
    let host = host_program(folder, &COMPONENT_HOST.replace("COMPONENT", load), &[])?;
    support::run(Command::new(host).arg(folder.join("odd.so")), b"")?.expect_code(0)?;
    library(folder, &source, "odd", "libodd.a", &["--emit", "staticlib"])?;
    let host = host_program(folder, &COMPONENT_HOST.replace("COMPONENT", "odd::component()?"), &["-l", "static=odd"])?;
    support::run(&mut Command::new(host), b"")?.expect_code(0)?;
    Ok(())
}

const SHELF_HOST: &str = r#"//! A host of a component with resources of both.
mod shelf;

use shelf::guest::{Counter, Entry};
use shelf::host::{Maybe, Pair};
use wasmelt_embed::component::{ComponentCtx, Linker, Resource, ResourceTable};
use wasmelt_embed::wasi::WasiCtxBuilder;
use wasmelt_embed::{Result, Store, StoreContextMut};

struct Host {
    component: ComponentCtx,
    table: ResourceTable,
    dropped: u32,
}

/// Neither `Clone` nor `Debug`: what has a handle of a thing can be both all the same.
struct Thing(u32);

type Context<'a> = StoreContextMut<'a, Host>;

impl shelf::Imports for Host {
    type HostThing = Thing;

    fn host_thing_drop(mut store: Context<'_>, thing: Resource<Thing>) -> Result<()> {
        let Thing(value) = store.data_mut().table.delete(thing)?;
        store.data_mut().dropped += value;
        Ok(())
    }
    fn host_thing_new(mut store: Context<'_>, value: u32) -> Result<Resource<Thing>> {
        Ok(store.data_mut().table.push(Thing(value))?)
    }
    fn host_thing_get(store: Context<'_>, thing: Resource<Thing>) -> Result<u32> {
        Ok(store.data().table.get(&thing)?.0)
    }
    fn host_thing_drop_2(_: Context<'_>, _: Resource<Thing>, _: u8) -> Result<()> {
        Ok(())
    }
    fn host_thing_swap(mut store: Context<'_>, thing: Resource<Thing>) -> Result<Resource<Thing>> {
        let Thing(value) = store.data_mut().table.delete(thing)?;
        Ok(store.data_mut().table.push(Thing(value + 1))?)
    }
    fn host_pass(_: Context<'_>, maybe: Maybe<Resource<Thing>>) -> Result<Maybe<Resource<Thing>>> {
        Ok(match maybe {
            Maybe::One(Pair { first, count }) => Maybe::One(Pair { first, count: count + 1 }),
            Maybe::None => Maybe::None,
        })
    }
}

fn store() -> Store<Host> {
    let component = ComponentCtx::new(WasiCtxBuilder::new().build());
    Store::new(Host { component, table: ResourceTable::new(), dropped: 0 })
}

fn main() -> Result<()> {
    // SAFETY: wasmelt made the file.
    let component = unsafe { shelf::load(std::env::args().nth(1).unwrap()) }?;
    let mut linker = Linker::new(|host: &mut Host| &mut host.component);
    linker.define_wasi()?;
    shelf::add_to_linker(&mut linker)?;
    assert!(shelf::add_to_linker(&mut linker).is_err(), "names are defined once");
    let mut store = store();
    let shelf = shelf::Exports::new(&mut store, &linker, &component)?;

    let counter = Counter::new(&shelf, &mut store, 5)?;
    assert_eq!(counter.add(&shelf, &mut store, 2)?, 7);
    let other = counter.clone(&shelf, &mut store)?;
    assert!(!shelf.guest_larger(&mut store, &other, &counter)?);
    assert!(!shelf.guest_larger(&mut store, &counter, &counter)?);
    other.add(&shelf, &mut store, 1)?;
    assert!(shelf.guest_larger(&mut store, &other, &counter)?);
    let stale = Clone::clone(&other);
    let merged = Counter::merge(&shelf, &mut store, counter, other)?;
    assert!(stale.add(&shelf, &mut store, 1).is_err() && stale.drop(&shelf, &mut store).is_err());
    assert_eq!((merged.add(&shelf, &mut store, 0)?, shelf.guest_dropped(&mut store)?), (15, 15));

    let thing = shelf.guest_give(&mut store, 40)?;
    assert_eq!(shelf.guest_look(&mut store, Resource::new_borrow(thing.rep()))?, 41);
    let entry = shelf.guest_echo(&mut store, Entry { counter: merged, things: vec![thing.clone()] })?;
    assert_eq!(entry.things, [thing.clone()]);
    assert_eq!(format!("{:?}", Clone::clone(&entry)), format!("{entry:?}"));
    let one = |count| Maybe::One(Pair { first: thing.clone(), count });
    assert_eq!(shelf.guest_through(&mut store, one(1))?, one(2));
    assert_eq!(shelf.guest_through(&mut store, Maybe::None)?, Maybe::None);
    entry.counter.drop(&shelf, &mut store)?;
    assert_eq!(shelf.guest_dropped(&mut store)?, 30);
    assert_eq!((store.data().dropped, store.data().table.len()), (0, 1));

    let mut other = self::store();
    let shelf_of_other = shelf::Exports::new(&mut other, &linker, &component)?;
    let counter = Counter::new(&shelf, &mut store, 1)?;
    assert!(counter.add(&shelf_of_other, &mut other, 1).is_err() && counter.add(&shelf, &mut other, 1).is_err());
    assert_eq!(counter.add(&shelf, &mut store, 1)?, 2);
    Ok(())
}
"#;

#[test]
fn resources_of_components() -> Result<(), Failed> {
    let scratch = support::scratch();
    let (folder, source) = (scratch.path(), support::repository().join("tests/embed/components/shelf.wat"));
    library(folder, &source, "shelf", "shelf.so", &["--emit", "cdylib"])?;
    let bindings = fs::read_to_string(folder.join("shelf.rs"))?;
    let left_out = "// - `fail` of `docs:shelf/guest@0.1.0`\n";
    assert!(bindings.contains(left_out) && bindings.contains("exports more functions"), "{bindings}");
    let host = host_program(folder, SHELF_HOST, &[])?;
    support::run(Command::new(host).arg(folder.join("shelf.so")), b"")?.expect_code(0)?;
    Ok(())
}
