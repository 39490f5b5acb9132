//! Where the program gets its modules from: libraries in a folder, or itself.

use std::path::PathBuf;

use wasmelt_embed::{Error, Library, Module};

/// Modules by name.
pub(crate) struct Modules(
    /// The folder with libraries; without one the modules are linked into the program.
    pub(crate) Option<PathBuf>,
);

#[cfg(linked)]
macro_rules! linked {
    ($wanted:ident: $($name:tt)*) => {
        match $wanted {
            // SAFETY: the test links what wasmelt made under these names.
            $($name => unsafe { wasmelt_embed::linked_module!($name) },)*
            other => Err(Error::host(format!("there is no module {other}"))),
        }
    };
}

#[cfg(not(linked))]
macro_rules! linked {
    ($wanted:ident: $($name:tt)*) => {
        Err(Error::host(format!("no module is linked, and so not {}", $wanted)))
    };
}

impl Modules {
    pub(crate) fn get(&self, name: &str) -> Module {
        let found = match &self.0 {
            Some(folder) => {
                let path = folder.join(format!("{name}.library"));
                // SAFETY: the test has had it made by wasmelt.
                unsafe { Library::open(&path) }.and_then(|library| library.module(name))
            }
            None => {
                linked!(name: "calls" "catcher" "floats" "shared" "slices" "state" "thrower" "traps" "values" "wasi")
            }
        };
        found.unwrap_or_else(|error| panic!("module {name}: {error}"))
    }
}

/// Reads where nothing is.
pub(crate) fn fault() {
    let nowhere = std::ptr::without_provenance::<u64>(std::hint::black_box(64));
    // SAFETY: there is no way to do this right.
    std::hint::black_box(unsafe { nowhere.read_volatile() });
}
