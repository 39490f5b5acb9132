//! Yielding the CPU to other threads.

/// Lets other threads of the system run.
pub fn yield_now() {
    std::thread::yield_now();
}
