//! `--invoke`: calls an export with arguments from the command line and prints its results, as wasmtime does.
//!
//! The hook takes over from the usual course of an executable: first it parses the arguments, so that bad ones fail
//! before any code of the guest runs, then it calls the entry, which in such a program instantiates and does no more,
//! then the export. Being a hook, it and the code for floats are only linked into programs that ask for it.

use core::fmt::Write;

use wasmelt_abi::descriptor::{InvokePlan, ValueType};

use crate::ending;
use crate::executable;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::process;
use crate::rel::slice;
use crate::report::Report;
use crate::sys::{self, Stream};

/// Parameters or results that a function can have at most: the limit of the JavaScript embedding, which the
/// compiler's validator applies.
const MAX_VALUES: usize = 1000;

/// Exit code where the command line was wrong, as the compiler's.
const USAGE_EXIT_CODE: i32 = 2;

/// Calls the export and ends the process.
///
/// # Safety
/// `vmctx` is the context of a complete instance in which no code has run; this is the last hook of its program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_invoke(vmctx: *mut u8) {
    // SAFETY: the hook is called once, and nothing but what it calls from here on uses floats as text.
    unsafe { sys::relocate::relocate() };
    // SAFETY: by this function's contract.
    unsafe { invoke(vmctx) }
}

/// What the hook does, once addresses in data are right; on its own, so that none is read before.
///
/// # Safety
/// As [`wasmelt_hook_invoke`].
#[inline(never)]
unsafe fn invoke(vmctx: *mut u8) -> ! {
    // SAFETY: by this function's contract.
    let program = unsafe { Instance::from_vmctx(vmctx) }.program();
    let (Some(plan), Some(code)) = (program.invoke.get(), program.invoke_entry.get()) else {
        Failure::Check.end([0; 2]);
    };
    // SAFETY: the compiler wrote the plan.
    let plan = unsafe { &*plan };
    let mut values = [[0u64; 2]; MAX_VALUES];
    if plan.results.len as usize > MAX_VALUES {
        Failure::Check.end([1, 0]);
    }
    parse_arguments(plan, process::args().skip(1), &mut values);
    // SAFETY: the entry is called once, then the export, whose values have room.
    unsafe {
        executable::call(&program.entry, vmctx);
        core::mem::transmute::<*const u8, InvokeEntry>(code)(vmctx, values.as_mut_ptr());
    }
    print_results(plan, &values);
    ending::announce();
    sys::exit(0)
}

/// The code behind [`invoke_entry`](wasmelt_abi::descriptor::ProgramDescriptor::invoke_entry).
type InvokeEntry = unsafe extern "C" fn(vmctx: *mut u8, values: *mut [u64; 2]);

/// Fills `values` with the arguments; ends the process where they do not fit the parameters.
fn parse_arguments(plan: &InvokePlan, arguments: impl Iterator<Item = &'static [u8]> + Clone, values: &mut [[u64; 2]]) {
    let params = slice(&plan.params);
    let count = arguments.clone().count();
    if count != params.len() || count > values.len() {
        let mut report = Report::new(Stream::Error);
        report.failure();
        describe_count(&mut report, plan, count);
        report.exit(USAGE_EXIT_CODE);
    }
    for (index, ((argument, &param), value)) in arguments.zip(params).zip(values).enumerate() {
        let Some(parsed) = parse(argument, param) else {
            let mut report = Report::new(Stream::Error);
            report
                .failure()
                .text("argument ")
                .decimal(index as u64 + 1, 0)
                .text(" of ")
                .untrusted(slice(&plan.name), 256);
            report.text(" is not of type ").text(type_name(param)).text(": ").untrusted(argument, 256);
            report.exit(USAGE_EXIT_CODE);
        };
        *value = parsed;
    }
}

fn describe_count(report: &mut Report, plan: &InvokePlan, given: usize) {
    let params = slice(&plan.params);
    report.untrusted(slice(&plan.name), 256).text(" takes ").decimal(params.len() as u64, 0);
    report.text(if params.len() == 1 { " argument" } else { " arguments" });
    for (index, &param) in params.iter().enumerate() {
        report.text(if index == 0 { " (" } else { ", " }).text(type_name(param));
    }
    report.text(if params.is_empty() { ", not " } else { "), not " }).decimal(given as u64, 0);
}

fn type_name(code: u8) -> &'static str {
    match value_type(code) {
        Some(ValueType::I32) => "i32",
        Some(ValueType::I64) => "i64",
        Some(ValueType::F32) => "f32",
        Some(ValueType::F64) => "f64",
        Some(ValueType::V128) => "v128",
        Some(ValueType::FuncRef) => "funcref",
        Some(ValueType::ExternRef) => "externref",
        None => "value of a known type",
    }
}

fn value_type(code: u8) -> Option<ValueType> {
    use ValueType::*;
    [I32, I64, F32, F64, V128, FuncRef, ExternRef].into_iter().find(|&t| t as u8 == code)
}

