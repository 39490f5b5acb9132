//! What became of a directive of a file.

use std::fmt;

use crate::support;

use wasmelt::error::Error;

/// A directive and what became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Line in the file, counted from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    pub(crate) verdict: Verdict,
}

/// What became of a file.
#[derive(Debug)]
pub(crate) struct Outcomes {
    /// Those of its directives, in order.
    pub(crate) directives: Vec<Outcome>,
    /// Its modules import from each other and were one executable.
    pub(crate) is_linked: bool,
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

pub(crate) type Verdict = support::verdict::Verdict<Reason>;

/// Why a directive is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// It needs what a module leaves behind whose instantiation traps, which ends an executable.
    AfterTrap,
    /// It imports a memory or table that has grown meanwhile, and is linked by the limits that were declared.
    Grown,
    /// It passes or expects an `externref` of the host's, which no module can make.
    HostReference,
    /// The module needs a proposal that the compiler refuses by its name.
    Proposal,
    /// The module is larger than the limits that the JavaScript interface sets and wasmelt shares.
    Limit,
    /// It is about threads of the script, or about custom sections.
    Script,
    /// Its module, or an action before it, failed.
    AfterFailure,
}

impl Reason {
    pub(crate) const ALL: [Self; 7] = [
        Self::AfterTrap,
        Self::Grown,
        Self::HostReference,
        Self::Proposal,
        Self::Limit,
        Self::Script,
        Self::AfterFailure,
    ];
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AfterTrap => "after instantiation that traps",
            Self::Grown => "import of what grew",
            Self::HostReference => "host reference",
            Self::Proposal => "other proposal",
            Self::Limit => "implementation limit",
            Self::Script => "script feature",
            Self::AfterFailure => "after a failure",
        })
    }
}

/// Words of the error about a proposal that no flag switches on.
const UNSUPPORTED: &str = "which wasmelt does not support yet";

/// Proposals that the suites are about and that no flag switches on, as errors name them.
const UNSUPPORTED_IN_SUITES: [&str; 2] = ["`gc`", "`custom-descriptors`"];

/// Words of the error about a module that is too large.
const LIMIT: &str = "the implementation limit";

/// Why a module was not compiled.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    /// It needs a proposal that the compiler names and does not support.
    Proposal,
    /// It is larger than a limit that the compiler names.
    Limit,
    Error(String),
}

impl Refused {
    pub(crate) fn new(error: &Error) -> Self {
        let text = error.to_string();
        // A recursive type is an unknown type without the proposal.
        if [UNSUPPORTED, "because the GC proposal is disabled"].iter().any(|words| text.contains(words)) {
            Self::Proposal
        } else if text.contains(LIMIT) {
            Self::Limit
        } else {
            Self::Error(text)
        }
    }

    /// What that means for directives about its instances.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Proposal => Reason::Proposal,
            Self::Limit => Reason::Limit,
            Self::Error(_) => Reason::AfterFailure,
        }
    }

    pub(crate) fn verdict(self) -> Verdict {
        match self {
            Self::Proposal | Self::Limit => Verdict::NotRun(self.reason()),
            Self::Error(why) => Verdict::Failed(why),
        }
    }

    /// The verdict about a module that must not be accepted, from why it was not. Where that is because a proposal of the
    /// suites is not supported, it says nothing; other proposals are a meaning that someone gave to malformed bits.
    pub(crate) fn judge(error: Option<&Error>) -> Verdict {
        let Some(error) = error.map(Error::to_string) else {
            return Verdict::Failed("the module was accepted".to_owned());
        };
        let is_of_suites = UNSUPPORTED_IN_SUITES.iter().any(|proposal| error.contains(proposal));
        match error.contains(UNSUPPORTED) && is_of_suites {
            true => Verdict::NotRun(Reason::Proposal),
            false => Verdict::Passed,
        }
    }
}

/// Whether a trap is the one that the suite names. Its messages may be shorter or longer than ours, and name which kind
/// of reference is null.
pub(crate) fn same_trap(ours: &str, suite: &str) -> bool {
    let null = |message: &str| message.starts_with("null ") && message.ends_with(" reference");
    ours.starts_with(suite) || suite.starts_with(ours) || (ours == "null reference" && null(suite))
}
