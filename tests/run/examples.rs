//! The programs of `examples/`, compiled from what is checked in, run, and compared with the outputs beside them.

use std::fs;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::support;

/// How an example is compiled and run; paths are relative to `examples/`, which `{examples}` stands for in options.
struct Example {
    /// The module.
    module: &'static str,
    options: &'static [&'static str],
    args: &'static [&'static str],
    /// File that is its standard input.
    stdin: Option<&'static str>,
    exit_code: i32,
    /// File with its standard output.
    stdout: &'static str,
    /// A file in the working directory that it writes, and the one it must be equal to.
    writes: Option<(&'static str, &'static str)>,
    /// The executable may not be larger.
    max_bytes: Option<u64>,
}

const PLAIN: Example = Example {
    module: "",
    options: &[],
    args: &[],
    stdin: None,
    exit_code: 0,
    stdout: "",
    writes: None,
    max_bytes: None,
};

const EXAMPLES: &[Example] = &[
    Example { module: "hello.wat", stdout: "hello.expected", max_bytes: Some(8 << 10), ..PLAIN },
    Example { module: "c/hello.wasm", stdout: "c/hello.expected", max_bytes: Some(48 << 10), ..PLAIN },
    Example {
        module: "c/csvsum.wasm",
        options: &["--dir", "data"],
        args: &["data/sales.csv", "data/report.txt"],
        stdout: "c/csvsum.expected",
        writes: Some(("data/report.txt", "c/csvsum.report.expected")),
        ..PLAIN
    },
    Example {
        module: "rust/wordfreq.wasm",
        options: &["--dir", "data::data:ro"],
        args: &["data", "5"],
        stdout: "rust/wordfreq.expected",
        ..PLAIN
    },
    Example {
        module: "linked/report.wasm",
        options: &["--preload", "stats={examples}/linked/stats.wasm"],
        stdin: Some("linked/numbers.txt"),
        stdout: "linked/report.expected",
        ..PLAIN
    },
    Example {
        module: "composed/report.wasm",
        options: &["--plug", "{examples}/composed/stats.wasm"],
        args: &["meters"],
        stdin: Some("linked/numbers.txt"),
        stdout: "composed/report.expected",
        ..PLAIN
    },
    Example { module: "go/factor.wasm", stdin: Some("go/numbers.txt"), stdout: "go/factor.expected", ..PLAIN },
    Example {
        module: "zig/checksum.wasm",
        options: &["--dir", "data::/:ro"],
        args: &["sales.csv", "fox.txt", "nothing", "more/fuchs.txt"],
        exit_code: 1,
        stdout: "zig/checksum.expected",
        ..PLAIN
    },
    Example {
        module: "assemblyscript/life.wasm",
        args: &["8"],
        stdin: Some("assemblyscript/glider.txt"),
        stdout: "assemblyscript/life.expected",
        ..PLAIN
    },
];

pub(crate) fn trials() -> Vec<Trial> {
    let levels = [("speed", "-O"), ("size", "-Os"), ("none", "-O0")];
    let trial = |example: &'static Example| {
        let name = example.module.split('.').next().unwrap_or_default();
        levels.map(|(level, flag)| Trial::test(format!("example::{name}::{level}"), move || example.check(flag)))
    };
    EXAMPLES.iter().flat_map(trial).collect()
}

impl Example {
    fn check(&self, level: &str) -> Result<(), Failed> {
        let examples = support::repository().join("examples");
        let folder = support::scratch();
        support::copy_folder(&examples.join("data"), &folder.path().join("data"))?;
        let executable = folder.path().join("example");
        let options = self.options.iter().map(|option| option.replace("{examples}", &examples.display().to_string()));
        support::compile(&examples.join(self.module), &executable, options.chain([level.to_owned()]))?;
        let stdin = self.stdin.map_or(Ok(Vec::new()), |name| fs::read(examples.join(name)))?;
        let mut command = Command::new(&executable);
        let outcome = support::run(command.args(self.args).current_dir(folder.path()), &stdin)?;
        outcome.expect_code(self.exit_code)?.expect_stdout(fs::read(examples.join(self.stdout))?)?;
        if let Some((written, expected)) = self.writes
            && fs::read(folder.path().join(written))? != fs::read(examples.join(expected))?
        {
            return Err(format!("{written} is not as {expected}").into());
        }
        let bytes = fs::metadata(&executable)?.len();
        let max_bytes = self.max_bytes.filter(|_| cfg!(all(target_os = "linux", target_arch = "x86_64")));
        match max_bytes {
            // Code that is not optimised may take what it wants.
            Some(max) if bytes > max && level != "-O0" => {
                Err(format!("the executable has {bytes} bytes, more than {max}").into())
            }
            _ => Ok(()),
        }
    }
}
