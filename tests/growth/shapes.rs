//! Modules that grow with a number: each shape repeats something that a compiler may take more than linear time for. The
//! tests compare what comes out of a module and of one twice as large; the bench `scale` measures time and memory.

use std::fmt::Display;

/// A family of modules.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// A size that is quick to compile.
    pub(crate) start: usize,
    /// The module of a size, as text.
    pub(crate) module: fn(usize) -> String,
}

macro_rules! shapes {
    ($($name:ident $start:literal $module:expr;)*) => {
        pub(crate) const SHAPES: &[Shape] = &[$(Shape { name: stringify!($name), start: $start, module: $module }),*];
    };
}

shapes! {
    // Control flow.
    blocks_deep 2000 |n| body("", format!("{}{}", "block ".repeat(n), "end ".repeat(n)));
    loops_deep 2000 |n| body("(local i32)", format!("{}(local.set 0 (i32.add (local.get 0) (i32.const 1))) \
        (br_if 0 (local.get 0)) {}", "loop ".repeat(n), "end ".repeat(n)));
    branches_to_one_block 1000 |n| body("(local i32)", format!("(block {})",
        each(n, |i| format!("(br_if 0 (i32.add (local.get 0) (i32.const {i})))"))));
    ifs 1000 |n| body("(local i32)",
        each(n, |i| format!("(if (local.get 0) (then (local.set 0 (i32.const {i}))))")));
    br_table 1000 |n| body("(local i32)", format!("{}(br_table {} (local.get 0)){}",
        "(block ".repeat(n), each(n, |i| i), ")".repeat(n)));
    br_tables 500 |n| body("(local i32)", format!("{}{}{}", "(block ".repeat(n),
        format!("(block (br_table {} (local.get 0)))", each(n, |i| i)).repeat(20), ")".repeat(n)));
    br_table_with_values 500 |n| body("(local i32)", format!(
        "(block $x (result {}) {}(br_table {}(local.get 0))) {}",
        "i32 ".repeat(200), "(i32.const 1)".repeat(200), "0 ".repeat(n), "drop ".repeat(200)));
    block_parameters 200 |n| parameters("block", n);
    loop_parameters 200 |n| parameters("loop", n);
    // Locals.
    loops_and_locals 600 |n| locals(n, format!("{}{}{}", "loop ".repeat(n), increments(n), "end ".repeat(n)));
    loops_back_and_locals 600 |n| locals(n, format!("{}{}{}", "loop ".repeat(n), increments(n),
        "(br_if 0 (local.get 0)) end ".repeat(n)));
    locals_of_one_loop 3000 |n| locals(n, format!("(loop {} (br_if 0 (local.get 0)))",
        each(n, |i| format!("(local.set {i} (i32.add (local.get {i}) (local.get {})))", (i * 7 + 1) % n))));
    ifs_and_locals 2000 |n| locals(n, each(n, |i|
        format!("(if (local.get {i}) (then (local.set {} (i32.const {i}))))", i * 7 % n)));
    locals_across_ifs 2000 |n| module("(memory 1) (func $f (result i32) (i32.const 1))", &locals_of(n), format!("{}{}{}",
        each(n, |i| format!("(local.set {i} (call $f))")), IF.repeat(n),
        each(n, |i| format!("(i32.store (i32.const 8) (local.get {i}))"))));
    // Values.
    straight_code 2000 |n| module("(memory 1)", "(local i32)", each(n, |i| format!("(i32.store offset={} (i32.const 0) \
        (i32.add (i32.load offset={} (i32.const 0)) (local.get 0)))", i % 60_000, i * 7 % 60_000)));
    live_values 4000 |n| module("(func $f (result i32) (i32.const 1))", "",
        format!("{}{}", "(call $f)".repeat(n), "drop ".repeat(n)));
    live_values_across_ifs 2000 |n| module("(memory 1) (func $f (result i32) (i32.const 1))", "",
        format!("{}{}{}drop", "(call $f)".repeat(n), IF.repeat(n), "i32.xor ".repeat(n - 1)));
    sums 4000 |n| body("(local i32)",
        format!("{}{}drop", "(local.get 0)".repeat(n + 1), "i32.add ".repeat(n)));
    shuffles 1000 |n| module("(memory 1)", "(local i32 v128)", each(n, |i| format!(
        "(local.set 1 (i8x16.shuffle {} (local.get 1) (i8x16.add (local.get 1) (v128.load (local.get 0)))))",
        each(16, |j| (i * j + 3) % 32))));
    many_results 50 |n| module(&format!("(func $f (result {}) unreachable)", "i64 ".repeat(1000)), "",
        format!("{} unreachable", "(call $f)".repeat(n)));
    // Exceptions.
    equal_clauses 1000 |n| module("(tag $t) (func $f)", "", format!("(block $b (try_table {} {}))",
        "(catch $t $b)".repeat(n), "(call $f)".repeat(n)));
    different_clauses 1000 |n| module(&format!("{} (func $f)", "(tag)".repeat(n)), "", format!(
        "(block $b (try_table {} {}))", each(n, |i| format!("(catch {i} $b)")), "(call $f)".repeat(n)));
    nested_try_tables 1000 |n| module(&format!("{} (func $f)", "(tag)".repeat(n)), "", format!("{}{}{}",
        each(n, |i| format!("block try_table (catch {i} 0)")), "call $f ".repeat(n), "end end ".repeat(n)));
    delegates 1000 |n| module("(tag $t)", "",
        format!("{}throw $t {}", "try ".repeat(n), "delegate 0 ".repeat(n)));
    // Calls.
    calls_in_deep_loops 2000 |n| module("(func $f)", "",
        format!("{}{}", "loop ".repeat(n), "call $f end ".repeat(n)));
    functions 2000 |n| module(&each(n, |i| format!("(func (export \"f{i}\") (param i32) (result i32) \
        (i32.mul (local.get 0) (i32.const {i})))")), "", "");
    call_chain 2000 |n| module(&format!("(func $f0) {}", each(n, |i| format!("(func $f{} (call $f{i}) (call $f{i}))", i + 1))),
        "", format!("(call $f{n})"));
    inlined_into_many 2000 |n| module(&format!("(memory 1) (func $f (param i32) (result i32) (i32.load (local.get 0))) {}",
        each(n, |i| format!("(func $f{i} (export \"f{i}\") (drop (call $f (call $f (i32.const {i})))))"))), "", "");
    inlined_into_one 1000 |n| module("(memory 1) (func $f (param i32) (i32.store (local.get 0) (local.get 0)))", "",
        each(n, |i| format!("(call $f (i32.const {i}))")));
    inlined_chain 2000 |n| module(&format!("(memory 1) (func $f0 (param i32) (result i32) (i32.load (local.get 0))) {}",
        each(n, |i| format!("(func $f{} (param i32) (result i32) (call $f{i} (local.get 0)))", i + 1))),
        "", format!("(drop (call $f{n} (i32.const 0)))"));
    ring 1000 |n| module(&each(n, |i| format!("(func $f{i} (call $f{}) (call $f{}))", (i + 1) % n, (i + n - 1) % n)),
        "", "(call $f0)");
    recursions 300 |n| module(&each(n, |i| format!("(func $f{i} (export \"f{i}\") (param i32) (if (local.get 0) (then \
        (call $f{i} (i32.const 1)) (call $f{i} (i32.const 2)) (call $f{i} (i32.const 3)))))")), "", "");
    references 2000 |n| module(&format!("{} (elem declare func {})", each(n, |i| format!("(func $f{i})")),
        each(n, |i| format!("$f{i}"))), "", each(n, |i| format!("(drop (ref.is_null (ref.func $f{i})))")));
    indirect_calls 2000 |n| module(&format!("{} (table funcref (elem {}))", each(n, |i| format!("(func $f{i})")),
        each(n, |i| format!("$f{i}"))), "", "(call_indirect (i32.const 0))".repeat(n));
    indirect_calls_in_a_filled_table 2000 |n| module(&format!("(func $f) (elem declare func $f) \
        (table {n} (ref null func) (ref.func $f))"), "", "(call_indirect (i32.const 0))".repeat(n));
    indirect_calls_in_a_sparse_table 10_000 |n| module(&format!("(func $f) (table $t {n} funcref) (elem (i32.const 1) $f)"),
        "", "(call_indirect (i32.const 0))");
    imported_references 2000 |n| module(&format!("(type $t (func (result i32))) {} (table funcref (elem {}))",
        "(import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32)))".repeat(n), each(n, |i| i)), "",
        "(drop (call_indirect (type $t) (i32.const 0)))");
    // Sections.
    globals 2000 |n| module(&each(n, |i| format!("(global (export \"g{i}\") (mut i32) (i32.const {i}))")), "", "");
    active_data 2000 |n| module(&format!("(memory 1000) {}",
        each(n, |i| format!("(data (i32.const {}) \"abc\")", i * 300 % 60_000_000))), "", "");
    passive_data 2000 |n| module(&format!("(memory 1) {}", each(n, |i| format!("(data $d{i} \"x\")"))), "",
        each(n, |i| format!("(data.drop $d{i})")));
    active_elements 2000 |n| module(&format!("(table 1000 funcref) (func $f) {}",
        each(n, |i| format!("(elem (i32.const {}) $f)", i % 1000))), "", "(call_indirect (i32.const 0))");
    types 2000 |n| module(&each(n, |i| format!("(type (func (param {})))",
        each(10, |d| ["i32", "i64", "f32", "f64"][i >> (2 * d) & 3]))), "", "");
    chained_types 2000 |n| module(&format!("(type (func)) {}",
        each(n, |i| format!("(type (func (param (ref {i}) (ref {i}))))"))), "", "");
    long_constant 2000 |n| module(&format!("(global (export \"g\") i32 {}{})", "i32.const 1 ".repeat(n + 1),
        "i32.add ".repeat(n)), "", "");
    exports 2000 |n| module(&format!("(func $f) {}", each(n, |i| format!("(export \"e{i}\" (func $f))"))), "", "");
}

