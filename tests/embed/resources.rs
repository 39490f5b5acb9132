//! Resources between host programs and components: those that a component makes, those of the host, and what neither side may
//! do with them.

use std::sync::LazyLock;
use std::thread;

use wasmelt_embed::component::{
    Component, ComponentCtx, Func, Instance, InstancePre, Linker, Resource, ResourceAny, ResourceTable, Val, Value,
};
use wasmelt_embed::wasi::WasiCtx;
use wasmelt_embed::{Error, Result, Store, StoreContextMut, Trap};

use crate::components::{component, linker, trap_of};

static COUNTERS: LazyLock<Component> = LazyLock::new(|| component(include_str!("components/counters.wat")));
static THINGS: LazyLock<Component> = LazyLock::new(|| component(include_str!("components/things.wat")));

/// An instance in a store of its own.
struct Guest<T: 'static> {
    store: Store<T>,
    instance: Instance<T>,
}

impl<T: 'static> Guest<T> {
    fn func(&mut self, name: &str) -> Func<T> {
        self.instance.get_func(&mut self.store, "", name).unwrap()
    }

    fn call(&mut self, name: &str, args: &[Val]) -> Result<Option<Val>> {
        self.func(name).call(&mut self.store, args)
    }

    /// Calls a function that returns a value of this type.
    fn get<V: Value>(&mut self, name: &str, args: &[Val]) -> V {
        V::from_payload(self.call(name, args).unwrap()).unwrap()
    }

    fn drop(&mut self, resource: ResourceAny) -> Result<()> {
        self.instance.resource_drop(&mut self.store, resource)
    }
}

fn counters() -> Guest<ComponentCtx> {
    let mut store = Store::new(ComponentCtx::new(WasiCtx::default()));
    let instance = linker().instantiate(&mut store, &COUNTERS).unwrap();
    Guest { store, instance }
}

#[track_caller]
fn usage<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Usage(message)) => message,
        other => panic!("{other:?}"),
    }
}

const GONE: &str = "a resource was dropped or given away already, or belongs to another store";

impl Guest<ComponentCtx> {
    fn counter(&mut self, value: u32) -> ResourceAny {
        self.get("[constructor]counter", &[value.into()])
    }

    fn add(&mut self, counter: ResourceAny, by: u32) -> Result<Option<Val>> {
        self.call("[method]counter.add", &[counter.into(), by.into()])
    }
}

#[test]
fn the_host_has_what_a_component_makes_until_it_drops_or_gives_it() {
    let mut guest = counters();
    let (one, two) = (guest.counter(1), guest.counter(20));
    assert!(one.owned() && one != two);
    assert_eq!(guest.add(one, 4).unwrap(), Some(Val::U32(5)));
    assert_eq!(guest.add(one, 0).unwrap(), Some(Val::U32(5)));
    let sum: u32 = guest.get("sum", &[vec![one, two, one].into_val()]);
    assert_eq!(sum, 30);

    let merged: ResourceAny = guest.get("[static]counter.merge", &[one.into(), two.into()]);
    assert_eq!(guest.add(merged, 0).unwrap(), Some(Val::U32(25)));
    assert_eq!(guest.get::<u32>("dropped", &[]), 2);
    for gone in [one, two] {
        assert_eq!(usage(guest.add(gone, 1)), GONE);
        assert_eq!(usage(guest.drop(gone)), GONE);
        assert_eq!(usage(guest.call("[static]counter.merge", &[gone.into(), merged.into()])), GONE);
    }
    guest.drop(merged).unwrap();
    assert_eq!(guest.get::<u32>("dropped", &[]), 3);
    assert_eq!(usage(guest.drop(merged)), GONE);

    // One without a destructor.
    let plain: ResourceAny = guest.get("make-plain", &[]);
    assert!(usage(guest.add(plain, 1)).contains("has another type than the function's"));
    guest.drop(plain).unwrap();
    assert_eq!(usage(guest.drop(plain)), GONE);
    assert_eq!(guest.get::<u32>("dropped", &[]), 3);
}

