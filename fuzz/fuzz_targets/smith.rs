//! The mode `smith` for libFuzzer: `cargo fuzz run smith --features libfuzzer`.
#![no_main]

use wasmelt_fuzz::Mode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(finding) = Mode::Smith.check(data) {
        panic!("{finding}");
    }
});
