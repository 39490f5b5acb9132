//! Generated components: values of generated types go from one component to another and back, in all encodings.
//!
//! Without a reference, values are valid, and what comes back has to be equal. With one (`WASMELT_WASMTIME` names it), a
//! careless component passes what may be wrong, and both have to end alike: by the same trap, or with equal memories. How
//! memories look is told by a trap too, as no interface is needed for it: a handle that does not exist, with a hash as its number.
//! `WASMELT_CASES=FROM..TO` says which components are made.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use wasm_encoder::{CanonicalOption, ComponentBuilder, ComponentExportKind, ExportKind, ModuleArg};
use wasmparser::ValType;

use crate::definitions::{Definitions, Naming};
use crate::driver::{self, Call, Expect, Instance};
use crate::generate::{self, Careless, ENCODINGS, Encoding, Random};
use crate::library;
use crate::process::Ended;
use crate::programs::{self, Form, reference};
use crate::support;
use crate::types::{MAX_FLAT_PARAMS, Signature, Type};
use crate::values::{Image, Value};

/// How many functions a generated component has.
const FUNCTIONS: usize = 8;

/// How deep types nest.
const DEPTH: u32 = 3;

/// Components that every run of the tests makes.
const DEFAULT: Range<u64> = 0..12;

/// Where the caller's values begin in its memory.
const BASE: u32 = 2048;

pub(crate) fn trial() -> Trial {
    Trial::test("generated", || {
        let range = match std::env::var("WASMELT_CASES") {
            Ok(text) => parse(&text).ok_or("WASMELT_CASES is not `FROM..TO`")?,
            Err(_) => DEFAULT,
        };
        let folder = support::scratch();
        let check: fn(u64, &Path) -> Result<Vec<String>, String> = match reference() {
            Some(_) => compare,
            None => round_trip,
        };
        let (mut wrong, mut ends) = (Vec::new(), BTreeMap::<String, usize>::new());
        for seed in range.clone() {
            match check(seed, folder.path()) {
                Ok(calls) => calls.into_iter().for_each(|end| *ends.entry(end).or_default() += 1),
                Err(why) => wrong.push(format!("component {seed}: {why}")),
            }
        }
        let calls: usize = ends.values().sum();
        println!("components: {calls} calls of {} generated components are right", range.count() - wrong.len());
        for (end, count) in ends {
            println!("components: {count} of them ended: {end}");
        }
        if wrong.is_empty() { Ok(()) } else { Err(Failed::from(wrong.join("\n"))) }
    })
}

fn parse(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

/// A function of a generated component.
struct Function {
    ty: Type,
    encoding: Encoding,
    /// It gets its parameter in memory and returns it. Otherwise, it gets core values and keeps them.
    echoes: bool,
}

impl Function {
    fn generate(random: &mut Random) -> Self {
        let ty = loop {
            let ty = generate::ty(random, DEPTH);
            // What is larger is larger only.
            if ty.size() < 2000 {
                break ty;
            }
        };
        let echoes = ty.flat().len() > MAX_FLAT_PARAMS || !random.once_in(3);
        Self { ty, encoding: random.pick(&ENCODINGS), echoes }
    }

    /// Bytes before the parameter, so many that parameters lie in memory.
    fn signature(&self) -> Signature {
        let padding = (0..MAX_FLAT_PARAMS).map(|_| Type::Int { bytes: 1, signed: false });
        let fields: Vec<_> = padding.chain([self.ty.clone()]).collect();
        let fields: Vec<_> = fields.into_iter().enumerate().map(|(n, ty)| (n.to_string(), ty)).collect();
        match self.echoes {
            true => {
                let tuple = Type::Record(fields);
                Signature { params: vec![("x".to_owned(), tuple.clone())], result: Some(tuple) }
            }
            false => Signature { params: vec![("x".to_owned(), self.ty.clone())], result: None },
        }
    }

    /// The function as its component has it: what it is called with is what it returns, or is kept at address 16.
    fn core(&self, number: usize) -> String {
        if self.echoes {
            return format!("  (func (export \"{number}\") (param i32) (result i32) (local.get 0))\n");
        }
        let flat = self.ty.flat();
        let params: String = flat.iter().map(|ty| format!(" {ty}")).collect();
        let mut code = format!("  (func (export \"{number}\") (param{params})");
        for (number, ty) in flat.iter().enumerate() {
            let _ = write!(code, "\n    ({ty}.store (i32.const {}) (local.get {number}))", 16 + 8 * number);
        }
        code + ")\n"
    }
}

fn option(encoding: Encoding) -> CanonicalOption {
    match encoding {
        Encoding::Utf8 => CanonicalOption::UTF8,
        Encoding::Utf16 => CanonicalOption::UTF16,
        Encoding::Compact => CanonicalOption::CompactUTF16,
    }
}

/// Code of a hash of all that a memory has.
const HASH: &str = r#"  (func $hash (export "hash") (result i32) (local $at i32) (local $hash i32)
    (loop $next
      (local.set $hash (i32.mul (i32.xor (local.get $hash) (i32.load (local.get $at))) (i32.const 16777619)))
      (local.set $hash (i32.rotl (local.get $hash) (i32.const 5)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 131072))))
    (local.get $hash))
