//! Functions beyond the budgets of the compiler: what they compute is what small ones would.

use std::fs;

use libtest_mimic::{Failed, Trial};

use crate::support;

/// What `--verbose` says of a function that is not optimised.
const LEAST: &str = "is compiled without optimisation";

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("large::locals_in_the_frame", locals_in_the_frame), Trial::test("large::many_blocks", many_blocks)]
}

/// Compiles, and fails where the function is optimised after all. The program's output for each argument.
fn run(text: &str, args: &[u64]) -> Result<Vec<String>, Failed> {
    let folder = support::scratch();
    let (module, program) = (folder.path().join("module.wat"), folder.path().join("program"));
    fs::write(&module, text)?;
    let mut command = support::wasmelt();
    command.arg("compile").arg(&module).arg("-o").arg(&program).args(["--invoke", "f", "--verbose"]);
    support::run(&mut command, b"")?.expect_code(0)?.expect_stderr(LEAST)?;
    let output = |arg: &u64| {
        let mut command = std::process::Command::new(&program);
        Ok(support::run(command.arg(arg.to_string()), b"")?.expect_code(0)?.stdout().trim().to_owned())
    };
    args.iter().map(output).collect()
}

/// Locals of all types that change in deeply nested loops, each of which would take all locals along.
fn locals_in_the_frame() -> Result<(), Failed> {
    const LOCALS: u64 = 400;
    // For each type: how to make one of an `i64`, how to add one, and how to make an `i64` of one.
    let types = [
        ("i32", "i32.wrap_i64", "(i32.add X (i32.const 1))", "(i64.extend_i32_u X)"),
        ("i64", "", "(i64.add X (i64.const 1))", "X"),
        ("f32", "f32.convert_i64_u", "(f32.add X (f32.const 1))", "(i64.trunc_f32_u X)"),
        ("f64", "f64.convert_i64_u", "(f64.add X (f64.const 1))", "(i64.trunc_f64_u X)"),
        ("v128", "i64x2.splat", "(i64x2.add X (v128.const i64x2 0 1))", "(i64x2.extract_lane 1 X)"),
    ];
    let (mut declared, mut set, mut increment, mut sum) = <(String, String, String, String)>::default();
    for i in 0..LOCALS {
        let (ty, make, add, back) = types[i as usize % types.len()];
        let local = format!("(local.get {})", i + 2);
        declared += &format!("{ty} ");
        set += &format!("i64.const {i} {make} local.set {} ", i + 2);
        increment += &format!("(local.set {} {}) ", i + 2, add.replace('X', &local));
        sum += &format!("{} i64.add ", back.replace('X', &local));
    }
    let repeat = "(br_if 0 (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (local.get 0))) end ";
    let text = format!(
        "(module (func (export \"f\") (param i32) (result i64) (local i32 {declared}) {set} {} {increment} {} \
         i64.const 0 {sum}))",
        "loop ".repeat(LOCALS as usize),
        repeat.repeat(LOCALS as usize)
    );
    let expected = |times: u64| (LOCALS * (LOCALS - 1) / 2 + LOCALS * times.max(1)).to_string();
    let found = run(&text, &[0, 1, 5])?;
    assert_eq!(found, [expected(0), expected(1), expected(5)]);
    Ok(())
}

/// One function with 50,000 decisions, among them calls with many arguments and results, exceptions and references.
fn many_blocks() -> Result<(), Failed> {
    const STEPS: u64 = 16_000;
    let step =
        |i: u64| {
            let bit = i % 8;
            let decide = format!("(i64.ne (i64.and (local.get $x) (i64.const {})) (i64.const 0))", 1 << bit);
            let arm = match i % 4 {
            0 => format!("(i64.add (local.get $sum) (i64.const {i}))"),
            1 => format!("(call $mix {} (local.get $sum) (f64.const {i}) (i32.const 3))", "(i64.const 1)".repeat(12)),
            2 => format!(
                "(block $caught (result i64) (try_table (result i64) (catch $odd $caught) \
                 (call $throw_if_odd (i64.const {i}) (local.get $sum))))"
            ),
            _ => "(local.get $sum) (call $nine) i64.add i64.add i64.add i64.add i64.add i64.add i64.add i64.add i64.add"
                .to_owned(),
        };
            format!("(if {decide} (then (local.set $sum (i64.mul {arm} (i64.const 3)))))\n")
        };
    let steps: String = (0..STEPS).map(step).collect();
    let text = format!(
        "(module
           (tag $odd (param i64))
           (func $mix (param {}) (param $sum i64) (param $f f64) (param $i i32) (result i64)
             (i64.add (local.get $sum) (i64.add (i64.trunc_f64_u (local.get $f)) (i64.extend_i32_u (local.get $i)))))
           (func $throw_if_odd (param $i i64) (param $sum i64) (result i64)
             (if (i64.ne (i64.and (i64.shr_u (local.get $i) (i64.const 2)) (i64.const 1)) (i64.const 0))
               (then (throw $odd (i64.add (local.get $sum) (i64.const 1000)))))
             (i64.add (local.get $sum) (i64.const 7)))
           (func $nine (result {}) {})
           (func (export \"f\") (param i32) (result i64) (local $x i64) (local $sum i64)
             (local.set $x (i64.extend_i32_u (local.get 0)))
             {steps}
             (return_call $end (local.get $sum)))
           (func $end (param i64) (result i64) (i64.xor (local.get 0) (i64.const 1))))",
        "i64 ".repeat(12),
        "i64 ".repeat(9),
        (1..=9).map(|n| format!("(i64.const {n})")).collect::<String>(),
    );
    let expected = |x: u64| {
        let mut sum = 0u64;
        for i in (0..STEPS).filter(|i| x & 1 << (i % 8) != 0) {
            sum = sum.wrapping_add(match i % 4 {
                0 => i,
                1 => i + 3,
                2 if i >> 2 & 1 == 1 => 1000,
                2 => 7,
                _ => 45,
            });
            sum = sum.wrapping_mul(3);
        }
        (sum ^ 1).cast_signed().to_string()
    };
    let args = [0, 1, 2, 4, 8, 0x55, 0xff];
    let found = run(&text, &args)?;
    assert_eq!(found, args.map(expected));
    Ok(())
}
