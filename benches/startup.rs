//! Placeholder while this bench is being written.

fn main() {}
