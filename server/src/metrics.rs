//! What the server counts, for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of all requests.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By the first digit of the status, from 1 on.
    by_class: [AtomicU64; 5],
    running: AtomicU64,
    pub(crate) traps: AtomicU64,
    pub(crate) deadlines: AtomicU64,
    pub(crate) refused: AtomicU64,
    guest_us: AtomicU64,
    guests: AtomicU64,
}

/// A guest that runs.
pub(crate) struct Running<'a>(&'a Metrics);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.by_class[class].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a guest that runs, until what this returns is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    /// Counts the time that a guest has taken.
    pub(crate) fn guest(&self, time: Duration) {
        self.guests.fetch_add(1, Ordering::Relaxed);
        self.guest_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn text(&self) -> String {
        let mut text = "# TYPE wasmelt_requests_total counter\n".to_owned();
        for (index, count) in self.by_class.iter().enumerate() {
            text +=
                &format!("wasmelt_requests_total{{status=\"{}xx\"}} {}\n", index + 1, count.load(Ordering::Relaxed));
        }
        let seconds = self.guest_us.load(Ordering::Relaxed) as f64 / 1e6;
        let counters = [
            ("running", "gauge", &self.running),
            ("traps_total", "counter", &self.traps),
            ("deadlines_total", "counter", &self.deadlines),
            ("refused_total", "counter", &self.refused),
        ];
        for (name, kind, count) in counters {
            let count = count.load(Ordering::Relaxed);
            text += &format!("# TYPE wasmelt_{name} {kind}\nwasmelt_{name} {count}\n");
        }
        let guests = self.guests.load(Ordering::Relaxed);
        text + &format!(
            "# TYPE wasmelt_guest_seconds summary\nwasmelt_guest_seconds_sum {seconds}\nwasmelt_guest_seconds_count {guests}\n"
        )
    }
}
