//! Links the modules into the program where `WASMELT_HOST_OBJECTS` names a folder with their objects.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-env-changed=WASMELT_HOST_OBJECTS");
    println!("cargo:rustc-check-cfg=cfg(linked)");
    let Some(folder) = env::var_os("WASMELT_HOST_OBJECTS") else { return };
    println!("cargo:rerun-if-changed={}", Path::new(&folder).display());
    println!("cargo:rustc-cfg=linked");
    let entries = fs::read_dir(&folder).expect("the folder with objects can be read");
    let mut objects: Vec<_> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    objects.sort();
    for object in objects {
        println!("cargo:rustc-link-arg-bins={}", object.display());
    }
}
