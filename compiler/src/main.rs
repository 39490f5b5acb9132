//! The `wasmelt` program: everything is in the library, see `cli/mod.rs`.

fn main() -> std::process::ExitCode {
    wasmelt::cli::main()
}
