//! Every spelling that wasmtime takes, through the parsers of `run` and `compile`.

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _};
use target_lexicon::HOST;

use super::*;
use crate::cli::{self, Cli, Command};

/// What comes of a command line.
#[derive(Debug)]
enum Outcome {
    Help,
    Asked(Box<Asked>),
    Error(String, Vec<String>),
}

/// Parses what follows `wasmelt`.
fn outcome(words: &[&str]) -> Outcome {
    let definition = Cli::command();
    let line = std::iter::once("wasmelt").chain(words.iter().copied()).map(OsString::from).collect();
    let matches = definition.clone().try_get_matches_from(cli::prepare(&definition, line));
    let command = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli.command,
        Err(error) if error.exit_code() == 0 => return Outcome::Help,
        Err(error) => return Outcome::Error(error.to_string(), Vec::new()),
    };
    let asked = match &command {
        Command::Run(args) => {
            assert_eq!(args.module(), Some("app.wasm"), "{words:?}");
            args.target().and_then(|target| args.common.ask(target))
        }
        Command::Compile(args) => {
            assert_eq!(args.input.to_str(), Some("app.wasm"), "{words:?}");
            args.ask()
        }
        other => panic!("{words:?}: {other:?}"),
    };
    match asked {
        Ok(asked) => Outcome::Asked(Box::new(asked)),
        Err(error) => Outcome::Error(error.to_string(), error.hints().to_vec()),
    }
}

/// The ways to write an option and its value: in one word or two, by the short name or the long one.
fn ways(option: &str, value: Option<&str>) -> Vec<Vec<String>> {
    const LONG: [(&str, &str); 6] = [
        ("-O", "--optimize"),
        ("-C", "--codegen"),
        ("-D", "--debug"),
        ("-W", "--wasm"),
        ("-S", "--wasi"),
        ("-R", "--record"),
    ];
    let Some(value) = value else { return vec![vec![option.to_owned()]] };
    let mut ways = vec![vec![option.to_owned(), value.to_owned()]];
    let long = LONG.iter().find(|(short, _)| *short == option).map(|(_, long)| *long);
    if let Some(long) = long {
        ways.extend([vec![format!("{option}{value}")], vec![long.to_owned(), value.to_owned()]]);
    }
    if let Some(long) = long.or(Some(option).filter(|option| option.starts_with("--"))) {
        ways.push(vec![format!("{long}={value}")]);
    }
    ways
}

/// Gives a command line to the parser. An error must name what it is about, `name`, and not the module.
fn check(words: &[&str], verdict: &str, name: &str) {
    let outcome = outcome(words);
    let defaults = format!("{:?} {}", Options::default(), false);
    let found = match &outcome {
        Outcome::Help => "help",
        Outcome::Error(..) => "refused",
        Outcome::Asked(asked) if !asked.notes.is_empty() => "meaningless",
        Outcome::Asked(asked) if format!("{:?} {}", asked.options, asked.no_cache) == defaults => "default",
        Outcome::Asked(_) => "obeyed",
    };
    assert_eq!(found, verdict, "{words:?}: {outcome:?}");
    if let Outcome::Error(message, hints) = outcome {
        assert!(message.contains(name) && !message.contains("app.wasm"), "{words:?}: {message}");
        assert!(!message.ends_with("not supported") || !hints.is_empty(), "{words:?}: {message}");
    }
}

#[test]
fn every_spelling_of_wasmtime_has_its_answer() {
    for line in include_str!("spellings.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (spelling, verdict) = line.split_once(" | ").unwrap_or_else(|| panic!("{line}"));
        let host = HOST.to_string();
        let spelling = spelling.replace("HOST", &host);
        let mut words: Vec<_> = spelling.split(' ').collect();
        let commands = match words[0] {
            "run" | "compile" => vec![words.remove(0)],
            _ => vec!["run", "compile"],
        };
        // Of a group, the key.
        let (option, value) = (words[0], words.get(1).copied());
        let name = value.filter(|_| !option.starts_with("--")).map_or(option, |value| value.split('=').next().unwrap());
        for way in ways(option, value) {
            for command in &commands {
                let line = [*command].into_iter().chain(way.iter().map(String::as_str)).chain(["app.wasm"]);
                check(&line.collect::<Vec<_>>(), verdict, name);
            }
        }
    }
}

#[test]
fn every_key_is_in_the_list_of_spellings() {
    for group in [&OPTIMIZE, &CODEGEN, &DEBUG, &WASM, &WASI, &RECORD] {
        // One stands for many, the other is not wasmtime's.
        for key in group.keys.iter().filter(|key| {
            !["cranelift-CPU", "placement", "peepholes", "address-sums", "loops", "byte-scans"].contains(&key.name)
        }) {
            let start = format!("-{} {}", group.letter, key.name);
            let is_there = include_str!("spellings.txt")
                .lines()
                .any(|line| line.strip_prefix(&start).is_some_and(|rest| rest.starts_with(['=', ' '])));
            assert!(is_there, "{start}");
        }
    }
}

#[test]
fn options_of_nobody_are_errors() {
    for words in [
        &["run", "--frobnicate", "app.wasm"][..],
        &["compile", "--frobnicate", "app.wasm"],
        &["--frobnicate", "app.wasm"],
        &["run", "-Wnonsense", "app.wasm"],
        &["run", "-O9", "app.wasm"],
        &["run", "-O", "memory-init-cwo=y", "app.wasm"],
        &["run", "-W", "", "app.wasm"],
        &["run", "-W", ",", "app.wasm"],
        &["run", "-W", "fuel", "app.wasm"],
        &["run", "-W", "simd=maybe", "app.wasm"],
        &["run", "-C", "compiler=gcc", "app.wasm"],
    ] {
        assert!(matches!(outcome(words), Outcome::Error(..)), "{words:?}");
    }
    let Outcome::Error(_, hints) = outcome(&["run", "-O", "memory-init-cwo=y", "app.wasm"]) else { panic!() };
    assert_eq!(hints[0], "there is `-O memory-init-cow`");
}

#[test]
fn options_of_the_guest_are_its_own() {
    let Outcome::Asked(asked) = outcome(&["run", "-O0", "app.wasm", "-O2", "--frobnicate"]) else { panic!() };
    assert_eq!(asked.options.opt_level, crate::options::OptLevel::None);
}

#[test]
fn lists_are_applied_in_order() {
    let list = "max-memory-size=1048576,nan-canonicalization, simd=n,relaxed-simd=n,fuel=1,fuel=2";
    let Outcome::Asked(asked) = outcome(&["run", "-W", list, "-W", "simd,max-wasm-stack=64K", "app.wasm"]) else {
        panic!()
    };
    let options = &asked.options;
    assert_eq!((options.max_memory_bytes, options.stack_bytes), (Some(1 << 20), 64 << 10));
    assert!(options.nan_canonicalization && options.features.simd() && !options.features.relaxed_simd());
    assert_eq!(options.policy.fuel, Some(2));
}
