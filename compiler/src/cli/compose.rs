//! `wasmelt compose`: a component and those that export what it imports, to one component.

use std::path::PathBuf;

use clap::Args;

use super::input::Input;
use super::print_note;
use crate::component;
use crate::error::{Error, Result};
use crate::options::{Emit, Plug};
use crate::output::Output;

/// Compose a component with others that export what it imports
#[derive(Args, Debug)]
pub(super) struct ComposeArgs {
    /// The component that imports, whose exports the result has; `-` is standard input
    #[arg(value_name = "INPUT")]
    input: PathBuf,

    /// A component that exports what the input, or another plug, imports
    #[arg(long = "plug", value_name = "PATH", required = true)]
    plugs: Vec<PathBuf>,

    /// Where the composed component goes; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Does it.
pub(super) fn execute(args: &ComposeArgs) -> Result<()> {
    let mut input = Input::open(&args.input)?;
    let sink = Output::create(&args.output, Emit::Obj, Some(&input.file))?;
    let bytes = input.read()?;
    let wasm = wat::parse_bytes(&bytes).map_err(|e| Error::input(format!("{}: {e}", input.name)))?;
    let composition = component::compose(&wasm, &input.name, &read(&args.plugs)?)?;
    sink.write(&composition.bytes)?;
    for name in composition.unmet {
        print_note(&format!("note: `{name}` is imported still: a component that exports it can be another `--plug`"));
    }
    Ok(())
}

/// The components of `--plug`.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Plug>> {
    let plugs = paths.iter().map(|path| {
        let mut input = Input::open(path)?;
        Ok(Plug { bytes: input.read()?, source_name: input.name })
    });
    plugs.collect()
}
