//! A program in Rust that uses a library in C: each is a component with a memory of its own, and what goes from one to the other
//! is copied as `report.wit` says. Reads numbers from standard input.

use std::io::{self, Read as _};

/// `option<summary>` in memory, with the sizes and offsets of the canonical ABI.
#[repr(C)]
struct Found {
    is_some: u8,
    summary: Summary,
}

#[repr(C, align(8))]
struct Summary {
    count: u32,
    mean: f64,
    max: f64,
    label: *mut u8,
    label_len: usize,
}

#[link(wasm_import_module = "demo:stats/describe@1.0.0")]
unsafe extern "C" {
    #[link_name = "summarize"]
    fn summarize(values: *const f64, len: usize, unit: *const u8, unit_len: usize, found: *mut Found);
}

fn main() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let values: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let unit = std::env::args().nth(1).unwrap_or_else(|| "units".to_owned());
    let mut found = std::mem::MaybeUninit::<Found>::zeroed();
    // SAFETY: all that the callee reads is alive, and it writes one `option<summary>`.
    let found = unsafe {
        summarize(values.as_ptr(), values.len(), unit.as_ptr(), unit.len(), found.as_mut_ptr());
        found.assume_init()
    };
    if found.is_some == 0 {
        println!("no numbers");
        return Ok(());
    }
    let Summary { count, mean, max, label, label_len } = found.summary;
    // SAFETY: the runtime has allocated the string here with `cabi_realloc`, which is this program's allocator.
    let label = unsafe { String::from_raw_parts(label, label_len, label_len) };
    println!("{count} numbers, mean {mean:.2}, largest {max} ({label})");
    Ok(())
}
