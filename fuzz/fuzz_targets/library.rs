//! The mode `library` for libFuzzer: `cargo fuzz run library --features libfuzzer`.
#![no_main]

use wasmelt_fuzz::Mode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(finding) = Mode::Library.check(data) {
        panic!("{finding}");
    }
});
