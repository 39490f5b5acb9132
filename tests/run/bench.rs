//! `wasmelt bench` with an engine that many machines have: node runs the module with what the executable was granted, and
//! prints the same.

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::support;

pub(crate) fn trials() -> Vec<Trial> {
    vec![match support::find_program("node") {
        Some(_) => Trial::test("bench::node", node_prints_the_same),
        None => support::skipped("bench::node", "there is no node"),
    }]
}

fn node_prints_the_same() -> Result<(), Failed> {
    let examples = support::repository().join("examples");
    let mut command = support::wasmelt();
    command
        .args(["bench", "--runs", "2", "--json", "--dir"])
        .arg(format!("{}::data:ro", examples.join("data").display()));
    command.arg(examples.join("rust/wordfreq.wasm")).args(["--", "data", "5"]);
    let outcome = support::run(&mut command, b"")?.expect_code(0)?;
    let report: Value = serde_json::from_slice(&outcome.stdout)?;
    let rows = report["rows"].as_array().ok_or("there are no rows")?;
    for name in ["wasmelt", "node"] {
        let row = rows.iter().find(|row| row["name"] == name).ok_or_else(|| format!("there is no row for {name}"))?;
        let positive = |figure: &str| row["figures"][figure]["median"].as_f64().is_some_and(|median| median > 0.0);
        let all = ["wall", "peak_bytes", "page_faults"].into_iter().all(positive);
        if !row["note"].is_null() || row["figures"]["runs"] != 2 || !all {
            return Err(format!("{name}: {row}").into());
        }
    }
    Ok(())
}
