//! The table of conformance in README.md: written from the counts of a complete run with `BLESS=1`, compared with them
//! otherwise.

use std::collections::BTreeSet;
use std::fs;

use crate::configuration::{CONFIGURATIONS, Configuration, Way};
use crate::outcome::Reason;
use crate::summary::{Counts, Summary};
use crate::support;

/// Lines between which the table stands.
const BEGIN: &str = "<!-- conformance: written by `BLESS=1 cargo test --release --test spec` -->";
const END: &str = "<!-- end of conformance -->";

/// Rows: what a reader calls it, and the suites of the package that it is made of.
const ROWS: &[(&str, &[&str])] = &[
    ("WebAssembly 1.0", &["wasm-v1"]),
    ("WebAssembly 2.0", &["wasm-v2"]),
    ("WebAssembly 3.0", &["wasm-v3"]),
    ("WebAssembly, latest", &["wasm-latest"]),
    ("SIMD", &["simd"]),
    ("relaxed SIMD", &["relaxed-simd"]),
    ("multi-memory", &["multi-memory"]),
    ("memory64", &["memory64"]),
    ("tail calls", &["tail-call"]),
    ("typed function references", &["function-references"]),
    ("exceptions", &["exceptions"]),
    ("threads", &["threads"]),
    ("wide arithmetic", &["wide-arithmetic"]),
    ("custom page sizes", &["custom-page-sizes"]),
    ("extended constants", &["extended-const"]),
    (
        "proposals that became 2.0",
        &[
            "bulk-memory",
            "multi-value",
            "mutable-global",
            "nontrapping-float-to-int-conversions",
            "reference-types",
            "sign-extension-ops",
        ],
    ),
    ("annotations", &["annotations"]),
    ("GC, custom descriptors", &["gc", "custom-descriptors"]),
    ("newest official files: 64-bit tables, legacy exceptions", &["newest"]),
    ("this project's: legacy exceptions, edges of memories, threads", &["wasmelt"]),
];

/// Assertions about threads and shared memories, which `wasm.h` knows nothing of: the C interface cannot make them.
const NOT_THROUGH_C: usize = 7;

/// Writes or compares the table, when every one of these files ran in every configuration.
pub(crate) fn check(summary: &Summary, files: usize) -> Result<(), String> {
    let results = CONFIGURATIONS.each_ref().map(|configuration| (configuration, summary.of(configuration)));
    let (through_c, results): (Vec<_>, Vec<_>) =
        results.into_iter().partition(|(configuration, _)| configuration.way == Way::C);
    let is_complete = |configuration: &Configuration, counts: &Counts| match configuration.system {
        None => counts.files == files,
        // Where there is nothing that runs it, or a sample is all there is, the counts of the others stand.
        Some(_) => configuration.cannot_run().is_some() || configuration.is_sample() || counts.files == files,
    };
    if !results.iter().all(|(configuration, (total, _))| is_complete(configuration, total)) {
        return Ok(());
    }
    let results = results.iter().filter(|(_, (total, _))| total.files == files).collect::<Vec<_>>();
    let of_way = |libraries: bool| {
        results.iter().filter(move |(c, _)| (c.way == Way::Libraries) == libraries).map(|(_, result)| result)
    };
    for libraries in [true, false] {
        let distinct = of_way(libraries).skip(1).any(|result| Some(result) != of_way(libraries).next());
        if distinct {
            return Err("the configurations of one way differ in their counts, see above".to_owned());
        }
    }
    let (Some(as_libraries), Some(as_executables)) = (of_way(true).next(), of_way(false).next()) else {
        return Err("there is no configuration of some way".to_owned());
    };
    for (configuration, (total, _)) in through_c.iter().filter(|(_, (total, _))| total.files == files) {
        if total.passed + NOT_THROUGH_C != as_libraries.0.passed {
            let (name, passed, expected) = (configuration.name, total.passed, as_libraries.0.passed);
            return Err(format!(
                "{name}: {passed} assertions passed, {NOT_THROUGH_C} less than {expected} were expected"
            ));
        }
    }
    let known: BTreeSet<&str> = ROWS.iter().flat_map(|(_, suites)| suites.iter().copied()).collect();
    if let Some(suite) = as_libraries.1.keys().find(|suite| !known.contains(suite.as_str())) {
        return Err(format!("README.md has no row for the suite `{suite}`"));
    }
    let mut table = String::from(
        "| suite | files | modules | not run: GC, limits | assertions passed | failed | superseded | not run: GC | passed as \
         executables | of them in files linked whole |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (title, suites) in ROWS {
        let sum = |counts: &std::collections::BTreeMap<String, Counts>| {
            let mut sum = Counts::default();
            suites.iter().filter_map(|suite| counts.get(*suite)).for_each(|counts| sum.add(counts));
            sum
        };
        table += &row(title, &sum(&as_libraries.1), &sum(&as_executables.1));
    }
    table += &row("all, each file once", &as_libraries.0, &as_executables.0);
    table += &not_run_as_executables(&as_executables.0);
    write_or_compare(&table)
}

fn row(title: &str, as_libraries: &Counts, as_executables: &Counts) -> String {
    let Counts { files, modules, modules_not_run, passed, failed, expected, superseded, not_run, .. } = as_libraries;
    let proposals = not_run.get(&Reason::Proposal).copied().unwrap_or(0);
    let others = not_run.values().sum::<usize>() - proposals;
    let not_run =
        if others == 0 { grouped(proposals) } else { format!("{} + {}", grouped(proposals), grouped(others)) };
    let cells = [*files, *modules, *modules_not_run, *passed, failed + expected, *superseded].map(grouped).join(" | ");
    let [passed, linked] = [as_executables.passed, as_executables.linked].map(grouped);
    format!("| {title} | {cells} | {not_run} | {passed} | {linked} |\n")
}

/// How many files are linked whole, and why assertions are not run as executables, as text below the table.
fn not_run_as_executables(counts: &Counts) -> String {
    let reasons = counts.not_run.iter().map(|(reason, &count)| format!("{reason} {}", grouped(count)));
    let reasons = Vec::from_iter(reasons).join(", ");
    format!("\nLinked whole: {} files. Assertions not run as executables: {reasons}.\n", counts.linked_files)
}

/// A number with separators.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn write_or_compare(table: &str) -> Result<(), String> {
    let path = support::repository().join("README.md");
    let text = fs::read_to_string(&path).map_err(|e| format!("README.md: {e}"))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?)));
    let Some((before, (old, after))) = parts else {
        return Err(format!("README.md: there is no `{BEGIN}` before `{END}`"));
    };
    let new = format!("\n{table}");
    if old == new {
        return Ok(());
    }
    if !support::switch("BLESS") {
        return Err(format!("README.md is out of date, BLESS=1 writes:\n{table}"));
    }
    fs::write(&path, format!("{before}{BEGIN}{new}{END}{after}")).map_err(|e| format!("README.md: {e}"))
}
