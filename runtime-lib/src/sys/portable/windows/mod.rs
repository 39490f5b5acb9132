//! What Windows has and the standard library does not offer: lists of buffers in guest memory, clocks, readiness, flags
//! of open files, memory and faults.
//!
//! What differs from Unix systems, because Windows has nothing like it:
//! - Flags of an open file (append, do not wait) are remembered here. Appending moves to the end first, so two processes
//!   that append to one file can overwrite each other's bytes.
//! - A file has one position. Reads and writes that name a position set it, and restore it afterwards, one at a time.
//! - Console and pipes are asked again and again whether they are ready, every few milliseconds.

use core::ffi::CStr;
use core::ptr;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::mem::ManuallyDrop;
use std::os::windows::fs::FileExt as _;
use std::os::windows::io::{AsRawHandle as _, AsRawSocket as _, FromRawHandle as _, RawHandle};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::vec::Vec;

use cap_fs_ext::{DirEntryExt as _, DirExt as _, OpenOptionsMaybeDirExt as _, SystemTimeSpec};
use cap_primitives::fs::_WindowsByHandle as _;
use cap_std::fs::{Dir, DirEntry, OpenOptions, OpenOptionsExt as _};
use windows_sys::Win32::Foundation::{FILETIME, HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation, WAIT_OBJECT_0};
use windows_sys::Win32::Networking::WinSock as sock;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_WRITE_THROUGH, FILE_TYPE_CHAR, FILE_TYPE_DISK, FILE_TYPE_PIPE, GetFileType, ReadFile, WriteFile,
};
use windows_sys::Win32::System::Console::{
    GetStdHandle, STD_ERROR_HANDLE, STD_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetConsoleCP, SetConsoleOutputCP,
    SetStdHandle,
};
use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
use windows_sys::Win32::System::Pipes::PeekNamedPipe;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessTimes, GetThreadTimes, TerminateProcess, WaitForSingleObject,
};

use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata};

use super::error::from_io;
use super::fs::{Advice, Handle, OFlags, with_file};
use super::handles::Object;
use super::io_clock::{Clock, Watch};
use super::io_stream::Buffer;
use super::{Stream, SystemError};

pub mod alarm;
pub(super) mod errno;
pub mod faults;
pub mod io_memory;
pub mod pages;
pub mod stack;

/// Ends the process, all threads of it, at once: also from within a handler of faults.
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: the call touches no memory and does not return.
        unsafe { TerminateProcess(GetCurrentProcess(), code.cast_unsigned()) };
    }
}

/// The system's number of a standard stream.
fn standard(number: u32) -> STD_HANDLE {
    match number {
        0 => STD_INPUT_HANDLE,
        1 => STD_OUTPUT_HANDLE,
        _ => STD_ERROR_HANDLE,
    }
}

/// The handle of a standard stream; [`Errno::Badf`] where the process has none.
fn standard_handle(number: u32) -> Result<RawHandle> {
    // SAFETY: no memory is involved.
    let handle = unsafe { GetStdHandle(standard(number)) };
    if handle.is_null() || handle as isize == -1 { Err(Errno::Badf) } else { Ok(handle.cast()) }
}

/// Makes the console speak UTF-8, as guests do. Streams that the process was started without stay errors: numbers are
/// not handed out again here.
pub fn occupy_standard_streams() -> core::result::Result<(), SystemError> {
    const CP_UTF8: u32 = 65001;
    // SAFETY: no memory is involved. They fail where there is no console.
    unsafe {
        SetConsoleCP(CP_UTF8);
        SetConsoleOutputCP(CP_UTF8);
    }
    Ok(())
}

/// Makes a standard stream stand for the same as an object.
pub(super) fn replace_standard_stream(stream: u32, object: &Object) -> Result<()> {
    let Object::File(file) = object else { return Err(Errno::Badf) };
    let file = file.try_clone().map_err(from_io)?;
    // SAFETY: the handle stays open for as long as the process runs.
    if unsafe { SetStdHandle(standard(stream), file.as_raw_handle().cast()) } == 0 {
        return Err(last());
    }
    core::mem::forget(file);
    Ok(())
}

