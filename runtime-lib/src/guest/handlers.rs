//! Handlers of exceptions: in come the calls that are being executed, out comes where the innermost handler goes on.

// ---------------------------------------------------------------------------------------------------------------
// Security: where to go on is the compiler's word, looked up by a return address in generated code; the stack pointer
// follows from a frame pointer that the walk has checked.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::descriptor::{CallSite, Code, ExceptionHandler};

use super::stack::{Frame, read};
use super::{Guests, text};
use crate::rel::slice;

/// Where an exception is handled.
#[derive(Clone, Copy, Debug)]
pub struct Landing {
    /// Address of the landing pad.
    pub code: usize,
    /// Stack pointer of the function that it belongs to.
    pub stack_pointer: usize,
    /// Its frame pointer.
    pub frame_pointer: usize,
}

/// Where the innermost handler is for exceptions whose tag has this number.
///
/// # Safety
/// The frames are those of code that is being executed.
pub unsafe fn find<'g, G: Guests>(guests: &'g G, frames: impl Iterator<Item = Frame<'g>>, tag: u32) -> Option<Landing> {
    for frame in frames {
        let Some((site, handlers)) = handlers_of(frame.code, frame.call + 1) else { continue };
        let stack_pointer = frame.pointer.wrapping_sub(site.frame_bytes as usize);
        // SAFETY: by this function's contract.
        if let Some(offset) = unsafe { landing_offset(guests, handlers, stack_pointer, tag) } {
            let code = text(frame.code).start + offset as usize;
            return Some(Landing { code, stack_pointer, frame_pointer: frame.pointer });
        }
    }
    None
}

/// A call within the reach of handlers, by the offset of its return address, and the handlers.
fn handlers_of(code: &Code, return_offset: u32) -> Option<(&CallSite, &[ExceptionHandler])> {
    let sites = slice(&code.call_sites);
    let site = sites.get(sites.binary_search_by_key(&return_offset, |site| site.return_offset).ok()?)?;
    let first = site.first_handler as usize;
    Some((site, slice(&code.handlers).get(first..first + site.handler_count as usize)?))
}

/// The landing pad among the handlers of a call, for exceptions whose tag has this number.
///
/// # Safety
/// The handlers are those of a call that is being executed in a frame with this stack pointer.
unsafe fn landing_offset<G: Guests>(
    guests: &G,
    handlers: &[ExceptionHandler],
    stack_pointer: usize,
    tag: u32,
) -> Option<u32> {
    let mut vmctx = 0;
    for handler in handlers {
        match handler.tag {
            ExceptionHandler::ALL => return Some(handler.landing_offset),
            ExceptionHandler::CONTEXT => {
                vmctx = read(guests, stack_pointer.wrapping_add(handler.landing_offset as usize))?;
            }
            // SAFETY: the frame keeps its context there, as the compiler says; without a context it is 0.
            index if unsafe { guests.tag_number(vmctx, index) } == Some(tag) => return Some(handler.landing_offset),
            _ => {}
        }
    }
    None
}
