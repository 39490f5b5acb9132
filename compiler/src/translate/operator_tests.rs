//! Every operator that is accepted is translated, and compiles for every kind of CPU.
//!
//! wasmparser's list of operators comes in; a module is made for each that [`crate::features::FEATURES`] supports. Most
//! modules are derived from the operator's name and arity, with the first operand types that validate; [`BY_HAND`] has
//! the others. An operator that is new in wasmparser, or a proposal that is switched on before it is translated, fails
//! here.

use std::collections::BTreeSet;

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName, LibCall};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable as _, Flags};
use cranelift_codegen::{CompiledCode, Context, FinalizedRelocTarget};
use cranelift_frontend::FunctionBuilderContext;
use target_lexicon::Triple;
use wasmparser::WasmFeatures;

use super::{FuncEnv, Shape, translate_function};
use crate::features::{FEATURES, default_features, operator_name};
use crate::module;
use crate::options::{Options, Stops};
use crate::program::Program;

/// One line of wasmparser's list.
struct Listed {
    name: &'static str,
    proposal: &'static str,
    visit: &'static str,
    /// Number of operands and results, where it does not depend on immediates.
    arity: Option<(usize, usize)>,
    immediates: &'static [&'static str],
}

macro_rules! arity {
    (arity custom) => {
        None
    };
    (arity $params:literal -> $results:literal) => {
        Some(($params, $results))
    };
}

macro_rules! list {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        const OPERATORS: &[Listed] = &[$(Listed {
            name: stringify!($op),
            proposal: stringify!($proposal),
            visit: stringify!($visit),
            arity: arity!($($arity)*),
            immediates: &[$($(stringify!($arg)),*)?],
        }),*];
    };
}

wasmparser::for_each_operator!(list);

/// Operators that no valid module has.
const NEVER_VALID: &[&str] = &["TypedSelectMulti"];

