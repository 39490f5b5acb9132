//! What is shown while a compilation runs, and how long its stages took.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::ReportArgs;
use super::{message, print_note};
use crate::driver::{self, Compilation, NoProgress, Progress};
use crate::error::Result;
use crate::options::Options;
use crate::unlinked::Unlinked;

/// A compilation that is done sooner shows no progress bar.
const DELAY: Duration = Duration::from_millis(500);

/// How often the bar moves while a stage reports nothing.
const TICK: Duration = Duration::from_millis(100);

/// Compiles with a progress bar on a terminal.
pub(super) fn compile(input: &[u8], name: &str, options: &Options, report: &ReportArgs) -> Result<Compilation> {
    show(name, report, |progress| driver::compile(input, name, options, progress))
}

/// Links a program once more, with a progress bar on a terminal.
pub(super) fn link(unlinked: &Unlinked, name: &str, options: &Options, report: &ReportArgs) -> Result<Compilation> {
    show(name, report, |progress| driver::link(unlinked, name, options, progress))
}

fn show(
    name: &str,
    report: &ReportArgs,
    work: impl FnOnce(&dyn Progress) -> Result<Compilation>,
) -> Result<Compilation> {
    // Drawn on standard error, and only where that is a terminal: see `ProgressDrawTarget::stderr`.
    if report.quiet {
        return work(&NoProgress);
    }
    let compilation = work(&Bar::start())?;
    for note in &compilation.notes {
        print_note(&format!("note: {name}: {note}"));
    }
    Ok(compilation)
}

/// A progress bar that appears after a while and is gone without a trace in the end.
struct Bar {
    bar: ProgressBar,
    /// Dropped to end the thread that shows the bar.
    running: Option<Sender<()>>,
    shows: Option<JoinHandle<()>>,
}

impl Bar {
    fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let (running, ended) = mpsc::channel::<()>();
        let shown = bar.clone();
        let shows = thread::Builder::new().spawn(move || {
            if ended.recv_timeout(DELAY) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        });
        Self { bar, running: Some(running), shows: shows.ok() }
    }
}

impl Progress for Bar {
    fn stage(&self, name: &'static str) {
        self.bar.set_message(name);
        self.bar.unset_length();
        self.bar.set_style(style("{spinner} {msg}"));
    }

    fn functions(&self, done: usize, total: usize) {
        if self.bar.length() != Some(total as u64) {
            self.bar.set_length(total as u64);
            self.bar.set_style(style("{spinner} {msg} [{bar:32}] {pos}/{len} functions"));
        }
        self.bar.set_position(done as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.shows.take() {
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let plain = ProgressStyle::default_bar();
    plain.clone().template(template).unwrap_or(plain).progress_chars("=> ")
}

/// Durations of named stages, for `--time`.
#[derive(Debug)]
pub(super) struct Times {
    start: Instant,
    last: Instant,
    stages: Vec<(&'static str, Duration)>,
}

impl Times {
    /// Starts the clock.
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { start: now, last: now, stages: Vec::new() }
    }

    /// Ends a stage that began where the last one ended.
    pub(super) fn stage(&mut self, name: &'static str) {
        let now = Instant::now();
        self.add(name, now - self.last);
        self.last = now;
    }

    /// Ends stages that measured themselves.
    pub(super) fn stages(&mut self, stages: &[(&'static str, Duration)]) {
        for &(name, time) in stages {
            self.add(name, time);
        }
        self.last = Instant::now();
    }

    /// Adds to the last stage or begins another: reading a file and assembling its text are both "read".
    fn add(&mut self, name: &'static str, time: Duration) {
        match self.stages.last_mut() {
            Some((last, sum)) if *last == name => *sum += time,
            _ => self.stages.push((name, time)),
        }
    }

    /// Prints one line per stage.
    pub(super) fn print(&self) {
        for (name, time) in self.stages.iter().copied().chain([("total", self.last - self.start)]) {
            if !message::time(name, time) {
                print_note(&format!("{:>10.3} ms  {name}", time.as_secs_f64() * 1000.0));
            }
        }
    }
}
