//! Where functions start: where the CPU likes it, or anywhere in a line of its cache, to measure what that changes.

use cranelift_codegen::CompiledCode;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::settings::OptLevel;

use crate::image::Start;
use crate::program::FuncId;

/// Where a function starts, by the seed where there is one.
pub(super) fn start(isa: &dyn TargetIsa, code: &CompiledCode, seed: Option<u64>, id: FuncId) -> Start {
    let (alignment, needed) = (isa.function_alignment(), code.buffer.alignment);
    let may_start = |n: &u32| (n * Start::STEP).is_multiple_of(needed) && needed <= Start::LINE;
    let candidates: Vec<u32> = (0..Start::LINE / Start::STEP).filter(may_start).collect();
    match (seed, isa.flags().opt_level()) {
        (Some(seed), _) if !candidates.is_empty() => {
            Start::InLine(candidates[scrambled(seed, id) as usize % candidates.len()] * Start::STEP)
        }
        // Just as it needs where size counts.
        (_, OptLevel::SpeedAndSize) => Start::Aligned(alignment.minimum.max(needed)),
        _ => Start::Aligned(alignment.preferred.max(needed)),
    }
}

/// A number that looks random, of a seed and a function. Source: the finaliser of SplitMix64.
fn scrambled(seed: u64, id: FuncId) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(u64::from(id.as_u32()) + 1);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
