//! Filters of system calls as the kernel runs them: programs of classic BPF over `struct seccomp_data`.
//!
//! In comes a list of calls, some with a condition on one argument; out come instructions, 64 bits each as in
//! `struct sock_filter`. Source: seccomp(2), `linux/filter.h`.

use target_lexicon::Architecture;

use wasmelt_abi::descriptor::FurtherPolicy;

use crate::error::{Error, Result};
use crate::image::Filter;

/// What an argument must be for a call to be allowed. Only the lower half of an argument is looked at: all arguments
/// that have conditions are 32 bits long in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// None of these bits is set.
    Without(u32),
    /// It is one of these values.
    OneOf(Vec<u32>),
    /// It and the argument behind it are one of these pairs: a first value, and those that may stand behind that one.
    OneOfPairs(Vec<(u32, Vec<u32>)>),
    /// It is the number of this process, which the runtime puts in.
    ThisProcess,
}

/// A call that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its number.
    pub(super) number: u32,
    /// Indices of arguments, and what each must be.
    pub(super) conditions: Vec<(u32, Condition)>,
}

const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const KILL_PROCESS: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7fff_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Numbers from here on are those of another calling convention on x86-64, which the architecture does not tell.
const X32_BIT: u32 = 0x4000_0000;

fn audit_arch(arch: Architecture) -> u32 {
    const LITTLE_ENDIAN_64: u32 = 0xc000_0000;
    const EM_X86_64: u32 = 62;
    const EM_AARCH64: u32 = 183;
    LITTLE_ENDIAN_64 | if arch == Architecture::X86_64 { EM_X86_64 } else { EM_AARCH64 }
}

fn instruction(code: u16, if_true: u8, if_false: u8, k: u32) -> u64 {
    u64::from(code) | u64::from(if_true) << 16 | u64::from(if_false) << 24 | u64::from(k) << 32
}

fn give(action: u32) -> u64 {
    instruction(RETURN, 0, 0, action)
}

fn load(argument: u32) -> u64 {
    instruction(LOAD_WORD, 0, 0, ARGUMENTS + 8 * argument)
}

fn distance(instructions: usize) -> Result<u8> {
    u8::try_from(instructions).map_err(|_| Error::internal("too many values of an argument"))
}

/// Comparisons with each value. One that holds jumps over those that are left, and over so many instructions besides.
fn one_of(values: &[u32], over: usize) -> Result<Vec<u64>> {
    let left = (0..values.len()).rev();
    values
        .iter()
        .zip(left)
        .map(|(value, left)| Ok(instruction(JUMP_EQUAL, distance(left + over)?, 0, *value)))
        .collect()
}

/// Comparisons with the first value of each pair; behind each of them those of the argument `second`. Where a pair is found
/// they jump over one instruction behind them.
fn one_of_pairs(second: u32, pairs: &[(u32, Vec<u32>)]) -> Result<Vec<u64>> {
    let mut instructions: Vec<u64> = Vec::new();
    // From the last one, whose distance to the end is known.
    for (first, seconds) in pairs.iter().rev() {
        let mut block = vec![load(second)];
        // Over what ends the process in this block, over all other blocks, and over what ends the process behind them.
        block.extend(one_of(seconds, 1 + instructions.len() + 1)?);
        block.push(give(KILL_PROCESS));
        block.insert(0, instruction(JUMP_EQUAL, 0, distance(block.len())?, *first));
        instructions.splice(0..0, block);
    }
    Ok(instructions)
}

impl Condition {
    /// Instructions that go on behind themselves where the argument is as it must be, and end the process otherwise.
    fn check(&self, argument: u32) -> Result<Vec<u64>> {
        let mut check = vec![load(argument)];
        match self {
            Self::Without(bits) => check.push(instruction(JUMP_ANY_BIT, 0, 1, *bits)),
            Self::OneOf(values) => check.extend(one_of(values, 1)?),
            Self::OneOfPairs(pairs) => check.extend(one_of_pairs(argument + 1, pairs)?),
            Self::ThisProcess => check.push(instruction(JUMP_EQUAL, 1, 0, NO_PROCESS)),
        }
        check.push(give(KILL_PROCESS));
        Ok(check)
    }
}

/// The number that no process has, in place of the one that the runtime knows.
const NO_PROCESS: u32 = 0;

