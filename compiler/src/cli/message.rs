//! `--color` and `--message-format`: how wasmelt's own messages look, for all commands. In JSON each message is one line
//! on standard error, an object whose `type` says what it is.

use std::ffi::OsString;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// Options of all commands.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output of wasmelt itself")]
pub(super) struct MessageArgs {
    /// Colours in messages and help: `auto` (the default) on a terminal, `always` or `never`
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto,
        hide_default_value = true, hide_possible_values = true)]
    color: Color,

    /// Messages and times on standard error: `human`, or `json` for one object on each line
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Human,
        hide_default_value = true, hide_possible_values = true)]
    message_format: Format,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Color {
    // On a terminal, unless `NO_COLOR` is set. Values have no help: it would make the help of each command a long one.
    Auto,
    Always,
    Never,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Human,
    Json,
}

/// A message as JSON.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message<'a> {
    Error { kind: &'a str, exit_code: u8, message: &'a str, hints: &'a [String] },
    Warning { message: &'a str, hints: &'a [String] },
    Note { message: &'a str },
    Time { stage: &'a str, ms: f64 },
}

/// What was chosen; people read where nothing was.
static FORMAT: OnceLock<Format> = OnceLock::new();

impl MessageArgs {
    /// Makes all messages from here on look as was asked for.
    pub(super) fn apply(&self) {
        match self.color {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
        // Nobody chooses twice.
        let _ = FORMAT.set(self.message_format);
    }

    /// The same from a command line that has errors: an argument of the guest with such a name counts as well.
    pub(super) fn apply_from(args: &[OsString]) {
        let args: Vec<_> = args.iter().take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str()).collect();
        let color = value_of(&args, "--color").and_then(|value| Color::from_str(value, false).ok());
        let format = value_of(&args, "--message-format").and_then(|value| Format::from_str(value, false).ok());
        Self { color: color.unwrap_or(Color::Auto), message_format: format.unwrap_or(Format::Human) }.apply();
    }
}

/// The value of an option, attached or as the next argument.
fn value_of<'a>(args: &[&'a str], option: &str) -> Option<&'a str> {
    let attached = |arg: &&'a str| arg.strip_prefix(option)?.strip_prefix('=');
    let next = args.iter().position(|arg| *arg == option).and_then(|at| args.get(at + 1).copied());
    args.iter().find_map(attached).or(next)
}

/// How many arguments after the program's name are options of all commands, which may stand before the command.
pub(super) fn count_leading(args: &[OsString]) -> usize {
    let mut count = 0;
    while let Some(arg) = args.get(1 + count).and_then(|arg| arg.to_str()) {
        count += match arg.split_once('=').map_or(arg, |(name, _)| name) {
            "--color" | "--message-format" if arg.contains('=') => 1,
            "--color" | "--message-format" => 2,
            _ => break,
        };
    }
    count.min(args.len().saturating_sub(1))
}

/// Prints an error as JSON where that was chosen; whether it was.
pub(super) fn error(error: &Error) -> bool {
    let kind = match error.kind() {
        ErrorKind::Usage => "usage",
        ErrorKind::Input => "input",
        ErrorKind::Io => "io",
        ErrorKind::Link => "link",
        ErrorKind::Limit => "limit",
        ErrorKind::Internal => "internal",
    };
    print(&Message::Error { kind, exit_code: error.exit_code(), message: &error.to_string(), hints: error.hints() })
}

/// The same of a wrong command line.
pub(super) fn usage(error: &clap::Error) -> bool {
    let text = error.render().to_string();
    let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    error.use_stderr() && print(&Message::Error { kind: "usage", exit_code: 2, message, hints: &[] })
}

/// The same of a warning.
pub(super) fn warning(error: &Error) -> bool {
    print(&Message::Warning { message: &error.to_string(), hints: error.hints() })
}

/// The same of a note.
pub(super) fn note(text: &str) -> bool {
    print(&Message::Note { message: text.strip_prefix("note: ").unwrap_or(text) })
}

/// The same of the time that a stage took.
pub(super) fn time(stage: &str, time: Duration) -> bool {
    // As many digits as people see.
    print(&Message::Time { stage, ms: (time.as_secs_f64() * 1e6).round() / 1e3 })
}

fn print(message: &Message<'_>) -> bool {
    if FORMAT.get() != Some(&Format::Json) {
        return false;
    }
    if let Ok(line) = serde_json::to_string(message) {
        // There is nowhere to complain about a standard error that is closed.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    true
}