/// No signals interrupt a thread here.
pub fn block_signals() {}

/// The error that the last call of the system reported.
fn last() -> Errno {
    from_io(io::Error::last_os_error())
}

/// A path of a guest as the standard library takes it. What means something to Windows within a name, and nothing to a
/// guest, makes it one that no system function accepts: a separator of Windows, a drive, a stream of a file.
pub(super) fn path_of(path: &CStr) -> &Path {
    // A NUL within a path is an error of its own before the system sees it.
    const REFUSED: &str = "\0";
    let special = |byte: &u8| matches!(byte, b'\\' | b':' | b'*' | b'?' | b'"' | b'<' | b'>' | b'|' | 1..32);
    match path.to_str() {
        Ok(text) if !path.to_bytes().iter().any(special) => Path::new(text),
        _ => Path::new(REFUSED),
    }
}

/// A path of the host, which the user wrote.
pub(super) fn path_of_host(path: &CStr) -> &Path {
    if path == c"/dev/null" { Path::new("NUL") } else { Path::new(path.to_str().unwrap_or("\0")) }
}

/// The name of what a symbolic link leads to as the guest knows it.
pub(super) fn link_target(target: &Path) -> Vec<u8> {
    let bytes = target.as_os_str().as_encoded_bytes();
    bytes.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect()
}

/// Makes a symbolic link.
pub(super) fn symbolic_link(dir: &Dir, target: &CStr, name: &CStr) -> Result<()> {
    dir.symlink(path_of(target), path_of(name)).map_err(from_io)
}

/// What a listing wants to know of an entry: number, `d_type` and name; `None` for one that has none.
pub(super) fn entry(entry: &DirEntry) -> Option<(u64, u8, Vec<u8>)> {
    let d_type = entry.file_type().map_or(0, |file_type| match () {
        () if file_type.is_file() => 8,
        () if file_type.is_dir() => 4,
        () if file_type.is_symlink() => 10,
        () => 0,
    });
    // Somebody else may have it open alone: then its number is not known.
    let inode = entry.full_metadata().ok().and_then(|found| found.file_index()).unwrap_or_default();
    Some((inode, d_type, entry.file_name().into_string().ok()?.into_bytes()))
}

/// Attributes of a file.
pub(super) fn metadata_of(found: &cap_std::fs::Metadata) -> Metadata {
    let ns = |time: io::Result<cap_std::time::SystemTime>| {
        let since = time.ok().and_then(|time| time.into_std().duration_since(SystemTime::UNIX_EPOCH).ok());
        since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    };
    let file_type = match found.file_type() {
        file_type if file_type.is_dir() => FileType::Directory,
        file_type if file_type.is_symlink() => FileType::SymbolicLink,
        file_type if file_type.is_file() => FileType::RegularFile,
        _ => FileType::Unknown,
    };
    Metadata {
        device: found.volume_serial_number().unwrap_or_default().into(),
        inode: found.file_index().unwrap_or_default(),
        file_type,
        links: found.number_of_links().unwrap_or(1).into(),
        size_bytes: if file_type == FileType::Directory { 0 } else { found.len() },
        accessed_ns: ns(found.accessed()),
        modified_ns: ns(found.modified()),
        changed_ns: ns(found.modified()),
    }
}

/// Attributes of what has a handle.
pub(super) fn metadata_of_open(object: &Object) -> Result<Metadata> {
    let handle = match object {
        Object::File(file) => file.as_raw_handle(),
        Object::Standard(number) => standard_handle(*number)?,
        Object::Listener(_) | Object::Connection(_) => {
            return Ok(Metadata { file_type: FileType::Socket, links: 1, ..Metadata::UNKNOWN });
        }
        _ => return Err(Errno::Badf),
    };
    // SAFETY: the handle is open.
    match unsafe { GetFileType(handle.cast()) } {
        FILE_TYPE_CHAR => Ok(Metadata { file_type: FileType::CharacterDevice, links: 1, ..Metadata::UNKNOWN }),
        FILE_TYPE_PIPE => Ok(Metadata { links: 1, ..Metadata::UNKNOWN }),
        _ => {
            // SAFETY: the handle is open as long as the object, and `ManuallyDrop` keeps it open.
            let file = ManuallyDrop::new(unsafe { File::from_raw_handle(handle) });
            cap_std::fs::Metadata::from_file(&file).map(|found| metadata_of(&found)).map_err(from_io)
        }
    }
}