"#;

/// The component that is called.
fn callee(functions: &[Function]) -> ComponentBuilder {
    let mut component = ComponentBuilder::default();
    let libc = driver::module(&mut component, &driver::libc(1024));
    let libc = component.core_instantiate(None, libc, []);
    let code: String = functions.iter().enumerate().map(|(number, function)| function.core(number)).collect();
    let code = format!("(module (import \"libc\" \"memory\" (memory 0))\n{code}{HASH})");
    let code = driver::module(&mut component, &code);
    let code = component.core_instantiate(None, code, [("libc", ModuleArg::Instance(libc))]);
    let memory = component.core_alias_export(None, libc, "memory", ExportKind::Memory);
    let realloc = component.core_alias_export(None, libc, "realloc", ExportKind::Func);
    let mut types = Definitions::new(&mut component, Naming::Exported);
    let defined: Vec<u32> = functions.iter().map(|function| types.function(&function.signature())).collect();
    for (number, (function, ty)) in functions.iter().zip(defined).enumerate() {
        let core = component.core_alias_export(None, code, &number.to_string(), ExportKind::Func);
        let options = [option(function.encoding), CanonicalOption::Memory(memory), CanonicalOption::Realloc(realloc)];
        let lifted = component.lift_func(None, core, ty, options);
        component.export(function_name(number).as_str(), ComponentExportKind::Func, lifted, None);
    }
    let ty = Definitions::new(&mut component, Naming::None).function(&hash_signature());
    let core = component.core_alias_export(None, code, "hash", ExportKind::Func);
    let lifted = component.lift_func(None, core, ty, []);
    component.export("hash", ComponentExportKind::Func, lifted, None);
    component
}

fn function_name(number: usize) -> String {
    format!("f{number}")
}

fn hash_signature() -> Signature {
    Signature { params: Vec::new(), result: Some(Type::Int { bytes: 4, signed: false }) }
}

/// How a call ends that returns.
const RETURNED: &str = "returned";

/// Valid values, which have to come back as they are; how each call ended.
fn round_trip(seed: u64, folder: &Path) -> Result<Vec<String>, String> {
    let mut random = Random::new(seed);
    let functions: Vec<_> = (0..FUNCTIONS).map(|_| Function::generate(&mut random)).collect();
    let instance = Instance { component: callee(&functions).finish(), imports: Vec::new() };
    let calls = functions.iter().enumerate().map(|(number, function)| {
        let signature = function.signature();
        let arg = generate::value(&mut random, &signature.params[0].1);
        let expect = if function.echoes { Expect::Result(arg.clone()) } else { Expect::Return };
        Call { instance: 0, name: function_name(number), signature, args: vec![arg], expect }
    });
    let calls: Vec<_> = calls.collect();
    let component = driver::command(&[instance], &calls);
    let paths = [folder.join(seed.to_string()), folder.join(format!("{seed}.so"))];
    make(&component, &paths)?;
    for number in 1..=calls.len() {
        for ended in [programs::run(&paths[0], number)?, library::run(&paths[1], number)?] {
            if ended.code != 0 {
                return Err(format!("call {number} of the type {:?}: {}", functions[number - 1].ty, ended.stderr));
            }
        }
    }
    remove(&paths)?;
    Ok(vec![RETURNED.to_owned(); calls.len()])
}

/// Makes an executable of a component, and a library.
fn make(component: &[u8], [executable, shared]: &[PathBuf; 2]) -> Result<(), String> {
    programs::compile(component, Form::Executable).and_then(|bytes| programs::write(executable, &bytes))?;
    programs::compile(component, Form::Library).and_then(|bytes| programs::write(shared, &bytes))
}