/// Modules for operators whose immediates or types do not follow from the list: the operators, and fields of a module
/// whose export `f` uses them. The same operator may occur more than once: where it is translated in several ways.
#[rustfmt::skip]
const BY_HAND: &[(&[&str], &str)] = &[
    (&["Unreachable"], r#"(func (export "f") unreachable)"#),
    (&["Nop", "End", "Return"], r#"(func (export "f") nop return)"#),
    (&["Block", "Br"], r#"(func (export "f") (result i32) block (result i32) i32.const 1 br 0 end)"#),
    (&["Loop", "BrIf"], r#"(func (export "f") (param i32) loop local.get 0 br_if 0 end)"#),
    (&["If", "Else"], r#"(func (export "f") (param i32) (result i64)
        local.get 0 if (result i64) i64.const 1 else i64.const 2 end)"#),
    (&["BrTable"], r#"(func (export "f") (param i32) (result i32)
        block (result i32) i32.const 7 local.get 0 br_table 0 1 0 end)"#),
    (&["Call"], r#"(func $g (param i32) (result i32) local.get 0) (func (export "f") (result i32) i32.const 1 call $g)"#),
    (&["ReturnCall"], r#"(func $g (result i32) i32.const 1) (func (export "f") (result i32) return_call $g)"#),
    (&["CallIndirect"], r#"(type $t (func (param i32) (result i32))) (table 2 2 funcref) (elem (i32.const 0) $g)
        (func $g (type $t) local.get 0) (func (export "f") (param i32) (result i32)
        i32.const 1 local.get 0 call_indirect (type $t))"#),
    (&["ReturnCallIndirect"], r#"(type $t (func (param i32) (result i32))) (table 2 2 funcref) (elem (i32.const 0) $g)
        (func $g (type $t) local.get 0) (func (export "f") (param i32) (result i32)
        i32.const 1 local.get 0 return_call_indirect (type $t))"#),
    (&["CallIndirect", "TableGrow", "RefNull"], r#"(type $t (func)) (table 1 funcref)
        (func (export "f") (result i32)
        i32.const 0 call_indirect (type $t) ref.null func i32.const 1 table.grow 0)"#),
    (&["Drop"], r#"(func (export "f") (param i32) local.get 0 drop)"#),
    (&["Select"], r#"(func (export "f") (param v128 v128 i32) (result v128)
        local.get 0 local.get 1 local.get 2 select)"#),
    (&["TypedSelect"], r#"(func (export "f") (param externref i32) (result externref)
        local.get 0 ref.null extern local.get 1 select (result externref))"#),
    (&["LocalGet", "LocalSet", "LocalTee"], r#"(func (export "f") (param i32) (result i32) (local v128 f32)
        local.get 0 local.set 0 local.get 0 local.tee 0)"#),
    (&["GlobalGet", "GlobalSet"], r#"(global $a (mut v128) (v128.const i64x2 1 2)) (global $b (mut f64) (f64.const 1))
        (global $c i64 (i64.const 3)) (func (export "f") (result i64)
        global.get $a global.set $a global.get $b global.set $b global.get $c)"#),
    (&["MemorySize", "MemoryGrow"], r#"(memory 1) (memory $m 1) (func (export "f") (result i32)
        memory.size memory.grow memory.size $m memory.grow $m i32.add)"#),
    (&["MemoryInit", "DataDrop"], r#"(memory 1) (data $d "abc") (func (export "f")
        i32.const 0 i32.const 0 i32.const 3 memory.init $d data.drop $d)"#),
    (&["MemoryCopy", "MemoryFill"], r#"(memory 1) (memory $m 1) (func (export "f") (param i32 i32 i32)
        local.get 0 local.get 1 local.get 2 memory.copy local.get 0 local.get 1 local.get 2 memory.copy $m 0
        local.get 0 local.get 1 local.get 2 memory.fill)"#),
    (&["RefNull", "RefIsNull", "RefFunc"], r#"(func (export "f") (result i32 i32)
        ref.null extern ref.is_null ref.func 0 ref.is_null)"#),
    (&["TableGet", "TableSize"], r#"(table 2 2 funcref) (elem (i32.const 0) $g) (func $g)
        (func (export "f") (param i32) (result funcref i32) local.get 0 table.get 0 table.size 0)"#),
    (&["TableGet", "TableSet", "TableGrow", "TableSize"], r#"(table 2 externref)
        (func (export "f") (param i32) (result i32 i32)
        local.get 0 local.get 0 table.get 0 table.set 0 ref.null extern local.get 0 table.grow 0 table.size 0)"#),
    (&["TableInit", "ElemDrop"], r#"(table 2 funcref) (elem $e func 0) (func (export "f")
        i32.const 0 i32.const 0 i32.const 1 table.init $e elem.drop $e)"#),
    (&["TableFill", "TableCopy"], r#"(table 2 funcref) (table $b 2 funcref) (func (export "f") (param i32)
        local.get 0 ref.null func local.get 0 table.fill 0
        local.get 0 local.get 0 local.get 0 table.copy $b 0)"#),
    // Indices of 64 bits.
    (&["MemoryGrow", "MemoryCopy", "TableGet"], r#"(memory i64 1) (table i64 2 externref)
        (func (export "f") (param i64 v128) (result v128 externref i64)
        local.get 0 local.get 1 v128.load8_lane offset=0x100000000 3 local.get 0 table.get 0
        local.get 0 local.get 0 local.get 0 memory.copy local.get 0 memory.grow)"#),
    (&["I64Add128", "I64Sub128"], r#"(func (export "f") (param i64 i64 i64 i64) (result i64 i64)
        local.get 0 local.get 1 local.get 2 local.get 3 i64.add128 local.get 0 local.get 1 i64.sub128)"#),
    (&["I64MulWideS", "I64MulWideU"], r#"(func (export "f") (param i64 i64) (result i64 i64)
        local.get 0 local.get 1 i64.mul_wide_s i64.mul_wide_u)"#),
    (&["CallRef"], r#"(type $t (func (param v128) (result v128)))
        (func $g (param (ref null $t) v128) (result v128) local.get 1 local.get 0 call_ref $t)
        (func (export "f") (param v128) (result v128) ref.null $t local.get 0 call $g)"#),
    (&["ReturnCallRef"], r#"(type $t (func (param v128) (result v128)))
        (func $g (param (ref null $t) v128) (result v128) local.get 1 local.get 0 return_call_ref $t)
        (func (export "f") (param v128) (result v128) ref.null $t local.get 0 call $g)"#),
    (&["RefAsNonNull", "BrOnNull", "BrOnNonNull"], r#"(func (export "f") (param externref) (result (ref extern))
        local.get 0 br_on_non_null 0 block local.get 0 br_on_null 0 ref.as_non_null return end unreachable)"#),
    // A memory that lies elsewhere.
    (&["MemoryAtomicWait32", "MemoryAtomicWait64", "MemoryAtomicNotify"], r#"(import "a" "b" (memory 1 2 shared))
        (func (export "f") (param i32 i32 i64) (result i32)
        local.get 0 local.get 1 i32.atomic.rmw8.xor_u offset=5
        memory.size memory.grow local.get 1 i32.store local.get 0 local.get 1 local.get 2 memory.atomic.wait32
        local.get 0 local.get 2 local.get 2 memory.atomic.wait64 offset=8 memory.atomic.notify i32.add)"#),
    (&["Throw"], r#"(tag $e (param i32 v128)) (func (export "f") (param v128) i32.const 1 local.get 0 throw $e)"#),
    (&["TryTable", "ThrowRef"], r#"(tag $e (param i32 v128)) (func $g)
        (func (export "f") (result i32) block $h (result i32 v128 exnref) block (result exnref)
        try_table (catch_ref $e $h) (catch_all_ref 0) call $g end unreachable end throw_ref end drop drop)"#),
    (&["Try", "Catch", "CatchAll", "Rethrow"], r#"(tag $e (param i32 v128)) (func $g)
        (func (export "f") (result i32) try (result i32) call $g i32.const 1 catch $e drop catch_all rethrow 0 end)"#),
    (&["Try", "Delegate"], r#"(func $g) (func (export "f") try try call $g delegate 0 catch_all end)"#),
];

const V2: &[&str] = &["x86-64-v2"];
// Cranelift's name for a level leaves out what the level's features imply.
const V3: &[&str] = &["x86-64-v3", "has_avx"];
const V3_VNNI: &[&str] = &["x86-64-v3", "has_avx", "has_avx_vnni"];
const V4: &[&str] = &["x86-64-v4", "has_avx", "has_avx512f"];

impl Listed {
    fn is_supported(&self) -> bool {
        if self.proposal == "mvp" {
            return true;
        }
        let name = self.proposal.replace('_', "-");
        let feature = FEATURES.iter().find(|f| f.name == name);
        feature.unwrap_or_else(|| panic!("{}: no proposal `{name}` in the table of features", self.name)).supported
    }

    /// A valid module with a function `f` that gives the operator's results for operands of its parameters.
    fn derived_module(&self) -> Option<Vec<u8>> {
        let (params, results) = self.arity?;
        let text = operator_name(self.visit);
        let immediates = match self.immediates {
            [] | ["memarg"] => "",
            ["lane"] | ["memarg", "lane"] => "1",
            ["lanes"] => "0 31 2 29 4 27 6 25 8 23 10 21 12 19 14 17",
            ["value"] if self.name == "V128Const" => "i32x4 1 2 3 4",
            ["value"] => "1",
            _ => return None,
        };
        let operands: String = (0..params).map(|i| format!("local.get {i} ")).collect();
        type_lists(params).find_map(|params| {
            type_lists(results).find_map(|results| {
                let (params, results) = (params.join(" "), results.join(" "));
                let function = format!("(func (export \"f\") (param {params}) (result {results})");
                let wasm = wat::parse_str(format!("(module (memory 1) {function} {operands} {text} {immediates}))"));
                wasm.ok().filter(|wasm| module::parse(wasm, supported_features()).is_ok())
            })
        })
    }
}

/// All lists of `len` number or vector types.
fn type_lists(len: usize) -> impl Iterator<Item = Vec<&'static str>> {
    const TYPES: [&str; 5] = ["v128", "i32", "i64", "f32", "f64"];
    (0..TYPES.len().pow(len as u32)).map(move |n| (0..len).map(|i| TYPES[n / TYPES.len().pow(i as u32) % 5]).collect())
}

/// Compiles all functions of a module that can be reached from its export `f`; the library calls that are in the code.
fn compile(wasm: &[u8], isa: &OwnedTargetIsa, shape: Shape) -> BTreeSet<String> {
    let functions = compile_functions(wasm, isa, shape);
    let relocs = functions.iter().flat_map(|code| code.buffer.relocs());
    let calls = relocs.filter_map(|reloc| match reloc.target {
        FinalizedRelocTarget::ExternalName(ExternalName::LibCall(call)) => Some(call.to_string()),
        _ => None,
    });
    calls.collect()
}

fn compile_functions(wasm: &[u8], isa: &OwnedTargetIsa, shape: Shape) -> Vec<CompiledCode> {
    let options = options(isa.triple().clone());
    let module = module::parse(wasm, options.features).expect("the module is valid");
    let program = match shape {
        Shape::Single => Program::single(module, &options),
        Shape::Many => Program::library(module, &options),
    };
    let program = program.expect("the module can be planned");
    let instance = program.main();
    let env = FuncEnv {
        program: &program,
        index: program.entry.instance,
        instance,
        isa: &**isa,
        shape,
        spectre_mitigations: true,
        stops: Stops::default(),
        raises_traps: false,
        relaxed_simd_deterministic: isa.flags().enable_nan_canonicalization(),
        guide: None,
        peepholes: true,
        address_sums: true,
    };
    let compile = |&func: &_| {
        let mut context = Context::new();
        context.set_disasm(true);
        translate_function(env, func, &mut FunctionBuilderContext::new(), &mut context.func)
            .unwrap_or_else(|e| panic!("not translated: {e}"));
        let text = context.func.display().to_string();
        if let Err(e) = context.compile(&**isa, &mut ControlPlane::default()) {
            panic!("not compiled: {:?}\n{text}", e.inner);
        }
        context.take_compiled_code().expect("the function was compiled")
    };
    instance.live.iter().map(compile).collect()
}

fn supported_features() -> WasmFeatures {
    FEATURES.iter().filter(|f| f.supported).fold(default_features(), |all, f| all | f.flag)
}

fn options(target: Triple) -> Options {
    Options { target, features: supported_features(), invoke: Some("f".to_owned()), threads: 1, ..Options::default() }
}

fn isa(triple: &str, cpu: &[&str], flags: &[(&str, &str)]) -> OwnedTargetIsa {
    let mut builder = settings::builder();
    let always = [("enable_pinned_reg", "true"), ("preserve_frame_pointers", "true"), ("enable_verifier", "true")];
    for (name, value) in always.iter().chain(flags) {
        builder.set(name, value).expect("the setting exists");
    }
    let mut isa = isa::lookup(triple.parse().expect("the triple is well-formed")).expect("the target is built in");
    for feature in cpu {
        isa.enable(feature).expect("the CPU feature exists");
    }
    isa.finish(Flags::new(builder)).expect("the settings fit together")
}

const X86_64: &str = "x86_64-unknown-linux-gnu";
const AARCH64: &str = "aarch64-unknown-linux-gnu";

/// Modules for all supported operators, each with the operator's name.
fn modules() -> Vec<(String, Vec<u8>)> {
    let mut modules = Vec::new();
    for (operators, fields) in BY_HAND {
        let wasm = wat::parse_str(format!("(module {fields})")).unwrap_or_else(|e| panic!("{operators:?}: {e}"));
        modules.push((operators.join(", "), wasm));
    }
    for op in OPERATORS.iter().filter(|op| op.is_supported() && !NEVER_VALID.contains(&op.name)) {
        if BY_HAND.iter().any(|(operators, _)| operators.contains(&op.name)) {
            continue;
        }
        let wasm = op.derived_module();
        modules.push((op.name.to_owned(), wasm.unwrap_or_else(|| panic!("no module for the operator {}", op.name))));
    }
    modules
}

/// Compiles the modules of all operators for one target and shape; the library calls that occur.
fn compile_all(modules: &[(String, Vec<u8>)], isa: &OwnedTargetIsa, shape: Shape) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for (name, wasm) in modules {
        // Captured by the test harness: shown for the operator that fails.
        eprintln!("{name} for {} {shape:?}", isa.triple());
        calls.extend(compile(wasm, isa, shape));
    }
    calls
}

#[test]
fn every_accepted_operator_is_translated_for_every_target() {
    let modules = modules();
    for opt_level in ["none", "speed"] {
        let flags: &[_] = &[("opt_level", opt_level)];
        let same_everywhere: &[_] = &[("opt_level", opt_level), ("enable_nan_canonicalization", "true")];
        let targets = [
            isa(X86_64, V2, flags),
            isa(X86_64, V3, flags),
            isa(X86_64, V4, flags),
            isa(X86_64, V3_VNNI, flags),
            isa(X86_64, V3, same_everywhere),
            isa(AARCH64, &[], flags),
            isa(AARCH64, &["has_dotprod"], flags),
            isa(AARCH64, &[], same_everywhere),
        ];
        for target in targets {
            for shape in [Shape::Single, Shape::Many] {
                let calls = compile_all(&modules, &target, shape);
                assert_eq!(calls, BTreeSet::new(), "no operator needs a library call");
            }
        }
    }
}

#[test]
fn the_oldest_x86_64_needs_calls_for_rounding_only() {
    let expected = [
        LibCall::CeilF32,
        LibCall::CeilF64,
        LibCall::FloorF32,
        LibCall::FloorF64,
        LibCall::TruncF32,
        LibCall::TruncF64,
        LibCall::NearestF32,
        LibCall::NearestF64,
    ];
    let (modules, oldest) = (modules(), isa(X86_64, &[], &[("opt_level", "speed")]));
    let calls = compile_all(&modules, &oldest, Shape::Single);
    assert_eq!(calls, expected.iter().map(ToString::to_string).collect());
    assert_eq!(compile_all(&modules, &oldest, Shape::Many), BTreeSet::new(), "libraries call through their context");
}

/// The code generator makes one instruction of these only in the very form that the translation gives them.
#[test]
fn vector_operators_become_the_instructions_made_for_them() {
    let v3 = isa(X86_64, V3, &[("opt_level", "speed")]);
    let vnni = isa(X86_64, V3_VNNI, &[("opt_level", "speed")]);
    let arm = isa(AARCH64, &["has_dotprod"], &[("opt_level", "speed")]);
    let cases = [
        (&v3, "local.get 0 local.get 1 f32x4.pmin", "vminps"),
        (&v3, "local.get 0 local.get 1 f64x2.pmax", "vmaxpd"),
        (&v3, "local.get 0 local.get 1 i32x4.dot_i16x8_s", "vpmaddwd"),
        (&v3, "local.get 0 local.get 1 i64x2.extmul_high_i32x4_u", "vpmuludq"),
        (&v3, "local.get 0 i16x8.extadd_pairwise_i8x16_u", "vpmaddubsw"),
        (&v3, "local.get 0 i32x4.trunc_sat_f64x2_s_zero", "vcvttpd2dq"),
        (&v3, "local.get 0 f64x2.convert_low_i32x4_s", "vcvtdq2pd"),
        (&v3, "local.get 0 local.get 1 local.get 0 local.get 1 i32x4.gt_s v128.bitselect", "vpmaxsd"),
        (&v3, "local.get 0 local.get 1 local.get 0 local.get 1 f32x4.lt v128.bitselect", "vpblendvb"),
        (&v3, "local.get 0 local.get 1 v128.not v128.and", "vpandn"),
        (&v3, "i32.const 0 v128.load32_splat", "vbroadcastss"),
        (&v3, "i32.const 0 v128.load64_zero", "vmovsd"),
        (&v3, "local.get 0 local.get 1 i8x16.relaxed_swizzle", "vpshufb"),
        (&v3, "local.get 0 i32x4.relaxed_trunc_f64x2_s_zero", "vcvttpd2dq"),
        (&v3, "local.get 0 local.get 1 local.get 0 f32x4.relaxed_nmadd", "vfnmadd"),
        (&v3, "local.get 0 local.get 1 local.get 0 i64x2.relaxed_laneselect", "vblendvpd"),
        (&v3, "local.get 0 local.get 1 f32x4.relaxed_max", "vmaxps"),
        (&v3, "local.get 0 local.get 1 i16x8.relaxed_q15mulr_s", "vpmulhrsw"),
        (&v3, "local.get 0 local.get 1 i16x8.relaxed_dot_i8x16_i7x16_s", "vpmaddubsw"),
        (&vnni, "local.get 0 local.get 1 local.get 0 i32x4.relaxed_dot_i8x16_i7x16_add_s", "vpdpbusd"),
        (&arm, "local.get 0 local.get 1 local.get 0 i32x4.relaxed_dot_i8x16_i7x16_add_s", "sdot"),
        (&arm, "local.get 0 local.get 1 i64x2.extmul_high_i32x4_u", "umull2"),
    ];
    for (isa, body, instruction) in cases {
        let text = format!("(module (memory 1) (func (export \"f\") (param v128 v128) (result v128) {body}))");
        let functions = compile_functions(&wat::parse_str(text).expect("the body is valid"), isa, Shape::Single);
        let listing = functions[0].vcode.as_deref().unwrap_or_default();
        assert!(listing.contains(instruction), "`{body}` without `{instruction}`:\n{listing}");
    }
}

/// An atomic access is an atomic instruction, and no access is moved across it or left out.
#[test]
fn atomic_operators_become_atomic_instructions() {
    let v3 = isa(X86_64, V3, &[("opt_level", "speed")]);
    let arm = isa(AARCH64, &[], &[("opt_level", "speed")]);
    let cases = [
        (&v3, "local.get 0 local.get 1 i32.atomic.rmw.add", "lock xaddl"),
        (&v3, "local.get 0 local.get 1 i32.atomic.rmw8.add_u", "lock xaddb"),
        (&v3, "local.get 0 local.get 1 i32.atomic.rmw16.add_u drop i32.const 0", "lock addw"),
        (&v3, "local.get 0 local.get 1 i32.atomic.rmw16.xchg_u", "xchgw"),
        (&v3, "local.get 0 local.get 1 local.get 1 i32.atomic.rmw8.cmpxchg_u", "lock cmpxchgb"),
        (&v3, "local.get 0 local.get 1 local.get 1 i32.atomic.rmw.cmpxchg", "lock cmpxchgl"),
        (&v3, "local.get 0 local.get 1 i32.atomic.rmw8.xor_u", "atomically"),
        (&v3, "local.get 0 local.get 1 i32.atomic.store i32.const 0", "mfence"),
        (&v3, "atomic.fence i32.const 0", "mfence"),
        (&arm, "local.get 0 i32.atomic.load", "ldar"),
        (&arm, "local.get 0 local.get 1 i32.atomic.store8 i32.const 0", "stlrb"),
        // Two plain reads are one, and their difference nothing; with an atomic access in between they are two.
        (&v3, "local.get 0 i32.load local.get 1 i32.atomic.load drop local.get 0 i32.load i32.sub", "subl"),
        (&v3, "local.get 0 i32.load atomic.fence local.get 0 i32.load i32.sub", "subl"),
        (&v3, "memory.size memory.size i32.sub", "subl"),
    ];
    let listing = |isa: &OwnedTargetIsa, body: &str| {
        let memory = r#"(import "a" "b" (memory 1 2 shared))"#;
        let text = format!("(module {memory} (func (export \"f\") (param i32 i32) (result i32) {body}))");
        let functions = compile_functions(&wat::parse_str(text).expect("the body is valid"), isa, Shape::Single);
        functions[0].vcode.clone().unwrap_or_default()
    };
    for (isa, body, instruction) in cases {
        let found = listing(isa, body);
        assert!(found.contains(instruction), "`{body}` without `{instruction}`:\n{found}");
    }
    assert!(!listing(&v3, "local.get 0 i32.load local.get 0 i32.load i32.sub").contains("subl"));
}
