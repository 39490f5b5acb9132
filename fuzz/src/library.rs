//! Programs as libraries: each module compiled to a shared object, loaded into this process and connected through the
//! interface for host programs.

use std::collections::HashMap;
use std::fs;

use wasmelt::options::{Emit, Options};
use wasmelt_abi::trap::Trap;
use wasmelt_embed::{
    Error, Extern, ExternRef, ExternType, Func, Global, Instance, Memory, Module, SharedMemory, Store, Table, Tag, Val,
};
use wasmparser::{RefType, ValType};

use crate::observe::{
    Bits, Call, Engine, Export, FUEL, FUEL_EXPORT, Failure, Import, Observation, Part, Plan, State, hash, hash_elements,
};
use crate::{compile, host};

/// Compiles with these options and calls the libraries.
#[derive(Clone, Debug)]
pub struct Libraries(pub Options);

fn broken(what: &str, e: &dyn std::fmt::Display) -> Failure {
    Failure::Broken(format!("{what}: {e}"))
}

impl Libraries {
    /// Compiles a module to a library, and loads it.
    #[allow(unsafe_code, reason = "loading a library believes what is in it; `tests/tidy` lists the places")]
    fn make(&self, wasm: &[u8]) -> Result<Module, Failure> {
        let name = "module".to_owned();
        let options = Options { emit: Emit::Cdylib, library: Some(name.clone()), ..self.0.clone() };
        let compiled = compile(wasm, &options).map_err(|e| Failure::Refused(e.to_string()))?;
        let folder = tempfile::tempdir().map_err(|e| broken("no scratch folder", &e))?;
        let path = folder.path().join("module.so");
        fs::write(&path, &compiled.bytes).map_err(|e| broken("the library cannot be written", &e))?;
        // SAFETY: wasmelt has just made it.
        unsafe { Module::load(&path, &name) }.map_err(|e| broken("the library cannot be loaded", &e))
    }
}

impl Engine for Libraries {
    fn observe(&self, program: &[Part], plan: &Plan) -> Result<Observation, Failure> {
        let mut run = Run { store: Store::new(()), instances: Vec::new() };
        let mut observation = Observation::default();
        let mut made = HashMap::new();
        for (number, part) in program.iter().enumerate() {
            if !made.contains_key(&part.wasm) {
                made.insert(&part.wasm, self.make(&part.wasm)?);
            }
            let module = &made[&part.wasm];
            let imports = run.provide(module, &program[..number], &plan.imports[number])?;
            match Instance::new(&mut run.store, module, &imports) {
                Ok(instance) => run.instances.push(instance),
                Err(error) => {
                    observation.instantiation = Some(trap(error)?);
                    observation.states.push(run.left(imports, plan)?);
                    return Ok(observation);
                }
            }
        }
        observation.states.push(run.state(plan)?);
        for call in &plan.calls {
            let result = run.call(call)?;
            let ends = result == Err(Trap::StackExhausted);
            observation.calls.push(result);
            observation.states.push(run.state(plan)?);
            if ends {
                break;
            }
        }
        Ok(observation)
    }
}

/// Instances of the parts, as many as there are yet.
struct Run {
    store: Store<()>,
    instances: Vec<Instance>,
}

impl Run {
    fn export<T>(&self, export: &Export<T>) -> Result<Extern, Failure> {
        let found = self.instances[export.part].get_export(&self.store, &export.name);
        found.ok_or_else(|| Failure::Broken(format!("no export `{}`", export.name)))
    }

    fn call(&mut self, call: &Call) -> Result<Result<Vec<Bits>, Trap>, Failure> {
        for instance in &self.instances {
            if let Some(Extern::Global(fuel)) = instance.get_export(&self.store, FUEL_EXPORT) {
                fuel.set(&mut self.store, Val::I32(FUEL as i32)).map_err(|e| broken("no fuel", &e))?;
            }
        }
        let Extern::Func(func) = self.export(&call.export)? else {
            return Err(Failure::Broken(format!("`{}` is no function", call.export.name)));
        };
        let args: Vec<Val> = call.args.iter().map(|&(ty, bits)| value(bits, ty)).collect();
        let ty = func.ty(&self.store).map_err(|e| broken("no type", &e))?;
        let mut results = vec![Val::I32(0); ty.results().len()];
        match func.call(&mut self.store, &args, &mut results) {
            Ok(()) => Ok(Ok(results.iter().map(bits).collect())),
            Err(error) => trap(error).map(Err),
        }
    }

    /// State of the instances that there are.
    fn state(&self, plan: &Plan) -> Result<State, Failure> {
        let exists = |part| part < self.instances.len();
        let globals = plan.globals.iter().filter(|(at, _)| exists(at.part)).map(|(at, _)| self.export(at));
        let memories = plan.memories.iter().filter(|at| exists(at.part)).map(|at| self.export(at));
        let tables = plan.tables.iter().filter(|at| exists(at.part)).map(|at| self.export(at));
        let items = globals.chain(memories).chain(tables).collect::<Result<Vec<_>, _>>()?;
        look(&self.store, items)
    }

    /// What a part left that trapped when it was instantiated: in the parts before it, or in what the host provides.
    fn left(&self, imports: Vec<Extern>, plan: &Plan) -> Result<State, Failure> {
        if !self.instances.is_empty() {
            return self.state(plan);
        }
        let is_seen = |item: &Extern| !matches!(item, Extern::Func(_) | Extern::Tag(_) | Extern::SharedMemory(_));
        look(&self.store, imports.into_iter().filter(is_seen))
    }

