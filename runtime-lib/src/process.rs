//! What the operating system passed to the process: arguments, environment and the auxiliary vector.
//!
//! In comes the address of the initial stack, once, from `_start`, or what a C library's start-up code passes to `main`;
//! out come read-only views into it. Nothing is copied and nothing is parsed before somebody asks. Where the process was
//! not started by wasmelt (a library, a unit test) everything is empty.

use core::ffi::c_char;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The initial stack as the System V ABI lays it out: `argc`, the arguments, 0, the environment, 0, pairs of the
/// auxiliary vector, `AT_NULL`.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
static INITIAL_STACK: AtomicPtr<usize> = AtomicPtr::new(ptr::null_mut());

/// Remembers where the initial stack is.
///
/// # Safety
/// `initial_stack` is the stack pointer with which the kernel entered the process.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub unsafe fn init(initial_stack: *const usize) {
    INITIAL_STACK.store(initial_stack.cast_mut(), Ordering::Relaxed);
}

/// What `main` got: the arguments, and the environment.
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
static OF_MAIN: [AtomicPtr<*const c_char>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];

/// Remembers the arguments and the environment of the process in the encoding of guests: UTF-8, and what is not Unicode
/// as the standard library writes it.
#[cfg(windows)]
pub fn init_from_system() {
    use std::ffi::{CString, OsString};
    use std::vec::Vec;
    let array = |strings: &mut dyn Iterator<Item = OsString>| {
        let strings = strings.filter_map(|string| CString::new(string.into_encoded_bytes()).ok());
        let mut pointers: Vec<*const c_char> = strings.map(|string| string.into_raw().cast_const()).collect();
        pointers.push(ptr::null());
        pointers.leak().as_mut_ptr()
    };
    let mut variables = std::env::vars_os().map(|(mut variable, value)| {
        variable.push("=");
        variable.push(value);
        variable
    });
    let [arguments_place, environment_place] = &OF_MAIN;
    arguments_place.store(array(&mut std::env::args_os()), Ordering::Relaxed);
    environment_place.store(array(&mut variables), Ordering::Relaxed);
}

/// Remembers what a C library's start-up code passes to `main`.
///
/// # Safety
/// Both are arrays of C strings that end with a null pointer and live as long as the process.
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub unsafe fn init_from_main(arguments: *const *const c_char, environment: *const *const c_char) {
    let [arguments_place, environment_place] = &OF_MAIN;
    arguments_place.store(arguments.cast_mut(), Ordering::Relaxed);
    environment_place.store(environment.cast_mut(), Ordering::Relaxed);
}

/// Strings of the host, each without its final NUL; one NUL follows each of them in memory.
#[derive(Clone, Debug)]
pub struct Strings {
    /// The next pointer of an array that a null pointer ends; null when there is no such array.
    next: *const *const c_char,
}

impl Iterator for Strings {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<Self::Item> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: `next` points into the kernel's array and has not passed the null pointer that ends it.
        let string = unsafe { self.next.read() };
        if string.is_null() {
            return None;
        }
        // SAFETY: the element just read was not the last.
        self.next = unsafe { self.next.add(1) };
        // SAFETY: the array's pointers are to C strings that live as long as the process.
        Some(unsafe { bytes_of(string) })
    }
}

/// The bytes of a C string, without its NUL.
///
/// `core`'s own `CStr::from_ptr` would call `strlen`, which a freestanding process does not have.
///
/// # Safety
/// `string` is a C string that lives as long as the process.
unsafe fn bytes_of(string: *const c_char) -> &'static [u8] {
    let start = string.cast::<u8>();
    let mut len = 0;
    // SAFETY: everything up to the NUL is readable. Volatile, or the loop would be recognised as `strlen`.
    while unsafe { start.add(len).read_volatile() } != 0 {
        len += 1;
    }
    // SAFETY: `len` bytes were just read.
    unsafe { core::slice::from_raw_parts(start, len) }
}

/// Arguments of the process, its own name first.
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub fn args() -> Strings {
    Strings { next: OF_MAIN[0].load(Ordering::Relaxed) }
}

/// Arguments of the process, its own name first.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub fn args() -> Strings {
    let stack = INITIAL_STACK.load(Ordering::Relaxed).cast_const();
    Strings { next: if stack.is_null() { ptr::null() } else { stack.wrapping_add(1).cast() } }
}

/// Environment of the process, each string being `NAME=value`.
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub fn env() -> Strings {
    Strings { next: OF_MAIN[1].load(Ordering::Relaxed) }
}

/// Environment of the process, each string being `NAME=value`.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub fn env() -> Strings {
    let stack = INITIAL_STACK.load(Ordering::Relaxed).cast_const();
    if stack.is_null() {
        return Strings { next: ptr::null() };
    }
    // SAFETY: the initial stack starts with the number of arguments.
    let count = unsafe { stack.read() };
    Strings { next: stack.wrapping_add(1 + count + 1).cast() }
}

/// The value of an entry of the auxiliary vector, by its `AT_` number.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub fn auxiliary(kind: usize) -> Option<usize> {
    let mut strings = env().next;
    if strings.is_null() {
        return None;
    }
    // SAFETY: the environment ends with a null pointer.
    while !unsafe { strings.read() }.is_null() {
        strings = strings.wrapping_add(1);
    }
    let mut entry = strings.wrapping_add(1).cast::<[usize; 2]>();
    loop {
        // SAFETY: the auxiliary vector follows the environment and ends with `AT_NULL`.
        let [key, value] = unsafe { entry.read() };
        match key {
            0 => return None,
            _ if key == kind => return Some(value),
            _ => entry = entry.wrapping_add(1),
        }
    }
}

#[cfg(all(test, target_os = "linux", not(feature = "portable")))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_initial_stack_is_read() {
        assert_eq!(args().next(), None);
        assert_eq!(env().next(), None);
        assert_eq!(auxiliary(6), None);
        let address = |s: &'static core::ffi::CStr| s.as_ptr() as usize;
        let stack: &'static [usize] =
            Vec::leak(vec![2, address(c"app"), address(c"-x"), 0, address(c"A=b"), 0, 3, 64, 6, 4096, 0, 0]);
        // SAFETY: the array is what the kernel would have made.
        unsafe { init(stack.as_ptr()) };
        assert!(args().eq([&b"app"[..], b"-x"]));
        assert!(env().eq([&b"A=b"[..]]));
        assert_eq!(auxiliary(6), Some(4096));
        assert_eq!(auxiliary(7), None);
    }
}
