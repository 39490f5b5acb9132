//! What is shown while a compilation runs, and how long its stages took.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{CommonArgs, ReportArgs};
use super::{message, print_note};
use crate::driver::{self, Compilation, NoProgress, Progress};
use crate::error::Result;
use crate::options::Options;
use crate::unlinked::Unlinked;

/// A compilation that is done sooner shows no progress bar.
const DELAY: Duration = Duration::from_millis(500);

/// How often the bar moves while a stage reports nothing.
const TICK: Duration = Duration::from_millis(100);

/// Compiles with a progress bar on a terminal, within limits.
pub(super) fn compile(input: &[u8], name: &str, options: &Options, common: &CommonArgs) -> Result<Compilation> {
    compile_by(driver::compile, input, name, options, common)
}

/// As [`compile`], and keeps what the output was linked from.
pub(super) fn compile_to_link_again(
    input: &[u8],
    name: &str,
    options: &Options,
    common: &CommonArgs,
) -> Result<Compilation> {
    compile_by(driver::compile_to_link_again, input, name, options, common)
}

fn compile_by(
    compile: fn(&[u8], &str, &Options, &dyn Progress) -> Result<Compilation>,
    input: &[u8],
    name: &str,
    options: &Options,
    common: &CommonArgs,
) -> Result<Compilation> {
    let CommonArgs { limits, report, .. } = common;
    if !limits.any() {
        return show(name, report, |bar| compile(input, name, options, progress(bar)));
    }
    // The work goes on in a thread of its own, which may outlive this one.
    let (input, source, options) = (input.to_vec(), name.to_owned(), options.clone());
    show(name, report, |bar| {
        let bar = bar.cloned();
        limits.enforce(move || compile(&input, &source, &options, progress(bar.as_ref())))
    })
}

/// Links a program once more, with a progress bar on a terminal.
pub(super) fn link(unlinked: &Unlinked, name: &str, options: &Options, report: &ReportArgs) -> Result<Compilation> {
    show(name, report, |bar| driver::link(unlinked, name, options, progress(bar)))
}

fn show(
    name: &str,
    report: &ReportArgs,
    work: impl FnOnce(Option<&ProgressBar>) -> Result<Compilation>,
) -> Result<Compilation> {
    // Drawn on standard error, and only where that is a terminal: see `ProgressDrawTarget::stderr`.
    let bar = (!report.quiet).then(Bar::start);
    let compilation = work(bar.as_ref().map(|bar| &bar.bar))?;
    drop(bar);
    for note in compilation.notes.iter().filter(|_| !report.quiet) {
        print_note(&format!("note: {name}: {note}"));
    }
    for detail in compilation.details.iter().filter(|_| report.verbose) {
        print_note(&format!("{name}: {detail}"));
    }
    Ok(compilation)
}

fn progress(bar: Option<&ProgressBar>) -> &dyn Progress {
    bar.map_or(&NoProgress, |bar| bar as &dyn Progress)
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

impl Progress for ProgressBar {
    fn stage(&self, name: &'static str) {
        self.set_message(name);
        self.unset_length();
        self.set_style(style("{spinner} {msg}"));
    }

    fn functions(&self, done: usize, total: usize) {
        if self.length() != Some(total as u64) {
            self.set_length(total as u64);
            self.set_style(style("{spinner} {msg} [{bar:32}] {pos}/{len} functions"));
        }
        self.set_position(done as u64);
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
