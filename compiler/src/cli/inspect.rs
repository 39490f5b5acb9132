//! `wasmelt inspect`: what a module, object or executable is, holds and may do.

use std::path::PathBuf;

use clap::Args;

use super::input::Input;
use super::print_text;
use crate::error::{Error, Result};
use crate::inspect::{self, Report};

/// Show what a module, object or executable holds and what it may do
#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// A module, or an object or executable that wasmelt made; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Print nothing but the capabilities that were granted
    #[arg(long)]
    policy: bool,
}

/// Does it.
pub(super) fn execute(args: &InspectArgs) -> Result<()> {
    let mut input = Input::open(&args.file)?;
    let bytes = input.read()?;
    let report = inspect::inspect(&bytes, &input.name)?;
    let text = if args.policy {
        let Report::Native(native) = &report else {
            return Err(Error::usage(format!(
                "{} is a module: capabilities are granted when it is compiled",
                input.name
            ))
            .hint("`--policy` shows those of an object or executable"));
        };
        let policy = &native.provenance.policy;
        if args.json { json(policy)? } else { inspect::policy_text(policy) }
    } else if args.json {
        json(&report)?
    } else {
        inspect::report_text(&report)
    };
    print_text(&text)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|e| Error::internal(format!("cannot write JSON: {e}")))
}
