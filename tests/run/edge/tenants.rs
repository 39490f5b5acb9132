//! The tenants of the server: a good one, and those that do everything that a stranger may try.

/// A module that writes `head`, then does what `body` says.
fn program(head: &str, body: &str) -> String {
    let head_len = head.len();
    let head: String = head.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 2) (data (i32.const 1024) "{head}")
            (func $print (param $at i32) (param $len i32)
                (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $len))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func $recurse (param i64) (result i64)
                (i64.add (call $recurse (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
            (func (export "_start") (local $n i32)
                (call $print (i32.const 1024) (i32.const {head_len}))
                {body}))"#
    )
}

/// Writes the request's body.
const ECHO: &str = "(loop $again
    (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 4096))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $n (i32.load (i32.const 8)))
    (if (local.get $n) (then (call $print (i32.const 4096) (local.get $n)) (br $again))))";

/// Each tenant with its module and the status of a request to it.
pub(super) fn all() -> Vec<(&'static str, String, u16)> {
    let text = "Content-Type: text/plain\n\n";
    let sleep = "(i64.store (i32.const 24) (i64.const 3600000000000)) (i32.store (i32.const 16) (i32.const 1))
        (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 8)))";
    vec![
        ("echo", program("X-Version: 1\n\n", ECHO), 200),
        ("lost", program("Status: 404 Nothing here\r\nX-A: b\r\n\r\n", ECHO), 404),
        ("exits", program(text, "(call $exit (i32.const 0))"), 200),
        ("gives-up", program(text, "(call $exit (i32.const 3))"), 502),
        ("loops", program(text, "(loop $l (br $l))"), 504),
        ("traps", program(text, "(unreachable)"), 502),
        ("recurses", program(text, "(drop (call $recurse (i64.const 0)))"), 502),
        (
            "wild",
            program(
                text,
                "(loop $l (i64.store (local.get $n) (i64.const -1)) (local.set $n (i32.add (local.get $n) (i32.const 65536))) (br $l))",
            ),
            502,
        ),
        ("grows", program(text, "(loop $l (br_if $l (i32.ne (i32.const -1) (memory.grow (i32.const 1)))))"), 200),
        (
            "floods",
            program(
                text,
                "(loop $l (call $print (i32.const 0) (i32.const 131072)) (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))",
            ),
            200,
        ),
        ("silent", program("", ""), 502),
        ("splits", program("X: 1\nTransfer-Encoding: chunked\n\n", ECHO), 502),
        ("unfinished", program("X: 1\n", ""), 502),
        ("sleeps", program(text, sleep), 0),
    ]
}

/// The good one, once more.
pub(super) fn next_version() -> String {
    program("X-Version: 2\n\n", ECHO)
}
