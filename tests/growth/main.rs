//! What a compilation makes grows with the module and not faster, and what is compiled with least effort for that is
//! right. Nothing here depends on time: the bench `scale` measures that.

#[path = "../support/mod.rs"]
mod support;

mod large;
mod limits;
mod shapes;

use std::fs;
use std::process::ExitCode;

use libtest_mimic::{Failed, Trial};

use shapes::{SHAPES, Shape};

/// A module of twice the size makes at most so many times as much: a little more than twice, as numbers get longer.
const MOST_GROWTH: f64 = 2.4;

fn main() -> ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    let mut trials: Vec<_> =
        SHAPES.iter().map(|shape| Trial::test(format!("shape::{}", shape.name), || outputs_grow_as(shape))).collect();
    trials.extend(large::trials());
    trials.extend(limits::trials());
    libtest_mimic::run(&args, trials).exit_code()
}

/// The intermediate form and the object of a module of twice the size.
fn outputs_grow_as(shape: &Shape) -> Result<(), Failed> {
    let folder = support::scratch();
    for emit in ["clif", "obj"] {
        let [small, large] = [1, 2].map(|factor| {
            let module = folder.path().join("module.wat");
            fs::write(&module, (shape.module)(factor * shape.start))?;
            let output = folder.path().join("output");
            support::compile(&module, &output, ["--emit", emit, "--unknown-imports", "trap"])?;
            Ok::<_, Failed>(fs::metadata(&output)?.len() as f64)
        });
        let (small, large) = (small?, large?);
        if large > MOST_GROWTH * small {
            let (name, start) = (shape.name, shape.start);
            return Err(
                format!("{name}: --emit {emit} makes {small} bytes for {start}, {large} for twice as much").into()
            );
        }
    }
    Ok(())
}
