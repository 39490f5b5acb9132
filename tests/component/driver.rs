//! A WASI command around components: a component that has them inside, instantiates them in order, and calls what they
//! export. The length of its first argument is the number of the call that counts, from 1 on: calls before it that return are
//! made, that one is made and its result compared, and the command fails where the result differs. Without an argument the
//! components are instantiated and nothing is called.

use std::collections::HashMap;
use std::fmt::Write as _;

use wasm_encoder::{
    CanonicalOption, ComponentBuilder, ComponentExportKind, ComponentTypeRef, ComponentValType, ExportKind,
    InstanceType, ModuleArg, PrimitiveValType,
};
use wasmparser::ValType;

use crate::checks::Checks;
use crate::definitions::{Definitions, Naming};
use crate::types::{Signature, Type};
use crate::values::{Image, Value};

/// An instance of a component.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// In the binary format.
    pub(crate) component: Vec<u8>,
    /// What it imports: the names, and the earlier instances that they are.
    pub(crate) imports: Vec<(String, usize)>,
}

/// A call of what an instance exports.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Index of the instance.
    pub(crate) instance: usize,
    pub(crate) name: String,
    pub(crate) signature: Signature,
    pub(crate) args: Vec<Value>,
    pub(crate) expect: Expect,
}

#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// It returns, whatever it returns.
    Return,
    /// It returns this.
    Result(Value),
    /// It traps with this message.
    Trap(String),
}

/// The interface of commands.
const RUN: &str = "wasi:cli/run@0.2.0";

/// Where the driver's own bytes begin.
const BASE: u32 = 1024;

/// Where the list of arguments is written.
const ARGUMENTS: u32 = 16;

/// The command that makes these calls, in the binary format.
pub(crate) fn command(instances: &[Instance], calls: &[Call]) -> Vec<u8> {
    let driver = Driver::new(calls);
    let mut outer = ComponentBuilder::default();
    let arguments = import_arguments(&mut outer);
    let numbers = instantiate(&mut outer, instances);
    let caller = outer.component(None, driver.component());
    let mut imports = vec![("arguments".to_owned(), ComponentExportKind::Func, arguments)];
    let mut types = Definitions::new(&mut outer, Naming::None);
    driver.functions.iter().for_each(|function| _ = types.function(&function.signature));
    imports.extend(types.named.iter().enumerate().map(|(n, ty)| (type_name(n), ComponentExportKind::Type, *ty)));
    for (number, Function { instance, name, .. }) in driver.functions.iter().enumerate() {
        let function = outer.alias_export(numbers[*instance], name, ComponentExportKind::Func);
        imports.push((function_name(number), ComponentExportKind::Func, function));
    }
    let caller = outer.instantiate(None, caller, imports);
    export_run(&mut outer, caller);
    outer.finish()
}

/// Exports the `run` that an instance exports.
pub(crate) fn export_run(outer: &mut ComponentBuilder, instance: u32) {
    let run = outer.alias_export(instance, RUN, ComponentExportKind::Instance);
    outer.export(RUN, ComponentExportKind::Instance, run, None);
}

/// Exports what makes a component a command, from the `run` of a core instance.
pub(crate) fn lift_run(component: &mut ComponentBuilder, code: u32) {
    let run = component.core_alias_export(None, code, "run", ExportKind::Func);
    let signature = Signature { params: Vec::new(), result: Some(Type::result(None, None)) };
    let ty = Definitions::new(component, Naming::None).function(&signature);
    let run = component.lift_func(None, run, ty, []);
    let instance = component.component(None, reexport(&signature));
    let instance = component.instantiate(None, instance, [("run", ComponentExportKind::Func, run)]);
    component.export(RUN, ComponentExportKind::Instance, instance, None);
}

/// The name under which the caller imports a function, and a type that must have a name.
fn function_name(number: usize) -> String {
    format!("f{number}")
}

pub(crate) fn type_name(number: usize) -> String {
    format!("t{number}")
}

pub(crate) fn module(outer: &mut ComponentBuilder, text: &str) -> u32 {
    let module = wat::parse_str(text).unwrap_or_else(|e| panic!("the driver is not well-formed: {e}\n{text}"));
    outer.core_module_raw(None, &module)
}

/// A component that exports the `run` that it imports: an instance around a function.
fn reexport(signature: &Signature) -> ComponentBuilder {
    let mut component = ComponentBuilder::default();
    let run = Definitions::new(&mut component, Naming::None).import("run", signature);
    component.export("run", ComponentExportKind::Func, run, None);
    component
}

/// The type of `get-arguments`.
pub(crate) fn arguments_signature() -> Signature {
    Signature { params: Vec::new(), result: Some(Type::List(Box::new(Type::String))) }
}

