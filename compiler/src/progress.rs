//! How far a compilation is, for whoever waits for it.

/// Is told how far a compilation is.
pub trait Progress: Sync {
    /// A stage begins: "parse", "translate and compile", "emit", "link".
    fn stage(&self, name: &'static str);
    /// So many functions of so many are compiled.
    fn functions(&self, done: usize, total: usize);
}

/// Nobody looks.
#[derive(Clone, Copy, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn stage(&self, _: &'static str) {}
    fn functions(&self, _: usize, _: usize) {}
}
