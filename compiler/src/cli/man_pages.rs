//! `wasmelt man-pages`: the manual pages, for those who package wasmelt.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::Cli;
use crate::error::{Error, Result};

/// Write the manual pages
#[derive(Args, Debug)]
pub(super) struct ManPagesArgs {
    /// Folder to write them to, one file for each command
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Does it.
pub(super) fn execute(args: &ManPagesArgs) -> Result<()> {
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .map_err(|e| Error::io(format!("cannot write manual pages to {}", args.folder.display()), &e))
}
