//! The mode `exec` for libFuzzer: `cargo fuzz run exec --features libfuzzer`.
#![no_main]

use wasmelt_fuzz::Mode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(finding) = Mode::Exec.check(data) {
        panic!("{finding}");
    }
});