/// Whether a file belongs to the file system through which Linux lets processes be looked into and changed.
pub fn is_process_file(handle: Handle) -> Result<bool> {
    handle.object().map(|_| false)
}

/// Sets the times of an open file.
pub(super) fn set_times(file: &File, accessed: Option<SystemTimeSpec>, modified: Option<SystemTimeSpec>) -> Result<()> {
    let time = |time| match time {
        SystemTimeSpec::SymbolicNow => SystemTime::now(),
        SystemTimeSpec::Absolute(time) => time.into_std(),
    };
    let mut times = std::fs::FileTimes::new();
    if let Some(accessed) = accessed {
        times = times.set_accessed(time(accessed));
    }
    if let Some(modified) = modified {
        times = times.set_modified(time(modified));
    }
    file.set_times(times).map_err(from_io)
}

/// Files that were opened with flags that Windows does not keep, by their handle.
static FLAGS: Mutex<Option<HashMap<usize, OFlags>>> = Mutex::new(None);

/// Held while a position is away from its place.
static POSITION: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flags_of(file: &File) -> OFlags {
    let key = file.as_raw_handle() as usize;
    lock(&FLAGS).as_ref().and_then(|flags| flags.get(&key).copied()).unwrap_or(OFlags::RDWR)
}

/// Refuses what a file was not opened for, as other systems do. Windows says that access is denied, which to a guest is
/// about the file, not about its descriptor.
fn opened_for(file: &File, wanted: OFlags) -> Result<()> {
    let access = flags_of(file) & OFlags::RWMODE;
    if access == wanted || access == OFlags::RDWR { Ok(()) } else { Err(Errno::Badf) }
}

/// Writes what was changed to the device. Windows only does it for files that are open for writing; through others nothing
/// was changed.
pub(super) fn sync(file: &File, sync: fn(&File) -> io::Result<()>) -> Result<()> {
    if flags_of(file) & OFlags::RWMODE == OFlags::RDONLY { Ok(()) } else { sync(file).map_err(from_io) }
}

/// Remembers how a file was opened.
pub(super) fn opened(file: &File, flags: OFlags) {
    let kept = flags & (OFlags::RWMODE | OFlags::APPEND | OFlags::NONBLOCK | OFlags::SYNC);
    lock(&FLAGS).get_or_insert_default().insert(file.as_raw_handle() as usize, kept);
    // Another program that is started gets no file of the guest.
    // SAFETY: the handle is open.
    unsafe { SetHandleInformation(file.as_raw_handle().cast(), HANDLE_FLAG_INHERIT, 0) };
}

/// Adds to options what the standard library has no method for.
pub(super) fn add_flags(options: &mut OpenOptions, flags: OFlags) {
    if flags.contains(OFlags::DSYNC) {
        options.custom_flags(FILE_FLAG_WRITE_THROUGH);
    }
    if flags & OFlags::RWMODE == OFlags::RDONLY {
        options.maybe_dir(true);
    }
}

/// Flags that a file was opened with, or that were set since.
pub fn flags(handle: Handle) -> Result<OFlags> {
    match &*handle.object()? {
        Object::File(file) => Ok(flags_of(file)),
        Object::Standard(0) | Object::Directory(..) | Object::Location(..) => Ok(OFlags::RDONLY),
        Object::Standard(_) => Ok(OFlags::WRONLY),
        Object::Listener(_) | Object::Connection(_) | Object::Socket(_) => Ok(OFlags::RDWR),
        Object::Nothing => Err(Errno::Badf),
    }
}

