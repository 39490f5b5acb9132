//! Progress of a compilation, for those who wait for it.

/// Receives the progress of a compilation.
pub trait Progress: Sync {
    /// A stage begins: "parse", "translate and compile", "emit", "link".
    fn stage(&self, name: &'static str);
    /// So many functions of so many are compiled.
    fn functions(&self, done: usize, total: usize);
}

/// Ignores all progress.
#[derive(Clone, Copy, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn stage(&self, _: &'static str) {}
    fn functions(&self, _: usize, _: usize) {}
}
