//! Generated modules against wasmelt. A [`Mode`] turns a seed and an index into an input (`generate`) and judges what
//! wasmelt does with an input (`check`): both are plain functions of their arguments, so that any input can be repeated
//! alone, by the driver of this crate as well as by libFuzzer.
//!
//! - `bytes`: damaged modules and noise go into the compiler, which must refuse or compile them within stated bounds.
//! - `smith`: valid modules of `wasm-smith` must compile in every configuration, to the same bytes with any threads.
//! - `exec`: modules of `wasm-smith` are run as executables and in wasmtime, which must not be told apart.
//! - `library`: the same with imports, loaded as libraries into this process.
//! - `pairs`: two such modules that use each other, as one executable and as libraries that are connected.
#![deny(unsafe_code)]

use std::fmt;
use std::path::Path;
use std::time::Duration;

use wasmelt::driver::{self, Compilation, NoProgress};
use wasmelt::error::{Error, ErrorKind};
use wasmelt::options::Options;
use wasmelt_abi::trap::Trap;

pub mod alive;
pub mod bytes;
pub mod compare;
pub mod configuration;
pub mod corpus;
pub mod exec;
pub mod executable;
pub mod host;
pub mod instrument;
pub mod library;
pub mod linked;
pub mod mutate;
pub mod observe;
pub mod pairs;
pub mod prepare;
pub mod random;
pub mod reference;
pub mod smith;

#[cfg(test)]
mod tests;

use compare::Way;
use corpus::Corpus;
use observe::Part;
use random::Random;

/// No input takes longer, in any mode, in a release build.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What the compiler may hold at one time, in bytes, for an input of this length: a part for what it always has (code
/// generation of the largest functions that the limits of the JavaScript API allow, a table at its limit, the linker's
/// runtime archive) and a part for what grows with the input.
pub const fn memory_limit_bytes(input_bytes: usize) -> usize {
    (256 << 20) + 4096 * input_bytes
}

/// A way to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Damaged modules into the compiler.
    Bytes,
    /// Valid modules into the compiler.
    Smith,
    /// Executables against wasmtime.
    Exec,
    /// Libraries against wasmtime.
    Library,
    /// Modules that are linked, both ways against wasmtime.
    Pairs,
}

/// Numbers of traps go up to this one.
const TRAPS: usize = Trap::ALL.len() + 1;

/// What an input showed where nothing is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The input is a valid module that was compiled.
    pub valid: bool,
    /// Exported functions that were called on both sides, with equal results.
    pub calls: u32,
    /// Those of them that executed code of another module than the called one.
    pub crossings: u32,
    /// The module has seen bits of NaNs that are not determined: nothing was compared.
    pub incomparable: bool,
    /// How often each trap happened on both sides, by its number.
    pub traps: [u32; TRAPS],
}

/// Something that must not be.
#[derive(Clone, Debug)]
pub struct Finding(pub String);

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 5] = [Self::Bytes, Self::Smith, Self::Exec, Self::Library, Self::Pairs];

    /// Its name on the command line, and the extension of its inputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Smith => "smith",
            Self::Exec => "exec",
            Self::Library => "library",
            Self::Pairs => "pairs",
        }
    }

    /// The mode that an input was written for.
    pub fn of_file(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        Self::ALL.into_iter().find(|mode| extension == mode.name())
    }

    /// Real modules, where the mode begins with some.
    pub fn corpus(self, folder: Option<&Path>) -> Result<Corpus, String> {
        if self == Self::Bytes { Corpus::load(folder) } else { Ok(Corpus::default()) }
    }

    /// The input with this number.
    pub fn generate(self, seed: u64, index: u64, corpus: &Corpus) -> Vec<u8> {
        let mut random = Random::new(seed, index);
        match self {
            Self::Bytes => mutate::generate(&mut random, corpus),
            // What `wasm-smith` reads; it goes on with zeros behind the end.
            Self::Smith | Self::Exec | Self::Library | Self::Pairs => {
                let length = random.between(1 << 10, 16 << 10);
                random.bytes(length)
            }
        }
    }

    /// Judges an input. A panic is a finding as well: who calls this decides how to catch one.
    pub fn check(self, data: &[u8]) -> Result<Outcome, Finding> {
        match self {
            Self::Bytes => bytes::check(data),
            Self::Smith => smith::check(data),
            Self::Exec => exec::check(data, Way::Executable),
            Self::Library => exec::check(data, Way::Library),
            Self::Pairs => pairs::check(data),
        }
    }

    /// The modules that an input stands for; where there is one, its name is empty.
    pub fn modules(self, data: &[u8]) -> Vec<Part> {
        let whole = |wasm| Part { name: String::new(), wasm, reference: None };
        match self {
            Self::Bytes => vec![whole(bytes::split(data).1.to_vec())],
            Self::Smith => smith::module(data).map(|(_, wasm)| whole(wasm)).into_iter().collect(),
            Self::Exec => exec::part(data, Way::Executable).map(|(_, part)| part).into_iter().collect(),
            Self::Library => exec::part(data, Way::Library).map(|(_, part)| part).into_iter().collect(),
            Self::Pairs => pairs::program(data).map(|(_, program)| program).unwrap_or_default(),
        }
    }
}

/// Compiles under the name `module`.
pub(crate) fn compile(wasm: &[u8], options: &Options) -> Result<Compilation, Error> {
    driver::compile(wasm, "module", options, &NoProgress)
}

/// An error that is a finding whatever the input is: the compiler blames itself, the linker or the system.
pub(crate) fn blames_input(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Input | ErrorKind::Usage)
}