/// What ends a block and cannot be computed now.
const IF: &str = "(if (i32.load (i32.const 0)) (then (i32.store (i32.const 4) (i32.const 1))))";

/// Something for each number below `n`.
fn each<T: Display>(n: usize, item: impl Fn(usize) -> T) -> String {
    (0..n).map(|i| format!("{} ", item(i))).collect()
}

fn module(fields: &str, locals: &str, body: impl Display) -> String {
    format!("(module {fields} (func (export \"_start\") {locals} {body}))")
}

fn body(locals: &str, body: impl Display) -> String {
    module("", locals, body)
}

fn locals_of(n: usize) -> String {
    format!("(local {})", "i32 ".repeat(n))
}

fn locals(n: usize, body: impl Display) -> String {
    module("", &locals_of(n), body)
}

/// Adds one to each local.
fn increments(n: usize) -> String {
    each(n, |i| format!("(local.set {i} (i32.add (local.get {i}) (i32.const 1)))"))
}

/// Blocks in blocks, each with 500 parameters and as many results.
fn parameters(kind: &str, n: usize) -> String {
    let values = "i64 ".repeat(500);
    module(
        &format!("(type $b (func (param {values}) (result {values})))"),
        "",
        format!(
            "{}{}{}{}",
            "(i64.const 1)".repeat(500),
            format!("{kind} (type $b) ").repeat(n),
            "end ".repeat(n),
            "drop ".repeat(500)
        ),
    )
}
