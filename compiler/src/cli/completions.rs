//! `wasmelt completions`: scripts that complete wasmelt's command line in a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, print_text};
use crate::error::Result;

/// Print a script that completes wasmelt's command line
#[derive(Args, Debug)]
#[command(after_help = "For example: wasmelt completions bash > ~/.local/share/bash-completion/completions/wasmelt")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Does it.
pub(super) fn execute(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wasmelt", &mut script);
    print_text(&String::from_utf8_lossy(&script))
}
