//! What the operator is told of a tenant, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How requests end.
pub(crate) const OUTCOMES: [&str; 6] = ["answered", "busy", "punished", "too_late", "failed", "no_answer"];

/// Upper limits of the classes of times, in microseconds.
const CLASSES: [u64; 8] = [100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000];

/// The counters of a tenant.
#[derive(Default)]
pub(crate) struct Counters {
    outcomes: [AtomicU64; OUTCOMES.len()],
    /// One more for what takes longer.
    times: [AtomicU64; CLASSES.len() + 1],
    micros: AtomicU64,
}

impl Counters {
    /// A request has ended.
    pub(crate) fn count(&self, outcome: usize) {
        self.outcomes[outcome].fetch_add(1, Ordering::Relaxed);
    }

    /// An instance was at work for so long.
    pub(crate) fn time(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let class = CLASSES.iter().position(|&limit| micros <= limit).unwrap_or(CLASSES.len());
        self.times[class].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Appends the counters of the tenant with this name.
    pub(crate) fn write(&self, text: &mut String, tenant: &str) {
        // The format's own escapes.
        let tenant = tenant.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        for (outcome, count) in OUTCOMES.iter().zip(&self.outcomes) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(text, "edge_requests_total{{tenant=\"{tenant}\",outcome=\"{outcome}\"}} {count}");
        }
        let mut total = 0;
        let limits = CLASSES.iter().map(|&micros| (micros as f64 / 1e6).to_string()).chain(["+Inf".to_owned()]);
        for (limit, count) in limits.zip(&self.times) {
            total += count.load(Ordering::Relaxed);
            let _ = writeln!(text, "edge_guest_seconds_bucket{{tenant=\"{tenant}\",le=\"{limit}\"}} {total}");
        }
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(text, "edge_guest_seconds_sum{{tenant=\"{tenant}\"}} {seconds}");
        let _ = writeln!(text, "edge_guest_seconds_count{{tenant=\"{tenant}\"}} {total}");
    }
}
