//! Programs for unit tests, as the compiler would describe them.

use core::mem;
use std::boxed::Box;

use wasmelt_abi::ABI_VERSION;
use wasmelt_abi::code_map::{self, Function};
use wasmelt_abi::context::{FuncRecord, HEAD_BYTES, MEMORY0_BASE_OFFSET};
use wasmelt_abi::descriptor::{
    DataSegment, ElementSegment, InvokePlan, MemoryPlan, ProgramDescriptor, Rel, TablePlan, ValueType,
};
use wasmelt_abi::layout::{Layout, Parts};
use wasmelt_abi::rel::{refer, refer_slice};

use crate::sys::pages;

/// A descriptor and what it refers to, close enough together for 32-bit distances.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct TestProgram {
    pub(crate) descriptor: ProgramDescriptor,
    pub(crate) memories: [MemoryPlan; 1],
    pub(crate) tables: [TablePlan; 1],
    pub(crate) data: [DataSegment; 1],
    pub(crate) data_bytes: [u8; 4],
    pub(crate) elements: [ElementSegment; 1],
    pub(crate) element_records: [Rel<FuncRecord>; 2],
    pub(crate) record: FuncRecord,
    pub(crate) text: [u8; 256],
    pub(crate) code_map: [u8; 64],
    pub(crate) code_map_len: usize,
}

impl TestProgram {
    /// One memory, and one data segment that holds `data`.
    pub(crate) fn with_memory(initial_bytes: u64, maximum_bytes: u64) -> Box<Self> {
        // SAFETY: all zeros is a value of every field.
        let mut program: Box<Self> = Box::new(unsafe { mem::zeroed() });
        program.descriptor.abi_version = ABI_VERSION;
        program.descriptor.first.context_bytes = HEAD_BYTES as u32 + 16;
        program.descriptor.first.segment_count = 2;
        program.descriptor.stack_bytes = 100_000;
        program.memories[0] = MemoryPlan {
            context_offset: MEMORY0_BASE_OFFSET,
            page_size_log2: 16,
            flags: 0,
            initial_bytes,
            maximum_bytes,
            reserve_bytes: maximum_bytes,
            guard_bytes: 1 << 16,
        };
        program.data_bytes = *b"data";
        program
    }

    /// One table in addition, and one element segment of a null and a function.
    pub(crate) fn with_table(initial_elements: u64, maximum_elements: u64) -> Box<Self> {
        let mut program = Self::with_memory(0, 0);
        program.tables[0] =
            TablePlan { context_offset: -(HEAD_BYTES as i32) - 16, flags: 0, initial_elements, maximum_elements };
        program.descriptor.first.tables.len = 1;
        program
    }

    /// Writes the code map.
    pub(crate) fn encode(&mut self, functions: &[Function<'_>]) {
        code_map::encode(functions.iter().copied(), |byte| {
            self.code_map[self.code_map_len] = byte;
            self.code_map_len += 1;
        });
    }

    /// Connects the parts where they are, for good.
    pub(crate) fn leak(self: Box<Self>) -> &'static ProgramDescriptor {
        let program = Box::leak(self);
        if program.descriptor.first.tables.len != 0 {
            refer_slice(&mut program.descriptor.first.tables, &program.tables);
        }
        let plan = &program.memories[0];
        let parts = Parts {
            context_bytes: program.descriptor.first.context_bytes,
            segment_count: program.descriptor.first.segment_count,
            stack_bytes: program.descriptor.stack_bytes,
            memory0: [plan.initial_bytes, plan.reserve_bytes, plan.guard_bytes],
            page_bytes: pages::PAGE_BYTES as u64,
        };
        program.descriptor.layout = Layout::of(&parts).unwrap();
        refer_slice(&mut program.descriptor.first.memories, &program.memories);
        refer_slice(&mut program.descriptor.first.data_segments, &program.data);
        refer_slice(&mut program.data[0].bytes, &program.data_bytes);
        refer_slice(&mut program.descriptor.first.element_segments, &program.elements);
        refer_slice(&mut program.elements[0].elements, &program.element_records);
        refer(&mut program.element_records[1], &raw const program.record);
        refer(&mut program.descriptor.code.text, &raw const program.text);
        program.descriptor.code.text_bytes = program.text.len() as u32;
        refer_slice(&mut program.descriptor.code.code_map, &program.code_map[..program.code_map_len]);
        &program.descriptor
    }
}

/// An export to invoke.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct InvokeTest {
    plan: InvokePlan,
    name: [u8; 16],
    params: [u8; 16],
}

impl InvokeTest {
    /// The plan of an export without results.
    pub(crate) fn plan(name: &str, params: &[ValueType]) -> &'static InvokePlan {
        // SAFETY: all zeros is a value of every field.
        let test: &'static mut Self = Box::leak(Box::new(unsafe { mem::zeroed() }));
        test.name[..name.len()].copy_from_slice(name.as_bytes());
        for (place, &param) in test.params.iter_mut().zip(params) {
            *place = param as u8;
        }
        refer_slice(&mut test.plan.name, &test.name[..name.len()]);
        refer_slice(&mut test.plan.params, &test.params[..params.len()]);
        &test.plan
    }
}
