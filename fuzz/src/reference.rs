//! Programs in wasmtime.

use std::sync::OnceLock;

use wasmelt_abi::trap::Trap;
use wasmtime::{
    AsContextMut, Config, Extern, ExternRef, ExternType, Func, Global, HeapType, Instance, Memory, OptLevel, Ref,
    SharedMemory, Store, Table, Tag, ThrownException, Val,
};

use crate::host;
use crate::observe::{
    After, Bits, Call, Engine, Export, FUEL, FUEL_EXPORT, Failure, HASH_EXPORT, Import, Observation, Part, Plan, State,
    hash, hash_elements,
};

/// wasmtime, with all proposals that wasmelt translates and the results of relaxed operators of the deterministic
/// profile. It optimises nothing, so that passes which both use cannot be wrong on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Wasmtime {
    /// Whether all NaNs that operators make are the canonical one.
    pub nan_canonicalization: bool,
}

/// Stack of the guest, as much as executables have. The thread that calls it needs more than that.
const STACK_BYTES: usize = wasmelt::options::DEFAULT_STACK_BYTES as usize;

fn engine(nan_canonicalization: bool) -> Result<&'static wasmtime::Engine, Failure> {
    static ENGINES: [OnceLock<Result<wasmtime::Engine, String>>; 2] = [const { OnceLock::new() }; 2];
    let engine = ENGINES[usize::from(nan_canonicalization)].get_or_init(|| {
        let mut config = Config::new();
        config.wasm_exceptions(true).wasm_function_references(true).wasm_tail_call(true);
        config.wasm_memory64(true).wasm_multi_memory(true).wasm_custom_page_sizes(true);
        config.wasm_relaxed_simd(true).relaxed_simd_deterministic(true).wasm_wide_arithmetic(true);
        config.wasm_threads(true).shared_memory(true);
        config.cranelift_nan_canonicalization(nan_canonicalization).cranelift_opt_level(OptLevel::None);
        // No access is left to a fault: wasmtime 48 panics at one in a shared memory that several instances have.
        config.signals_based_traps(false);
        config.max_wasm_stack(STACK_BYTES).async_stack_size(2 * STACK_BYTES);
        wasmtime::Engine::new(&config).map_err(|e| e.to_string())
    });
    engine.as_ref().map_err(|e| Failure::Broken(e.clone()))
}

fn broken(error: wasmtime::Error) -> Failure {
    Failure::Broken(format!("wasmtime: {error:#}"))
}

impl Engine for Wasmtime {
    fn observe(&self, program: &[Part], plan: &Plan) -> Result<Observation, Failure> {
        let engine = engine(self.nan_canonicalization)?;
        let module = |part: &Part| wasmtime::Module::new(engine, part.reference.as_ref().unwrap_or(&part.wasm));
        let modules = program.iter().map(module).collect::<Result<Vec<_>, _>>();
        let modules = modules.map_err(|e| Failure::Refused(format!("{e:#}")))?;
        let program = Program { engine, parts: program, modules, plan };
        let mut run = match program.start()? {
            Ok(run) => run,
            Err((trap, left)) => {
                return Ok(Observation { instantiation: Some(trap), states: left, ..Observation::default() });
            }
        };
        let mut observation = Observation::default();
        if plan.after == After::Continue {
            observation.states.push(run.state(plan)?);
        }
        for call in &plan.calls {
            let result = run.call(call)?;
            observation.crossings += u32::from(run.has_crossed(call));
            let trap = result.as_ref().err().copied();
            if trap.is_some() && plan.after == After::Restart {
                run = program.again(&observation.calls)?;
            }
            observation.calls.push(result);
            if plan.after == After::Continue {
                observation.states.push(run.state(plan)?);
                if trap == Some(Trap::StackExhausted) {
                    break;
                }
            }
        }
        if plan.after == After::Restart {
            observation.states.push(run.state(plan)?);
        }
        Ok(observation)
    }
}

/// What is run.
struct Program<'a> {
    engine: &'a wasmtime::Engine,
    parts: &'a [Part],
    modules: Vec<wasmtime::Module>,
    plan: &'a Plan,
}

impl Program<'_> {
    /// New instances, or the trap that there was, and what it left in earlier ones and in imports.
    fn start(&self) -> Result<Result<Run, (Trap, Vec<State>)>, Failure> {
        let mut run = Run { store: Store::new(self.engine, ()), instances: Vec::new() };
        for (number, module) in self.modules.iter().enumerate() {
            let imports = run.provide(module, &self.parts[..number], &self.plan.imports[number]).map_err(broken)?;
            match Instance::new(&mut run.store, module, &imports) {
                Ok(instance) => run.instances.push(instance),
                Err(e) => {
                    let continues = self.plan.after == After::Continue;
                    let left = continues.then(|| run.left(imports, self.plan)).transpose()?;
                    return Ok(Err((trap(&e)?, left.into_iter().collect())));
                }
            }
        }
        Ok(Ok(run))
    }

    /// New instances in which those calls were made that returned.
    fn again(&self, calls: &[Result<Vec<Bits>, Trap>]) -> Result<Run, Failure> {
        let mut run = self.start()?.map_err(|_| Failure::Broken("instantiates once only".to_owned()))?;
        for (call, results) in self.plan.calls.iter().zip(calls).filter(|(_, results)| results.is_ok()) {
            if run.call(call)? != *results {
                return Err(Failure::Broken(format!("`{}` does not behave twice in the same way", call.export.name)));
            }
        }
        Ok(run)
    }
}

