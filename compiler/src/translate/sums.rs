//! Sums of an index and a constant that cannot wrap around become offsets of accesses.
//!
//! ┌───────────────────────────────────────────────────────────────────────────────────────────────────────────────┐
//! │ SECURITY: an index of 32 bits wraps around, the address of an access does not. A constant moves from the one   │
//! │ into the other only where an access that was made before proves that both are the same. The offset stays       │
//! │ within the guard, so that an error here is a wrong address in the sandbox, never one outside.                  │
//! └───────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//!
//! Compilers write `p[0] + p[1]` as accesses to `p` and to `p + 4`: a sum in 32 bits, which is an instruction of its own
//! and needs a register. After an access of `n` bytes at an index `i`, `i + n` does not exceed the memory's length, nor
//! what the memory can grow to. Where that is less than 4 GiB, `i + d` stays below 2^32 for each `d` below the difference
//! and `n`. Memories do not shrink, so this is true for all code behind the access; it is kept for straight code.

use cranelift_codegen::ir::{Block, InstructionData, Opcode, Value};
use wasmparser::MemArg;

use super::FuncTranslator;
use super::bounds::Place;
use crate::module::MemoryIndex;

/// Most accesses that are kept in mind.
const MAX_REACHED: usize = 16;

/// Most sums that an index is taken apart into.
const MAX_SUMS: usize = 4;

/// What was accessed in straight code.
#[derive(Default)]
pub(super) struct Reached {
    /// Where the code at hand goes.
    block: Option<Block>,
    accesses: Vec<Access>,
}

/// Accesses to `bytes` bytes from an index on, which is a value plus a constant.
struct Access {
    memory: MemoryIndex,
    index: Value,
    value: Value,
    constant: u32,
    bytes: u64,
}

impl FuncTranslator<'_, '_> {
    /// [`Self::memory_place`] for an access that is certain to follow.
    pub(super) fn accessed_place(&mut self, memarg: &MemArg, index: Value, size: u32) -> Place {
        let (index, offset) = self.without_sum(memarg, index, u64::from(size));
        self.memory_place(&MemArg { offset, ..*memarg }, index, size)
    }

    /// Straight code goes on in another block, which is entered from the last one only.
    pub(super) fn goes_on_in(&mut self, block: Block, before: Option<Block>) {
        if self.reached.block == before {
            self.reached.block = Some(block);
        }
    }

    /// An index and an offset for the same access.
    fn without_sum(&mut self, memarg: &MemArg, index: Value, size: u64) -> (Value, u64) {
        let memory = MemoryIndex::from_u32(memarg.memory);
        let plan = self.env.instance.memories[memory];
        let is_guarded = |offset: u64| offset.saturating_add(size) <= plan.guard_bytes;
        let room = (1_u64 << 32).saturating_sub(plan.maximum_bytes);
        let has_room = room > 0 && !self.env.module().memories[memory].index_64;
        if !self.env.address_sums || !has_room || !is_guarded(memarg.offset) {
            return (index, memarg.offset);
        }
        let block = self.builder.current_block();
        if self.reached.block != block {
            self.reached = Reached { block, accesses: Vec::new() };
        }
        let (value, constant) = self.sum(index);
        let accesses = &mut self.reached.accesses;
        let same = accesses.iter().position(|access| access.memory == memory && access.value == value);
        if let Some(access) = same.map(|place| &mut accesses[place]) {
            let distance = u64::from(constant.wrapping_sub(access.constant));
            let offset = memarg.offset + distance;
            if distance < room + access.bytes && is_guarded(offset) {
                access.bytes = access.bytes.max(offset + size);
                return (access.index, offset);
            }
        }
        // One with a smaller constant says more, and one that is too far away says nothing.
        let place = same.or((accesses.len() == MAX_REACHED).then_some(0));
        place.into_iter().for_each(|place| _ = accesses.remove(place));
        accesses.push(Access { memory, index, value, constant, bytes: memarg.offset + size });
        (index, memarg.offset)
    }

    /// An index as a value and a constant that is added to it in 32 bits.
    fn sum(&self, index: Value) -> (Value, u32) {
        let dfg = &self.builder.func.dfg;
        let (mut value, mut constant) = (dfg.resolve_aliases(index), 0_u32);
        for _ in 0..MAX_SUMS {
            let inst = dfg.value_def(value).inst();
            let Some(InstructionData::Binary { opcode: Opcode::Iadd, args: [a, b] }) = inst.map(|i| dfg.insts[i])
            else {
                break;
            };
            let (term, known) = match (self.known(a), self.known(b)) {
                (_, Some(known)) => (a, known),
                (Some(known), _) => (b, known),
                _ => break,
            };
            (value, constant) = (dfg.resolve_aliases(term), constant.wrapping_add(known as u32));
        }
        (value, constant)
    }
}
