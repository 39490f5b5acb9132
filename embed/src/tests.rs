//! What the interface does with code that needs no compiler; `tests/embed` does the rest with compiled modules.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::{panic, thread};

use super::testing::module;
use super::*;

fn host_type() -> FuncType {
    FuncType::new([ValType::I32, ValType::I32], [ValType::I32])
}

fn instance_with<T: 'static>(
    store: &mut Store<T>,
    host: impl Fn(Caller<'_, T>, i32, i32) -> Result<i32> + Send + Sync + 'static,
) -> Instance {
    let host = Func::wrap(&mut *store, host).unwrap();
    Instance::new(store, &module(), &[host.into()]).unwrap()
}

/// Calls the function with its types, and without.
fn call<T>(store: &mut Store<T>, instance: Instance, name: &str, a: i32, b: i32) -> Result<i32> {
    let func = instance.get_func(&*store, name).unwrap();
    if a % 2 == 0 {
        return func.typed::<(i32, i32), i32>(&*store)?.call(store, (a, b));
    }
    let mut results = [Val::I64(0)];
    func.call(store, &[Val::I32(a), Val::I32(b)], &mut results)?;
    match results {
        [Val::I32(result)] => Ok(result),
        _ => panic!("{results:?}"),
    }
}

#[track_caller]
fn trap_of(result: Result<i32, Error>) -> (Trap, String) {
    match result {
        Err(Error::Trap(trap)) => (trap.trap, trap.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn guests_are_called_and_call_the_host() {
    let mut store = Store::new(());
    let instance = instance_with(&mut store, |_, a, b| Ok(a * b));
    assert_eq!(call(&mut store, instance, "add", 3, 4).unwrap(), 7);
    assert_eq!(call(&mut store, instance, "call", 3, 4).unwrap(), 12);
    assert_eq!(module().imports().next().unwrap().ty.to_string(), "(func (param i32 i32) (result i32))");
    assert_eq!(module().exports().len(), 7);
}

#[test]
fn traps_leave_host_and_store_intact() {
    let mut store = Store::new(());
    let instance = instance_with(&mut store, |_, _, _| Err(Trap::IntegerOverflow)?);
    for _ in 0..1000 {
        let (trap, text) = trap_of(call(&mut store, instance, "trap", 0, 0));
        assert_eq!((trap, text.as_str()), (Trap::Unreachable, "wasm trap: unreachable\n    0: trap"));
        assert_eq!(trap_of(call(&mut store, instance, "poke", 1 << 16, 0)).0, Trap::MemoryOutOfBounds);
        let (trap, text) = trap_of(call(&mut store, instance, "call", 0, 0));
        assert_eq!((trap, text.as_str()), (Trap::IntegerOverflow, "wasm trap: integer overflow\n    0: call"));
    }
    assert_eq!(call(&mut store, instance, "poke", 100, 5).unwrap(), 5);
}

#[test]
fn the_stack_can_be_exhausted_again_and_again() {
    let mut store = Store::with_config((), StoreConfig { stack_bytes: Some(1 << 20), ..StoreConfig::default() });
    let instance = instance_with(&mut store, |_, _, _| Ok(0));
    for _ in 0..1000 {
        match call(&mut store, instance, "recurse", 0, 0) {
            Err(Error::Trap(trap)) => {
                assert_eq!(trap.trap, Trap::StackExhausted);
                assert_eq!(trap.backtrace[63].function_name, "recurse");
                assert!(trap.is_cut);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(call(&mut store, instance, "add", 1, 1).unwrap(), 2);
}

#[test]
fn calls_nest_until_a_stack_is_exhausted() {
    let mut store = Store::new(());
    let instance = instance_with(&mut store, |caller, this, depth| {
        DEEPEST.fetch_max(depth as u32, Ordering::Relaxed);
        if this == depth {
            return Ok(depth);
        }
        let call = caller.get_export("call").unwrap().into_func().unwrap();
        call.typed::<(i32, i32), i32>(&caller)?.call(caller, (this, depth + 1))
    });
    static DEEPEST: AtomicU32 = AtomicU32::new(0);
    assert_eq!(call(&mut store, instance, "call", 10, 0).unwrap(), 10);
    assert_eq!(trap_of(call(&mut store, instance, "call", i32::MAX, 0)).0, Trap::StackExhausted);
    assert!(DEEPEST.load(Ordering::Relaxed) > 100);
    assert_eq!(call(&mut store, instance, "call", 10, 0).unwrap(), 10);
}

/// What a guest has started may nest without the guest.
#[test]
fn functions_of_the_host_that_call_each_other_exhaust_the_stack() {
    let mut store = Store::new(());
    let own: Arc<OnceLock<Func>> = Arc::default();
    let this = Arc::clone(&own);
    let host = Func::new(&mut store, host_type(), move |caller, args, results| {
        this.get().unwrap().call(caller, args, results)
    });
    let host = host.unwrap();
    own.set(host).unwrap();
    let instance = Instance::new(&mut store, &module(), &[host.into()]).unwrap();
    assert_eq!(trap_of(call(&mut store, instance, "call", 0, 0)).0, Trap::StackExhausted);
    assert_eq!(call(&mut store, instance, "add", 1, 1).unwrap(), 2);
}

/// The context of an instance ends where its functions say that they belong to it, and nothing else may begin there.
#[test]
fn a_guest_is_not_taken_for_the_host_whatever_lies_behind_it() {
    let mut store = Store::new(());
    let host = Func::wrap(&mut store, |_: i32, _: i32| Err::<i32, _>(Error::msg("the host was called"))).unwrap();
    let instance = Instance::new(&mut store, &module(), &[host.into()]).unwrap();
    let add = instance.get_func(&store, "add").unwrap();
    // What decided before: the context's address is a function of the host. Guest code that adds does not use it.
    // SAFETY: the store owns both, and no reference to either is in use.
    unsafe {
        let (add, host) =
            (store.contents().inner.follow(add.0).unwrap(), store.contents().inner.follow(host.0).unwrap());
        (*add.as_ptr()).vmctx = (*host.as_ptr()).vmctx;
    }
    assert_eq!(call(&mut store, instance, "add", 3, 4).unwrap(), 7);
    assert_eq!(call(&mut store, instance, "call", 0, 0).unwrap_err().to_string(), "the host was called");
    assert_eq!(
        host.call(&mut store, &[Val::I32(0), Val::I32(0)], &mut [Val::I32(0)]).unwrap_err().to_string(),
        "the host was called"
    );
    // SAFETY: the store owns the function.
    unsafe { (*store.contents().inner.follow(add.0).unwrap().as_ptr()).owner = 0 };
    assert!(matches!(call(&mut store, instance, "add", 3, 4), Err(Error::System(_))));
}

#[test]
fn panics_are_errors_of_the_call() {
    let mut store = Store::new(());
    let instance = instance_with(&mut store, |_, _, _| panic::resume_unwind(Box::new("through")));
    match call(&mut store, instance, "call", 0, 0) {
        Err(Error::Panic(panic)) => assert_eq!(*panic.into_payload().downcast::<&str>().unwrap(), "through"),
        other => panic!("{other:?}"),
    }
    assert_eq!(call(&mut store, instance, "add", 1, 2).unwrap(), 3);
}

#[test]
fn errors_of_the_host_end_the_call() {
    let mut store = Store::new(());
    let instance = instance_with(&mut store, |_, _, _| Err(Error::host("of my own")));
    assert_eq!(call(&mut store, instance, "call", 0, 0).unwrap_err().to_string(), "of my own");
    let wrong = Func::new(&mut store, host_type(), |_, _, results| {
        results[0] = Val::I64(0);
        Ok(())
    });
    let wrong = Instance::new(&mut store, &module(), &[wrong.unwrap().into()]).unwrap();
    assert!(matches!(call(&mut store, wrong, "call", 0, 0), Err(Error::Usage(_))));
}

#[test]
fn memories_grow_up_to_their_limit() {
    let mut store = Store::new(StoreLimitsBuilder::new().memory_size(2 << 16).build());
    store.limiter(|limits| limits);
    let instance = instance_with(&mut store, |_, _, _| Ok(0));
    let memory = instance.get_memory(&store, "memory").unwrap();
    assert_eq!(memory.size(&store).unwrap(), 1);
    assert_eq!(call(&mut store, instance, "grow", 0, 1).unwrap(), 1);
    assert_eq!(call(&mut store, instance, "grow", 0, 1).unwrap(), -1);
    assert_eq!(memory.data_size(&store).unwrap(), 2 << 16);
    assert_eq!(call(&mut store, instance, "poke", (2 << 16) - 4, 9).unwrap(), 9);
    let mut bytes = [0; 4];
    memory.read(&store, (2 << 16) - 4, &mut bytes).unwrap();
    assert_eq!(bytes, [9, 0, 0, 0]);
    assert!(memory.read(&store, (2 << 16) - 3, &mut bytes).is_err());
    assert!(memory.write(&mut store, usize::MAX, &[1]).is_err());
}

#[test]
fn imports_must_have_their_types() {
    let mut store = Store::new(());
    let missing = Instance::new(&mut store, &module(), &[]).unwrap_err().to_string();
    assert!(missing.starts_with("unknown import: import 0 \"host\" \"call\": expected (func"), "{missing}");
    let other = Func::wrap(&mut store, || {}).unwrap();
    let wrong = Instance::new(&mut store, &module(), &[other.into()]).unwrap_err().to_string();
    assert_eq!(
        wrong,
        "incompatible import type: import 0 \"host\" \"call\": expected (func (param i32 i32) (result i32)), found (func)"
    );
}

#[test]
fn handles_belong_to_their_store() {
    let (mut store, mut other) = (Store::new(()), Store::new(()));
    let instance = instance_with(&mut store, |_, _, _| Ok(0));
    let add = instance.get_func(&store, "add").unwrap();
    assert!(matches!(add.call(&mut other, &[Val::I32(1), Val::I32(2)], &mut [Val::I32(0)]), Err(Error::Usage(_))));
    assert!(instance.get_export(&other, "add").is_none());
    assert!(matches!(Instance::new(&mut other, &module(), &[add.into()]), Err(Error::Usage(_))));
    assert!(matches!(add.call(&mut store, &[Val::I32(1)], &mut [Val::I32(0)]), Err(Error::Usage(_))));
    assert!(matches!(add.call(&mut store, &[Val::I32(1), Val::I64(2)], &mut [Val::I32(0)]), Err(Error::Usage(_))));
}

#[test]
fn stores_go_from_thread_to_thread() {
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let mut store = Store::new(());
            let instance = instance_with(&mut store, |_, _, _| Ok(0));
            thread::spawn(move || {
                for _ in 0..100 {
                    assert_eq!(call(&mut store, instance, "add", number, 1).unwrap(), number + 1);
                    assert_eq!(trap_of(call(&mut store, instance, "trap", 0, 0)).0, Trap::Unreachable);
                    assert_eq!(trap_of(call(&mut store, instance, "recurse", 0, 0)).0, Trap::StackExhausted);
                }
                store
            })
        })
        .collect();
    for thread in threads {
        drop(thread.join().unwrap());
    }
}

/// Runs the test of this name in a process of its own, in which it finds `role`.
fn in_child(test: &str, role: &str) -> std::process::ExitStatus {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--nocapture", test]).env("WASMELT_TEST_ROLE", role);
    child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    child.status().unwrap()
}

#[test]
fn faults_of_others_are_passed_on() {
    use std::os::unix::process::ExitStatusExt as _;

    extern "C" fn plain(_: libc::c_int) {
        // SAFETY: ends the process.
        unsafe { libc::_exit(42) }
    }
    extern "C" fn with_info(_: libc::c_int, info: *const libc::siginfo_t, _: *const u8) {
        // SAFETY: the kernel passes a complete structure.
        let address = unsafe { (*info).si_addr() } as i32;
        // SAFETY: ends the process.
        unsafe { libc::_exit(address) }
    }
    let Ok(role) = std::env::var("WASMELT_TEST_ROLE") else {
        let status = |role| in_child("tests::faults_of_others_are_passed_on", role);
        assert_eq!(status("plain").code(), Some(42));
        assert_eq!(status("info").code(), Some(24));
        assert_eq!(status("default").signal(), Some(libc::SIGSEGV));
        assert_eq!(status("sent").signal(), Some(libc::SIGFPE));
        assert_eq!(status("in a host function").code(), Some(42));
        return;
    };
    let handler = match role.as_str() {
        "plain" | "in a host function" => Some((plain as *const () as usize, 0)),
        "info" => Some((with_info as *const () as usize, libc::SA_SIGINFO)),
        _ => None,
    };
    if let Some((handler, flags)) = handler {
        // SAFETY: the handlers have the form that the flags ask for.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            (action.sa_sigaction, action.sa_flags) = (handler, flags);
            libc::sigaction(libc::SIGSEGV, &action, core::ptr::null_mut());
        }
    }
    let fault = || {
        let nowhere = std::hint::black_box(24) as *const u8;
        // SAFETY: none: this is the fault that the handler is to see.
        unsafe { nowhere.read_volatile() };
    };
    let mut store = Store::new(());
    let instance = instance_with(&mut store, move |_, _, _| {
        fault();
        Ok(0)
    });
    assert_eq!(trap_of(call(&mut store, instance, "poke", 1 << 16, 0)).0, Trap::MemoryOutOfBounds);
    match role.as_str() {
        "in a host function" => _ = call(&mut store, instance, "call", 0, 0),
        // SAFETY: sends a signal to this thread.
        "sent" => _ = unsafe { libc::raise(libc::SIGFPE) },
        _ => fault(),
    }
    panic!("the fault did not end the process");
}

#[test]
fn traps_restore_the_registers_that_callees_keep() {
    /// Whether all registers have their values after `function(argument)`.
    #[unsafe(naked)]
    extern "C" fn keeps_registers(function: extern "C" fn(*mut u8), argument: *mut u8) -> bool {
        core::arch::naked_asm!(
            "push rbp; push rbx; push r12; push r13; push r14; push r15; sub rsp, 8",
            "mov rbp, 101; mov rbx, 102; mov r12, 103; mov r13, 104; mov r14, 105; mov r15, 106",
            "mov rax, rdi; mov rdi, rsi; call rax",
            "xor eax, eax",
            "cmp rbp, 101; jne 2f; cmp rbx, 102; jne 2f; cmp r12, 103; jne 2f",
            "cmp r13, 104; jne 2f; cmp r14, 105; jne 2f; cmp r15, 106; jne 2f",
            "mov eax, 1",
            "2: add rsp, 8; pop r15; pop r14; pop r13; pop r12; pop rbx; pop rbp; ret",
        )
    }
    extern "C" fn traps(argument: *mut u8) {
        // SAFETY: that is what the test passes.
        let (store, instance) = unsafe { &mut *argument.cast::<(Store<()>, Instance)>() };
        assert_eq!(trap_of(call(store, *instance, "trap", 0, 0)).0, Trap::Unreachable);
        assert_eq!(trap_of(call(store, *instance, "call", 0, 0)).0, Trap::IntegerOverflow);
    }
    let mut store = Store::new(());
    let instance = instance_with(&mut store, |_, _, _| Err(Trap::IntegerOverflow)?);
    let mut argument = (store, instance);
    assert!(keeps_registers(traps, (&raw mut argument).cast()));
}