/// Instances of the parts, as many as there are yet.
struct Run {
    store: Store<()>,
    instances: Vec<Instance>,
}

fn missing(name: &str) -> Failure {
    Failure::Broken(format!("no export `{name}`"))
}

impl Run {
    fn export<T>(&mut self, export: &Export<T>) -> Result<Extern, Failure> {
        let found = self.instances[export.part].get_export(&mut self.store, &export.name);
        found.ok_or_else(|| missing(&export.name))
    }

    fn call(&mut self, call: &Call) -> Result<Result<Vec<Bits>, Trap>, Failure> {
        for instance in &self.instances {
            if let Some(fuel) = instance.get_global(&mut self.store, FUEL_EXPORT) {
                fuel.set(&mut self.store, Val::I32(FUEL as i32)).map_err(broken)?;
            }
        }
        let func: Func = self.export(&call.export)?.into_func().ok_or_else(|| missing(&call.export.name))?;
        let ty = func.ty(&self.store);
        let args = call.args.iter().zip(ty.params()).map(|(&(_, bits), ty)| value(&mut self.store, bits, &ty));
        let args = args.collect::<Result<Vec<_>, _>>().map_err(broken)?;
        let mut results = vec![Val::I32(0); ty.results().len()];
        match func.call(&mut self.store, &args, &mut results) {
            Ok(()) => {
                let results = results.iter().map(|result| bits(&mut self.store, result));
                results.collect::<Result<_, _>>().map(Ok).map_err(broken)
            }
            Err(e) => trap(&e).map(Err),
        }
    }

    /// Whether the call has used fuel of another part than the one that defines the function.
    fn has_crossed(&mut self, call: &Call) -> bool {
        let fuel = self.instances.iter().map(|instance| instance.get_global(&mut self.store, FUEL_EXPORT));
        let fuel: Vec<_> = fuel.collect();
        let is_used =
            |fuel: &Option<Global>| fuel.is_some_and(|fuel| fuel.get(&mut self.store).i32() != Some(FUEL as i32));
        let used = fuel.iter().map(is_used).collect::<Vec<_>>();
        call.is_defined && used.iter().enumerate().any(|(part, &used)| used && part != call.export.part)
    }

    /// State of the instances that there are.
    fn state(&mut self, plan: &Plan) -> Result<State, Failure> {
        let mut state = State::default();
        let made = self.instances.len();
        for (export, _) in plan.globals.iter().filter(|(export, _)| export.part < made) {
            let global = self.export(export)?;
            look(&mut self.store, global, &mut state).map_err(broken)?;
        }
        for export in plan.tables.iter().filter(|export| export.part < made) {
            let table = self.export(export)?;
            look(&mut self.store, table, &mut state).map_err(broken)?;
        }
        for export in plan.memories.iter().filter(|export| export.part < made) {
            let memory = self.export(export)?;
            if matches!(memory, Extern::SharedMemory(_)) {
                let name = format!("{HASH_EXPORT}{}", export.index.as_u32());
                let func = self.instances[export.part].get_typed_func::<(), u64>(&mut self.store, &name);
                let func = func.map_err(broken)?;
                state.memory_hashes.push(func.call(&mut self.store, ()).map_err(broken)?);
            } else {
                look(&mut self.store, memory, &mut state).map_err(broken)?;
            }
        }
        if plan.after == After::Restart {
            state.table_hashes.clear();
        }
        Ok(state)
    }

    /// What a part left that trapped when it was instantiated: in the parts before it, or in what the host provides.
    fn left(&mut self, imports: Vec<Extern>, plan: &Plan) -> Result<State, Failure> {
        if !self.instances.is_empty() {
            return self.state(plan);
        }
        let mut state = State::default();
        imports.into_iter().try_for_each(|item| look(&mut self.store, item, &mut state)).map_err(broken)?;
        Ok(state)
    }

    /// What a module imports: exports of the parts before it, whose instances there are, or what the host makes.
    fn provide(
        &mut self,
        module: &wasmtime::Module,
        earlier: &[Part],
        imports: &[Import],
    ) -> wasmtime::Result<Vec<Extern>> {
        let provided = imports.iter().zip(module.imports()).enumerate().map(|(number, (import, expected))| {
            let Some(part) = earlier.iter().position(|part| part.name == expected.module()) else {
                return make(&mut self.store, module.engine(), number, import, expected.ty());
            };
            let export = self.instances[part].get_export(&mut self.store, expected.name());
            export.ok_or_else(|| wasmtime::Error::msg("no such export"))
        });
        provided.collect()
    }
}

