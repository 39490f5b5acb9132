//! Checks the units of a script as executables: compiles each module, runs what came out, and compares.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use wasmelt::driver::{self, NoProgress};
use wasmelt::module::{self, Module};
use wasmelt::options::{Emit, Options};
use wasmelt_abi::trap::TRAP_EXIT_CODE;

use crate::configuration::{Configuration, Way};
use crate::instrument::{DONE, DRIVER, NO_TRAP, instrument};
use crate::outcome::{Kind, Outcome, Reason, Refused, Verdict, same_trap};
use crate::process::{self, Ended};
use crate::script::{Expect, Script};
use crate::suites::File;
use crate::support;
use crate::units::{self, Step, Unit};

/// What becomes of each directive of a script.
pub(crate) fn check(configuration: &Configuration, file: &File, script: &Script) -> Vec<Outcome> {
    let options = match configuration.options(file.features) {
        Ok(options) => Options { emit: Emit::Exe, invoke: Some(DRIVER.to_owned()), ..options },
        Err(why) => return vec![Outcome { line: 1, kind: Kind::Module, verdict: Verdict::Failed(why) }],
    };
    let folder = support::scratch();
    let units = units::divide(script);
    let mut checker = Checker { configuration, options, folder: folder.path(), outcomes: units.outcomes };
    for (number, unit) in units.units.into_iter().enumerate() {
        checker.unit(number, unit);
    }
    checker.outcomes
}

struct Checker<'c> {
    configuration: &'c Configuration,
    options: Options,
    folder: &'c Path,
    outcomes: Vec<Outcome>,
}

