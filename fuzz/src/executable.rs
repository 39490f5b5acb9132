//! Programs as executables: compiled with a driver added, run as processes, observed by what they print. Several modules
//! are preloaded for the module that is their driver.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use wasmelt::module;
use wasmelt::options::{Emit, Options, Preload};
use wasmelt_abi::trap::{TRAP_EXIT_CODE, Trap};
use wasmparser::ValType;

use crate::compile;
use crate::instrument::{DRIVER, instrument};
use crate::linked::driver;
use crate::observe::{Bits, Engine, Failure, MAX_CALLS, Observation, Part, Plan, State, words};

/// No module takes longer: all end when their fuel is used up.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Compiles with these options and runs the executables.
#[derive(Clone, Debug)]
pub struct Executables(pub Options);

impl Engine for Executables {
    fn observe(&self, program: &[Part], plan: &Plan) -> Result<Observation, Failure> {
        let broken = |what: &str, e: &dyn std::fmt::Display| Failure::Broken(format!("{what}: {e}"));
        let parsed =
            program.iter().map(|part| module::parse(&part.wasm, self.0.features)).collect::<Result<Vec<_>, _>>();
        let parsed = parsed.map_err(|e| Failure::Refused(e.to_string()))?;
        let mut options = Options { emit: Emit::Exe, invoke: Some(DRIVER.to_owned()), ..self.0.clone() };
        let driven = if let ([part], [module]) = (program, &parsed[..]) {
            instrument(&part.wasm, module, plan)
        } else {
            options.preloads = program.iter().map(preload).collect();
            driver(program, &parsed, plan)
        };
        let wasm = driven.map_err(|e| broken("no driver can be added", &e))?;
        let compiled = compile(&wasm, &options).map_err(|e| Failure::Refused(e.to_string()))?;
        let folder = tempfile::tempdir().map_err(|e| broken("no scratch folder", &e))?;
        let path = folder.path().join("module");
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
            file.write_all(&compiled.bytes)
        };
        write().map_err(|e| broken("the executable cannot be written", &e))?;
        observe(&path, plan)
    }
}

fn preload(part: &Part) -> Preload {
    Preload { name: part.name.clone(), source_name: part.name.clone(), bytes: part.wasm.clone() }
}

fn observe(executable: &Path, plan: &Plan) -> Result<Observation, Failure> {
    let count = plan.calls.len();
    let below = |call: usize| u64::MAX.checked_shr((MAX_CALLS - call) as u32).unwrap_or(0);
    let mut traps = vec![None; count];
    let (mut chosen, mut first) = (below(count), 0);
    loop {
        let trap = match run(executable, chosen)? {
            Ok(words) => return read(&words, plan, &traps),
            Err(trap) => trap,
        };
        if first == 0 && run(executable, 0)?.is_err() {
            return Ok(Observation { instantiation: Some(trap), ..Observation::default() });
        }
        if first == count {
            return Err(Failure::Broken(format!("`{}` after all calls", trap.message())));
        }
        // The call that traps: those before `first` do not.
        let mut end = count;
        while end - first > 1 {
            let middle = first.midpoint(end);
            match run(executable, chosen & below(middle))? {
                Ok(_) => first = middle,
                Err(other) if other == trap => end = middle,
                Err(other) => return Err(Failure::Broken(format!("`{trap:?}` at one time, `{other:?}` at another"))),
            }
        }
        traps[first] = Some(trap);
        chosen &= !(1 << first);
        first = end;
    }
}

/// An observation from the driver's words.
fn read(words: &[u64], plan: &Plan, traps: &[Option<Trap>]) -> Result<Observation, Failure> {
    let mut words = Words(words.iter());
    let mut observation = Observation::default();
    for (call, &trap) in plan.calls.iter().zip(traps) {
        let results = call.results.iter().map(|&ty| words.value(ty)).collect::<Result<_, _>>()?;
        observation.calls.push(trap.map_or(Ok(results), Err));
    }
    observation.states.push(State {
        globals: plan.globals.iter().map(|&(_, ty)| words.value(ty)).collect::<Result<_, _>>()?,
        memory_hashes: plan.memories.iter().map(|_| words.next()).collect::<Result<_, _>>()?,
        table_lengths: plan.tables.iter().map(|_| words.next()).collect::<Result<_, _>>()?,
        table_hashes: Vec::new(),
    });
    Ok(observation)
}

struct Words<'a>(std::slice::Iter<'a, u64>);

impl Words<'_> {
    fn next(&mut self) -> Result<u64, Failure> {
        self.0.next().copied().ok_or_else(|| Failure::Broken("fewer results than expected were printed".to_owned()))
    }

    fn value(&mut self, ty: ValType) -> Result<Bits, Failure> {
        let low = Bits::from(self.next()?);
        let high = if words(ty) == 2 { Bits::from(self.next()?) } else { 0 };
        Ok(high << 64 | low)
    }
}

/// The words that the driver returns, or the trap that ended it.
fn run(executable: &Path, chosen: u64) -> Result<Result<Vec<u64>, Trap>, Failure> {
    let broken = |e: std::io::Error| Failure::Broken(format!("cannot run the executable: {e}"));
    let mut command = Command::new(executable);
    command.arg(chosen.to_string()).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(broken)?;
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(broken)? {
            break status;
        }
        if start.elapsed() > TIME_LIMIT {
            // It ends now, or has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Failure::Broken(format!("no end after {TIME_LIMIT:?}")));
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(10));
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().map_or(Ok(0), |mut s| s.read_to_string(&mut stdout)).map_err(broken)?;
    child.stderr.take().map_or(Ok(0), |mut s| s.read_to_string(&mut stderr)).map_err(broken)?;
    match status.code() {
        Some(0) => {
            let words = stdout.lines().map(|line| line.parse::<i64>().map(|word| word as u64));
            let words: Result<Vec<_>, _> = words.collect();
            words.map(Ok).map_err(|_| Failure::Broken(format!("printed no numbers: {stdout}")))
        }
        Some(TRAP_EXIT_CODE) => {
            let message = stderr.lines().next().and_then(|line| line.strip_prefix("wasm trap: "));
            let trap = Trap::ALL.iter().copied().find(|trap| Some(trap.message()) == message);
            trap.map(Err).ok_or_else(|| Failure::Broken(format!("an unknown trap: {stderr}")))
        }
        code => {
            let code = code.unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            Err(Failure::Broken(format!("ended with exit code {code}: {stderr}")))
        }
    }
}