/// A value as generated code passes it; `None` when the text is not a value of the type. References cannot be written.
fn parse(argument: &[u8], param: u8) -> Option<[u64; 2]> {
    let text = core::str::from_utf8(argument).ok()?;
    Some(match value_type(param)? {
        ValueType::I32 => [parse_integer(text, 32)?, 0],
        ValueType::I64 => [parse_integer(text, 64)?, 0],
        ValueType::F32 => [text.parse::<f32>().ok()?.to_bits().into(), 0],
        ValueType::F64 => [text.parse::<f64>().ok()?.to_bits(), 0],
        ValueType::V128 => {
            let value = text.parse::<u128>().ok()?;
            [value as u64, (value >> 64) as u64]
        }
        ValueType::FuncRef | ValueType::ExternRef => return None,
    })
}

/// An integer, signed or unsigned, decimal or after `0x` hexadecimal, that fits `bits`.
fn parse_integer(text: &str, bits: u32) -> Option<u64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let magnitude = match digits.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => digits.parse::<u64>(),
    };
    // Rust's own parsers take a second sign here.
    let magnitude = magnitude.ok().filter(|_| !digits.contains(['+', '-']))?;
    let mask = u64::MAX >> (64 - bits);
    match negative {
        false => (magnitude <= mask).then_some(magnitude),
        true => (magnitude <= mask / 2 + 1).then(|| magnitude.wrapping_neg() & mask),
    }
}

/// Prints each result on a line.
fn print_results(plan: &InvokePlan, values: &[[u64; 2]]) {
    let mut report = Report::new(Stream::Output);
    for (&value, &result) in values.iter().zip(slice(&plan.results)) {
        print(&mut report, value, result);
        report.text("\n");
    }
    report.flush();
}

/// Writes a value as wasmtime does.
fn print(report: &mut Report, value: [u64; 2], result: u8) {
    // Writing to a report does not fail.
    let _ = match value_type(result) {
        Some(ValueType::I32) => write!(report, "{}", value[0] as i32),
        Some(ValueType::I64) => write!(report, "{}", value[0] as i64),
        Some(ValueType::F32) => write!(report, "{}", f32::from_bits(value[0] as u32)),
        Some(ValueType::F64) => write!(report, "{}", f64::from_bits(value[0])),
        Some(ValueType::V128) => write!(report, "{}", u128::from(value[1]) << 64 | u128::from(value[0])),
        Some(ValueType::FuncRef) => report.write_str(if value[0] == 0 { "<null funcref>" } else { "<funcref>" }),
        Some(ValueType::ExternRef) => report.write_str(if value[0] == 0 { "<null externref>" } else { "<externref>" }),
        None => Ok(()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use ValueType::*;
    use std::string::String;

    fn parsed(text: &str, param: ValueType) -> Option<[u64; 2]> {
        parse(text.as_bytes(), param as u8)
    }

    #[test]
    fn arguments_are_parsed_by_type() {
        assert_eq!(parsed("-1", I32), Some([0xffff_ffff, 0]));
        assert_eq!(parsed("4294967295", I32), Some([0xffff_ffff, 0]));
        assert_eq!(parsed("-2147483648", I32), Some([0x8000_0000, 0]));
        assert_eq!(parsed("0x10", I32), Some([16, 0]));
        assert_eq!(parsed("-0x8000000000000000", I64), Some([1 << 63, 0]));
        assert_eq!(parsed("1.5", F64), Some([0x3ff8 << 48, 0]));
        assert_eq!(parsed("-inf", F32), Some([0xff80_0000, 0]));
        assert_eq!(parsed("18446744073709551617", V128), Some([1, 1]));
        for (text, param) in [
            ("4294967296", I32),
            ("-2147483649", I32),
            ("", I32),
            ("-", I64),
            ("--1", I64),
            ("0x", I64),
            ("0x+1", I64),
            ("1.5", I64),
            ("x", F64),
            ("-1", V128),
            ("0", FuncRef),
        ] {
            assert_eq!(parsed(text, param), None, "{text}");
        }
        assert_eq!(parse(b"\xff", I32 as u8), None);
    }

    #[test]
    fn results_are_printed_as_wasmtime_does() {
        let shown = |low, high, result: ValueType| {
            let mut report = Report::new(Stream::Output);
            print(&mut report, [low, high], result as u8);
            String::from_utf8(report.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(shown(0xffff_ffff, 0, I32), "-1");
        assert_eq!(shown(u64::MAX, 0, I64), "-1");
        assert_eq!(shown(0x4048_f5c3, 0, F32), "3.14");
        assert_eq!(shown(0x7ff8 << 48, 0, F64), "NaN");
        assert_eq!(shown(0, 1, V128), "18446744073709551616");
        assert_eq!(shown(0, 0, FuncRef), "<null funcref>");
        assert_eq!(shown(1, 0, ExternRef), "<externref>");
    }

    #[test]
    fn wrong_counts_are_described() {
        use crate::testing::InvokeTest;
        let shown = |params: &[ValueType], given| {
            let mut report = Report::new(Stream::Error);
            describe_count(&mut report, InvokeTest::plan("add", params), given);
            String::from_utf8(report.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(shown(&[I32, F64], 1), "add takes 2 arguments (i32, f64), not 1");
        assert_eq!(shown(&[I32], 0), "add takes 1 argument (i32), not 0");
        assert_eq!(shown(&[], 1), "add takes 0 arguments, not 1");
    }
}
