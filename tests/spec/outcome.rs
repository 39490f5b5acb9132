//! What became of a directive of a file.

use std::fmt;

/// A directive and what became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Line in the file, counted from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    pub(crate) verdict: Verdict,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A module that is to be instantiated.
    Module,
    /// A call that has to return, whatever it returns.
    Action,
    /// An `assert_...`.
    Assertion,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    Passed,
    /// With what was expected and what was found.
    Failed(String),
    NotRun(Reason),
}

/// Why a directive is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// It needs modules that import from each other.
    SeveralModules,
    /// It passes or expects an `externref` of the host's, which no module can make.
    HostReference,
    /// The module needs a proposal that the compiler refuses by its name.
    Proposal,
    /// It is about threads of the script, or about custom sections.
    Script,
    /// Its module, or an action before it, failed.
    AfterFailure,
}

impl Reason {
    pub(crate) const ALL: [Self; 5] =
        [Self::SeveralModules, Self::HostReference, Self::Proposal, Self::Script, Self::AfterFailure];
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SeveralModules => "several modules",
            Self::HostReference => "host reference",
            Self::Proposal => "other proposal",
            Self::Script => "script feature",
            Self::AfterFailure => "after a failure",
        })
    }
}
