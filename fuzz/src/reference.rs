//! Modules in wasmtime.

use std::sync::OnceLock;

use wasmelt_abi::trap::Trap;
use wasmtime::{Config, Func, Instance, OptLevel, Store, ThrownException, Val};

use crate::observe::{Bits, Call, Engine, Failure, Observation, Plan, hash};

/// wasmtime, with all proposals that wasmelt translates and the results of the deterministic profile. It optimises
/// nothing, so that passes which both use cannot be wrong on both sides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wasmtime;

/// Stack of the guest, as much as executables have. The thread that calls it needs more than that.
const STACK_BYTES: usize = wasmelt::options::DEFAULT_STACK_BYTES as usize;

fn engine() -> Result<&'static wasmtime::Engine, Failure> {
    static ENGINE: OnceLock<Result<wasmtime::Engine, String>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.wasm_exceptions(true).wasm_function_references(true).wasm_tail_call(true);
        config.wasm_memory64(true).wasm_multi_memory(true).wasm_custom_page_sizes(true);
        config.wasm_relaxed_simd(true).relaxed_simd_deterministic(true).wasm_wide_arithmetic(true);
        config.cranelift_nan_canonicalization(true).cranelift_opt_level(OptLevel::None);
        config.max_wasm_stack(STACK_BYTES).async_stack_size(2 * STACK_BYTES);
        wasmtime::Engine::new(&config).map_err(|e| e.to_string())
    });
    engine.as_ref().map_err(|e| Failure::Broken(e.clone()))
}

impl Engine for Wasmtime {
    fn observe(&self, wasm: &[u8], plan: &Plan) -> Result<Observation, Failure> {
        let engine = engine()?;
        let module = wasmtime::Module::new(engine, wasm).map_err(|e| Failure::Refused(format!("{e:#}")))?;
        let mut run = match Run::start(engine, &module)? {
            Ok(run) => run,
            Err(trap) => return Ok(Observation { instantiation: Some(trap), ..Observation::default() }),
        };
        let mut calls = Vec::new();
        for call in &plan.calls {
            let result = run.call(call)?;
            if result.is_err() {
                run = Run::again(engine, &module, plan, &calls)?;
            }
            calls.push(result);
        }
        let globals = plan.globals.iter().map(|(name, _, _)| run.global(name)).collect::<Result<_, _>>()?;
        let memory_hashes = plan.memories.iter().map(|(name, _)| run.memory(name)).collect::<Result<_, _>>()?;
        let table_lengths = plan.tables.iter().map(|(name, _)| run.table(name)).collect::<Result<_, _>>()?;
        Ok(Observation { instantiation: None, calls, globals, memory_hashes, table_lengths })
    }
}

/// An instance.
struct Run {
    store: Store<()>,
    instance: Instance,
}

fn missing(name: &str) -> Failure {
    Failure::Broken(format!("no export `{name}`"))
}

impl Run {
    fn start(engine: &wasmtime::Engine, module: &wasmtime::Module) -> Result<Result<Self, Trap>, Failure> {
        let mut store = Store::new(engine, ());
        match Instance::new(&mut store, module, &[]) {
            Ok(instance) => Ok(Ok(Self { store, instance })),
            Err(e) => trap(&e).map(Err),
        }
    }

    /// A new instance in which those calls were made that returned.
    fn again(
        engine: &wasmtime::Engine,
        module: &wasmtime::Module,
        plan: &Plan,
        calls: &[Result<Vec<Bits>, Trap>],
    ) -> Result<Self, Failure> {
        let mut run = Self::start(engine, module)?.map_err(|_| Failure::Broken("instantiates once only".to_owned()))?;
        for (call, results) in plan.calls.iter().zip(calls).filter(|(_, results)| results.is_ok()) {
            if run.call(call)? != *results {
                return Err(Failure::Broken(format!("`{}` does not behave twice in the same way", call.name)));
            }
        }
        Ok(run)
    }

    fn call(&mut self, call: &Call) -> Result<Result<Vec<Bits>, Trap>, Failure> {
        let func: Func = self.instance.get_func(&mut self.store, &call.name).ok_or_else(|| missing(&call.name))?;
        let ty = func.ty(&self.store);
        let args = call.args.iter().zip(ty.params()).map(|(&(_, bits), ty)| value(bits, &ty)).collect::<Vec<_>>();
        let mut results = vec![Val::I32(0); ty.results().len()];
        match func.call(&mut self.store, &args, &mut results) {
            Ok(()) => Ok(Ok(results.iter().map(bits).collect())),
            Err(e) => trap(&e).map(Err),
        }
    }

    fn global(&mut self, name: &str) -> Result<Bits, Failure> {
        let global = self.instance.get_global(&mut self.store, name).ok_or_else(|| missing(name))?;
        Ok(bits(&global.get(&mut self.store)))
    }

    fn memory(&mut self, name: &str) -> Result<u64, Failure> {
        let memory = self.instance.get_memory(&mut self.store, name).ok_or_else(|| missing(name))?;
        Ok(hash(memory.data(&self.store)))
    }

    fn table(&mut self, name: &str) -> Result<u64, Failure> {
        let table = self.instance.get_table(&mut self.store, name).ok_or_else(|| missing(name))?;
        Ok(table.size(&self.store))
    }
}

fn value(bits: Bits, ty: &wasmtime::ValType) -> Val {
    use wasmtime::ValType::*;
    match ty {
        I32 => Val::I32(bits as i32),
        I64 => Val::I64(bits as i64),
        F32 => Val::F32(bits as u32),
        F64 => Val::F64(bits as u64),
        V128 => Val::V128(bits.into()),
        Ref(ty) => Val::null_ref(ty.heap_type()),
    }
}

fn bits(value: &Val) -> Bits {
    match value {
        Val::I32(v) => *v as u32 as Bits,
        Val::I64(v) => *v as u64 as Bits,
        Val::F32(v) => Bits::from(*v),
        Val::F64(v) => Bits::from(*v),
        Val::V128(v) => v.as_u128(),
        reference => Bits::from(reference.ref_().is_some_and(|r| !r.is_null())),
    }
}

/// The trap behind an error.
fn trap(error: &wasmtime::Error) -> Result<Trap, Failure> {
    if error.is::<ThrownException>() {
        return Ok(Trap::UncaughtException);
    }
    use wasmtime::Trap as T;
    Ok(match error.downcast_ref::<T>() {
        Some(T::StackOverflow) => Trap::StackExhausted,
        Some(T::MemoryOutOfBounds) => Trap::MemoryOutOfBounds,
        Some(T::HeapMisaligned) => Trap::UnalignedAtomic,
        Some(T::TableOutOfBounds) => Trap::TableOutOfBounds,
        Some(T::IndirectCallToNull) => Trap::UninitializedElement,
        Some(T::BadSignature) => Trap::IndirectCallTypeMismatch,
        Some(T::IntegerOverflow) => Trap::IntegerOverflow,
        Some(T::IntegerDivisionByZero) => Trap::IntegerDivideByZero,
        Some(T::BadConversionToInteger) => Trap::InvalidConversionToInteger,
        Some(T::UnreachableCodeReached) => Trap::Unreachable,
        Some(T::AtomicWaitNonSharedMemory) => Trap::ExpectedSharedMemory,
        Some(T::NullReference) => Trap::NullReference,
        _ => return Err(Failure::Broken(format!("wasmtime: {error:#}"))),
    })
}
