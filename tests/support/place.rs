//! Where the executables of a test run: on this system, on this system with the portable runtime, or as programs of
//! another system. The tests themselves do not know which.

use std::cell::Cell;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use super::foreign::System;
use super::{portable, skipped};

/// What executables are made for and run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The runtime that the compiler would choose by itself.
    Here,
    /// The portable runtime, on this system.
    Portable,
    /// Another system, with what runs its programs here.
    Foreign(System),
}

thread_local! {
    /// The place of the test that this thread runs.
    static CHOSEN: Cell<Place> = const { Cell::new(Place::Here) };
}

/// The place of the test that this thread runs.
pub fn chosen() -> Place {
    match CHOSEN.get() {
        Place::Here if env::var_os("WASMELT_TEST_RUNTIME").is_some_and(|name| name == "portable") => Place::Portable,
        place => place,
    }
}

/// A test whose executables run at a place; skipped where there is no such place.
pub fn trial(
    place: Place,
    name: impl Into<String>,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let name = match place {
        Place::Here => name.into(),
        Place::Portable => format!("{}::portable", name.into()),
        Place::Foreign(system) => format!("{}::{}", name.into(), system.name()),
    };
    let missing = match place {
        Place::Here => None,
        Place::Portable => super::find_program("cc").is_none().then(|| "there is no cc".to_owned()),
        Place::Foreign(system) => system.cannot_be_run(),
    };
    if let Some(why) = missing {
        return skipped(name, why);
    }
    Trial::test(name, move || {
        CHOSEN.set(place);
        let result = test();
        CHOSEN.set(Place::Here);
        result
    })
}

/// What `wasmelt compile` is told in the test that this thread runs.
pub fn options() -> Result<Vec<PathBuf>, Failed> {
    match chosen() {
        // Where no archive is part of the compiler, there is one beside it.
        Place::Here => match System::here() {
            Some(here) => here.options(),
            None => Ok(Vec::new()),
        },
        Place::Portable => {
            Ok(vec!["--runtime".into(), "portable".into(), "--runtime-dir".into(), portable::archives()?.into()])
        }
        Place::Foreign(system) => system.options(),
    }
}

/// A command that runs an executable of the test that this thread runs. Its environment is empty, but for what a program
/// needs that runs those of another system.
pub fn program(executable: &Path) -> Result<Command, Failed> {
    match chosen() {
        Place::Here | Place::Portable => {
            let mut command = Command::new(executable);
            command.env_clear();
            // Without it, libraries of Windows do not find their parts.
            command.envs(env::var_os("SystemRoot").filter(|_| cfg!(windows)).map(|root| ("SystemRoot", root)));
            Ok(command)
        }
        Place::Foreign(system) => system.command(executable),
    }
}
