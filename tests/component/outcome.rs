//! What became of a directive of a file.

use std::fmt;

use crate::support;

/// A directive and what became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Line in the file, counted from 1.
    pub(crate) line: usize,
    pub(crate) verdict: Verdict,
}

pub(crate) type Verdict = support::verdict::Verdict<Reason>;

/// Why a directive is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// It needs WASI 0.3: asynchronous functions, streams, futures.
    Asynchronous,
    /// It imports what no component of the script exports.
    HostImport,
    /// It passes or expects a handle, which no constant of a script stands for.
    Handle,
    /// It is about a core module, which no command has outside of a component.
    CoreModule,
    /// It is about threads of the script, or about custom sections.
    Script,
    /// Its component, or a call before it, failed or is not run.
    AfterFailure,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asynchronous => "asynchronous",
            Self::HostImport => "import of the host",
            Self::Handle => "handle as a constant",
            Self::CoreModule => "core module",
            Self::Script => "script feature",
            Self::AfterFailure => "after a failure",
        })
    }
}
