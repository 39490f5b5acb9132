//! Giving way to others.

/// Lets other threads of the system run.
pub fn yield_now() {
    std::thread::yield_now();
}
