//! Options of `wasmtime run` and `wasmtime compile` that have no counterpart here. They are parsed, so that they are not
//! taken for the module, and answered by name.

use clap::Args;

use super::{Asked, GroupParser, RECORD, apply};
use crate::error::{Error, Result};

/// What `--help` does not show.
#[derive(Args, Debug)]
pub(in crate::cli) struct ForeignArgs {
    #[arg(long, value_name = "STRATEGY", hide = true)]
    profile: Vec<String>,

    #[arg(long, hide = true)]
    allow_precompiled: bool,

    #[arg(long, value_name = "FILE", hide = true)]
    config: Vec<String>,

    #[arg(long, value_name = "[ADDR:]PORT", hide = true)]
    gdbstub: Vec<String>,

    #[arg(long, value_name = "PATH", hide = true)]
    emit_clif: Vec<String>,

    #[arg(short = 'R', long, value_name = "KEY[=VALUE],..", value_parser = GroupParser(&RECORD), hide = true)]
    record: Vec<String>,
}

impl ForeignArgs {
    /// Refuses or records the options.
    pub(in crate::cli) fn apply(&self, asked: &mut Asked) -> Result<()> {
        let refused: [(&[String], &str, &str); 3] = [
            (&self.config, "--config", "`--policy FILE` reads capabilities and limits from a file"),
            (&self.gdbstub, "--gdbstub", "gdb and lldb debug the executable itself: `-g` writes what they need"),
            (&self.emit_clif, "--emit-clif", "`wasmelt compile --emit clif` writes it to one file"),
        ];
        for (values, name, why) in refused {
            if !values.is_empty() {
                return Err(Error::usage(format!("`{name}` of wasmtime is not supported")).hint(why));
            }
        }
        for strategy in &self.profile {
            match strategy.as_str() {
                "perfmap" | "jitdump" | "vtune" => asked.notes.push(format!(
                    "`--profile {strategy}` changes nothing: profilers read the executable's own symbols"
                )),
                _ => {
                    return Err(Error::usage(format!("`--profile {strategy}` of wasmtime is not supported"))
                        .hint("`perf record` and other profilers work on the executable, whose symbols they read"));
                }
            }
        }
        if self.allow_precompiled {
            let why = "`--allow-precompiled` changes nothing: files of `wasmtime compile` are not taken";
            asked.notes.push(why.to_owned());
        }
        self.record.iter().try_for_each(|list| apply(asked, &RECORD, list))
    }
}
