//! What the runtime knows about generated code: where the code is, where it traps, which function lies where, and which
//! calls exception handlers reach. All instances of a program share this.

use crate::record::{RelOf, SliceOf, record};

record! {
    /// A call within the reach of exception handlers. Sorted by `return_offset`.
    #[derive(Clone, Copy, Debug)]
    pub struct CallSite {
        /// Offset of its return address from [`crate::symbols::TEXT`], in bytes.
        pub return_offset: u32,
        /// Distance in bytes from the frame pointer down to the stack pointer at the call.
        pub frame_bytes: u32,
        /// Index of its first handler in [`Code::handlers`].
        pub first_handler: u32,
        /// Number of its handlers; the first that matches is taken.
        pub handler_count: u32,
    }
}

record! {
    /// An exception handler.
    #[derive(Clone, Copy, Debug)]
    pub struct ExceptionHandler {
        /// Number of the tag that it handles: in programs program-wide, in libraries its index in the module; [`ExceptionHandler::ALL`] or [`ExceptionHandler::CONTEXT`].
        pub tag: u32,
        /// Offset of its landing pad from [`crate::symbols::TEXT`], in bytes.
        pub landing_offset: u32,
    }
}

impl ExceptionHandler {
    /// It handles all exceptions.
    pub const ALL: u32 = u32::MAX;
    /// Not a handler: says where the frame keeps its `vmctx`. `landing_offset` is the distance in bytes from the stack
    /// pointer at the call up to the saved `vmctx`. In libraries this entry comes before handlers with tags, whose
    /// numbers only the context knows.
    pub const CONTEXT: u32 = u32::MAX - 1;
}

record! {
    /// What backtraces show besides functions, where a program has it.
    #[derive(Debug)]
    pub struct BacktraceTable<F> {
        /// See [`crate::positions`] and [`crate::inlined`].
        pub table: SliceOf<F, u8>,
        /// The function that reads the table, which programs without it do not contain:
        /// [`crate::symbols::PRINT_POSITIONS`], [`crate::symbols::PRINT_INLINED`]. None in libraries.
        pub print: RelOf<F, u8>,
    }
}

record! {
    /// Generated code.
    #[derive(Debug)]
    pub struct Code<F> {
        /// Its first byte, [`crate::symbols::TEXT`].
        pub text: RelOf<F, u8>,
        /// Its length in bytes.
        pub text_bytes: u32,
        /// Which function lies where, and where it traps, see [`crate::code_map`].
        pub code_map: SliceOf<F, u8>,
        /// Which lines of source files code comes from; absent when nothing is known.
        pub positions: RelOf<F, BacktraceTable>,
        /// Which functions were inlined; absent where code can stop in none of them.
        pub inlined: RelOf<F, BacktraceTable>,
        /// Calls within the reach of exception handlers.
        pub call_sites: SliceOf<F, CallSite>,
        /// Handlers of `call_sites`.
        pub handlers: SliceOf<F, ExceptionHandler>,
        /// Bytes that the values of the largest exception take.
        pub exception_payload_bytes: u32,
    }
}