/// Values of a careless component, here, in a host and in the reference; how each call ended.
fn compare(seed: u64, folder: &Path) -> Result<Vec<String>, String> {
    let mut random = Random::new(seed);
    let functions: Vec<_> = (0..FUNCTIONS).map(|_| Function::generate(&mut random)).collect();
    let component = careless_command(&mut random, &functions);
    let own = [folder.join(seed.to_string()), folder.join(format!("{seed}.so"))];
    let theirs = folder.join(format!("{seed}.cwasm"));
    make(&component, &own)?;
    let [ours, shared] = own;
    programs::precompile(&component, &folder.join(format!("{seed}.wasm")), &theirs)?;
    let mut ends = Vec::new();
    for number in 1..=functions.len() {
        let ours = words(&programs::run_ours(&ours, number)?);
        let hosted = words(&library::run(&shared, number)?);
        let theirs = words(&programs::run_precompiled(&theirs, number)?);
        if ours.is_empty() || ours != theirs || ours != hosted {
            let Function { ty, encoding, .. } = &functions[number - 1];
            return Err(format!(
                "call {number} ({encoding:?}, {ty:?}): `{ours}`, in a host `{hosted}`, the reference `{theirs}`"
            ));
        }
        // The words that tell a hash.
        ends.push(if ours.starts_with("unknown handle index") { RETURNED.to_owned() } else { ours });
    }
    remove(&[ours, shared, theirs, folder.join(format!("{seed}.wasm"))])?;
    Ok(ends)
}

fn remove(paths: &[PathBuf]) -> Result<(), String> {
    paths.iter().try_for_each(std::fs::remove_file).map_err(|e| e.to_string())
}

/// The words of a trap, in messages of either kind.
fn words(ended: &Ended) -> String {
    let ours = |line: &str| line.strip_prefix("wasm trap: ").map(str::to_owned);
    let theirs = |line: &str| {
        let cause = line.trim_start().strip_prefix("2: ")?;
        (!cause.starts_with("0x")).then(|| cause.strip_prefix("wasm trap: ").unwrap_or(cause).to_owned())
    };
    let lines = || ended.stderr.lines();
    lines().find_map(ours).or_else(|| lines().find_map(theirs)).unwrap_or_default()
}

/// A command whose calls pass what may be wrong.
fn careless_command(random: &mut Random, functions: &[Function]) -> Vec<u8> {
    let mut outer = ComponentBuilder::default();
    let arguments = driver::import_arguments(&mut outer);
    let callee = outer.component(None, callee(functions));
    let callee = outer.instantiate(None, callee, Vec::<(String, ComponentExportKind, u32)>::new());
    let caller = outer.component(None, caller(random, functions));
    let mut imports = vec![("arguments".to_owned(), ComponentExportKind::Func, arguments)];
    let mut types = Definitions::new(&mut outer, Naming::None);
    functions.iter().for_each(|function| _ = types.function(&function.signature()));
    let named = types.named.iter().enumerate();
    imports.extend(named.map(|(number, ty)| (driver::type_name(number), ComponentExportKind::Type, *ty)));
    for name in (0..functions.len()).map(function_name).chain(["hash".to_owned()]) {
        let function = outer.alias_export(callee, &name, ComponentExportKind::Func);
        imports.push((name, ComponentExportKind::Func, function));
    }
    let caller = outer.instantiate(None, caller, imports);
    driver::export_run(&mut outer, caller);
    outer.finish()
}

/// The component that calls.
fn caller(random: &mut Random, functions: &[Function]) -> ComponentBuilder {
    let mut component = ComponentBuilder::default();
    let mut types = Definitions::new(&mut component, Naming::Imported);
    let arguments = types.import("arguments", &driver::arguments_signature());
    let signatures = functions.iter().map(Function::signature);
    let imported: Vec<u32> =
        signatures.enumerate().map(|(number, signature)| types.import(&function_name(number), &signature)).collect();
    let hash = types.import("hash", &hash_signature());
    let handle = component.type_resource(None, wasm_encoder::ValType::I32, None);
    let encoding = random.pick(&ENCODINGS);
    let mut image = Image::new(BASE);
    let code: Vec<_> = functions.iter().map(|function| call(random, function, encoding, &mut image)).collect();
    let libc_module = driver::module(&mut component, &driver::libc(image.end()));
    let libc = component.core_instantiate(None, libc_module, []);
    let memory = component.core_alias_export(None, libc, "memory", ExportKind::Memory);
    let realloc = component.core_alias_export(None, libc, "realloc", ExportKind::Func);
    let options = |encoding| [option(encoding), CanonicalOption::Memory(memory), CanonicalOption::Realloc(realloc)];
    // Arguments have a memory of their own: names of programs differ.
    let apart = component.core_instantiate(None, libc_module, []);
    let their_memory = component.core_alias_export(None, apart, "memory", ExportKind::Memory);
    let their_realloc = component.core_alias_export(None, apart, "realloc", ExportKind::Func);
    let of_arguments =
        [CanonicalOption::UTF8, CanonicalOption::Memory(their_memory), CanonicalOption::Realloc(their_realloc)];
    let mut core = vec![
        ("arguments".to_owned(), component.lower_func(None, arguments, of_arguments)),
        ("hash".to_owned(), component.lower_func(None, hash, [])),
        ("tell".to_owned(), component.resource_drop(handle)),
    ];
    for (number, function) in imported.iter().enumerate() {
        core.push((number.to_string(), component.lower_func(None, *function, options(encoding))));
    }
    let core = core.iter().map(|(name, function)| (name.as_str(), ExportKind::Func, *function));
    let core = component.core_instantiate_exports(None, core.collect::<Vec<_>>());
    let code = driver::module(&mut component, &caller_code(functions, &code, &image));
    let arguments = [
        ("libc", ModuleArg::Instance(libc)),
        ("arguments", ModuleArg::Instance(apart)),
        ("f", ModuleArg::Instance(core)),
    ];
    let code = component.core_instantiate(None, code, arguments);
    driver::lift_run(&mut component, code);
    component
}