/// A filter that allows these calls and ends the process at any other. At most one rule may ask for this process.
pub(super) fn build(arch: Architecture, rules: &[Rule]) -> Result<Filter> {
    let mut program = vec![
        instruction(LOAD_WORD, 0, 0, ARCH),
        instruction(JUMP_EQUAL, 1, 0, audit_arch(arch)),
        give(KILL_PROCESS),
        instruction(LOAD_WORD, 0, 0, NUMBER),
    ];
    if arch == Architecture::X86_64 {
        program.extend([instruction(JUMP_GREATER_OR_EQUAL, 0, 1, X32_BIT), give(KILL_PROCESS)]);
    }
    let mut process = 0;
    // Each rule is whole in itself: a match ends in a return, everything else goes on behind it.
    for rule in rules {
        let mut body = Vec::new();
        for (argument, condition) in &rule.conditions {
            let check = condition.check(*argument)?;
            if *condition == Condition::ThisProcess {
                // Behind the comparison of the call's number, and the load.
                process = (program.len() + 1 + body.len() + 1) as u32;
            }
            body.extend(check);
        }
        body.push(give(ALLOW));
        let skip = u8::try_from(body.len()).map_err(|_| Error::internal("a rule of the filter is too long"))?;
        program.push(instruction(JUMP_EQUAL, 0, skip, rule.number));
        program.extend(body);
    }
    program.push(give(KILL_PROCESS));
    if program.len() > FurtherPolicy::MAX_FILTER {
        return Err(Error::internal("the filter of system calls is too long"));
    }
    Ok(Filter { instructions: program, process })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel would.
    fn run(program: &[u64], arch: u32, number: u32, arguments: [u32; 6]) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let word = program[at];
            let (code, if_true, if_false, k) =
                (word as u16, (word >> 16) as u8 as usize, (word >> 24) as u8 as usize, (word >> 32) as u32);
            at += 1;
            let jump = |condition: bool| if condition { if_true } else { if_false };
            match code {
                LOAD_WORD => {
                    accumulator = match k {
                        NUMBER => number,
                        ARCH => arch,
                        k => arguments[(k - ARGUMENTS) as usize / 8],
                    }
                }
                JUMP_EQUAL => at += jump(accumulator == k),
                JUMP_GREATER_OR_EQUAL => at += jump(accumulator >= k),
                JUMP_ANY_BIT => at += jump(accumulator & k != 0),
                RETURN => return k,
                _ => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn what_is_listed_is_allowed_and_nothing_else() {
        let rules = [
            Rule { number: 1, conditions: vec![] },
            Rule { number: 9, conditions: vec![(2, Condition::Without(4))] },
            Rule { number: 62, conditions: vec![(0, Condition::ThisProcess), (1, Condition::OneOf(vec![5, 7]))] },
            Rule { number: 54, conditions: vec![(1, Condition::OneOfPairs(vec![(1, vec![3, 5]), (7, vec![4])]))] },
            Rule { number: 72, conditions: vec![(1, Condition::OneOf(vec![3, 4, 1030]))] },
            Rule { number: 231, conditions: vec![] },
        ];
        for arch in [Architecture::X86_64, Architecture::Aarch64(target_lexicon::Aarch64Architecture::Aarch64)] {
            let filter = build(arch, &rules).unwrap();
            let mut program = filter.instructions;
            // As the runtime does it, for the process 5.
            program[filter.process as usize] |= 5 << 32;
            let arch = audit_arch(arch);
            for process in [0, 4, 5, 6] {
                for signal in 0..10 {
                    let allowed = process == 5 && [5, 7].contains(&signal);
                    let expected = if allowed { ALLOW } else { KILL_PROCESS };
                    assert_eq!(run(&program, arch, 62, [process, signal, 0, 0, 0, 0]), expected, "{process}, {signal}");
                }
            }
            for (level, name) in (0..10).flat_map(|level| (0..10).map(move |name| (level, name))) {
                let allowed = [(1, 3), (1, 5), (7, 4)].contains(&(level, name));
                let expected = if allowed { ALLOW } else { KILL_PROCESS };
                assert_eq!(run(&program, arch, 54, [1, level, name, 4, 0, 0]), expected, "{level}, {name}");
            }
            for number in 0..1000 {
                for value in [0, 1, 3, 4, 5, 7, 1030, u32::MAX] {
                    let allowed = match number {
                        1 | 231 => true,
                        9 => value & 4 == 0,
                        62 => value == 5,
                        72 => [3, 4, 1030].contains(&value),
                        _ => false,
                    };
                    let expected = if allowed { ALLOW } else { KILL_PROCESS };
                    assert_eq!(run(&program, arch, number, [value; 6]), expected, "{number} with {value}");
                    assert_eq!(run(&program, arch ^ 1, number, [value; 6]), KILL_PROCESS);
                    assert_eq!(run(&program, arch, number | X32_BIT, [value; 6]), KILL_PROCESS);
                }
            }
        }
    }
}
