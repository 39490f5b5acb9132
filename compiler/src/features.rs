//! The one table of proposals: their names on the command line, whether wasmelt translates them, and whether they are
//! on by default. What is not accepted here fails validation with the proposal's name.

use wasmparser::WasmFeatures;

use crate::error::{Error, Result};

/// A proposal, or a group of operators that compilers switch on together.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Name for `-W`, as in wasmtime.
    pub name: &'static str,
    /// wasmparser's flag.
    pub flag: WasmFeatures,
    /// Whether wasmelt translates it.
    pub supported: bool,
    /// Whether it is on without `-W`.
    pub default_on: bool,
}

const fn on(name: &'static str, flag: WasmFeatures) -> Feature {
    Feature { name, flag, supported: true, default_on: true }
}

const fn off(name: &'static str, flag: WasmFeatures) -> Feature {
    Feature { name, flag, supported: true, default_on: false }
}

const fn unsupported(name: &'static str, flag: WasmFeatures) -> Feature {
    Feature { name, flag, supported: false, default_on: false }
}

/// All proposals that wasmparser knows for core modules.
pub const FEATURES: &[Feature] = &[
    on("mutable-global", WasmFeatures::MUTABLE_GLOBAL),
    on("saturating-float-to-int", WasmFeatures::SATURATING_FLOAT_TO_INT),
    on("sign-extension", WasmFeatures::SIGN_EXTENSION),
    on("multi-value", WasmFeatures::MULTI_VALUE),
    on("bulk-memory", WasmFeatures::BULK_MEMORY),
    on("reference-types", WasmFeatures::REFERENCE_TYPES),
    on("extended-const", WasmFeatures::EXTENDED_CONST),
    on("simd", WasmFeatures::SIMD),
    on("relaxed-simd", WasmFeatures::RELAXED_SIMD),
    on("tail-call", WasmFeatures::TAIL_CALL),
    on("multi-memory", WasmFeatures::MULTI_MEMORY),
    on("memory64", WasmFeatures::MEMORY64),
    on("exceptions", WasmFeatures::EXCEPTIONS),
    on("legacy-exceptions", WasmFeatures::LEGACY_EXCEPTIONS),
    on("function-references", WasmFeatures::FUNCTION_REFERENCES),
    on("threads", WasmFeatures::THREADS),
    off("custom-page-sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    off("wide-arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    off("compact-imports", WasmFeatures::COMPACT_IMPORTS),
    unsupported("gc", WasmFeatures::GC),
    unsupported("memory-control", WasmFeatures::MEMORY_CONTROL),
    unsupported("stack-switching", WasmFeatures::STACK_SWITCHING),
    unsupported("shared-everything-threads", WasmFeatures::SHARED_EVERYTHING_THREADS),
    unsupported("custom-descriptors", WasmFeatures::CUSTOM_DESCRIPTORS),
    unsupported("component-model", WasmFeatures::COMPONENT_MODEL),
];

/// Flags of wasmparser that stand for no proposal: floats exist, and so does `externref`.
const ALWAYS: WasmFeatures = WasmFeatures::FLOATS.union(WasmFeatures::GC_TYPES);

/// What is accepted without any `-W`.
pub fn default_features() -> WasmFeatures {
    FEATURES.iter().filter(|f| f.default_on).fold(ALWAYS, |all, f| all | f.flag)
}

/// Applies one `-W` argument: `name`, `name=y` or `name=n`, several separated by commas.
pub fn parse_flag(features: &mut WasmFeatures, spec: &str) -> Result<()> {
    for part in spec.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, "y"));
        let enable = match value {
            "y" | "yes" | "true" => true,
            "n" | "no" | "false" => false,
            _ => return Err(Error::usage(format!("`-W {part}`: expected `y` or `n` after `=`, found `{value}`"))),
        };
        if matches!(name, "all-proposals" | "all") {
            FEATURES.iter().filter(|f| f.supported).for_each(|f| features.set(f.flag, enable));
            continue;
        }
        let feature = FEATURES.iter().find(|f| f.name == name).ok_or_else(|| {
            let known: Vec<_> = FEATURES.iter().filter(|f| f.supported).map(|f| f.name).collect();
            Error::usage(format!("`-W {name}`: no such proposal")).hint(format!("known are: {}", known.join(", ")))
        })?;
        if enable && !feature.supported {
            return Err(Error::usage(format!("`-W {name}`: this proposal is not supported yet")));
        }
        features.set(feature.flag, enable);
    }
    Ok(())
}