    /// What a module imports: exports of the parts before it, whose instances there are, or what the host makes.
    fn provide(&mut self, module: &Module, earlier: &[Part], imports: &[Import]) -> Result<Vec<Extern>, Failure> {
        let provided = imports.iter().zip(module.imports()).enumerate().map(|(number, (import, expected))| {
            let Some(part) = earlier.iter().position(|part| part.name == expected.module) else {
                return make(&mut self.store, number, import, expected.ty);
            };
            self.instances[part].get_export(&self.store, expected.name).ok_or_else(|| Error::host("no such export"))
        });
        let provided = provided.map(|item| item.map_err(|e| broken("an import cannot be provided", &e)));
        provided.collect()
    }
}

/// What globals, memories and tables hold.
fn look(store: &Store<()>, items: impl IntoIterator<Item = Extern>) -> Result<State, Failure> {
    let mut state = State::default();
    for item in items {
        let looked = match item {
            Extern::Global(global) => global.get(store).map(|value| state.globals.push(bits(&value))),
            Extern::Memory(memory) => {
                state.memory_hashes.push(hash(memory.data(store)));
                Ok(())
            }
            Extern::SharedMemory(memory) => {
                let ty = memory.ty();
                let mut bytes = vec![0; (ty.minimum << ty.page_size_log2) as usize];
                memory.read(0, &mut bytes).map(|()| state.memory_hashes.push(hash(&bytes)))
            }
            Extern::Table(table) => table.size(store).and_then(|len| {
                let elements = (0..len).map(|index| table.get(store, index).map(|value| bits(&value)));
                state.table_lengths.push(len);
                state.table_hashes.push(hash_elements(elements.collect::<Result<Vec<_>, _>>()?.into_iter()));
                Ok(())
            }),
            Extern::Func(_) | Extern::Tag(_) => Err(Error::host("an export of another kind")),
        };
        looked.map_err(|e| broken("state cannot be read", &e))?;
    }
    Ok(state)
}

/// What the host provides for the import with this number.
fn make(store: &mut Store<()>, number: usize, import: &Import, expected: ExternType) -> Result<Extern, Error> {
    match (import, expected) {
        (Import::Func(params, results), ExternType::Func(ty)) => {
            let (params, results) = (params.clone(), results.clone());
            let func = Func::new(store, ty, move |_, args, out| {
                let args: Vec<Bits> = args.iter().map(bits).collect();
                let values = host::call(number, &params, &args, &results);
                for ((out, &bits), &ty) in out.iter_mut().zip(&values.ok_or(Trap::Unreachable)?).zip(&results) {
                    *out = value(bits, ty);
                }
                Ok(())
            });
            func.map(Extern::from)
        }
        (&Import::Table(element), ExternType::Table(ty)) => {
            let element = ValType::Ref(element);
            Table::new(store, ty, &value(host::initial(number, element), element)).map(Extern::from)
        }
        (Import::Memory, ExternType::Memory(ty)) if ty.shared => SharedMemory::new(ty).map(Extern::from),
        (Import::Memory, ExternType::Memory(ty)) => {
            let memory = Memory::new(&mut *store, ty)?;
            let start = host::MEMORY_START;
            if let Some(bytes) = memory.data_mut(store).get_mut(..start.len()) {
                bytes.copy_from_slice(start);
            }
            Ok(memory.into())
        }
        (&Import::Global(content), ExternType::Global(ty)) => {
            Global::new(store, ty, value(host::initial(number, content), content)).map(Extern::from)
        }
        (Import::Tag, ExternType::Tag(ty)) => Tag::new(store, ty).map(Extern::from),
        (import, found) => Err(Error::host(format!("{found} in place of {import:?}"))),
    }
}

fn value(bits: Bits, ty: ValType) -> Val {
    match ty {
        ValType::I32 => Val::I32(bits as i32),
        ValType::I64 => Val::I64(bits as i64),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 => Val::F64(bits as u64),
        ValType::V128 => Val::V128(bits.to_le_bytes()),
        ValType::Ref(RefType::EXTERNREF) => Val::ExternRef(ExternRef::new(bits as u64)),
        ValType::Ref(RefType::EXNREF) => Val::ExnRef(None),
        ValType::Ref(_) => Val::FuncRef(None),
    }
}

fn bits(value: &Val) -> Bits {
    match value {
        Val::I32(v) => *v as u32 as Bits,
        Val::I64(v) => *v as u64 as Bits,
        Val::F32(v) => Bits::from(*v),
        Val::F64(v) => Bits::from(*v),
        Val::V128(bytes) => Bits::from_le_bytes(*bytes),
        Val::FuncRef(func) => func.is_some().into(),
        Val::ExternRef(reference) => reference.map_or(0, |reference| reference.0.get().into()),
        Val::ExnRef(exception) => exception.is_some().into(),
    }
}

/// The trap behind an error.
fn trap(error: Error) -> Result<Trap, Failure> {
    match error {
        Error::Trap(trap) => Ok(trap.trap),
        Error::Exception(_) => Ok(Trap::UncaughtException),
        other => Err(broken("the interface fails", &other)),
    }
}
