//! The mode `pairs` for libFuzzer: `cargo fuzz run pairs --features libfuzzer`.
#![no_main]

use wasmelt_fuzz::Mode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(finding) = Mode::Pairs.check(data) {
        panic!("{finding}");
    }
});
