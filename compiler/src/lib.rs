//! wasmelt