/// Sets the flags that can change: append, nonblock.
pub fn set_flags(handle: Handle, flags: OFlags) -> Result<()> {
    let changing = OFlags::APPEND | OFlags::NONBLOCK;
    match &*handle.object()? {
        Object::File(file) => {
            let kept = flags_of(file) & !changing;
            opened(file, kept | (flags & changing));
            Ok(())
        }
        Object::Connection(socket) => socket.set_nonblocking(flags.contains(OFlags::NONBLOCK)).map_err(from_io),
        Object::Listener(socket) => socket.set_nonblocking(flags.contains(OFlags::NONBLOCK)).map_err(from_io),
        _ if flags & changing == OFlags::empty() => Ok(()),
        _ => Err(Errno::Notsup),
    }
}

/// The most that one call of the system moves.
const MAX_CALL_BYTES: usize = 1 << 30;

/// Moves bytes with a function of the system, buffer by buffer, until one is not filled.
fn each(buffers: &[Buffer], mut call: impl FnMut(*mut u8, u32) -> Result<u32>) -> Result<usize> {
    let mut moved = 0;
    for buffer in buffers.iter().filter(|buffer| buffer.len_bytes > 0) {
        let len = buffer.len_bytes.min(MAX_CALL_BYTES);
        match call(buffer.base, len as u32) {
            Ok(done) => {
                moved += done as usize;
                if (done as usize) < buffer.len_bytes {
                    break;
                }
            }
            // What was moved before counts.
            Err(_) if moved > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// Reads into memory of the guest.
///
/// # Safety
/// The bytes are writable, and the handle is open.
unsafe fn read_handle(handle: RawHandle, to: *mut u8, len: u32) -> Result<u32> {
    let mut done = 0;
    // SAFETY: by this function's contract.
    if unsafe { ReadFile(handle.cast(), to, len, &raw mut done, ptr::null_mut()) } != 0 {
        return Ok(done);
    }
    match last() {
        // The other end of a pipe was closed: that is the end.
        Errno::Pipe => Ok(0),
        error => Err(error),
    }
}

/// Writes memory of the guest.
///
/// # Safety
/// The bytes are readable, and the handle is open.
unsafe fn write_handle(handle: RawHandle, from: *const u8, len: u32) -> Result<u32> {
    let mut done = 0;
    // SAFETY: by this function's contract.
    if unsafe { WriteFile(handle.cast(), from, len, &raw mut done, ptr::null_mut()) } != 0 {
        return Ok(done);
    }
    Err(last())
}

/// Receives or sends on a socket, by a function of the system's sockets.
fn transfer(socket: sock::SOCKET, call: impl FnOnce(sock::SOCKET) -> i32) -> Result<u32> {
    u32::try_from(call(socket)).map_err(|_| last())
}

/// The system's number of a connection.
fn connection(object: &Object) -> Result<sock::SOCKET> {
    match object {
        Object::Connection(socket) => Ok(socket.as_raw_socket() as sock::SOCKET),
        Object::Socket(socket) => Ok(socket.as_raw_socket() as sock::SOCKET),
        _ => Err(Errno::Notsock),
    }
}

/// Reads into buffers from the current position.
///
/// # Safety
/// The buffers are writable; nothing in Rust refers to what they hold.
pub unsafe fn read(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    let object = handle.object()?;
    let raw = match &*object {
        Object::File(file) => {
            opened_for(file, OFlags::RDONLY)?;
            file.as_raw_handle()
        }
        Object::Standard(number) => standard_handle(*number)?,
        // SAFETY: by this function's contract.
        Object::Connection(_) | Object::Socket(_) => return unsafe { receive(handle, buffers, 0) }.map(|(len, _)| len),
        Object::Directory(..) => return Err(Errno::Isdir),
        _ => return Err(Errno::Badf),
    };
    // SAFETY: by this function's contract; the object keeps the handle open.
    each(buffers, |to, len| unsafe { read_handle(raw, to, len) })
}

/// Writes buffers at the current position.
///
/// # Safety
/// The buffers are readable.
pub unsafe fn write_buffers(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    let object = handle.object()?;
    let raw = match &*object {
        Object::File(file) => {
            opened_for(file, OFlags::WRONLY)?;
            if flags_of(file).contains(OFlags::APPEND) {
                (&mut &*file).seek(SeekFrom::End(0)).map_err(from_io)?;
            }
            file.as_raw_handle()
        }
        Object::Standard(number) => standard_handle(*number)?,
        // SAFETY: by this function's contract.
        Object::Connection(_) | Object::Socket(_) => return unsafe { send(handle, buffers) },
        _ => return Err(Errno::Badf),
    };
    // SAFETY: by this function's contract; the object keeps the handle open.
    each(buffers, |from, len| unsafe { write_handle(raw, from, len) })
}

/// Does something at a position of a file, whose own position stays.
fn at<T>(file: &File, act: impl FnOnce() -> T) -> Result<T> {
    let _guard = lock(&POSITION);
    let position = (&mut &*file).stream_position().map_err(from_io)?;
    let result = act();
    (&mut &*file).seek(SeekFrom::Start(position)).map_err(from_io)?;
    Ok(result)
}

/// What has positions: files. A position must not be negative. Windows takes the largest number for the end.
fn file_with_positions(object: &Object, offset: u64) -> Result<&File> {
    if i64::try_from(offset).is_err() {
        return Err(Errno::Inval);
    }
    match object {
        // SAFETY: the handle is open.
        Object::File(file) if unsafe { GetFileType(file.as_raw_handle().cast()) } == FILE_TYPE_DISK => Ok(file),
        Object::Directory(..) => Err(Errno::Isdir),
        Object::Location(..) | Object::Nothing => Err(Errno::Badf),
        _ => Err(Errno::Spipe),
    }
}

/// Reads into buffers from a position.
///
/// # Safety
/// As for [`read`].
pub unsafe fn read_at(handle: Handle, buffers: &[Buffer], offset: u64) -> Result<usize> {
    let object = handle.object()?;
    let file = file_with_positions(&object, offset)?;
    opened_for(file, OFlags::RDONLY)?;
    let mut offset = offset;
    at(file, || {
        each(buffers, |to, len| {
            // SAFETY: by this function's contract.
            let bytes = unsafe { core::slice::from_raw_parts_mut(to, len as usize) };
            let done = file.seek_read(bytes, offset).map_err(from_io)?;
            offset = offset.saturating_add(done as u64);
            Ok(done as u32)
        })
    })?
}

/// Writes buffers at a position.
///
/// # Safety
/// As for [`write_buffers`].
pub unsafe fn write_at(handle: Handle, buffers: &[Buffer], offset: u64) -> Result<usize> {
    let object = handle.object()?;
    let file = file_with_positions(&object, offset)?;
    opened_for(file, OFlags::WRONLY)?;
    let mut offset = offset;
    at(file, || {
        each(buffers, |from, len| {
            // SAFETY: by this function's contract.
            let bytes = unsafe { core::slice::from_raw_parts(from.cast_const(), len as usize) };
            let done = file.seek_write(bytes, offset).map_err(from_io)?;
            offset = offset.saturating_add(done as u64);
            Ok(done as u32)
        })
    })?
}

/// Receive without removing what is received.
pub const RECEIVE_PEEK: u32 = sock::MSG_PEEK as u32;
/// Receive as much as was asked for.
pub const RECEIVE_WAIT_ALL: u32 = sock::MSG_WAITALL as u32;

/// Receives from a socket: number of bytes, and whether a message was cut off.
///
/// # Safety
/// As for [`read`].
pub unsafe fn receive(handle: Handle, buffers: &[Buffer], flags: u32) -> Result<(usize, bool)> {
    let object = handle.object()?;
    let socket = connection(&object)?;
    let len = each(buffers, |to, len| {
        // SAFETY: by this function's contract.
        transfer(socket, |socket| unsafe { sock::recv(socket, to, len.cast_signed(), flags.cast_signed()) })
    })?;
    Ok((len, false))
}

/// Sends to a socket.
///
/// # Safety
/// As for [`write_buffers`].
pub unsafe fn send(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    let object = handle.object()?;
    let socket = connection(&object)?;
    each(buffers, |from, len| {
        // SAFETY: by this function's contract.
        transfer(socket, |socket| unsafe { sock::send(socket, from, len.cast_signed(), 0) })
    })
}

/// Reserves space for a part of a file, which grows where it ends before. Windows only reserves by files' ends: the file
/// grows, and space is taken when it is written.
pub fn allocate(handle: Handle, offset: u64, len_bytes: u64) -> Result<()> {
    let end = offset.checked_add(len_bytes).filter(|end| i64::try_from(*end).is_ok()).ok_or(Errno::Fbig)?;
    if len_bytes == 0 {
        return Err(Errno::Inval);
    }
    with_file(handle, |file| {
        match opened_for(file, OFlags::WRONLY).and_then(|()| file.metadata().map_err(from_io))?.len() {
            now if now < end => file.set_len(end).map_err(from_io),
            _ => Ok(()),
        }
    })
}

/// Says how a part of a file will be used, which Windows does not want to know.
pub fn advise(handle: Handle, _offset: u64, _len_bytes: u64, _advice: Advice) -> Result<()> {
    with_file(handle, |_| Ok(()))
}

/// Nanoseconds in a unit of Windows' times.
const FILETIME_NS: u64 = 100;

/// The time that process or thread have used: in the kernel, and outside it.
fn cpu_time(clock: Clock) -> Result<u64> {
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let [mut created, mut exited, mut kernel, mut user] = [zero; 4];
    // SAFETY: both calls write four times.
    let result = unsafe {
        if clock == Clock::ProcessCputime {
            let process = GetCurrentProcess();
            GetProcessTimes(process, &raw mut created, &raw mut exited, &raw mut kernel, &raw mut user)
        } else {
            let thread = GetCurrentThread();
            GetThreadTimes(thread, &raw mut created, &raw mut exited, &raw mut kernel, &raw mut user)
        }
    };
    if result == 0 {
        return Err(last());
    }
    let units = |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Ok(units(kernel).saturating_add(units(user)).saturating_mul(FILETIME_NS))
}

/// Ticks of the performance counter in a second.
fn frequency() -> u64 {
    let mut frequency = 0;
    // SAFETY: the call writes a number.
    unsafe { QueryPerformanceFrequency(&raw mut frequency) };
    u64::try_from(frequency).unwrap_or(1).max(1)
}

/// Current time in nanoseconds.
pub fn now(clock: Clock) -> Result<u64> {
    match clock {
        Clock::Realtime => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| Errno::Overflow)?;
            u64::try_from(since.as_nanos()).map_err(|_| Errno::Overflow)
        }
        Clock::Monotonic => {
            let mut ticks = 0;
            // SAFETY: the call writes a number.
            if unsafe { QueryPerformanceCounter(&raw mut ticks) } == 0 {
                return Err(last());
            }
            let ns = u128::from(ticks.unsigned_abs()) * 1_000_000_000 / u128::from(frequency());
            u64::try_from(ns).map_err(|_| Errno::Overflow)
        }
        Clock::ProcessCputime | Clock::ThreadCputime => cpu_time(clock),
    }
}

/// Resolution in nanoseconds.
pub fn resolution(clock: Clock) -> Result<u64> {
    Ok(match clock {
        Clock::Monotonic => (1_000_000_000 / frequency()).max(1),
        _ => FILETIME_NS,
    })
}

/// How often what cannot be waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until one of the handles is ready or the monotonic clock shows `deadline` nanoseconds; how many are ready.
pub fn wait(watches: &mut [Watch], deadline: Option<u64>) -> Result<usize> {
    // The objects stay open while they are waited for.
    let objects = watches.iter().map(|watch| watch.handle.object()).collect::<Result<Vec<_>>>()?;
    loop {
        let mut ready = 0;
        for (watch, object) in watches.iter_mut().zip(&objects) {
            watch.found = look(object, watch.events)?;
            ready += usize::from(watch.found != 0);
        }
        let left = match deadline {
            Some(deadline) => Duration::from_nanos(deadline.saturating_sub(now(Clock::Monotonic)?)),
            None => LOOK_EVERY,
        };
        if ready > 0 || left.is_zero() {
            return Ok(ready);
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

/// Which of the events an object shows now.
fn look(object: &Object, events: u16) -> Result<u16> {
    let both = Watch::READABLE | Watch::WRITABLE;
    match object {
        Object::File(file) => look_at_handle(file.as_raw_handle(), events),
        Object::Standard(number) => look_at_handle(standard_handle(*number)?, events),
        Object::Listener(socket) => look_at_socket(socket.as_raw_socket() as sock::SOCKET, events),
        Object::Connection(socket) => look_at_socket(socket.as_raw_socket() as sock::SOCKET, events),
        Object::Socket(socket) => look_at_socket(socket.as_raw_socket() as sock::SOCKET, events),
        Object::Directory(..) | Object::Location(..) => Ok(events & both),
        Object::Nothing => Err(Errno::Badf),
    }
}

fn look_at_handle(handle: RawHandle, events: u16) -> Result<u16> {
    let handle: HANDLE = handle.cast();
    let writable = events & Watch::WRITABLE;
    if events & Watch::READABLE == 0 {
        return Ok(writable);
    }
    // SAFETY: the handle is open.
    let readable = match unsafe { GetFileType(handle) } {
        FILE_TYPE_PIPE => {
            let mut available = 0;
            // SAFETY: the call writes a number.
            let peeked = unsafe {
                PeekNamedPipe(handle, ptr::null_mut(), 0, ptr::null_mut(), &raw mut available, ptr::null_mut())
            };
            match (peeked, available) {
                (0, _) => Watch::READABLE | Watch::HANGUP,
                (_, 0) => 0,
                _ => Watch::READABLE,
            }
        }
        // SAFETY: the handle is open.
        FILE_TYPE_CHAR => match unsafe { WaitForSingleObject(handle, 0) } {
            WAIT_OBJECT_0 => Watch::READABLE,
            _ => 0,
        },
        _ => Watch::READABLE,
    };
    Ok(readable | writable)
}

fn look_at_socket(socket: sock::SOCKET, events: u16) -> Result<u16> {
    let mut asked = 0;
    if events & Watch::READABLE != 0 {
        asked |= sock::POLLRDNORM;
    }
    if events & Watch::WRITABLE != 0 {
        asked |= sock::POLLWRNORM;
    }
    let mut polled = sock::WSAPOLLFD { fd: socket, events: asked, revents: 0 };
    // SAFETY: the call reads and writes one structure.
    if unsafe { sock::WSAPoll(&raw mut polled, 1, 0) } < 0 {
        return Err(last());
    }
    let pairs = [
        (sock::POLLRDNORM, Watch::READABLE),
        (sock::POLLWRNORM, Watch::WRITABLE),
        (sock::POLLERR, Watch::ERROR),
        (sock::POLLHUP, Watch::HANGUP),
        (sock::POLLNVAL, Watch::INVALID),
    ];
    let found = pairs.iter().filter(|(system, _)| polled.revents & system != 0);
    Ok(found.fold(0, |bits, (_, ours)| bits | ours))
}

/// Writes all of `bytes`; gives up at the first error. Also from within a handler of faults.
pub fn write(stream: Stream, mut bytes: &[u8]) -> core::result::Result<(), SystemError> {
    let number = match stream {
        Stream::Output => 1,
        Stream::Error => 2,
    };
    let Ok(handle) = standard_handle(number) else { return Err(SystemError::last()) };
    while !bytes.is_empty() {
        let len = bytes.len().min(MAX_CALL_BYTES) as u32;
        // SAFETY: the bytes are readable.
        match unsafe { write_handle(handle, bytes.as_ptr(), len) } {
            Ok(written) => bytes = bytes.get(written as usize..).unwrap_or_default(),
            Err(_) => return Err(SystemError::last()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_windows_are_refused() {
        for name in [c"a\\b", c"C:", c"a:stream", c"..\\..", c"\xff"] {
            assert_eq!(path_of(name), Path::new("\0"), "{name:?}");
        }
        assert_eq!(path_of(c"a/b.txt"), Path::new("a/b.txt"));
    }
}
