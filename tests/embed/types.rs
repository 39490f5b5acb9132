//! Types of functions that name types of functions: equal ones are equal across modules, however deep they are nested.

use super::*;

/// Types `$0` to `$depth`, each of which names the one below twice, and before them as many others as `first` says.
fn nested_types(first: usize, depth: usize, innermost: &str) -> String {
    let mut types: String = (0..first).map(|n| format!("(type (func (param{})))", " f32".repeat(n))).collect();
    types += &format!("(type $0 (func (param {innermost} {innermost}) (result i32)))");
    for n in 1..=depth {
        let below = format!("(ref null ${})", n - 1);
        types += &format!("(type ${n} (func (param {below} {below}) (result i32)))");
    }
    types
}

fn connect(store: &mut Store<()>, owner: &str, user: &str) -> Result<Instance, Error> {
    let owner = instance(store, "owner", owner);
    let mut linker = Linker::new();
    linker.instance(&*store, "owner", owner)?;
    linker.instantiate(store, &module("user", user))
}

/// Written out, the types would have 2^60 words.
#[test]
fn nested_types_are_equal_across_modules() {
    const DEPTH: usize = 60;
    let types = nested_types(0, DEPTH, "i32");
    let owner = format!("(module {types} (func (export \"f\") (type ${DEPTH}) (i32.const 7)))");
    let user = |types: &str| {
        format!(
            "(module {types} (import \"owner\" \"f\" (func $f (type ${DEPTH})))
             (func (export \"call\") (result i32)
                (call $f (ref.null ${below}) (ref.null ${below}))))",
            below = DEPTH - 1
        )
    };
    let store = &mut Store::new(());
    for first in [0, 5] {
        let user = connect(store, &owner, &user(&nested_types(first, DEPTH, "i32"))).unwrap();
        assert_eq!(call_i32(store, user, "call", &[]), 7);
    }
    let other = connect(store, &owner, &user(&nested_types(0, DEPTH, "i64")));
    assert!(matches!(&other, Err(Error::Unlinkable(why)) if why.contains("incompatible")), "{other:?}");
}

/// What an instance costs does not depend on how large its types would be when written out.
#[test]
fn many_nested_types_are_numbered() {
    let mut types = nested_types(0, 500, "i32");
    for n in 0..500 {
        types += &format!("(type (func (param{} (ref null $500))))", " i64".repeat(n % 20));
        types += &format!("(type (func (result{} (ref null ${n}))))", " i32".repeat(n % 20));
    }
    let wat = format!("(module {types} (func (export \"f\") (result i32) (i32.const 1)))");
    let module = module("many", &wat);
    let mut store = Store::new(());
    for _ in 0..3 {
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(call_i32(&mut store, instance, "f", &[]), 1);
    }
}