/// The imported function that has the arguments.
pub(crate) fn import_arguments(outer: &mut ComponentBuilder) -> u32 {
    let mut interface = InstanceType::new();
    interface.ty().defined_type().list(PrimitiveValType::String);
    let params: [(&str, ComponentValType); 0] = [];
    interface.ty().function().params(params).result(Some(ComponentValType::Type(0)));
    interface.export("get-arguments", ComponentTypeRef::Func(1));
    let ty = outer.type_instance(None, &interface);
    let environment = outer.import("wasi:cli/environment@0.2.0", ComponentTypeRef::Instance(ty));
    outer.alias_export(environment, "get-arguments", ComponentExportKind::Func)
}

/// The instances by their numbers in the command.
fn instantiate(outer: &mut ComponentBuilder, instances: &[Instance]) -> Vec<u32> {
    let mut numbers: Vec<u32> = Vec::new();
    // A component that is instantiated twice is in the command once.
    let mut components: HashMap<&[u8], u32> = HashMap::new();
    for instance in instances {
        let bytes = instance.component.as_slice();
        let component = *components.entry(bytes).or_insert_with(|| outer.component_raw(None, bytes));
        let imports = instance.imports.iter();
        let imports = imports.map(|(name, of)| (name.as_str(), ComponentExportKind::Instance, numbers[*of]));
        let imports: Vec<_> = imports.collect();
        numbers.push(outer.instantiate(None, component, imports));
    }
    numbers
}

/// A function that is called.
struct Function {
    instance: usize,
    name: String,
    signature: Signature,
}

/// The component that calls: beside those that it calls, as none may call those inside of itself.
struct Driver {
    /// What is called.
    functions: Vec<Function>,
    imports: String,
    /// A function for each call.
    checks: String,
    /// The calls of these, in order.
    run: String,
    image: Image,
}

impl Driver {
    fn new(calls: &[Call]) -> Self {
        let mut driver = Self {
            functions: Vec::new(),
            imports: String::new(),
            checks: String::new(),
            run: String::new(),
            image: Image::new(BASE),
        };
        for (number, call) in calls.iter().enumerate() {
            driver.check(number, call);
            let happens = match call.expect {
                Expect::Trap(_) => "i32.eq",
                _ => "i32.ge_u",
            };
            let length = number + 1;
            let _ = writeln!(
                driver.run,
                "    (if ({happens} (local.get $k) (i32.const {length})) (then (local.set $ok (call $check{number}))))
    (if (i32.eq (local.get $k) (i32.const {length})) (then (return (i32.eqz (local.get $ok)))))"
            );
        }
        driver
    }

    /// The number of a function among those that are imported.
    fn function(&mut self, call: &Call) -> usize {
        let Call { instance, name, signature, .. } = call;
        let known = |function: &Function| function.instance == *instance && function.name == *name;
        self.functions.iter().position(known).unwrap_or_else(|| {
            let number = self.functions.len();
            let ty = call.signature.lowered();
            let _ = writeln!(self.imports, "  (import \"f\" \"{}\" (func $f{number} {ty}))", number + 1);
            let (name, signature) = (name.clone(), signature.clone());
            self.functions.push(Function { instance: *instance, name, signature });
            number
        })
    }

