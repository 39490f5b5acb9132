//! Runs workers, watches their time, starts them again behind an input that ended one, and writes down what they find.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use wasmelt_fuzz::corpus::Corpus;
use wasmelt_fuzz::observe::Part;
use wasmelt_fuzz::{Mode, TIME_LIMIT};

use crate::args::Run;
use crate::summary::Summary;

/// Inputs after which a worker is replaced: it may hold on to what it loaded.
const BATCH: u64 = 1000;

/// Runs a mode. Whether nothing was found.
pub(crate) fn run(mode: Mode, run: &Run) -> Result<bool, String> {
    let start = Instant::now();
    let corpus = mode.corpus(run.corpus.as_deref())?;
    let shared =
        Shared { mode, run, corpus, findings: AtomicU64::new(0), summary: Mutex::default(), late: Mutex::default() };
    let (jobs, shared_ref) = (run.jobs.max(1), &shared);
    let results: Vec<Result<(), String>> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..jobs).map(|job| scope.spawn(move || shared_ref.share(run.start + job, jobs))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or(Err("a thread failed".to_owned()));
        threads.into_iter().map(join).collect()
    });
    results.into_iter().collect::<Result<(), _>>()?;
    let findings = shared.findings.into_inner();
    let summary = shared.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{} seed {}: {findings} findings, {}", mode.name(), run.seed, summary.describe(start.elapsed()));
    Ok(findings == 0)
}

struct Shared<'a> {
    mode: Mode,
    run: &'a Run,
    corpus: Corpus,
    findings: AtomicU64,
    summary: Mutex<Summary>,
    /// Inputs that did not end in time at first. Where many processes share a machine, one may wait for long.
    late: Mutex<BTreeSet<u64>>,
}

impl Shared<'_> {
    /// Checks inputs `next`, `next + step`, ...
    fn share(&self, mut next: u64, step: u64) -> Result<(), String> {
        let end = self.run.start + self.run.count;
        while next < end && self.findings.load(Ordering::Relaxed) < self.run.max_findings {
            let batch = end.min(next.saturating_add(step.saturating_mul(BATCH)));
            let mut child = self.spawn(next, step, batch).map_err(|e| format!("cannot start a worker: {e}"))?;
            let watched = self.watch(&mut child, next, step, batch);
            // It has ended, or is to end now.
            let _ = child.kill();
            let _ = child.wait();
            next = watched?;
        }
        Ok(())
    }

    fn spawn(&self, first: u64, step: u64, end: u64) -> std::io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("worker").arg(self.mode.name());
        command.args([self.run.seed, first, step, end].map(|number| number.to_string()));
        if let Some(folder) = &self.run.corpus {
            command.arg("--corpus").arg(folder);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    /// Reads what a worker says until it ends. The next input that is to be checked.
    fn watch(&self, child: &mut Child, mut next: u64, step: u64, batch: u64) -> Result<u64, String> {
        let (sender, lines) = channel();
        let stdout = child.stdout.take().ok_or("no pipe")?;
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut begun = false;
        let end = loop {
            let line = match receive(&lines) {
                Ok(line) => line,
                Err(end) => break end,
            };
            let mut words = line.splitn(3, ' ');
            let (kind, index, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
            if index != Some(&next.to_string()) {
                return Err(format!("a worker said `{line}` instead of something about input {next}"));
            }
            match kind {
                Some("start") => begun = true,
                Some("done") => {
                    self.summary.lock().unwrap_or_else(PoisonError::into_inner).add(rest);
                    (next, begun) = (next + step, false);
                }
                _ => {
                    self.found(next, rest)?;
                    (next, begun) = (next + step, false);
                    if self.findings.load(Ordering::Relaxed) >= self.run.max_findings {
                        return Ok(next);
                    }
                }
            }
        };
        // A child that still runs is stopped, so that its pipes end.
        let killed = matches!(end, RecvTimeoutError::Timeout) && child.kill().is_ok();
        let status = child.wait().map_err(|e| e.to_string())?;
        let mut stderr = String::new();
        child.stderr.take().map_or(Ok(0), |mut s| s.read_to_string(&mut stderr)).map_err(|e| e.to_string())?;
        reader.join().map_err(|_| "a reader failed")?;
        if !begun {
            let complete = status.success() && next >= batch;
            return if complete { Ok(next) } else { Err(format!("a worker ended: {status}, {stderr}")) };
        }
        if killed && self.late.lock().unwrap_or_else(PoisonError::into_inner).insert(next) {
            println!("{} seed {} input {next}: not done in time, once more", self.mode.name(), self.run.seed);
            return Ok(next);
        }
        let what = if killed { format!("no end after {TIME_LIMIT:?}") } else { format!("{status}: {stderr}") };
        self.found(next, &what)?;
        Ok(next + step)
    }

    /// Writes an input down that shows a bug.
    fn found(&self, index: u64, what: &str) -> Result<(), String> {
        self.findings.fetch_add(1, Ordering::Relaxed);
        let (mode, run) = (self.mode, self.run);
        let data = mode.generate(run.seed, index, &self.corpus);
        let path = run.findings.join(format!("{}-{index}.{}", run.seed, mode.name()));
        let write = |path: &Path, bytes: &[u8]| {
            fs::create_dir_all(&run.findings)
                .and_then(|()| fs::write(path, bytes))
                .map_err(|e| format!("cannot write {}: {e}", path.display()))
        };
        write(&path, &data)?;
        // Making the modules again may be what ended the worker.
        for Part { name, wasm, .. } in std::panic::catch_unwind(|| mode.modules(&data)).unwrap_or_default() {
            let extension = |extension: &str| [&*name, extension].join(if name.is_empty() { "" } else { "." });
            write(&path.with_extension(extension("wasm")), &wasm)?;
            if let Ok(text) = wasmprinter::print_bytes(&wasm) {
                write(&path.with_extension(extension("wat")), text.as_bytes())?;
            }
        }
        println!("{} seed {} input {index}: {what}", mode.name(), run.seed);
        println!("    repeat it: cargo run --release -p wasmelt-fuzz -- repeat {}", path.display());
        Ok(())
    }
}

/// A line. The first one waits for the corpus as well, which is within the time for an input.
fn receive(lines: &Receiver<String>) -> Result<String, RecvTimeoutError> {
    lines.recv_timeout(TIME_LIMIT)
}
