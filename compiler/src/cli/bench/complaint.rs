//! What a process that failed says about the reason, in one line.

/// The line of standard error that names the reason: the innermost cause where causes are listed, as wasmtime does; else
/// the first line that speaks of an error; else the last line.
pub(super) fn of(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let causes = lines().skip_while(|line| *line != "Caused by:").take_while(|line| *line != "Stack backtrace:");
    let reason = causes.filter_map(cause).last();
    let reason = reason.or_else(|| lines().find(|line| line.contains("rror"))).or_else(|| lines().next_back());
    reason.unwrap_or_default().chars().take(200).collect()
}

/// What `2: reason` says. Frames of a backtrace, which have such numbers too, begin with an address.
fn cause(line: &str) -> Option<&str> {
    let (number, reason) = line.split_once(": ")?;
    let reason = reason.trim_start();
    let is_cause = number.chars().all(|c| c.is_ascii_digit()) && !reason.starts_with("0x");
    is_cause.then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What wasmtime 48 prints.
    const NOT_COMPILED: &str = "Error: failed to compile: wasm[0]::function[54]

Caused by:
    0: WebAssembly translation error
    1: Invalid input WebAssembly code at offset 19468: legacy_exceptions feature required for try instruction

Stack backtrace:
   0: wasmtime_internal_core::error::backtrace::capture
   1: wasmtime_internal_core::error::error::Error::new
";
    const TRAPPED: &str = "Error: failed to run main module `t.wasm`

Caused by:
    0: failed to invoke command default
    1: error while executing at wasm backtrace:
           0:     0x21 - <unknown>!<wasm function 0>
    2: wasm trap: wasm `unreachable` instruction executed
";
    const WITHOUT_CAUSE: &str = "Error: the `-Sthreads` flag is no longer supported
Stack backtrace:
   0: wasmtime_internal_core::error::error::Error::from_format_args
";
    /// What node 20 prints.
    const NODE: &str = "[eval1]:8
const module = new WebAssembly.Module(readFileSync(file));
               ^

CompileError: WebAssembly.Module(): invalid memory limits flags 0x4 (enable with --experimental-wasm-memory64) @+55
    at [eval1]:8:16
    at ModuleJob.run (node:internal/modules/esm/module_job:222:25)

Node.js v20.20.2
";

    #[test]
    fn the_reason_is_found() {
        let begins = |text: &str, with: &str| assert!(of(text).starts_with(with), "{}", of(text));
        begins(NOT_COMPILED, "Invalid input WebAssembly code at offset 19468: legacy_exceptions feature required");
        begins(TRAPPED, "wasm trap: wasm `unreachable` instruction executed");
        begins(WITHOUT_CAUSE, "Error: the `-Sthreads` flag");
        begins(NODE, "CompileError: WebAssembly.Module(): invalid memory limits flags 0x4");
        begins("one\n\ntwo\n\n", "two");
        assert_eq!(of(""), "");
        assert_eq!(of(&"é".repeat(300)).chars().count(), 200);
    }
}
