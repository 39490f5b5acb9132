//! Filters of system calls as the kernel runs them: programs of classic BPF over `struct seccomp_data`.
//!
//! In comes a list of calls, some with a condition on one argument; out come instructions, 64 bits each as in
//! `struct sock_filter`. Source: seccomp(2), `linux/filter.h`.

use target_lexicon::Architecture;

use crate::error::{Error, Result};

/// What an argument must be for a call to be allowed. Only the lower half of an argument is looked at: all arguments
/// that have conditions are 32 bits long in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// None of these bits is set.
    Without(u32),
    /// It is one of these values.
    OneOf(Vec<u32>),
}

/// A call that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its number.
    pub(super) number: u32,
    /// The index of an argument, and what it must be.
    pub(super) condition: Option<(u32, Condition)>,
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

/// A filter that allows these calls and ends the process at any other.
pub(super) fn build(arch: Architecture, rules: &[Rule]) -> Result<Vec<u64>> {
    /// The kernel's `BPF_MAXINSNS`.
    const MAX: usize = 4096;
    let mut program = vec![
        instruction(LOAD_WORD, 0, 0, ARCH),
        instruction(JUMP_EQUAL, 1, 0, audit_arch(arch)),
        give(KILL_PROCESS),
        instruction(LOAD_WORD, 0, 0, NUMBER),
    ];
    if arch == Architecture::X86_64 {
        program.extend([instruction(JUMP_GREATER_OR_EQUAL, 0, 1, X32_BIT), give(KILL_PROCESS)]);
    }
    // Each rule is whole in itself: a match ends in a return, everything else goes on behind it.
    for rule in rules {
        let body = match &rule.condition {
            None => vec![give(ALLOW)],
            Some((argument, condition)) => {
                let mut body = vec![instruction(LOAD_WORD, 0, 0, ARGUMENTS + 8 * argument)];
                match condition {
                    Condition::Without(bits) => {
                        body.extend([instruction(JUMP_ANY_BIT, 0, 1, *bits), give(KILL_PROCESS), give(ALLOW)]);
                    }
                    Condition::OneOf(values) => {
                        for &value in values {
                            body.extend([instruction(JUMP_EQUAL, 0, 1, value), give(ALLOW)]);
                        }
                        body.push(give(KILL_PROCESS));
                    }
                }
                body
            }
        };
        let skip = u8::try_from(body.len()).map_err(|_| Error::internal("a rule of the filter is too long"))?;
        program.push(instruction(JUMP_EQUAL, 0, skip, rule.number));
        program.extend(body);
    }
    program.push(give(KILL_PROCESS));
    if program.len() > MAX {
        return Err(Error::internal("the filter of system calls is too long"));
    }
    Ok(program)
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
            Rule { number: 1, condition: None },
            Rule { number: 9, condition: Some((2, Condition::Without(4))) },
            Rule { number: 72, condition: Some((1, Condition::OneOf(vec![3, 4, 1030]))) },
            Rule { number: 231, condition: None },
        ];
        for arch in [Architecture::X86_64, Architecture::Aarch64(target_lexicon::Aarch64Architecture::Aarch64)] {
            let program = build(arch, &rules).unwrap();
            let arch = audit_arch(arch);
            for number in 0..1000 {
                for value in [0, 1, 3, 4, 5, 7, 1030, u32::MAX] {
                    let allowed = match number {
                        1 | 231 => true,
                        9 => value & 4 == 0,
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
