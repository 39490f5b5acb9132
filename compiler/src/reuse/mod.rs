//! Functions that an earlier compilation made, for the next one: after a change of one function, only that function and
//! those that took its body into themselves are compiled again.
//!
//! A function's code follows from the function's body, from the bodies that it can take into itself, and from what is
//! known of the program around it. [`keys`] makes one number of these, [`stored`] has the forms in which code is kept.
//! What comes out of a compilation is the same to the byte, whatever is reused.

mod keys;
mod stored;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::codegen::Compiled;
use crate::error::{Error, Result};
use crate::program::{FuncId, Program};
use stored::StoredFunction;

pub(crate) use keys::Keys;

/// What a function is kept under.
pub(crate) type Key = [u8; 32];

/// Functions that earlier compilations made. Copies are the same.
#[derive(Clone)]
pub struct Reuse(Arc<Kept>);

struct Kept {
    /// What decides about code besides the module and its options: the compiler.
    compiler: Vec<u8>,
    earlier: BTreeMap<Key, Bytes>,
    /// `None` for what is there from earlier.
    now: Mutex<BTreeMap<Key, Option<Bytes>>>,
}

/// A function as bytes.
#[derive(Serialize, Deserialize)]
struct Bytes(#[serde(with = "crate::emit::bytes")] Vec<u8>);

/// What is known of a function.
pub(crate) struct Known {
    /// For one whose body others may take into themselves: the functions that the body refers to. Its code is needed only
    /// where somebody refers to it.
    pub(crate) body: Option<Vec<u32>>,
    /// Its code, where it was made.
    pub(crate) code: Option<Compiled>,
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    body: Option<Vec<u32>>,
    code: Option<StoredFunction>,
}

/// What stored bytes start with.
const HEADER: &str = concat!("wasmelt functions ", env!("CARGO_PKG_VERSION"), "\n");

impl Reuse {
    /// Starts from what [`Self::to_bytes`] returned to this compiler, which `compiler` identifies. Any other bytes are as
    /// good as none.
    pub fn new(bytes: &[u8], compiler: Vec<u8>) -> Self {
        let content = bytes.strip_prefix(HEADER.as_bytes()).and_then(|bytes| bytes.split_first_chunk());
        let content = content.filter(|(hash, content)| blake3::hash(content) == blake3::Hash::from_bytes(**hash));
        let earlier = content.and_then(|(_, content)| postcard::from_bytes(content).ok()).unwrap_or_default();
        Self(Arc::new(Kept { compiler, earlier, now: Mutex::default() }))
    }

    /// The functions of the compilation that was made with this, for the next one; `None` where nothing changed.
    pub fn to_bytes(&self) -> Result<Option<Vec<u8>>> {
        let now = self.0.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.len() == self.0.earlier.len() && now.values().all(Option::is_none) {
            return Ok(None);
        }
        let bytes = |(key, bytes)| Some((key, Option::as_ref(bytes).or_else(|| self.0.earlier.get(key))?));
        let all: BTreeMap<&Key, &Bytes> = now.iter().filter_map(bytes).collect();
        let content = postcard::to_allocvec(&all).map_err(|e| unkept(&e))?;
        Ok(Some([HEADER.as_bytes(), blake3::hash(&content).as_bytes(), &content].concat()))
    }

    /// What is known of the function `id` under a key.
    pub(crate) fn find(&self, key: &Key, id: FuncId, program: &Program<'_>) -> Option<Known> {
        let Stored { body, code } = postcard::from_bytes(&self.0.earlier.get(key)?.0).ok()?;
        let code = match code {
            Some(code) => Some(code.into_compiled(id, program)?),
            // Nothing is known of it, unless others may take its body.
            None => body.as_ref().map(|_| None)?,
        };
        Some(Known { body, code })
    }

    /// Keeps what was found under a key.
    pub(crate) fn keep_found(&self, key: Key) {
        self.insert(key, None);
    }

    /// Keeps what is known of a function.
    pub(crate) fn keep(
        &self,
        key: Key,
        body: Option<Vec<u32>>,
        code: Option<&Compiled>,
        program: &Program<'_>,
    ) -> Result<()> {
        let code = code.map(|code| StoredFunction::of(code, program)).transpose()?;
        let bytes = postcard::to_allocvec(&Stored { body, code }).map_err(|e| unkept(&e))?;
        self.insert(key, Some(Bytes(bytes)));
        Ok(())
    }

    fn insert(&self, key: Key, bytes: Option<Bytes>) {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner).insert(key, bytes);
    }
}

fn unkept(error: &postcard::Error) -> Error {
    Error::internal(format!("compiled functions cannot be stored: {error}"))
}

impl fmt::Debug for Reuse {
    /// Nothing of it decides what comes out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reuse")
    }
}