impl Checker<'_> {
    fn decide(&mut self, line: usize, kind: Kind, verdict: Verdict) {
        self.outcomes.push(Outcome { line, kind, verdict });
    }

    fn unit(&mut self, number: usize, unit: Unit) {
        match unit {
            Unit::Instance { line, wasm, steps } => self.instance(number, line, &wasm, &steps),
            Unit::Rejected { line, wasm } => {
                let verdict = Refused::judge(module::parse(&wasm, self.options.features).err().as_ref());
                self.decide(line, Kind::Assertion, verdict);
            }
            Unit::Unlinkable { line, wasm } => {
                let result = driver::compile(&wasm, "module", &self.options, &NoProgress);
                let verdict = match result.map_err(|e| Refused::new(&e)) {
                    Ok(_) => Verdict::Failed("the module was compiled, although an import is unknown".to_owned()),
                    Err(Refused::Error(why)) if !why.contains("unknown import") => {
                        Verdict::Failed(format!("expected `unknown import`, found `{why}`"))
                    }
                    Err(refused @ (Refused::Proposal | Refused::Limit)) => refused.verdict(),
                    Err(Refused::Error(_)) => Verdict::Passed,
                };
                self.decide(line, Kind::Assertion, verdict);
            }
            Unit::InstantiationTraps { line, wasm, message } => {
                let verdict = match self.compile(number, &wasm, &[]) {
                    Ok(executable) => judge_trap(self.instantiate(&executable), &message),
                    Err(refused) => refused.verdict(),
                };
                self.decide(line, Kind::Assertion, verdict);
            }
        }
    }

    fn instance(&mut self, number: usize, line: usize, wasm: &[u8], steps: &[Step]) {
        let executable = match self.compile(number, wasm, steps) {
            Ok(executable) => executable,
            Err(refused) => {
                let reason = refused.reason();
                self.decide(line, Kind::Module, refused.verdict());
                for step in steps {
                    self.decide(step.line, step.kind(), Verdict::NotRun(reason));
                }
                return;
            }
        };
        let instantiated = judge_return(self.instantiate(&executable));
        let failed = !matches!(instantiated, Ok(DONE));
        let verdict =
            if failed { Verdict::Failed(format!("instantiation: {}", shown(instantiated))) } else { Verdict::Passed };
        self.decide(line, Kind::Module, verdict);
        if failed {
            for step in steps {
                self.decide(step.line, step.kind(), Verdict::NotRun(Reason::AfterFailure));
            }
            return;
        }
        let performed = self.returns(&executable, steps);
        self.traps(&executable, steps, performed);
        // Thousands of them fill a temporary file system that lies in memory.
        let _ = fs::remove_file(executable);
    }

    /// Performs all steps that return. The number of steps up to which that worked.
    fn returns(&mut self, executable: &Path, steps: &[Step]) -> usize {
        let mut wrong = Vec::new();
        let mut performed = steps.len();
        if steps.iter().any(|step| !is_trap(step)) {
            let mut from = 0;
            loop {
                match judge_return(self.run(executable, performed, from)) {
                    Ok(DONE) => break,
                    Ok(step) if usize::try_from(step).is_ok_and(|step| step >= from && step < performed) => {
                        wrong.push(step as usize);
                        from = step as usize + 1;
                    }
                    Ok(code) => {
                        self.decide(
                            steps[0].line,
                            Kind::Action,
                            Verdict::Failed(format!("the driver returned {code}")),
                        );
                        return 0;
                    }
                    Err(why) => {
                        let step = self.first_that_traps(executable, performed);
                        self.decide(steps[step].line, steps[step].kind(), Verdict::Failed(why));
                        performed = step;
                    }
                }
            }
        }
        for (number, step) in steps.iter().enumerate() {
            if is_trap(step) {
                continue;
            }
            let verdict = if wrong.contains(&number) {
                Verdict::Failed(format!("{:?}: wrong results, expected {:?}", step.action, step.expect))
            } else if number < performed {
                Verdict::Passed
            } else if number == performed {
                // Decided above.
                continue;
            } else {
                Verdict::NotRun(Reason::AfterFailure)
            };
            self.decide(step.line, step.kind(), verdict);
        }
        performed
    }

    /// Performs each step that traps in a process of its own, after those before it that return.
    fn traps(&mut self, executable: &Path, steps: &[Step], performed: usize) {
        for (number, step) in steps.iter().enumerate() {
            let Expect::Trap(message) = &step.expect else { continue };
            let verdict = if number > performed {
                Verdict::NotRun(Reason::AfterFailure)
            } else {
                match judge_trap(self.run(executable, number, number), message) {
                    Verdict::Failed(why) => Verdict::Failed(format!("{:?}: {why}", step.action)),
                    verdict => verdict,
                }
            };
            self.decide(step.line, step.kind(), verdict);
        }
    }

    fn compile(&self, number: usize, wasm: &[u8], steps: &[Step]) -> Result<PathBuf, Refused> {
        let module: Module<'_> = module::parse(wasm, self.options.features).map_err(|e| Refused::new(&e))?;
        let wasm =
            instrument(wasm, &module, steps, self.configuration.way == Way::Executables { compile_unused: true })
                .map_err(Refused::Error)?;
        let executable = driver::compile(&wasm, "module", &self.options, &NoProgress).map_err(|e| Refused::new(&e))?;
        let name = number.to_string();
        let path = self.folder.join(self.configuration.system.map_or(name.clone(), |system| system.file_name(&name)));
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
            file.write_all(&executable.bytes)
        };
        write().map_err(|e| Refused::Error(format!("cannot write the executable: {e}")))?;
        Ok(path)
    }

    /// Performs no step: the first one may be one that traps.
    fn instantiate(&self, executable: &Path) -> Result<Ended, String> {
        process::run(self.configuration.system, executable, &["-1".to_owned(), "0".to_owned()])
    }

    fn run(&self, executable: &Path, k: usize, from: usize) -> Result<Ended, String> {
        process::run(self.configuration.system, executable, &[k.to_string(), from.to_string()])
    }

    /// The number of the step that traps, although it must not: the last of the fewest that trap together.
    fn first_that_traps(&self, executable: &Path, count: usize) -> usize {
        let (mut good, mut bad) = (0, count);
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            if judge_return(self.run(executable, middle, middle)).is_ok() { good = middle } else { bad = middle }
        }
        good
    }
}

fn is_trap(step: &Step) -> bool {
    matches!(step.expect, Expect::Trap(_))
}

/// What the driver returned.
fn judge_return(ended: Result<Ended, String>) -> Result<i32, String> {
    let ended = ended?;
    let returned = ended.stdout.trim_end().parse().ok().filter(|_| ended.code == 0 && ended.stderr.is_empty());
    returned.ok_or_else(|| describe(&ended))
}

fn shown(returned: Result<i32, String>) -> String {
    returned.map_or_else(|why| why, |code| format!("the driver returned {code}"))
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
