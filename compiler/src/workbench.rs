//! The memory that functions are compiled in: Cranelift's contexts, which one small function leaves to the next.

use std::sync::{Mutex, PoisonError};

use cranelift_codegen::Context;
use cranelift_frontend::FunctionBuilderContext;

/// Contexts grow to what their largest function needs. Those of longer functions are given back, lest all that is
/// compiled afterwards holds memory that one function needed.
const LARGE_BODY_BYTES: usize = 4096;

/// What one thread needs for a function. Both are empty between functions, but for their allocations.
pub(crate) struct Workbench {
    /// For translation.
    pub builder: FunctionBuilderContext,
    /// For code generation.
    pub context: Context,
    /// For the allocation of registers.
    pub registers: regalloc2::Ctx,
}

impl Workbench {
    fn new() -> Self {
        let (builder, context) = (FunctionBuilderContext::new(), Context::new());
        Self { builder, context, registers: regalloc2::Ctx::default() }
    }
}

/// The workbenches that no thread uses at this moment.
pub(crate) struct Workbenches(Mutex<Vec<Box<Workbench>>>);

impl Workbenches {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Calls `work` with a workbench for a function whose body has this length. One at which something failed is not used
    /// again.
    pub(crate) fn with<R, E>(
        &self,
        body_bytes: usize,
        work: impl FnOnce(&mut Workbench) -> Result<R, E>,
    ) -> Result<R, E> {
        let is_small = body_bytes <= LARGE_BODY_BYTES;
        let idle = is_small.then(|| self.idle().pop()).flatten();
        let mut workbench = idle.unwrap_or_else(|| Box::new(Workbench::new()));
        let result = work(&mut workbench)?;
        if is_small {
            workbench.context.clear();
            self.idle().push(workbench);
        }
        Ok(result)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Box<Workbench>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
