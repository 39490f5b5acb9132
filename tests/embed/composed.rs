//! Components that were composed of several, as libraries: what the host's part in calls between them is. `tests/component` runs
//! the rules of such calls in hosts as in executables.

use wasmelt_embed::component::{ComponentCtx, Val};
use wasmelt_embed::wasi::WasiCtx;
use wasmelt_embed::{Result, Store};

use crate::components::{component, linker, trap_of};

fn call(wat: &str, name: &str, args: &[Val]) -> Result<Option<Val>> {
    let mut store = Store::new(ComponentCtx::new(WasiCtx::default()));
    let instance = linker().instantiate(&mut store, &component(wat))?;
    instance.get_func(&mut store, "", name)?.call(&mut store, args)
}

/// A component that calls another one from its allocator, or after it has returned, as `at` says.
fn caller(at: &str) -> String {
    let realloc = if at == "realloc" { "(call $f)" } else { "" };
    let after = if at == "post-return" { "(call $f)" } else { "" };
    format!(
        r#"(component
             (component $callee
               (core module $m (func (export "f")))
               (core instance $m (instantiate $m))
               (func (export "f") (canon lift (core func $m "f"))))
             (component $caller
               (import "f" (func $f))
               (core func $f (canon lower (func $f)))
               (core module $m
                 (import "" "f" (func $f))
                 (memory (export "memory") 1)
                 (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc} (i32.const 64))
                 (func (export "after") (param i32) {after})
                 (func (export "echo") (param i32 i32) (result i32)
                   (call $f)
                   (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))
               (core instance $m (instantiate $m (with "" (instance (export "f" (func $f))))))
               (func (export "echo") (param "s" string) (result string)
                 (canon lift (core func $m "echo") (memory $m "memory") (realloc (func $m "realloc"))
                   (post-return (func $m "after")))))
             (instance $callee (instantiate $callee))
             (instance $caller (instantiate $caller (with "f" (func $callee "f"))))
             (export "echo" (func $caller "echo")))"#
    )
}

#[test]
fn nobody_is_left_while_the_host_passes_values() {
    assert_eq!(call(&caller("nowhere"), "echo", &["text".into()]).unwrap(), Some("text".into()));
    for at in ["realloc", "post-return"] {
        assert_eq!(trap_of(call(&caller(at), "echo", &["text".into()])), "cannot leave component instance", "{at}");
    }
}

/// A component that has a handle of standard output, and gives another one what it says is standard input.
#[test]
fn resources_of_the_host_go_to_other_components_as_what_they_are() {
    let component = |given: &str| {
        format!(
            r#"(component
                 (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
                 (import "wasi:io/streams@0.2.6" (instance $streams
                   (export "input-stream" (type (sub resource)))
                   (export "output-stream" (type (sub resource)))))
                 (alias export $streams "input-stream" (type $input))
                 (alias export $streams "output-stream" (type $output))
                 (import "wasi:cli/stdin@0.2.6" (instance $stdin
                   (alias outer 1 $input (type $input))
                   (export "input-stream" (type $stream (eq $input)))
                   (export "get-stdin" (func (result (own $stream))))))
                 (import "wasi:cli/stdout@0.2.6" (instance $stdout
                   (alias outer 1 $output (type $output))
                   (export "output-stream" (type $stream (eq $output)))
                   (export "get-stdout" (func (result (own $stream))))))
                 (component $taker
                   (import "input" (type $input (sub resource)))
                   (core module $m
                     (import "" "drop" (func $drop (param i32)))
                     (func (export "take") (param i32) (result i32) (call $drop (local.get 0)) (i32.const 7)))
                   (core func $drop (canon resource.drop $input))
                   (core instance $m (instantiate $m (with "" (instance (export "drop" (func $drop))))))
                   (func (export "take") (param "stream" (own $input)) (result u32) (canon lift (core func $m "take")))
                   (func (export "see") (param "stream" (borrow $input)) (result u32) (canon lift (core func $m "take"))))
                 (instance $taker (instantiate $taker (with "input" (type $input))))
                 (core func $in (canon lower (func $stdin "get-stdin")))
                 (core func $out (canon lower (func $stdout "get-stdout")))
                 (component $giver
                   (import "input" (type $input (sub resource)))
                   (import "output" (type $output (sub resource)))
                   (import "in" (func $in (result (own $input))))
                   (import "out" (func $out (result (own $output))))
                   (import "take" (func $take (param "stream" (own $input)) (result u32)))
                   (import "see" (func $see (param "stream" (borrow $input)) (result u32)))
                   (core func $in (canon lower (func $in)))
                   (core func $out (canon lower (func $out)))
                   (core func $take (canon lower (func $take)))
                   (core func $see (canon lower (func $see)))
                   (core module $m
                     (import "" "in" (func $in (result i32)))
                     (import "" "out" (func $out (result i32)))
                     (import "" "take" (func $take (param i32) (result i32)))
                     (import "" "see" (func $see (param i32) (result i32)))
                     (func (export "give") (result i32) (local $in i32) (local $out i32)
                       (local.set $in (call $in)) (local.set $out (call $out))
                       {given}))
                   (core instance $m (instantiate $m (with "" (instance
                     (export "in" (func $in)) (export "out" (func $out))
                     (export "take" (func $take)) (export "see" (func $see))))))
                   (func (export "give") (result u32) (canon lift (core func $m "give"))))
                 (instance $giver (instantiate $giver
                   (with "input" (type $input)) (with "output" (type $output))
                   (with "in" (func $stdin "get-stdin")) (with "out" (func $stdout "get-stdout"))
                   (with "take" (func $taker "take")) (with "see" (func $taker "see"))))
                 (export "give" (func $giver "give")))"#
        )
    };
    let give = |given: &str| call(&component(given), "give", &[]);
    assert_eq!(give("(call $take (local.get $in))").unwrap(), Some(Val::U32(7)));
    assert_eq!(
        give("(drop (call $see (local.get $in))) (call $take (local.get $in))").unwrap(),
        Some(Val::U32(7)),
        "what was lent is still there"
    );
    for (given, words) in [
        ("(call $take (local.get $out))", "handle index 2 used with the wrong type"),
        ("(call $see (local.get $out))", "handle index 2 used with the wrong type"),
        ("(call $take (i32.const 77))", "unknown handle index 77"),
        ("(drop (call $take (local.get $in))) (call $take (local.get $in))", "unknown handle index 1"),
    ] {
        assert_eq!(trap_of(give(given)), words, "{given}");
    }
}
