//! Checks inputs one after another and says so, a line at a time, on standard output: what the supervisor reads.
//! `start INDEX`, then `done INDEX PEAK VALID INCOMPARABLE CALLS CROSSINGS TRAPS...` or `finding INDEX MESSAGE`.

use std::any::Any;
use std::fs;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use wasmelt_fuzz::{Finding, Mode, Outcome, memory_limit_bytes};

use crate::ALLOCATOR;
use crate::args::Share;

/// Guests may use as much stack as executables have, on this thread's stack.
const STACK_BYTES: usize = 64 << 20;

/// Where the last panic was: the payload alone does not say it.
static PANIC: Mutex<String> = Mutex::new(String::new());

pub(crate) fn run(share: &Share) -> Result<bool, String> {
    let mode = Mode::ALL.into_iter().find(|mode| mode.name() == share.mode).ok_or("no such mode")?;
    on_large_stack(|| {
        let corpus = mode.corpus(share.corpus.as_deref())?;
        for index in (share.first..share.end).step_by(share.step as usize) {
            let data = mode.generate(share.seed, index, &corpus);
            say(&format!("start {index}"))?;
            let line = match check(mode, &data) {
                Ok((outcome, peak)) => {
                    let traps: String = outcome.traps.iter().map(|count| format!(" {count}")).collect();
                    format!(
                        "done {index} {peak} {} {} {} {}{traps}",
                        u8::from(outcome.valid),
                        u8::from(outcome.incomparable),
                        outcome.calls,
                        outcome.crossings
                    )
                }
                Err(finding) => format!("finding {index} {}", finding.0.escape_debug()),
            };
            say(&line)?;
        }
        Ok(true)
    })
}

/// Checks the input of a file.
pub(crate) fn repeat(file: &Path) -> Result<bool, String> {
    let mode = Mode::of_file(file).ok_or("the extension is none of `bytes`, `smith`, `exec`, `library`, `pairs`")?;
    let data = fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    on_large_stack(|| {
        let checked = check(mode, &data);
        match &checked {
            Ok((outcome, peak)) => println!("nothing found: {outcome:?}, peak {peak} bytes"),
            Err(finding) => println!("found: {finding}"),
        }
        Ok(checked.is_ok())
    })
}

fn on_large_stack(work: impl FnOnce() -> Result<bool, String> + Send) -> Result<bool, String> {
    panic::set_hook(Box::new(|info| *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string()));
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| format!("cannot start a thread: {e}"))?;
        thread.join().unwrap_or_else(|payload| Err(describe(&*payload)))
    })
}

/// An input's outcome and the most bytes that were held at one time.
fn check(mode: Mode, data: &[u8]) -> Result<(Outcome, usize), Finding> {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let checked = panic::catch_unwind(AssertUnwindSafe(|| mode.check(data)));
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    let outcome = checked.unwrap_or_else(|payload| Err(Finding(describe(&*payload))))?;
    let limit = memory_limit_bytes(data.len());
    if peak > limit {
        return Err(Finding(format!("{peak} bytes of memory for an input of {}: at most {limit}", data.len())));
    }
    Ok((outcome, peak))
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let hooked = std::mem::take(&mut *PANIC.lock().unwrap_or_else(PoisonError::into_inner));
    if !hooked.is_empty() {
        return hooked;
    }
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned())
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| e.to_string())
}
