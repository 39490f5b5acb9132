//! Damaged modules: a random number in, the bytes of an input of the mode `bytes` out.

use crate::bytes::OPTION_BYTES;
use crate::corpus::Corpus;
use crate::random::Random;

const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// Inputs stay below this length.
const MAX_BYTES: usize = 512 << 10;

/// One input: what decides the options, then a module.
pub fn generate(random: &mut Random, corpus: &Corpus) -> Vec<u8> {
    let mut input = random.bytes(OPTION_BYTES);
    let mut module = match random.choose(&corpus.0) {
        Some(module) if !random.one_in(24) => module.clone(),
        _ => noise(random),
    };
    // A share stays as it is: options are enough of a change, and what is valid gets further into the compiler.
    if !random.one_in(4) {
        for _ in 0..random.between(1, 4) {
            damage(random, corpus, &mut module);
        }
    }
    module.truncate(MAX_BYTES);
    input.extend(module);
    input
}

fn noise(random: &mut Random) -> Vec<u8> {
    let mut bytes = if random.one_in(2) { HEADER.to_vec() } else { Vec::new() };
    let length = random.between(0, 512);
    bytes.extend(random.bytes(length));
    bytes
}

fn damage(random: &mut Random, corpus: &Corpus, module: &mut Vec<u8>) {
    let len = module.len();
    match random.below(9) {
        0 => {
            for _ in 0..random.between(1, 8) {
                let at = random.below(len);
                if let Some(byte) = module.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        1 => {
            let at = random.below(len);
            if let Some(byte) = module.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        2 => module.truncate(random.below(len)),
        3 => replace_leb(random, module),
        4 => {
            let other = random.choose(&corpus.0).cloned().unwrap_or_default();
            let (from, length) = (random.below(other.len()), random.between(1, 256));
            let part = other[from..].iter().copied().take(length).collect::<Vec<_>>();
            let start = random.below(len);
            let end = if random.one_in(2) { start } else { (start + part.len()).min(len) };
            module.splice(start..end, part);
        }
        5 => {
            let start = random.below(len);
            let end = (start + random.between(1, 16)).min(len);
            module.drain(start..end);
        }
        kind => edit_sections(random, corpus, module, kind),
    }
}

/// Numbers at the edges of what the format and the limits allow, in place of one byte or a few.
fn replace_leb(random: &mut Random, module: &mut Vec<u8>) {
    const NUMBERS: &[u64] = &[
        0,
        1,
        127,
        128,
        999,
        1000,
        1001,
        49_999,
        50_000,
        50_001,
        65_535,
        65_536,
        65_537,
        1_000_000,
        9_999_999,
        10_000_000,
        10_000_001,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 32,
        1 << 48,
        u64::MAX / 2,
        u64::MAX,
    ];
    let mut number = random.choose(NUMBERS).copied().unwrap_or_default();
    let start = random.below(module.len());
    let old = module[start..].iter().take_while(|&&byte| byte >= 0x80).count() + 1;
    let end = (start + old).min(module.len());
    let mut leb = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        leb.push(if number == 0 { byte } else { byte | 0x80 });
        if number == 0 {
            break;
        }
    }
    module.splice(start..end, leb);
}

/// Sections twice, gone, in another order, or from another module.
fn edit_sections(random: &mut Random, corpus: &Corpus, module: &mut Vec<u8>, kind: usize) {
    let mut parts = sections(module).unwrap_or_default();
    let at = random.below(parts.len());
    match kind {
        6 if !parts.is_empty() => parts.insert(random.below(parts.len() + 1), parts[at].clone()),
        7 if !parts.is_empty() => drop(parts.remove(at)),
        _ => {
            let other = random.choose(&corpus.0).and_then(|other| sections(other)).unwrap_or_default();
            let Some(section) = random.choose(&other) else { return };
            match parts.iter_mut().find(|part| part[0] == section[0]) {
                Some(part) => part.clone_from(section),
                None => parts.insert(random.below(parts.len() + 1), section.clone()),
            }
        }
    }
    *module = [HEADER.to_vec(), parts.concat()].concat();
}

/// The sections, each with its number and length; `None` where the bytes have none.
fn sections(module: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = module.strip_prefix(HEADER)?;
    let mut sections = Vec::new();
    while !rest.is_empty() {
        let mut reader = wasmparser::BinaryReader::new(rest, 0);
        reader.read_u8().ok()?;
        let length = reader.read_var_u32().ok()? as usize;
        let end = reader.original_position().checked_add(length).filter(|&end| end <= rest.len())?;
        let (section, behind) = rest.split_at(end);
        sections.push(section.to_vec());
        rest = behind;
    }
    Some(sections)
}
