//! What many runs say together, and how quantities are written.

use serde::Serialize;

use super::measure::Sample;

/// The middle of many values and how far they lie apart.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) minimum: f64,
    pub(super) maximum: f64,
    /// A quarter of the values lie below.
    pub(super) lower_quartile: f64,
    /// A quarter of the values lie above.
    pub(super) upper_quartile: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
            sorted.get(index).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(0.5), minimum: at(0.0), maximum: at(1.0), lower_quartile: at(0.25), upper_quartile: at(0.75) }
    }

    /// Half of the distance between the quartiles, as percents of the median.
    pub(super) fn percents(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.upper_quartile - self.lower_quartile) / 2.0 / self.median * 100.0 }
    }
}

/// What the runs of a contender say.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) runs: usize,
    /// Seconds.
    pub(super) wall: Spread,
    /// Seconds of all processors.
    pub(super) cpu: Spread,
    pub(super) peak_bytes: Spread,
    /// A peak below this cannot be measured. Where `peak_bytes` does not exceed this, the real peak is at most `peak_bytes`.
    pub(super) floor_bytes: u64,
    pub(super) page_faults: Spread,
}

impl Figures {
    pub(super) fn of(samples: &[Sample]) -> Self {
        let spread = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        Self {
            runs: samples.len(),
            wall: spread(|sample| sample.wall),
            cpu: spread(|sample| sample.cpu),
            peak_bytes: spread(|sample| sample.peak_bytes as f64),
            floor_bytes: samples.iter().map(|sample| sample.floor_bytes).max().unwrap_or(0),
            page_faults: spread(|sample| sample.page_faults as f64),
        }
    }
}

impl Figures {
    /// The peak of memory as text.
    pub(super) fn peak(&self) -> String {
        /// A little more is what starting the process takes.
        const MARGIN: f64 = 1.05;
        let is_bound = self.peak_bytes.median <= self.floor_bytes as f64 * MARGIN;
        format!("{}{}", if is_bound { "< " } else { "" }, memory(self.peak_bytes.median))
    }
}

/// A time, with three digits that say something.
pub(super) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// An amount of memory, with three digits that say something.
pub(super) fn memory(bytes: f64) -> String {
    match bytes / 1024.0 {
        kib if kib < 1000.0 => format!("{} KiB", three_digits(kib)),
        kib => format!("{} MiB", three_digits(kib / 1024.0)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_three_digits() {
        assert_eq!(
            [0.000_000_5, 0.000_112, 0.005_476, 0.099_96, 1.5, 75.31].map(time),
            ["0.50 µs", "112 µs", "5.48 ms", "100 ms", "1.50 s", "75.3 s"]
        );
        assert_eq!([4096.0, 1_000_000.0, 31_457_280.0].map(memory), ["4.00 KiB", "977 KiB", "30.0 MiB"]);
    }

    #[test]
    fn a_spread_is_robust() {
        let spread = Spread::of([5.0, 1.0, 2.0, 3.0, 1000.0].into_iter());
        assert_eq!((spread.minimum, spread.lower_quartile, spread.median), (1.0, 2.0, 3.0));
        assert_eq!((spread.upper_quartile, spread.maximum), (5.0, 1000.0));
        assert_eq!(spread.percents(), 50.0);
        assert_eq!(Spread::of([0.0].into_iter()).percents(), 0.0);
    }
}
