//! What the runtime makes an instance of: memories, tables, segments, and where it lies among the instances of a program.

use crate::record::{RelOf, SliceOf, record};
use crate::rel::Rel;

record! {
    /// Bytes that are copied into the instance before it starts: constants of globals and small data segments.
    #[derive(Debug)]
    pub struct CopyChunk<F> {
        /// Where: offset in bytes from `vmctx`, negative in the context, positive in memory 0.
        pub dest_offset: i64,
        /// What.
        pub bytes: SliceOf<F, u8>,
    }
}

record! {
    /// Pages of the executable that are moved into memory 0 before the instance starts, copy-on-write and without
    /// reading them. Source and destination are multiples of the largest page size of the target.
    #[derive(Debug)]
    pub struct MapChunk<F> {
        /// Where: offset in bytes from `vmctx`.
        pub dest_offset: u64,
        /// Length in bytes, a multiple of the page size.
        pub len_bytes: u64,
        /// First byte, in a writable segment that nothing else uses.
        pub source: RelOf<F, u8>,
        /// Zero.
        pub reserved: u32,
    }
}

record! {
    /// How a linear memory is laid out. Memory 0 of an instance lies directly above the context, others are mapped on their own.
    #[derive(Clone, Copy, Debug)]
    pub struct MemoryPlan {
        /// Offset from `vmctx` of the [`crate::context::Memory`] record, or of the [`crate::context::MemoryRef`].
        pub context_offset: i32,
        /// Logarithm of the page size: 16, or 0 with custom page sizes.
        pub page_size_log2: u16,
        /// [`MemoryPlan::POINTED`], [`MemoryPlan::SHARED`].
        pub flags: u16,
        /// Length at instantiation, in bytes.
        pub initial_bytes: u64,
        /// The length that `memory.grow` may reach at most, in bytes: the least of the type's maximum, `--max-memory` and
        /// what the index type can address.
        pub maximum_bytes: u64,
        /// Address space for the memory, in bytes, of which all above the current length is inaccessible.
        pub reserve_bytes: u64,
        /// Inaccessible address space behind the reservation, in bytes.
        pub guard_bytes: u64,
    }
}

impl MemoryPlan {
    /// The context holds a [`crate::context::MemoryRef`]: the record lies elsewhere. True of imported memories of the
    /// `Many` shape, and in both of shared memories that other instances can reach.
    pub const POINTED: u16 = 1;
    /// Threads share it.
    pub const SHARED: u16 = 2;
    /// Another instance of the program owns it, and code finds it there: this plan only keeps the place of its index.
    pub const FOREIGN: u16 = 4;

    /// Whether the instance owns the memory and shares its record with nobody.
    pub const fn is_private(&self) -> bool {
        self.flags & (Self::POINTED | Self::FOREIGN) == 0
    }

    /// Whether another instance of the program owns it.
    pub const fn is_foreign(&self) -> bool {
        self.flags & Self::FOREIGN != 0
    }

    /// Whether the memory's record lies outside the context, see [`MemoryPlan::POINTED`].
    pub const fn is_pointed(&self) -> bool {
        self.flags & Self::POINTED != 0
    }
}

record! {
    /// How a table that can change is laid out.
    #[derive(Clone, Copy, Debug)]
    pub struct TablePlan {
        /// Offset from `vmctx` of the [`crate::context::Table`] record; of its address with [`TablePlan::IMPORTED`].
        pub context_offset: i32,
        /// [`TablePlan::IMPORTED`] or 0.
        pub flags: u32,
        /// Length at instantiation, in elements.
        pub initial_elements: u64,
        /// The length that `table.grow` may reach at most, in elements.
        pub maximum_elements: u64,
    }
}

impl TablePlan {
    /// The record lies elsewhere: the context holds its address. Only in the `Many` shape.
    pub const IMPORTED: u32 = 1;
}

record! {
    /// One data segment that code can still use at run time, that is, a passive one that `memory.init` names.
    #[derive(Debug)]
    pub struct DataSegment<F> {
        /// Its bytes.
        pub bytes: SliceOf<F, u8>,
    }
}

record! {
    /// One element segment that code can still use at run time.
    #[derive(Debug)]
    pub struct ElementSegment<F> {
        /// For each element the distance in bytes from this entry's own address to the [`crate::context::FuncRecord`], 0
        /// for null.
        pub elements: SliceOf<F, Rel<crate::context::FuncRecord>>,
    }
}

record! {
    /// The plan of an instance.
    #[repr(align(8))]
    #[derive(Debug)]
    pub struct InstancePlan<F> {
        /// Distance in bytes from the `vmctx` of the program's first instance up to the `vmctx` of this one. Generated code
        /// contains the same number.
        pub distance: u64,
        /// Bytes of context below `vmctx`, head included; a multiple of 16.
        pub context_bytes: u32,
        /// Number of dropped-segment bits that the context wants room for.
        pub segment_count: u32,
        /// Linear memories; memory 0 first.
        pub memories: SliceOf<F, MemoryPlan>,
        /// Tables that can change and that the instance owns; in libraries imported ones as well.
        pub tables: SliceOf<F, TablePlan>,
        /// What to copy into context and memory 0.
        pub copies: SliceOf<F, CopyChunk>,
        /// What to map into memory 0.
        pub maps: SliceOf<F, MapChunk>,
        /// Data segments for `memory.init`, by index of the module.
        pub data_segments: SliceOf<F, DataSegment>,
        /// Element segments for `table.init`, by index of the module.
        pub element_segments: SliceOf<F, ElementSegment>,
    }
}