    /// The function that makes a call and says whether its result is right.
    fn check(&mut self, number: usize, call: &Call) {
        let function = self.function(call);
        let mut args = self.args(call);
        let result = call.signature.result.as_ref();
        let in_memory = call.signature.has_result_in_memory();
        let place = result.filter(|_| in_memory).map(|ty| self.image.allocate(ty.size(), ty.alignment()));
        args.extend(place.map(|place| (ValType::I32, place.into())));
        let args: String = args.iter().map(|(ty, bits)| format!(" {}", constant(*ty, *bits))).collect();
        let invoke = format!("(call $f{function}{args})");
        let mut checks = Checks::new(&mut self.image);
        if let (Some(ty), Expect::Result(value)) = (result, &call.expect) {
            match place {
                Some(_) => checks.memory(ty, value, "$place", 0),
                None => checks.flat(ty, value),
            }
        }
        let (code, locals) = (checks.code, checks.locals);
        let locals: String = (0..locals).map(|local| format!(" (local $at{local} i32)")).collect();
        let core = result.and_then(|ty| ty.flat().first().copied()).unwrap_or(ValType::I32);
        let invoke = match (result, place) {
            (None, _) => invoke,
            (Some(_), None) => format!("(local.set $result {invoke})"),
            (_, Some(place)) => format!("{invoke} (local.set $place (i32.const {place}))"),
        };
        let _ = writeln!(
            self.checks,
            "  (func $check{number} (result i32) (local $place i32) (local $result {core}){locals}
    {invoke}
{code}    (i32.const 1))"
        );
    }

    /// The core values of the arguments.
    fn args(&mut self, call: &Call) -> Vec<(ValType, u64)> {
        let params = &call.signature.params;
        if !call.signature.has_params_in_memory() {
            return params.iter().zip(&call.args).flat_map(|((_, ty), arg)| self.image.lower(ty, arg)).collect();
        }
        let tuple = Type::Record(params.clone());
        let at = self.image.allocate(tuple.size(), tuple.alignment());
        self.image.store(&tuple, &Value::Record(call.args.clone()), at);
        vec![(ValType::I32, at.into())]
    }

    fn component(&self) -> ComponentBuilder {
        let mut inner = ComponentBuilder::default();
        let mut types = Definitions::new(&mut inner, Naming::Imported);
        let mut functions = vec![types.import("arguments", &arguments_signature())];
        for (number, function) in self.functions.iter().enumerate() {
            functions.push(types.import(&function_name(number), &function.signature));
        }
        let libc = module(&mut inner, &libc(self.image.end()));
        let libc = inner.core_instantiate(None, libc, []);
        let memory = inner.core_alias_export(None, libc, "memory", ExportKind::Memory);
        let realloc = inner.core_alias_export(None, libc, "realloc", ExportKind::Func);
        let options = [CanonicalOption::UTF8, CanonicalOption::Memory(memory), CanonicalOption::Realloc(realloc)];
        let lowered: Vec<_> = functions.iter().map(|function| inner.lower_func(None, *function, options)).collect();
        let names: Vec<_> = (0..lowered.len()).map(|number| number.to_string()).collect();
        let lowered = names.iter().zip(lowered).map(|(name, function)| (name.as_str(), ExportKind::Func, function));
        let lowered = inner.core_instantiate_exports(None, lowered.collect::<Vec<_>>());
        let code = module(&mut inner, &self.module());
        let arguments = [("libc", ModuleArg::Instance(libc)), ("f", ModuleArg::Instance(lowered))];
        let code = inner.core_instantiate(None, code, arguments);
        lift_run(&mut inner, code);
        inner
    }

    /// The module that makes the calls.
    fn module(&self) -> String {
        let Self { imports, checks, run, image, .. } = self;
        format!(
            r#"(module
  (import "libc" "memory" (memory 0))
  (import "f" "0" (func $arguments (param i32)))
{imports}  (data (i32.const {base}) "{bytes}")
  (func $same (param $a i32) (param $b i32) (param $len i32) (result i32)
    (loop $next
      (if (i32.eqz (local.get $len)) (then (return (i32.const 1))))
      (if (i32.ne (i32.load8_u (local.get $a)) (i32.load8_u (local.get $b))) (then (return (i32.const 0))))
      (local.set $a (i32.add (local.get $a) (i32.const 1)))
      (local.set $b (i32.add (local.get $b) (i32.const 1)))
      (local.set $len (i32.sub (local.get $len) (i32.const 1)))
      (br $next))
    (unreachable))
{checks}  (func (export "run") (result i32) (local $k i32) (local $ok i32)
    (call $arguments (i32.const {ARGUMENTS}))
    (if (i32.gt_u (i32.load offset=4 (i32.const {ARGUMENTS})) (i32.const 1))
      (then (local.set $k (i32.load offset=12 (i32.load (i32.const {ARGUMENTS}))))))
{run}    (i32.const 0)))"#,
            base = image.base(),
            bytes = image.text(),
        )
    }
}

/// The module with the memory, of which this much is taken.
pub(crate) fn libc(end: u32) -> String {
    let pages = (end >> 16) + 2;
    format!(
        r#"(module
  (memory (export "memory") {pages})
  (global $end (mut i32) (i32.const {end}))
  (func (export "realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
    (local $at i32) (local $missing i32)
    (local.set $at
      (i32.and (i32.add (global.get $end) (i32.sub (local.get $align) (i32.const 1)))
               (i32.sub (i32.const 0) (local.get $align))))
    (global.set $end (i32.add (local.get $at) (local.get $len)))
    (local.set $missing (i32.sub (i32.shr_u (global.get $end) (i32.const 16)) (i32.sub (memory.size) (i32.const 1))))
    (if (i32.gt_s (local.get $missing) (i32.const 0)) (then (drop (memory.grow (local.get $missing)))))
    (memory.copy (local.get $at) (local.get $old)
      (select (local.get $old_len) (local.get $len) (i32.lt_u (local.get $old_len) (local.get $len))))
    ;; What lies behind a string in the room that it might have needed is nobody's.
    (memory.fill (local.get $old) (i32.const 0) (local.get $old_len))
    (local.get $at)))"#
    )
}

/// An instruction for a constant with these bits.
pub(crate) fn constant(ty: ValType, bits: u64) -> String {
    match ty {
        ValType::F32 => format!("(f32.reinterpret_i32 (i32.const {}))", bits as u32),
        ValType::F64 => format!("(f64.reinterpret_i64 (i64.const {bits}))"),
        ValType::I32 => format!("(i32.const {})", bits as u32),
        _ => format!("(i64.const {bits})"),
    }
}