#[test]
fn resources_lie_in_values_of_all_types() {
    let mut guest = counters();
    let some: Vec<ResourceAny> = (0..100).map(|value| guest.counter(value)).collect();
    let passed: Vec<ResourceAny> = guest.get("pass", &[some.clone().into_val()]);
    assert_eq!(passed.len(), 100);
    assert_eq!(guest.add(passed[99], 1).unwrap(), Some(Val::U32(100)));
    assert_eq!(usage(guest.add(some[99], 1)), GONE);

    let passed: Option<ResourceAny> = guest.get("pass-option", &[Some(passed[0]).into_val()]);
    let passed: Result<ResourceAny, u32> = guest.get("pass-result", &[Ok::<_, u32>(passed.unwrap()).into_val()]);
    let variant = Val::Variant("one".to_owned(), Some(Box::new(passed.unwrap().into_val())));
    let Some(Val::Variant(_, Some(passed))) = guest.call("pass-variant", &[variant]).unwrap() else { panic!() };
    let second = guest.counter(8);
    let fields = [("first".to_owned(), *passed), ("second".to_owned(), second.into())];
    let Some(Val::Record(fields)) = guest.call("pass-record", &[Val::Record(fields.to_vec())]).unwrap() else {
        panic!()
    };
    let passed = ResourceAny::from_val(fields[1].1.clone()).unwrap();
    assert_eq!(guest.add(passed, 1).unwrap(), Some(Val::U32(9)));

    assert_eq!(guest.get::<Option<ResourceAny>>("pass-option", &[Val::Option(None)]), None);
    assert_eq!(guest.get::<Result<ResourceAny, u32>>("pass-result", &[Err::<ResourceAny, _>(7u32).into_val()]), Err(7));
    assert_eq!(guest.get::<Vec<ResourceAny>>("pass", &[Val::List(Vec::new())]), []);
}

#[test]
fn what_the_host_may_not_pass_changes_nothing() {
    let (mut guest, mut other) = (counters(), counters());
    let (one, foreign) = (guest.counter(1), other.counter(2));
    // Whatever comes before the argument that is refused.
    for args in [[one, one], [one, foreign]] {
        usage(guest.call("[static]counter.merge", &args.map(Val::from)));
        usage(guest.call("pass", &[args.to_vec().into_val()]));
    }
    usage(guest.call("pass", &[Val::List(vec![one.into(), Val::U8(1)])]));
    for name in ["borrow-and-own", "own-and-borrow"] {
        let message = usage(guest.call(name, &[one.into(), one.into()]));
        assert!(message.contains("lent"), "{message}");
    }
    let own = Resource::<u8>::new_own(0);
    assert!(usage(guest.add(own.clone().into(), 1)).contains("another type"));
    assert!(usage(guest.drop(own.into())).contains("the host's own"));
    assert_eq!(usage(guest.add(foreign, 1)), GONE);
    assert_eq!(usage(guest.drop(foreign)), GONE);
    usage(guest.call("[method]counter.add", &[Val::U32(1), Val::U32(1)]));
    assert_eq!(guest.add(one, 1).unwrap(), Some(Val::U32(2)));
    assert_eq!(other.add(foreign, 1).unwrap(), Some(Val::U32(3)));

    // A function of one store with another store and its resource, and the other way round.
    let add = guest.func("[method]counter.add");
    usage(add.call(&mut other.store, &[foreign.into(), Val::U32(1)]));
    usage(add.call(&mut other.store, &[one.into(), Val::U32(1)]));
    assert_eq!(other.add(foreign, 1).unwrap(), Some(Val::U32(4)));
}

#[test]
fn handles_that_a_component_makes_up_are_traps() {
    let forge = |name: &str, args: &[Val]| {
        let mut guest = counters();
        // The component has no handle of what the host has.
        let first = guest.counter(1);
        let words = trap_of(guest.call(name, args));
        assert_eq!(trap_of(guest.add(first, 1)), "cannot enter component instance");
        assert_eq!(trap_of(guest.drop(first).map(|()| None)), "cannot enter component instance");
        words
    };
    for handle in [0, 1, 2, u32::MAX] {
        assert_eq!(forge("forge", &[Val::U32(handle)]), format!("unknown handle index {handle}"));
    }
    assert_eq!(forge("give-plain", &[]), "handle index 1 used with the wrong type");
    assert_eq!(forge("give-twice", &[]), "unknown handle index 1");
    assert_eq!(forge("drop-twice", &[]), "unknown handle index 1");
}

#[test]
fn a_destructor_that_traps_ends_the_instance() {
    let mut guest = counters();
    let (bad, good) = (guest.counter(13), guest.counter(1));
    assert!(matches!(guest.drop(bad), Err(Error::Trap(trap)) if trap.trap == Trap::Unreachable));
    for resource in [bad, good] {
        assert_eq!(trap_of(guest.drop(resource).map(|()| None)), "cannot enter component instance");
    }
}