/// A call with a value at random, in the text format.
fn call(random: &mut Random, function: &Function, encoding: Encoding, image: &mut Image) -> String {
    let ty = function.signature().params.remove(0).1;
    let value = generate::value(random, &ty);
    let damage = random.pick(&[None, Some(30), Some(6)]);
    let end = image.end();
    let mut careless = Careless { random, image: std::mem::replace(image, Image::new(end)), encoding, damage };
    let at = careless.image.allocate(ty.size(), ty.alignment());
    careless.store(&ty, &value, at);
    let args = match function.echoes {
        true => {
            let place = careless.image.allocate(ty.size(), ty.alignment());
            format!(" (i32.const {at}) (i32.const {place})")
        }
        // The core values of a variant are those of its cases joined: any bits will do.
        false => careless.flat(&ty, &value),
    };
    *image = careless.image;
    args
}

fn caller_code(functions: &[Function], args: &[String], image: &Image) -> String {
    let (mut imports, mut calls) = (String::new(), String::new());
    for (number, (function, args)) in functions.iter().zip(args).enumerate() {
        let ty = function.signature().lowered();
        let _ = writeln!(imports, "  (import \"f\" \"{number}\" (func $f{number} {ty}))");
        let length = number + 1;
        let _ = writeln!(
            calls,
            "    (if (i32.eq (local.get $k) (i32.const {length})) (then (call $f{number}{args}) (call $finish)))"
        );
    }
    format!(
        r#"(module
  (import "libc" "memory" (memory 0))
  (import "arguments" "memory" (memory $arguments 0))
  (import "f" "arguments" (func $arguments (param i32)))
  (import "f" "hash" (func $other (result i32)))
  (import "f" "tell" (func $tell (param i32)))
{imports}  (data (i32.const {BASE}) "{bytes}")
{HASH}  (func $finish (call $tell (i32.xor (i32.mul (call $hash) (i32.const 31)) (call $other))))
  (func (export "run") (result i32) (local $k i32)
    (call $arguments (i32.const 16))
    (local.set $k (i32.load $arguments offset=12 (i32.load $arguments (i32.const 16))))
{calls}    (i32.const 1)))"#,
        bytes = image.text(),
    )
}

impl Careless<'_> {
    /// Core values for a value, as instructions.
    fn flat(&mut self, ty: &Type, value: &Value) -> String {
        let at = self.image.allocate(ty.size(), ty.alignment());
        self.store(ty, value, at);
        let mut flat = self.core_values(ty, value, at);
        for (_, bits) in &mut flat {
            if self.damage.is_some() && self.random.once_in(20) {
                *bits ^= 1 << self.random.below(64);
            }
        }
        flat.into_iter().map(|(ty, bits)| format!(" {}", driver::constant(ty, bits))).collect()
    }

    /// The core values of a value that has been stored at an address: where strings and lists are is read from there.
    fn core_values(&self, ty: &Type, value: &Value, at: u32) -> Vec<(ValType, u64)> {
        match (ty, value) {
            (Type::String | Type::List(_), _) => {
                vec![(ValType::I32, self.image.read(at, 4)), (ValType::I32, self.image.read(at + 4, 4))]
            }
            (Type::Record(fields), Value::Record(values)) => {
                let fields = Type::fields(fields).zip(values);
                fields.flat_map(|((offset, ty), value)| self.core_values(ty, value, at + offset)).collect()
            }
            (Type::Variant(_, cases), Value::Variant(index, payload)) => {
                let payload = match (&cases[*index].1, payload) {
                    (Some(ty), Some(payload)) => {
                        self.core_values(ty, payload, at + crate::types::payload_offset(cases))
                    }
                    _ => Vec::new(),
                };
                let bits = [*index as u64].into_iter().chain(payload.into_iter().map(|(_, bits)| bits));
                ty.flat().into_iter().zip(bits.chain(std::iter::repeat(0))).collect()
            }
            _ => vec![(ty.flat()[0], self.image.read(at, ty.size()))],
        }
    }
}
