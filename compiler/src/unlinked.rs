//! A program that is compiled and not linked: everything but what is granted is decided. It is what `run` keeps of a
//! compilation for the next policy, and what an executable carries that `grant` can link again.
//!
//! One policy exists for a linked program, and it comes from one value: hooks, the descriptor, the filter of system calls
//! and the note are all written from it here.

use serde::{Deserialize, Serialize};
use target_lexicon::Triple;

use crate::emit::{self, Code, Terms, note};
use crate::error::{Error, Result};
use crate::harden;
use crate::options::Options;
use crate::program::Needs;
use crate::report::Provenance;
use crate::trees;

/// A compiled program without its policy, or a library.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unlinked {
    pub(crate) code: Code,
    pub(crate) needs: Needs,
    /// Provenance as JSON, whose policy is the part that the code was generated for.
    pub(crate) provenance: String,
    /// Leave out the symbol table.
    pub(crate) strip: bool,
}

/// What stored bytes start with: they are for the same version alone.
const HEADER: &str = concat!("wasmelt unlinked ", env!("CARGO_PKG_VERSION"), "\n");

impl Unlinked {
    /// Bytes for [`Self::from_bytes`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_extend(self, HEADER.as_bytes().to_vec())
            .map_err(|e| Error::internal(format!("the compiled program cannot be stored: {e}")))
    }

    /// Reads what [`Self::to_bytes`] wrote. Others bytes are an error, whatever they are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let content = bytes.strip_prefix(HEADER.as_bytes()).ok_or_else(|| {
            let this = env!("CARGO_PKG_VERSION");
            Error::input(format!("what it carries was not written by wasmelt {this}"))
        })?;
        let this: Self =
            postcard::from_bytes(content).map_err(|_| Error::input("the code that it carries is damaged"))?;
        this.code.check()?;
        Ok(this)
    }

    /// Reads what an executable carries; `None` where it carries nothing.
    pub fn read(executable: &[u8]) -> Result<Option<Self>> {
        note::read_carried(executable)?.map(|bytes| Self::from_bytes(&bytes)).transpose()
    }

    /// How the program was compiled; its policy is the part that the code was generated for.
    pub fn provenance(&self) -> Result<Provenance> {
        Provenance::from_json(&self.provenance)
    }

    /// The options that link it as the program was linked that it comes from, but with nothing granted.
    pub fn options(&self) -> Result<Options> {
        let provenance = self.provenance()?;
        let target: Triple = provenance
            .target
            .parse()
            .map_err(|e| Error::input(format!("the target `{}` is not one: {e}", provenance.target)))?;
        Ok(Options {
            target,
            runtime: provenance.runtime,
            debug_info: provenance.debug_info,
            strip: self.strip,
            ..Options::default()
        })
    }

    /// The object of a library that is a part of a component's, which says itself where it comes from.
    pub fn part(&self, options: &Options) -> Result<Vec<u8>> {
        emit::object(&self.code, &Terms::default(), &options.target)
    }

    /// The object with the policy of `options`.
    pub fn object(&self, options: &Options) -> Result<Vec<u8>> {
        let mut provenance = self.provenance()?;
        let carried = if options.grantable { Some(self.to_bytes()?) } else { None };
        if self.code.is_library() {
            let terms = Terms { note: Some(provenance.to_note()), ..Terms::default() };
            return emit::object(&self.code, &terms, &options.target);
        }
        let policy = options.policy.on_code(&provenance.policy);
        provenance.policy = policy.clone();
        let terms = Terms {
            hooks: self.needs.hooks(&policy),
            trees: trees::plan(&policy, &options.embedded_files)?,
            embedded_files: &options.embedded_files,
            filter: harden::filter(&self.needs, &policy, &options.target, options.runtime)?,
            note: Some(provenance.to_note()),
            carried,
            policy,
        };
        emit::object(&self.code, &terms, &options.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{self, NoProgress};
    use crate::options::{DirGrant, Emit, EnvGrant, Policy};

    const PROGRAM: &str = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 1) (table 2 funcref) (elem (i32.const 0) 1)
        (data (i32.const 0) "text")
        (func (export "_start") (drop (memory.grow (i32.const 1)))))"#;

    fn options(policy: Policy) -> Options {
        let target = "x86_64-unknown-linux-gnu".parse().unwrap();
        Options { emit: Emit::Obj, target, debug_info: true, policy, ..Options::default() }
    }

    fn policies() -> [Policy; 4] {
        let dirs = vec![DirGrant { host: "a".into(), guest: "/a".into(), read_only: true }];
        let env = vec![EnvGrant { name: "A".into(), value: Some("b".into()) }];
        [
            Policy::default(),
            Policy { dirs: dirs.clone(), ..Policy::default() },
            Policy { env, inherit_env: true, harden: true, ..Policy::default() },
            Policy { dirs, max_open_files: Some(3), arg0: Some("x".into()), ..Policy::default() },
        ]
    }

    #[test]
    fn linking_again_is_the_same_as_compiling() {
        for from in policies() {
            let compiled =
                driver::compile_to_link_again(PROGRAM.as_bytes(), "a.wat", &options(from), &NoProgress).unwrap();
            let stored = compiled.unlinked.unwrap().to_bytes().unwrap();
            let unlinked = Unlinked::from_bytes(&stored).unwrap();
            for to in policies() {
                let compiled =
                    driver::compile_to_link_again(PROGRAM.as_bytes(), "a.wat", &options(to.clone()), &NoProgress)
                        .unwrap();
                assert!(unlinked.object(&options(to)).unwrap() == compiled.bytes);
            }
        }
    }

    #[test]
    fn the_part_of_the_code_stays() {
        let counted = Policy { fuel: Some(5), deterministic: Some(1), ..Policy::default() };
        let compiled =
            driver::compile_to_link_again(PROGRAM.as_bytes(), "a.wat", &options(counted.clone()), &NoProgress).unwrap();
        let [_, dirs, ..] = policies();
        let object = compiled.unlinked.unwrap().object(&options(dirs.clone())).unwrap();
        let note = note::read_note(&object).unwrap().unwrap();
        let expected = Policy { dirs: dirs.dirs, ..counted };
        assert_eq!(Provenance::from_json(&note).unwrap().policy, expected);
    }

    #[test]
    fn damage_is_an_error_or_another_object() {
        let compiled =
            driver::compile_to_link_again(PROGRAM.as_bytes(), "a.wat", &options(Policy::default()), &NoProgress)
                .unwrap();
        let stored = compiled.unlinked.unwrap().to_bytes().unwrap();
        for len in 0..stored.len() {
            assert!(Unlinked::from_bytes(&stored[..len]).is_err(), "{len}");
        }
        for at in 0..stored.len() {
            for change in [1, 0x80, 0xff] {
                let mut damaged = stored.clone();
                damaged[at] ^= change;
                let _ =
                    Unlinked::from_bytes(&damaged).and_then(|unlinked| unlinked.object(&options(Policy::default())));
            }
        }
    }
}