struct Host {
    component: ComponentCtx,
    table: ResourceTable,
    dropped: Vec<u32>,
    /// What `call-back` does.
    on_call: Option<fn(StoreContextMut<'_, Host>) -> Result<()>>,
    instance: Option<Instance<Host>>,
    link: Option<ResourceAny>,
}

struct Thing {
    value: u32,
}

struct Other;

/// The linker of hosts of `things.wat`.
fn things_linker() -> Linker<Host> {
    const HOST: &str = "test:host/things";
    let mut linker = Linker::new(|host: &mut Host| &mut host.component);
    linker.define_wasi().unwrap();
    let arg = |args: &[Val], index: usize| Resource::<Thing>::from_val(args[index].clone()).unwrap();
    linker
        .resource(HOST, "thing", |mut store, thing: Resource<Thing>| {
            assert!(thing.owned());
            let Thing { value } = store.data_mut().table.delete(thing)?;
            store.data_mut().dropped.push(value);
            if value == 13 { Err(Error::msg("the host says no")) } else { Ok(()) }
        })
        .unwrap();
    linker.resource(HOST, "other", |_, _: Resource<Other>| Ok(())).unwrap();
    linker
        .func_new(HOST, "[constructor]thing", |mut store, args| {
            let [Val::U32(value)] = *args else { panic!("{args:?}") };
            Ok(Some(store.data_mut().table.push(Thing { value })?.into_val()))
        })
        .unwrap();
    linker
        .func_new(HOST, "[method]thing.get", move |mut store, args| {
            let thing = arg(args, 0);
            assert!(!thing.owned());
            Ok(Some(store.data_mut().table.get(&thing)?.value.into()))
        })
        .unwrap();
    linker.func_new(HOST, "[static]thing.both", |_, _| panic!("one thing is lent and given")).unwrap();
    linker.func_new(HOST, "pass", |_, args| Ok(Some(args[0].clone()))).unwrap();
    linker.func_new(HOST, "make-other", |_, _| Ok(Some(Resource::<Other>::new_own(0).into_val()))).unwrap();
    linker
        .func_new(HOST, "call-back", |mut store, _| {
            let on_call = store.data_mut().on_call.take();
            on_call.map_or(Ok(()), |on_call| on_call(store)).map(|()| None)
        })
        .unwrap();
    linker
}

fn things() -> Guest<Host> {
    static PRE: LazyLock<InstancePre<Host>> = LazyLock::new(|| things_linker().instantiate_pre(&THINGS).unwrap());
    let mut store = Store::new(Host {
        component: ComponentCtx::new(WasiCtx::default()),
        table: ResourceTable::new(),
        dropped: Vec::new(),
        on_call: None,
        instance: None,
        link: None,
    });
    let instance = PRE.instantiate(&mut store).unwrap();
    store.data_mut().instance = Some(instance.clone());
    Guest { store, instance }
}

#[test]
fn a_component_uses_resources_of_the_host() {
    let mut guest = things();
    assert_eq!(guest.get::<u32>("use", &[Val::U32(7)]), 7);
    assert_eq!(guest.store.data().dropped, [7]);
    assert!(guest.store.data().table.is_empty());

    let thing: Resource<Thing> = guest.get("make", &[Val::U32(8)]);
    assert!(thing.owned());
    assert_eq!(guest.store.data().table.get(&thing).unwrap().value, 8);
    // There and back, lent, and in a list through the host.
    let thing: Resource<Thing> = guest.get("same", &[thing.into_val()]);
    let lent = Resource::<Thing>::new_borrow(thing.rep());
    assert_eq!(guest.get::<u32>("get-lent", &[lent.clone().into_val()]), 8);
    assert_eq!(guest.get::<u32>("get-lent", &[thing.clone().into_val()]), 8);
    let more: Resource<Thing> = guest.get("make", &[Val::U32(9)]);
    let both: Vec<Resource<Thing>> = guest.get("pass", &[vec![thing.clone(), more.clone()].into_val()]);
    assert_eq!(both, [thing, more]);

    assert!(usage(guest.call("same", &[lent.into_val()])).contains("a borrowed resource cannot be given away"));
    for other in [Resource::<Other>::new_own(0).into_val(), Val::U32(0)] {
        usage(guest.call("same", std::slice::from_ref(&other)));
        usage(guest.call("get-lent", &[other]));
    }
    assert_eq!(guest.store.data().dropped, [7]);
    assert_eq!(guest.store.data().table.len(), 2);
}

#[test]
fn what_a_component_does_wrong_with_resources_of_the_host_is_a_trap() {
    let lent = [Resource::<Thing>::new_borrow(0).into_val()];
    let handle = [Val::U32(1)];
    let cases: [(&str, &[Val], &str); 9] = [
        ("keep", &lent, "borrow handles still remain at the end of the call"),
        ("give-lent", &lent, "cannot lift own resource from a borrow"),
        ("drop", &handle, "unknown handle index 1"),
        ("drop", &[Val::U32(u32::MAX)], "unknown handle index 4294967295"),
        ("get", &[Val::U32(0)], "unknown handle index 0"),
        ("get-other", &[], "handle index 1 used with the wrong type"),
        ("drop-other-as-thing", &[], "handle index 1 used with the wrong type"),
        ("both", &[], "cannot remove owned resource while borrowed"),
        ("flood", &[], "cannot allocate another handle: too many handles"),
    ];
    for (name, args, words) in cases {
        let mut guest = things();
        // The table of the host has as many as that of the component.
        guest.store.data_mut().table.set_max_capacity(usize::MAX);
        assert_eq!(trap_of(guest.call(name, args)), words, "{name}");
        assert_eq!(trap_of(guest.call("use", &handle)), "cannot enter component instance");
    }
    // Another store's handles mean nothing.
    let (mut one, mut two) = (things(), things());
    let link: ResourceAny = one.get("make-link", &[Val::U32(0)]);
    assert_eq!(usage(two.drop(link)), GONE);
    assert_eq!(trap_of(two.call("drop", &handle)), "unknown handle index 1");
    one.drop(link).unwrap();
}

#[test]
fn what_the_host_says_when_a_resource_is_dropped_ends_the_call() {
    let mut guest = things();
    assert_eq!(guest.call("use", &[Val::U32(13)]).unwrap_err().to_string(), "the host says no");
    let mut guest = things();
    guest.store.data_mut().table.set_max_capacity(0);
    assert_eq!(guest.call("use", &[Val::U32(1)]).unwrap_err().to_string(), "the table of resources is full");
}

#[test]
fn a_host_that_gives_a_component_too_much_is_told() {
    let mut linker = Linker::new(|context: &mut ComponentCtx| context);
    linker.define_wasi().unwrap();
    let error = linker.instantiate_pre(&THINGS).err().unwrap().to_string();
    assert!(error.contains("unknown import"), "{error}");
    for name in ["[constructor]thing", "[method]thing.get", "[static]thing.both", "pass", "make-other", "call-back"] {
        linker.func_new("test:host/things", name, |_, _| Ok(None)).unwrap();
    }
    linker.func_flat("test:host/things", "[resource-drop]thing", |_, _| {}).unwrap();
    linker.resource("test:host/things", "other", |_, _: Resource<Other>| Ok(())).unwrap();
    assert!(linker.resource("test:host/things", "other", |_, _: Resource<Other>| Ok(())).is_err(), "it is defined");
    let message = usage(linker.instantiate_pre(&THINGS).map(|_| ()));
    assert_eq!(message, "`Linker::resource` has not defined the resource `thing` of `test:host/things@1.0.0`");
}

#[test]
fn destructors_do_not_enter_their_instance_again() {
    let mut guest = things();
    let link: ResourceAny = guest.get("make-link", &[Val::U32(0)]);
    guest.store.data_mut().link = Some(link);
    guest.store.data_mut().on_call = Some(|mut store| {
        let (instance, link) = (store.data().instance.clone().unwrap(), store.data().link.unwrap());
        let call = instance.get_func(&mut store, "", "use")?.call(&mut store, &[Val::U32(1)]);
        assert_eq!(trap_of(call), "cannot enter component instance");
        let drop = instance.resource_drop(&mut store, link).map(|()| None);
        assert_eq!(trap_of(drop), "cannot enter component instance");
        Ok(())
    });
    let calls: ResourceAny = guest.get("make-link", &[Val::U32(1)]);
    guest.drop(calls).unwrap();
    assert!(guest.store.data().on_call.is_none(), "the destructor has called");
    // Nothing has happened to the other one.
    guest.drop(link).unwrap();
    assert_eq!(usage(guest.drop(link)), GONE);
}

#[test]
fn destructors_that_call_destructors_end_with_the_stack() {
    for from_host in [true, false] {
        // A thread has less of a stack than guests have.
        let deep = move || {
            let mut guest = things();
            assert_eq!(guest.call("drop-link", &[Val::U32(50)]).unwrap(), None);
            let result = match from_host {
                true => {
                    let link: ResourceAny = guest.get("make-link", &[Val::U32(100_000_000)]);
                    guest.drop(link).map(|()| None)
                }
                false => guest.call("drop-link", &[Val::U32(100_000_000)]),
            };
            assert!(matches!(result, Err(Error::Trap(trap)) if trap.trap == Trap::StackExhausted));
        };
        thread::spawn(deep).join().unwrap();
    }
}

#[test]
fn a_component_has_so_many_handles_and_no_more() {
    let mut guest = things();
    assert_eq!(trap_of(guest.call("flood-links", &[])), "cannot allocate another handle: too many handles");
    let mut guest = counters();
    let make = guest.func("make-plain");
    for _ in 0..1 << 20 {
        make.call(&mut guest.store, &[]).unwrap();
    }
    assert_eq!(trap_of(make.call(&mut guest.store, &[])), "cannot allocate another handle: too many handles");
}

/// Two components in one, neither of which calls the other: the first makes resources, the second is lent and given them.
const TWO: &str = r#"(component
    (component $maker
      (core module $m
        (global $dropped (mut i32) (i32.const 0))
        (func (export "destroy") (param i32) (global.set $dropped (i32.add (global.get $dropped) (local.get 0))))
        (func (export "dropped") (result i32) (global.get $dropped)))
      (core instance $m (instantiate $m))
      (type $r' (resource (rep i32) (dtor (func $m "destroy"))))
      (core func $new (canon resource.new $r'))
      (export $r "r" (type $r'))
      (core module $n (import "" "new" (func $new (param i32) (result i32)))
        (func (export "make") (param i32) (result i32) (call $new (local.get 0))))
      (core instance $n (instantiate $n (with "" (instance (export "new" (func $new))))))
      (func (export "make") (param "rep" s32) (result (own $r)) (canon lift (core func $n "make")))
      (func (export "dropped") (result u32) (canon lift (core func $m "dropped"))))
    (component $user
      (import "r" (type $r (sub resource)))
      (core func $drop (canon resource.drop $r))
      (core module $m
        (import "" "drop" (func $drop (param i32)))
        (func (export "drop") (param i32) (call $drop (local.get 0)))
        (func (export "keep") (param i32))
        (func (export "same") (param i32) (result i32) (local.get 0)))
      (core instance $m (instantiate $m (with "" (instance (export "drop" (func $drop))))))
      (func (export "give-back") (param "r" (borrow $r)) (canon lift (core func $m "drop")))
      (func (export "keep") (param "r" (borrow $r)) (canon lift (core func $m "keep")))
      (func (export "drop") (param "r" (own $r)) (canon lift (core func $m "drop")))
      (func (export "same") (param "r" (own $r)) (result (own $r)) (canon lift (core func $m "same"))))
    (instance $maker (instantiate $maker))
    (instance $user (instantiate $user (with "r" (type $maker "r"))))
    (export $r "r" (type $maker "r"))
    (export "make" (func $maker "make") (func (param "rep" s32) (result (own $r))))
    (export "dropped" (func $maker "dropped"))
    (export "give-back" (func $user "give-back") (func (param "r" (borrow $r))))
    (export "keep" (func $user "keep") (func (param "r" (borrow $r))))
    (export "drop" (func $user "drop") (func (param "r" (own $r))))
    (export "same" (func $user "same") (func (param "r" (own $r)) (result (own $r)))))"#;

#[test]
fn what_one_component_makes_is_lent_to_another_with_a_handle() {
    let two = component(TWO);
    let mut store = Store::new(ComponentCtx::new(WasiCtx::default()));
    let instance = linker().instantiate(&mut store, &two).unwrap();
    let mut guest = Guest { store, instance };
    let one: ResourceAny = guest.get("make", &[Val::S32(5)]);
    guest.call("give-back", &[one.into()]).unwrap();
    let one: ResourceAny = guest.get("same", &[one.into()]);
    assert_eq!(guest.get::<u32>("dropped", &[]), 0);
    guest.call("drop", &[one.into()]).unwrap();
    assert_eq!(guest.get::<u32>("dropped", &[]), 5);
    let other: ResourceAny = guest.get("make", &[Val::S32(2)]);
    guest.drop(other).unwrap();
    assert_eq!(guest.get::<u32>("dropped", &[]), 7);
    let kept: ResourceAny = guest.get("make", &[Val::S32(1)]);
    let words = trap_of(guest.call("keep", &[kept.into()]));
    assert_eq!(words, "borrow handles still remain at the end of the call");
}