/// Turns an error of wasmparser into ours: what is off or unsupported is named, with the way out.
pub fn describe_error(error: &wasmparser::Error, accepted: WasmFeatures) -> Error {
    let missing = error.missing_wasm_feature().or_else(|| needed_by_message(error.message()));
    let feature =
        missing.and_then(|missing| FEATURES.iter().find(|f| f.flag.intersects(missing) && !accepted.contains(f.flag)));
    let at = format!("at offset 0x{:x}", error.offset());
    let message = with_operator_names(error.message());
    match feature {
        Some(f) if f.supported => Error::input(format!("{message} ({at})"))
            .hint(format!("the module uses `{0}`, which is switched off here: `-W {0}` switches it on", f.name)),
        Some(f) => Error::input(format!(
            "the module uses the proposal `{}`, which wasmelt does not support yet: {message} ({at})",
            f.name
        ))
        .hint("compile the module without this proposal: most compilers have a flag for each"),
        None => Error::input(format!("{message} ({at})")),
    }
}

/// A message of wasmparser, which names some operators by the function that visits them.
fn with_operator_names(message: &str) -> String {
    let words = message.split(' ').map(|word| match word.starts_with(VISIT) {
        true => operator_name(word),
        false => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Start of the names of functions that visit operators.
const VISIT: &str = "visit_";

/// The name of an operator in the text format, from the name of wasmparser's function that visits it.
pub(crate) fn operator_name(visitor: &str) -> String {
    const WITHOUT_DOT: &[&str] = &["br_", "call_", "return_call", "try_", "throw_ref", "catch_all"];
    let name = visitor.strip_prefix(VISIT).unwrap_or(visitor);
    if name.starts_with("typed_select") {
        return "select".to_owned();
    }
    if WITHOUT_DOT.iter().any(|start| name.starts_with(start)) {
        return name.to_owned();
    }
    let name = name.replacen('_', ".", 1).replace("atomic_", "atomic.");
    // The only operators with a third dot are `i32.atomic.rmw8.add_u` and the like.
    match name.split_once(".rmw") {
        Some((start, end)) => format!("{start}.rmw{}", end.replacen('_', ".", 1)),
        None => name,
    }
}

/// wasmparser reports some uses of a proposal as plain errors; this finds the proposal behind those.
fn needed_by_message(message: &str) -> Option<WasmFeatures> {
    const WORDS: &[(&str, WasmFeatures)] = &[
        ("GC proposal", WasmFeatures::GC),
        ("legacy exceptions", WasmFeatures::LEGACY_EXCEPTIONS),
        ("legacy_exceptions", WasmFeatures::LEGACY_EXCEPTIONS),
        ("exceptions", WasmFeatures::EXCEPTIONS),
        ("exception refs", WasmFeatures::EXCEPTIONS),
        ("memory64", WasmFeatures::MEMORY64),
        ("64-bit", WasmFeatures::MEMORY64),
        ("threads", WasmFeatures::THREADS),
        ("custom page size", WasmFeatures::CUSTOM_PAGE_SIZES),
        ("function references", WasmFeatures::FUNCTION_REFERENCES),
        ("gc ", WasmFeatures::GC),
        ("multi-memory", WasmFeatures::MULTI_MEMORY),
        ("multiple memories", WasmFeatures::MULTI_MEMORY),
        ("multiple tables", WasmFeatures::REFERENCE_TYPES),
    ];
    WORDS.iter().find(|(word, _)| message.contains(word)).map(|&(_, flag)| flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_operators_as_the_text_format_does() {
        let message = "constant expression required: non-constant operator: visit_local_get";
        assert_eq!(with_operator_names(message), "constant expression required: non-constant operator: local.get");
        let names = ["visit_nop", "visit_br_on_null", "visit_i64_atomic_rmw8_cmpxchg_u", "visit_typed_select_multi"];
        let expected = ["nop", "br_on_null", "i64.atomic.rmw8.cmpxchg_u", "select"];
        assert_eq!(names.map(operator_name), expected);
    }

    #[test]
    fn defaults_are_supported_and_flags_switch() {
        assert!(FEATURES.iter().all(|f| f.supported || !f.default_on));
        let mut features = default_features();
        parse_flag(&mut features, "simd=n,relaxed-simd=n").unwrap();
        assert!(!features.simd() && features.bulk_memory());
        parse_flag(&mut features, "simd").unwrap();
        assert!(features.simd());
        assert!(parse_flag(&mut features, "gc").is_err());
        assert!(parse_flag(&mut features, "nonsense").unwrap_err().to_string().contains("nonsense"));
        assert!(parse_flag(&mut features, "simd=maybe").is_err());
    }

    /// For each proposal, modules that need it in the ways that wasmparser checks one by one.
    #[rustfmt::skip]
    const NEEDS: &[(&str, &[&str])] = &[
        ("mutable-global", &[
            r#"(import "m" "g" (global (mut i32)))"#,
            r#"(global (export "g") (mut i32) (i32.const 0))"#,
        ]),
        ("saturating-float-to-int", &["(func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))"]),
        ("sign-extension", &["(func (param i32) (result i32) (i32.extend8_s (local.get 0)))"]),
        ("multi-value", &[
            "(func (result i32 i32) unreachable)",
            "(type (func (param i32))) (func (param i32) (local.get 0) (block (type 0) drop))",
        ]),
        ("bulk-memory", &[
            "(memory 1) (func (memory.copy (i32.const 0) (i32.const 0) (i32.const 0)))",
            "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
            r#"(memory 1) (data "x") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))"#,
            r#"(memory 1) (data "x") (func (data.drop 0))"#,
            "(table 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 0)))",
            r#"(data "x")"#,
            "(func) (elem func 0)",
        ]),
        ("reference-types", &[
            "(table 1 externref)",
            "(func (param externref))",
            "(table 1 funcref) (table 1 funcref)",
            "(func (drop (ref.null func)))",
            "(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))",
        ]),
        ("extended-const", &["(global i32 (i32.add (i32.const 1) (i32.const 2)))"]),
        ("simd", &[
            "(func (param v128))",
            "(func (drop (v128.const i64x2 0 0)))",
            "(global v128 (v128.const i64x2 0 0))",
        ]),
        ("relaxed-simd", &["(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))"]),
        ("tail-call", &["(func return_call 0)", "(table 1 funcref) (func (return_call_indirect (i32.const 0)))"]),
        ("multi-memory", &[
            "(memory 1) (memory 1)",
            r#"(import "m" "m" (memory 1)) (memory 1)"#,
            r#"(import "m" "m" (memory 1)) (import "m" "n" (memory 1))"#,
        ]),
        ("memory64", &["(memory i64 1)", "(table i64 1 funcref)", r#"(import "m" "m" (memory i64 1))"#]),
        ("exceptions", &[
            "(type (func)) (tag (type 0))",
            r#"(import "m" "t" (tag))"#,
            "(func (param exnref))",
            "(func (param (ref null noexn)))",
            "(func try_table end)",
            "(func (throw_ref (unreachable)))",
        ]),
        ("legacy-exceptions", &["(func try catch_all end)", "(func try delegate 0)"]),
        ("function-references", &[
            "(type $t (func)) (func (param (ref $t)))",
            "(func (param (ref func)))",
            "(type $t (func)) (func (param (ref null $t)) (call_ref $t (local.get 0)))",
            "(func (param funcref) (drop (ref.as_non_null (local.get 0))))",
            "(func (param funcref) (br_on_null 0 (local.get 0)) drop)",
            "(table 1 funcref (ref.null func))",
        ]),
        ("custom-page-sizes", &["(memory 1 (pagesize 1))"]),
        ("wide-arithmetic", &["(func (i64.mul_wide_s (i64.const 1) (i64.const 2)) drop drop)"]),
        ("threads", &[
            "(memory 1 1 shared)",
            "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))",
            "(func atomic.fence)",
        ]),
        ("gc", &[
            "(type (struct))",
            "(type (array i8))",
            "(type (struct (field (mut i32) i64)))",
            "(rec (type (func)) (type (func)))",
            "(rec)",
            "(type $t (func (param (ref null $t))))",
            "(rec (type $a (func (param (ref null $b)))) (type $b (func (param (ref null $a)))))",
            "(type (sub (func)))",
            "(type $a (sub (func))) (type (sub final $a (func)))",
            "(func (param anyref))",
            "(func (param eqref) (result structref) unreachable)",
            "(func (local i31ref))",
            "(func (local (ref null array)))",
            "(func (local nullref nullfuncref nullexternref))",
            "(global i31ref (ref.i31 (i32.const 1)))",
            "(table 1 i31ref)",
            "(func (drop (ref.null any)))",
            "(func (drop (ref.i31 (i32.const 1))))",
            "(func (param externref) (drop (any.convert_extern (local.get 0))))",
            "(func (param funcref) (drop (ref.test (ref func) (local.get 0))))",
            "(func (param funcref) (drop (ref.cast (ref func) (local.get 0))))",
            "(func (result funcref) (br_on_cast 0 funcref (ref func) (ref.null func)))",
            "(func (drop (ref.eq (unreachable))))",
            "(import \"m\" \"g\" (global (ref null eq)))",
            "(elem anyref)",
            "(func (block (result anyref) unreachable) drop)",
            "(func (drop (select (result anyref) (unreachable))))",
        ]),
        ("stack-switching", &["(type $f (func)) (type (cont $f))", "(func (param (ref null cont)))"]),
        ("shared-everything-threads", &["(global (shared i32) (i32.const 0))", "(table shared 1 funcref)"]),
        ("custom-descriptors", &["(type $t (func)) (func (param (ref null (exact $t))))"]),
        ("memory-control", &["(memory 1) (func (memory.discard (i32.const 0) (i32.const 0)))"]),
    ];

    /// Two functions under one module name: the proposal's first form, and the second, in which both have the same type.
    const COMPACT_IMPORTS: [&[u8]; 2] = [
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0e\x01\x01m\0\x7f\x02\x01a\0\0\x01b\0\0",
        b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0c\x01\x01m\0\x7e\0\0\x02\x01a\x01b",
    ];

    #[test]
    fn compact_imports_are_off_and_can_be_switched_on() {
        for wasm in COMPACT_IMPORTS {
            let error = crate::module::parse(wasm, default_features()).unwrap_err();
            assert!(error.hints()[0].ends_with("`-W compact-imports` switches it on"), "{error}, {:?}", error.hints());
            let mut features = default_features();
            parse_flag(&mut features, "compact-imports").unwrap();
            let module = crate::module::parse(wasm, features).unwrap();
            let names: Vec<_> = module.imports.iter().map(|import| (import.module, import.name)).collect();
            assert_eq!(names, [("m", "a"), ("m", "b")]);
            assert!(crate::report::features_used(wasm).unwrap().contains("compact-imports"));
        }
    }

    #[test]
    fn errors_name_the_proposal_that_is_missing() {
        let mut unnamed = Vec::new();
        for (name, modules) in NEEDS {
            let feature = FEATURES.iter().find(|f| f.name == *name).unwrap();
            let mut accepted = default_features() - feature.flag;
            // Proposals that this one stands on go with it.
            if *name == "simd" {
                accepted -= WasmFeatures::RELAXED_SIMD;
            }
            for fields in *modules {
                let wasm = wat::parse_str(format!("(module {fields})")).unwrap_or_else(|e| panic!("{fields}: {e}"));
                let Err(error) = crate::module::parse(&wasm, accepted) else {
                    unnamed.push(format!("{name}: {fields}: accepted"));
                    continue;
                };
                let named = if feature.supported {
                    error.hints().iter().any(|hint| hint.ends_with(&format!("`-W {name}` switches it on")))
                } else {
                    error.to_string().contains(&format!("the proposal `{name}`, which wasmelt does not support yet"))
                };
                if !named {
                    unnamed.push(format!("{name}: {fields}: {error}, {:?}", error.hints()));
                }
            }
        }
        assert!(unnamed.is_empty(), "not named:\n{}", unnamed.join("\n"));
    }
}
