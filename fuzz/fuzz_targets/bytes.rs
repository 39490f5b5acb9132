//! The mode `bytes` for libFuzzer: `cargo fuzz run bytes --features libfuzzer`.
#![no_main]

use wasmelt_fuzz::Mode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(finding) = Mode::Bytes.check(data) {
        panic!("{finding}");
    }
});
