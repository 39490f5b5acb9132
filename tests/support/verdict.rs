//! What became of a directive of a script: those of `tests/spec` and of `tests/component` judge alike.

/// The end of a directive; `Reason` says why one is not run.
#[derive(Debug)]
pub enum Verdict<Reason> {
    Passed,
    /// With what was expected and what was found.
    Failed(String),
    NotRun(Reason),
}