/// What a global, memory or table holds; shared memories are read by the module itself.
fn look(store: &mut Store<()>, item: Extern, state: &mut State) -> wasmtime::Result<()> {
    match item {
        Extern::Global(global) => {
            let value = global.get(&mut *store);
            state.globals.push(bits(store, &value)?);
        }
        Extern::Memory(memory) => state.memory_hashes.push(hash(memory.data(&*store))),
        Extern::Table(table) => {
            let len = table.size(&*store);
            let element = |index| match table.get(&mut *store, index) {
                Some(element) => bits(&mut *store, &element.into()),
                None => Err(wasmtime::Error::msg("no such element")),
            };
            let elements = (0..len).map(element).collect::<wasmtime::Result<Vec<_>>>()?;
            state.table_lengths.push(len);
            state.table_hashes.push(hash_elements(elements.into_iter()));
        }
        _ => {}
    }
    Ok(())
}

/// What the host provides for the import with this number.
fn make(
    store: &mut Store<()>,
    engine: &wasmtime::Engine,
    number: usize,
    import: &Import,
    expected: ExternType,
) -> wasmtime::Result<Extern> {
    Ok(match (import, expected) {
        (Import::Func(params, result_types), ExternType::Func(ty)) => {
            let (params, result_types) = (params.clone(), result_types.clone());
            let types: Vec<_> = ty.results().collect();
            let call = move |mut caller: wasmtime::Caller<'_, ()>, args: &[Val], results: &mut [Val]| {
                let args = args.iter().map(|arg| bits(&mut caller, arg)).collect::<Result<Vec<_>, _>>()?;
                let values = host::call(number, &params, &args, &result_types);
                let values = values.ok_or(wasmtime::Trap::UnreachableCodeReached)?;
                for ((result, bits), ty) in results.iter_mut().zip(values).zip(&types) {
                    *result = value(&mut caller, bits, ty)?;
                }
                Ok(())
            };
            Func::new(&mut *store, ty, call).into()
        }
        (&Import::Table(element), ExternType::Table(ty)) => {
            let bits = host::initial(number, wasmparser::ValType::Ref(element));
            let value = value(&mut *store, bits, &ty.element().clone().into())?;
            let element = value.ref_().unwrap_or(Ref::Func(None));
            Table::new(&mut *store, ty, element)?.into()
        }
        (Import::Memory, ExternType::Memory(ty)) if ty.is_shared() => SharedMemory::new(engine, ty)?.into(),
        (Import::Memory, ExternType::Memory(ty)) => {
            let memory = Memory::new(&mut *store, ty)?;
            let start = host::MEMORY_START;
            if let Some(place) = memory.data_mut(&mut *store).get_mut(..start.len()) {
                place.copy_from_slice(start);
            }
            memory.into()
        }
        (&Import::Global(content), ExternType::Global(ty)) => {
            let value = value(&mut *store, host::initial(number, content), ty.content())?;
            Global::new(&mut *store, ty, value)?.into()
        }
        (Import::Tag, ExternType::Tag(ty)) => Tag::new(&mut *store, &ty)?.into(),
        (import, found) => return Err(wasmtime::Error::msg(format!("{found:?} in place of {import:?}"))),
    })
}

fn value(store: impl AsContextMut, bits: Bits, ty: &wasmtime::ValType) -> wasmtime::Result<Val> {
    use wasmtime::ValType::*;
    Ok(match ty {
        I32 => Val::I32(bits as i32),
        I64 => Val::I64(bits as i64),
        F32 => Val::F32(bits as u32),
        F64 => Val::F64(bits as u64),
        V128 => Val::V128(bits.into()),
        Ref(ty) if matches!(ty.heap_type(), HeapType::Extern) && bits != 0 => {
            Val::ExternRef(Some(ExternRef::new(store, bits as u64)?))
        }
        Ref(ty) => Val::null_ref(ty.heap_type()),
    })
}

fn bits(mut store: impl AsContextMut, value: &Val) -> wasmtime::Result<Bits> {
    Ok(match value {
        Val::I32(v) => *v as u32 as Bits,
        Val::I64(v) => *v as u64 as Bits,
        Val::F32(v) => Bits::from(*v),
        Val::F64(v) => Bits::from(*v),
        Val::V128(v) => v.as_u128(),
        Val::ExternRef(Some(reference)) => {
            let store = store.as_context_mut();
            reference.data(&store)?.and_then(|data| data.downcast_ref::<u64>()).copied().unwrap_or(0).into()
        }
        reference => Bits::from(reference.ref_().is_some_and(|r| !r.is_null())),
    })
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
