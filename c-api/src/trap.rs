//! Traps, and the frames of their backtraces.

use core::fmt;
use core::mem::MaybeUninit;
use std::sync::{Arc, Mutex};

use wasmelt_embed::wasi::I32Exit;
use wasmelt_embed::{Error, Exception, Frame, Result, Trap};

use super::error::{attempt, need, record};
use super::object::{Info, Item, wasm_ref_t};
use super::store::{StoreRef, wasm_store_t};
use super::vec::{ByteVec, Vector};

/// Why a call ended.
pub(crate) struct TrapData {
    message: String,
    frames: Vec<Frame>,
    /// Which trap of WebAssembly.
    trap: Option<Trap>,
    /// With which code the guest has ended.
    exit: Option<i32>,
    /// Which exception nobody has caught, or is thrown. The object of the trap has its store.
    exception: Option<Exception>,
    pub(crate) info: Mutex<Info>,
}

impl TrapData {
    fn of_message(message: String) -> Self {
        Self { message, frames: Vec::new(), trap: None, exit: None, exception: None, info: Mutex::default() }
    }
}

/// An error of a call in a store as a trap for C, recorded as the last error as well: the trap that a callback has returned is
/// that trap again.
pub(crate) fn of_error(store: Option<&StoreRef>, error: Error) -> Box<wasm_ref_t> {
    let message = match &error {
        // The frames are asked for.
        Error::Trap(trap) => trap.trap.to_string(),
        other => other.to_string(),
    };
    record(&message);
    let exception = match &error {
        Error::Exception(exception) if store.is_some() => Some(exception.clone()),
        _ => None,
    };
    let store = exception.as_ref().and(store).cloned();
    let data = match error.downcast_ref::<Returned>() {
        Some(Returned(data)) => Arc::clone(data),
        None => Arc::new(TrapData {
            message,
            frames: error.backtrace().to_vec(),
            trap: match error {
                Error::Exception(_) => Some(Trap::UncaughtException),
                _ => error.downcast_ref::<Trap>().copied(),
            },
            exit: error.downcast_ref::<I32Exit>().map(|exit| exit.0),
            exception,
            info: Mutex::default(),
        }),
    };
    Box::new(wasm_ref_t { item: Item::Trap(data), store })
}

/// A trap that throws an exception of this store when a callback returns it.
pub(crate) fn of_exception(store: &StoreRef, exception: Exception) -> Box<wasm_ref_t> {
    let data = TrapData::of_message(Trap::UncaughtException.to_string());
    let data = TrapData { trap: Some(Trap::UncaughtException), exception: Some(exception), ..data };
    Box::new(wasm_ref_t { item: Item::Trap(Arc::new(data)), store: Some(store.clone()) })
}

/// The exception that a trap stands for.
pub(crate) fn exception(trap: &wasm_ref_t) -> Result<Option<&Exception>> {
    Ok(data(Some(trap))?.exception.as_ref())
}

/// The error that a callback's trap is on its way through guests.
pub(crate) fn to_error(trap: wasm_ref_t) -> Error {
    match trap.item {
        Item::Trap(data) => match &data.exception {
            Some(exception) => Error::Exception(exception.clone()),
            None => Error::host(Returned(data)),
        },
        _ => Error::Usage("a callback has returned an object that is not a trap".to_owned()),
    }
}

/// A trap that a callback has returned.
#[derive(Clone)]
struct Returned(Arc<TrapData>);

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Returned {}

fn data(trap: Option<&wasm_ref_t>) -> Result<&TrapData> {
    match &need(trap, "the trap")?.item {
        Item::Trap(data) => Ok(data),
        _ => Err(Error::Usage("the object is not a trap".to_owned())),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_trap_new(store: Option<&wasm_store_t>, message: Option<&ByteVec>) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        need(store, "the store")?;
        let bytes = message.map_or(&[][..], Vector::as_slice);
        let message = String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned();
        Ok(Box::new(wasm_ref_t { item: Item::Trap(Arc::new(TrapData::of_message(message))), store: None }))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_trap_message(trap: Option<&wasm_ref_t>, out: Option<&mut MaybeUninit<ByteVec>>) {
    if let Some(out) = out {
        let message = attempt(|| Ok(data(trap)?.message.clone())).unwrap_or_default();
        out.write((message + "\0").into_bytes().into());
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_trap_origin(trap: Option<&wasm_ref_t>) -> Option<Box<wasm_frame_t>> {
    attempt(|| Ok(data(trap)?.frames.first().map(wasm_frame_t::new)))?
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_trap_trace(
    trap: Option<&wasm_ref_t>,
    out: Option<&mut MaybeUninit<Vector<Option<Box<wasm_frame_t>>>>>,
) {
    if let Some(out) = out {
        let frames = attempt(|| Ok(&data(trap)?.frames[..])).unwrap_or_default();
        out.write(frames.iter().map(|frame| Some(wasm_frame_t::new(frame))).collect());
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_trap_code(trap: Option<&wasm_ref_t>) -> u8 {
    attempt(|| Ok(data(trap)?.trap)).flatten().map_or(0, |trap| trap as u8)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_trap_exit_status(trap: Option<&wasm_ref_t>, status: Option<&mut MaybeUninit<i32>>) -> bool {
    let exit = attempt(|| Ok(data(trap)?.exit)).flatten();
    if let (Some(exit), Some(status)) = (exit, status) {
        status.write(exit);
    }
    exit.is_some()
}

/// A function of a guest that was running.
#[derive(Clone)]
pub struct wasm_frame_t {
    function_index: u32,
    module_offset: u32,
    module: ByteVec,
    function: ByteVec,
    /// As text, with the positions in source files.
    text: ByteVec,
}

impl wasm_frame_t {
    fn new(frame: &Frame) -> Box<Self> {
        let bytes = |text: String| text.into_bytes().into();
        Box::new(Self {
            function_index: frame.function_index,
            module_offset: frame.module_offset,
            module: bytes(frame.module.clone()),
            function: bytes(frame.function_name.clone()),
            text: bytes(frame.to_string()),
        })
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_frame_delete(frame: Option<Box<wasm_frame_t>>) {
    drop(frame);
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_frame_copy(frame: Option<&wasm_frame_t>) -> Option<Box<wasm_frame_t>> {
    frame.cloned().map(Box::new)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_frame_instance(_: Option<&wasm_frame_t>) -> Option<&wasm_ref_t> {
    None
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_frame_func_index(frame: Option<&wasm_frame_t>) -> u32 {
    frame.map_or(0, |frame| frame.function_index)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_frame_func_offset(_: Option<&wasm_frame_t>) -> usize {
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_frame_module_offset(frame: Option<&wasm_frame_t>) -> usize {
    frame.map_or(0, |frame| frame.module_offset as usize)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_frame_module_name(frame: Option<&wasm_frame_t>) -> Option<&ByteVec> {
    Some(&frame?.module)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_frame_func_name(frame: Option<&wasm_frame_t>) -> Option<&ByteVec> {
    Some(&frame?.function)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_frame_text(frame: Option<&wasm_frame_t>) -> Option<&ByteVec> {
    Some(&frame?.text)
}
