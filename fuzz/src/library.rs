//! Modules as libraries: compiled to a shared object, loaded into this process through the interface for host programs.

use std::fs;

use wasmelt::options::{Emit, Options};
use wasmelt_abi::trap::Trap;
use wasmelt_embed::{
    Error, Extern, ExternRef, ExternType, Func, Global, Instance, Memory, Module, SharedMemory, Store, Table, Tag, Val,
};
use wasmparser::{RefType, ValType};

use crate::observe::{
    Bits, Call, Engine, FUEL, FUEL_EXPORT, Failure, Import, Observation, Plan, State, hash, hash_elements,
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
    fn observe(&self, wasm: &[u8], plan: &Plan) -> Result<Observation, Failure> {
        let module = self.make(wasm)?;
        let mut store = Store::new();
        let imports = provide(&mut store, &module, plan)?;
        let mut observation = Observation::default();
        let instance = match Instance::new(&mut store, &module, &imports) {
            Ok(instance) => instance,
            Err(error) => {
                observation.instantiation = Some(trap(error)?);
                let left = imports
                    .iter()
                    .filter(|item| !matches!(item, Extern::Func(_) | Extern::Tag(_) | Extern::SharedMemory(_)));
                observation.states.push(look(&store, left.cloned())?);
                return Ok(observation);
            }
        };
        let mut run = Run { store, instance };
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

/// An instance.
struct Run {
    store: Box<Store>,
    instance: Instance,
}

impl Run {
    fn export(&self, name: &str) -> Result<Extern, Failure> {
        let export = self.instance.export(&self.store, name);
        export.ok_or_else(|| Failure::Broken(format!("no export `{name}`")))
    }

    fn call(&mut self, call: &Call) -> Result<Result<Vec<Bits>, Trap>, Failure> {
        if let Some(Extern::Global(fuel)) = self.instance.export(&self.store, FUEL_EXPORT) {
            fuel.set(&mut self.store, &Val::I32(FUEL as i32)).map_err(|e| broken("no fuel", &e))?;
        }
        let Extern::Func(func) = self.export(&call.name)? else {
            return Err(Failure::Broken(format!("`{}` is no function", call.name)));
        };
        let args: Vec<Val> = call.args.iter().map(|&(ty, bits)| value(bits, ty)).collect();
        match func.call(&mut self.store, &args) {
            Ok(results) => Ok(Ok(results.iter().map(bits).collect())),
            Err(error) => trap(error).map(Err),
        }
    }

    fn state(&self, plan: &Plan) -> Result<State, Failure> {
        let names = plan.globals.iter().map(|(name, ..)| name);
        let names = names.chain(plan.memories.iter().map(|(name, _)| name));
        let names = names.chain(plan.tables.iter().map(|(name, _)| name));
        let items = names.map(|name| self.export(name)).collect::<Result<Vec<_>, _>>()?;
        look(&self.store, items)
    }
}

/// What globals, memories and tables hold.
fn look(store: &Store, items: impl IntoIterator<Item = Extern>) -> Result<State, Failure> {
    let mut state = State::default();
    for item in items {
        let looked = match item {
            Extern::Global(global) => global.get(store).map(|value| state.globals.push(bits(&value))),
            Extern::Memory(memory) => memory.len(store).and_then(|len| {
                let mut bytes = vec![0; len as usize];
                memory.read(store, 0, &mut bytes)?;
                state.memory_hashes.push(hash(&bytes));
                Ok(())
            }),
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

/// What the module imports.
fn provide(store: &mut Store, module: &Module, plan: &Plan) -> Result<Vec<Extern>, Failure> {
    let imports = plan.imports.iter().zip(module.imports()).enumerate();
    let provided = imports.map(|(number, (import, expected))| {
        let provided = match (import, expected.ty) {
            (Import::Func(params, results), ExternType::Func(ty)) => {
                let (params, results) = (params.clone(), results.clone());
                let func = Func::new(store, ty, move |_, args| {
                    let args: Vec<Bits> = args.iter().map(bits).collect();
                    let values = host::call(number, &params, &args, &results);
                    let values = values.ok_or_else(|| Error::trap(Trap::Unreachable))?;
                    Ok(values.iter().zip(&results).map(|(&bits, &ty)| value(bits, ty)).collect())
                });
                func.map(Extern::from)
            }
            (&Import::Table(element), ExternType::Table(ty)) => {
                let element = ValType::Ref(element);
                Table::new(store, ty, &value(host::initial(number, element), element)).map(Extern::from)
            }
            (Import::Memory, ExternType::Memory(ty)) if ty.shared => SharedMemory::new(ty).map(Extern::from),
            (Import::Memory, ExternType::Memory(ty)) => Memory::new(store, ty).and_then(|memory| {
                let start = host::MEMORY_START;
                if memory.len(store)? >= start.len() as u64 {
                    memory.write(store, 0, start)?;
                }
                Ok(memory.into())
            }),
            (&Import::Global(content), ExternType::Global(ty)) => {
                Global::new(store, ty, &value(host::initial(number, content), content)).map(Extern::from)
            }
            (Import::Tag, ExternType::Tag(ty)) => Tag::new(store, ty).map(Extern::from),
            (import, found) => Err(Error::host(format!("{found} in place of {import:?}"))),
        };
        provided.map_err(|e| broken("an import cannot be made", &e))
    });
    provided.collect()
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
