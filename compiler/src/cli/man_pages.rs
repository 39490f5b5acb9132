//! `wasmelt man-pages`: the manual pages, one for each command.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::Cli;
use crate::error::{Error, Result};

/// Write the manual pages: `man -l DIR/wasmelt-compile.1` shows one
#[derive(Args, Debug)]
pub(super) struct ManPagesArgs {
    /// Folder to write them to, one file for each command; made where it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Does it.
pub(super) fn execute(args: &ManPagesArgs) -> Result<()> {
    fs::create_dir_all(&args.folder)
        .map_err(|e| Error::io(format!("cannot create the folder {}", args.folder.display()), &e))?;
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .map_err(|e| Error::io(format!("cannot write manual pages to {}", args.folder.display()), &e))
}
