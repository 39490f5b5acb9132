//! A host in Rust with state, by the bindings that the compiler wrote: two versions of the plugin `rules`, one linked into the
//! program and one loaded, side by side.
//!
//! ```text
//! wasmelt compile rules.wat --emit staticlib --library-name rules_1 -o librules_1.a --bindings rules_1.rs
//! wasmelt compile rules-2.wat --emit cdylib --library-name rules_2 -o rules_2.so --bindings rules_2.rs
//! cargo build --release -p wasmelt-embed
//! rustc --edition 2024 host.rs --extern wasmelt_embed=../../target/release/libwasmelt_embed.rlib \
//!     -L ../../target/release/deps -L . -l static=rules_1
//! ./host ./rules_2.so
//! ```

mod rules_1;
mod rules_2;

use std::collections::HashMap;

use wasmelt_embed::{AsContextMut, Caller, Error, Extern, Linker, Result, Store, Trap};

/// What the host keeps for each plugin.
struct Shop {
    prices: HashMap<i32, f64>,
    log: Vec<String>,
}

impl Shop {
    fn new() -> Self {
        Self { prices: HashMap::from([(1, 2.5), (2, 40.0)]), log: Vec::new() }
    }

    fn price(&self, item: i32) -> Result<f64> {
        self.prices.get(&item).copied().ok_or_else(|| Error::msg(format!("nobody sells item {item}")))
    }
}

/// Adds a text in the memory of the plugin to the log.
fn log(mut caller: Caller<'_, Shop>, at: i32, len: i32) -> Result<()> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return Err(Error::msg("no memory")) };
    let (bytes, shop) = memory.data_and_store_mut(&mut caller);
    let text = bytes.get(at as u32 as usize..).and_then(|bytes| bytes.get(..len as u32 as usize));
    shop.log.push(String::from_utf8_lossy(text.ok_or(Trap::MemoryOutOfBounds)?).into_owned());
    Ok(())
}

impl rules_1::Imports for Shop {
    fn shop_price(caller: Caller<'_, Self>, item: i32) -> Result<f64> {
        caller.data().price(item)
    }

    fn shop_log(caller: Caller<'_, Self>, at: i32, len: i32) -> Result<()> {
        log(caller, at, len)
    }
}

impl rules_2::Imports for Shop {
    fn shop_price(caller: Caller<'_, Self>, item: i32) -> Result<f64> {
        caller.data().price(item)
    }

    fn shop_log(caller: Caller<'_, Self>, at: i32, len: i32) -> Result<()> {
        log(caller, at, len)
    }
}

/// The plugin that is part of the program.
fn old() -> Result<()> {
    let mut linker = Linker::new();
    rules_1::add_to_linker(&mut linker)?;
    let mut store = Store::new(Shop::new());
    let rules = rules_1::Exports::new(&mut store, &linker, &rules_1::module()?)?;
    for (item, count) in [(1, 4), (2, 10)] {
        println!("version {}: {}", rules.version(&store)?, rules.total(&mut store, item, count)?);
    }
    match rules.total(&mut store, 3, 1) {
        Err(error) => println!("version 1: {error}"),
        Ok(total) => println!("version 1: item 3 costs {total}"),
    }
    println!("version 1: {} orders, log {:?}", rules.orders(&store)?, store.data().log);
    Ok(())
}

/// The plugin that is loaded. Its second version wants to know who orders.
fn new(path: &str) -> Result<()> {
    // SAFETY: wasmelt made the file.
    let module = unsafe { rules_2::load(path) }?;
    let mut linker = Linker::new();
    rules_2::add_to_linker(&mut linker)?;
    let mut store = Store::new(Shop::new());
    let rules = rules_2::Exports::new(&mut store, &linker, &module)?;
    rules.memory().write(&mut store, 64, b"Ada")?;
    rules.set_orders(&mut store, 99)?;
    println!("version {}: {}", rules.version(&store)?, rules.total(&mut store, 2, 10, (64 << 32) | 3)?);
    println!("version 2: {} orders, log {:?}", rules.orders(&store)?, store.data().log);
    // An instance of the one is not taken for one of the other.
    let other = rules_1::Exports::of(store.as_context_mut(), rules.instance()).map(drop);
    println!("version 2 as version 1: {}", other.expect_err("types differ"));
    Ok(())
}

fn main() -> Result<()> {
    old()?;
    new(&std::env::args().nth(1).unwrap_or_else(|| "./rules_2.so".to_owned()))
}
