//! The last line of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use wasmelt_abi::trap::Trap;

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    modules: u64,
    valid: u64,
    incomparable: u64,
    calls: u64,
    /// Calls that executed code of another module than the called one, and inputs that have such calls.
    crossings: u64,
    crossed: u64,
    traps: BTreeMap<Trap, u64>,
    peak_bytes: u64,
}

impl Summary {
    /// Adds what a worker said of an input: `PEAK VALID INCOMPARABLE CALLS CROSSINGS TRAPS...`.
    pub(crate) fn add(&mut self, line: &str) {
        let mut numbers = line.split(' ').map(|number| number.parse::<u64>().unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        self.modules += 1;
        self.peak_bytes = self.peak_bytes.max(next());
        self.valid += next();
        self.incomparable += next();
        self.calls += next();
        let crossings = next();
        self.crossings += crossings;
        self.crossed += u64::from(crossings > 0);
        for (number, count) in (0..).zip(numbers) {
            if let Some(trap) = Trap::from_u8(number).filter(|_| count > 0) {
                *self.traps.entry(trap).or_default() += count;
            }
        }
    }

    pub(crate) fn describe(&self, time: Duration) -> String {
        let traps: Vec<_> = self.traps.iter().map(|(trap, count)| format!("{count} {}", trap.message())).collect();
        let traps = if traps.is_empty() { "none".to_owned() } else { traps.join(", ") };
        let crossings = match self.crossings {
            0 => String::new(),
            crossings => format!(" ({crossings} of them went on into another module, in {} inputs)", self.crossed),
        };
        let rate = self.modules as f64 / time.as_secs_f64();
        format!(
            "{} inputs without, {} of them valid, {} not compared for NaNs, {} calls compared{crossings}, traps: {traps}; peak memory {:.1} MiB, {:.1} s, \
             {rate:.1} inputs per second",
            self.modules,
            self.valid,
            self.incomparable,
            self.calls,
            self.peak_bytes as f64 / f64::from(1 << 20),
            time.as_secs_f64()
        )
    }
}
