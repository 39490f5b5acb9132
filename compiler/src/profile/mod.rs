//! Profiles: what programs that count how often their parts are executed ([`Outline`]) wrote into files, and what that
//! says about the functions of a program that is to be compiled ([`Guide`]).
//!
//! Source of the form: [`wasmelt_abi::profile`]. A profile decides how code is arranged and never what it does: whatever
//! is in the file, a program does the same.

// ---------------------------------------------------------------------------------------------------------------
// Security: files come from programs that ran untrusted code, or from anybody. Lengths are compared with what is there
// before anything is allocated, sums saturate, and counters that do not fit a body are left out.
// ---------------------------------------------------------------------------------------------------------------

mod guide;
mod outline;

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::fmt;
use std::sync::Arc;

use target_lexicon::OperatingSystem;
use wasmelt_abi::profile::{DIGEST_BYTES, START};

pub use self::guide::{Guide, Guided, Share};
pub use self::outline::{Entry, Outline, Region};
use crate::error::{Error, Result};
use crate::options::{Emit, Options, Shape};

/// What a profile knows a function by.
pub type Digest = [u8; DIGEST_BYTES];

/// Counters of functions, added over all runs that there are profiles of.
#[derive(Clone, Default)]
pub struct Profile(Arc<Counts>);

#[derive(Default)]
struct Counts {
    functions: HashMap<Digest, Vec<u64>>,
    /// Stands for all files in order.
    files: blake3::Hasher,
}

impl fmt::Debug for Profile {
    /// A number that stands for all of it: debug forms of options are keys of caches.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile({})", self.0.files.finalize())
    }
}

impl Profile {
    /// Adds up profiles, each with the name of its file for messages.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self> {
        let mut counts = Counts::default();
        for (name, bytes) in files {
            counts.files.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
            counts.add(bytes).map_err(|why| {
                Error::input(format!("{name}: not a profile that this wasmelt can use: {why}")).hint(
                    "programs write profiles that are compiled with `--profile-generate`, to `default.wasmprof` or `$WASMELT_PROFILE`",
                )
            })?;
        }
        Ok(Self(Arc::new(counts)))
    }

    /// The counters of a function with this outline; `None` where nothing is known.
    fn counters(&self, outline: &Outline) -> Option<&[u64]> {
        let counters = self.0.functions.get(&outline.digest)?;
        (counters.len() == outline.regions.len()).then_some(counters)
    }

    /// All counters, of all functions.
    fn all_counters(&self) -> impl Iterator<Item = u64> {
        self.0.functions.values().flatten().copied()
    }
}

impl Counts {
    /// Adds the counters of a profile, or says what is wrong with it.
    fn add(&mut self, bytes: &[u8]) -> std::result::Result<(), &'static str> {
        const ENTRY_BYTES: usize = DIGEST_BYTES + 4;
        let (form, start) = START.split_last().ok_or("")?;
        let rest = bytes.strip_prefix(start).ok_or("the file starts with other bytes")?;
        let rest = rest.strip_prefix(&[*form]).ok_or("another version of wasmelt wrote it")?;
        let (count, rest) = rest.split_first_chunk().ok_or("the file is cut off")?;
        let count = usize::try_from(u64::from_le_bytes(*count)).map_err(|_| "it has too many functions")?;
        let table_bytes = count.checked_mul(ENTRY_BYTES).ok_or("it has too many functions")?;
        let (table, mut counters) = rest.split_at_checked(table_bytes).ok_or("the file is cut off")?;
        for entry in table.chunks_exact(ENTRY_BYTES) {
            let (digest, len) = entry.split_first_chunk().ok_or("the file is cut off")?;
            let len = len.try_into().map_or(0, u32::from_le_bytes) as usize;
            let (own, later) = counters.split_at_checked(len.saturating_mul(8)).ok_or("the file is cut off")?;
            counters = later;
            let own = own.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
            match self.functions.entry(*digest) {
                MapEntry::Vacant(new) => _ = new.insert(own.collect()),
                // Other lengths are of other functions, which no wasmelt writes: the first one counts.
                MapEntry::Occupied(mut known) if known.get().len() == len => {
                    known.get_mut().iter_mut().zip(own).for_each(|(sum, own)| *sum = sum.saturating_add(own));
                }
                MapEntry::Occupied(_) => {}
            }
        }
        if counters.is_empty() { Ok(()) } else { Err("the file goes on behind the last counter") }
    }
}

