//! Runs an executable that performs events when it is told how far, and judges each event by what the executable does.
//!
//! The executable is given two numbers, `k` and `from`. It performs the events before event `k` that must not trap,
//! compares the results of those from event `from` on, and performs event `k` last if that one must trap. It prints the
//! number of the first event whose results are wrong, [`DONE`] where all are right, or [`NO_TRAP`] where event `k`
//! returned.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use wasmelt_abi::trap::TRAP_EXIT_CODE;

use crate::outcome::{Outcome, Reason, Verdict, same_trap};
use crate::plan::Event;
use crate::process::{self, Ended};
use crate::support::foreign::System;

/// All events that were performed are right.
pub(crate) const DONE: i32 = -1;

/// The event that must trap returned.
pub(crate) const NO_TRAP: i32 = -2;

/// An executable, which is removed when it is not needed any more: thousands of them fill a temporary file system that
/// lies in memory.
#[derive(Debug)]
pub(crate) struct Executable {
    path: PathBuf,
    system: Option<System>,
}

impl Drop for Executable {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Executable {
    pub(crate) fn write(folder: &Path, number: usize, system: Option<System>, bytes: &[u8]) -> Result<Self, String> {
        let name = number.to_string();
        let path = folder.join(system.map_or(name.clone(), |system| system.file_name(&name)));
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
            file.write_all(bytes)
        };
        write().map_err(|e| format!("cannot write the executable: {e}"))?;
        Ok(Self { path, system })
    }

    /// What becomes of each event.
    pub(crate) fn perform(&self, events: &[Event]) -> Vec<Outcome> {
        let mut verdicts: Vec<Option<Verdict>> = events.iter().map(|_| None).collect();
        let performed = self.returns(events, &mut verdicts);
        let outcomes = events.iter().zip(verdicts).enumerate().map(|(number, (event, verdict))| {
            let verdict = match (verdict, event.trap()) {
                (Some(verdict), _) => verdict,
                (None, _) if number > performed => Verdict::NotRun(Reason::AfterFailure),
                (None, None) => Verdict::Passed,
                // In a process of its own, after those before it that return.
                (None, Some(message)) => match self.traps(number as i32, message) {
                    Verdict::Failed(why) => Verdict::Failed(format!("{}: {why}", event.what)),
                    verdict => verdict,
                },
            };
            Outcome { line: event.line, kind: event.kind(), verdict }
        });
        outcomes.collect()
    }

    /// Performs all events that return; what is wrong gets its verdict. The number of the first one that could not be
    /// performed, the number of events where there is none.
    fn returns(&self, events: &[Event], verdicts: &mut [Option<Verdict>]) -> usize {
        let (mut performed, mut from) = (events.len(), 0);
        if events.iter().all(|event| event.trap().is_some()) {
            return performed;
        }
        loop {
            match judge_return(self.run(performed as i32, from as i32)) {
                Ok(DONE) => return performed,
                Ok(wrong) if usize::try_from(wrong).is_ok_and(|wrong| wrong >= from && wrong < performed) => {
                    let wrong = wrong as usize;
                    let why = format!("{}: wrong results", events[wrong].what);
                    verdicts[wrong] = Some(Verdict::Failed(why));
                    from = wrong + 1;
                }
                Ok(code) => {
                    verdicts[0] = Some(Verdict::Failed(format!("the driver returned {code}")));
                    return 0;
                }
                Err(why) => {
                    performed = self.first_that_traps(&events[..performed]);
                    verdicts[performed] = Some(Verdict::Failed(format!("{}: {why}", events[performed].what)));
                    if performed == 0 {
                        return 0;
                    }
                }
            }
        }
    }

    /// Whether event `k` traps with this message.
    pub(crate) fn traps(&self, k: i32, message: &str) -> Verdict {
        judge_trap(self.run(k, k), message)
    }

    fn run(&self, k: i32, from: i32) -> Result<Ended, String> {
        process::run(self.system, &self.path, &[k.to_string(), from.to_string()])
    }

    /// The number of the first event of these that traps, although it must not.
    fn first_that_traps(&self, events: &[Event]) -> usize {
        // To be told to stop before an event that must trap is to be told to perform that one.
        let returning: Vec<_> = (0..events.len()).filter(|&number| events[number].trap().is_none()).collect();
        let fits = |&number: &usize| number == 0 || judge_return(self.run(number as i32, number as i32)).is_ok();
        let good = returning.partition_point(fits);
        good.checked_sub(1).map_or(0, |last| returning[last])
    }
}

/// What the executable printed.
fn judge_return(ended: Result<Ended, String>) -> Result<i32, String> {
    let ended = ended?;
    let returned = ended.stdout.trim_end().parse().ok().filter(|_| ended.code == 0 && ended.stderr.is_empty());
    returned.ok_or_else(|| describe(&ended))
}

fn judge_trap(ended: Result<Ended, String>, message: &str) -> Verdict {
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => return Verdict::Failed(why),
    };
    let found = ended.stderr.lines().next().and_then(|line| line.strip_prefix("wasm trap: "));
    match found {
        Some(found) if ended.code == TRAP_EXIT_CODE && same_trap(found, message) => Verdict::Passed,
        _ => Verdict::Failed(format!("expected the trap `{message}`, found {}", describe(&ended))),
    }
}

fn describe(ended: &Ended) -> String {
    if ended.code == 0 && ended.stdout.trim_end() == NO_TRAP.to_string() {
        return "that it returned".to_owned();
    }
    let text = ended.stderr.lines().next().unwrap_or(ended.stdout.trim_end());
    format!("exit code {} and `{text}`", ended.code)
}