/// A profile up to the counters, for functions with these outlines.
pub fn head<'a>(outlines: impl ExactSizeIterator<Item = &'a Outline>) -> Vec<u8> {
    let mut bytes = START.to_vec();
    bytes.extend((outlines.len() as u64).to_le_bytes());
    for outline in outlines {
        bytes.extend(outline.digest);
        bytes.extend((outline.regions.len() as u32).to_le_bytes());
    }
    bytes
}

/// Refuses profiles where there is no code, and to write them where nothing would, or could.
pub fn refuse(options: &Options) -> Result<()> {
    if options.emit == Emit::Wat && (options.profile_generate || options.profile.is_some()) {
        return Err(Error::usage("`--emit wat` shows the module as it is, and profiles are of its code")
            .hint("leave `--profile-generate` and `--profile-use` out"));
    }
    let refused = |what: &str, hint: &str| Err(Error::usage(format!("`--profile-generate`: {what}")).hint(hint));
    const OF_FUNCTIONS: &str = "make an executable for Linux of the same module: a profile is of its functions, for `--profile-use` with every output";
    if !options.profile_generate {
        return Ok(());
    }
    if options.shape() == Shape::Many || options.is_server {
        return refused("executables write profiles, and neither libraries nor servers", OF_FUNCTIONS);
    }
    if options.target.operating_system != OperatingSystem::Linux {
        return refused(
            &format!("programs for Linux write profiles, and {} is another system", options.target),
            OF_FUNCTIONS,
        );
    }
    if options.policy.harden || options.grantable {
        return refused(
            "the filter of `--harden` forbids what writes the profile, and `--grantable` could add it later",
            "leave both out of the program that counts",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(digest: u8, regions: usize) -> Outline {
        let region = Region { offset: 0, entry: Entry::Join, before: None };
        Outline { digest: [digest; DIGEST_BYTES], regions: vec![region; regions] }
    }

    fn file(functions: &[(u8, &[u64])]) -> Vec<u8> {
        let outlines: Vec<_> = functions.iter().map(|(digest, counters)| outline(*digest, counters.len())).collect();
        let mut bytes = head(outlines.iter());
        functions.iter().flat_map(|(_, counters)| *counters).for_each(|counter| bytes.extend(counter.to_le_bytes()));
        bytes
    }

    fn read(files: &[&[u8]]) -> Result<Profile> {
        Profile::read(files.iter().map(|bytes| ("a", *bytes)))
    }

    #[test]
    fn runs_are_added() {
        let (one, other) = (file(&[(1, &[1, 2]), (2, &[3])]), file(&[(1, &[10, u64::MAX]), (3, &[])]));
        let profile = read(&[&one, &other]).unwrap();
        assert_eq!(profile.counters(&outline(1, 2)), Some(&[11, u64::MAX][..]));
        assert_eq!(profile.counters(&outline(2, 1)), Some(&[3][..]));
        assert_eq!(profile.counters(&outline(3, 0)), Some(&[][..]));
        assert_eq!(profile.counters(&outline(4, 1)), None);
        assert_eq!(profile.counters(&outline(1, 3)), None, "a body of other parts");
        // Functions that are equal add up within a file as well; other lengths are left out.
        let twice = read(&[&file(&[(1, &[1]), (1, &[2]), (1, &[4, 4])])]).unwrap();
        assert_eq!(twice.counters(&outline(1, 1)), Some(&[3][..]));
        let (a, b) = (format!("{profile:?}"), format!("{twice:?}"));
        assert_ne!(a, b, "caches tell profiles apart");
    }

    #[test]
    fn damaged_files_are_errors() {
        let good = file(&[(1, &[1, 2]), (2, &[3])]);
        for end in 0..good.len() {
            assert!(read(&[&good[..end]]).is_err(), "{end} bytes");
        }
        let error = |bytes: &[u8]| read(&[bytes]).unwrap_err().to_string();
        assert!(error(&[&good[..], &[0]].concat()).contains("goes on behind"));
        assert!(error(b"\x7fELF and so on").contains("other bytes"));
        let other_form = [&START[..7], &[2], &good[8..]].concat();
        assert!(error(&other_form).contains("another version"));
        // Numbers that no file could hold allocate nothing.
        assert!(error(&[&START[..], &[0xff; 8], &[0; 64]].concat()).contains("too many"));
        let counters = [&START[..], &1u64.to_le_bytes(), &[0; DIGEST_BYTES], &[0xff; 4], &[0; 64]].concat();
        assert!(error(&counters).contains("cut off"));
    }
}
