"""Errors: those of the library, traps of guests, and exceptions on their way through a guest."""

import ctypes
import threading
from ctypes import byref, c_int32

from ._library import Bytes, Pointers, lib


class WasmeltError(Exception):
    """What the library refuses: a module, a type, an argument."""


class Frame:
    """A function of a guest that was running when a trap happened."""

    def __init__(self, pointer):
        def name(function):
            return function(pointer).contents.view().decode("utf-8", "replace")

        self.module_name = name(lib.wasmelt_frame_module_name)
        self.func_name = name(lib.wasmelt_frame_func_name) or None
        self.func_index = lib.wasm_frame_func_index(pointer)
        self.module_offset = lib.wasm_frame_module_offset(pointer)
        self.text = name(lib.wasmelt_frame_text)


class Trap(WasmeltError):
    """The end of a call by a guest: `message`, `frames` (innermost first) and `code`, a number of `wasmelt_trap_enum`."""

    def __init__(self, message, frames=(), code=0):
        super().__init__(message)
        self.message, self.frames, self.code = message, list(frames), code


class GuestException(Trap):
    """An exception of WebAssembly that no guest has caught: `tag` and `values`. A function of the host throws one by raising
    the object, which guests then may catch."""

    def __init__(self, tag, values, message="an exception of WebAssembly", frames=(), code=14):
        super().__init__(message, frames, code)
        self.tag, self.values = tag, list(values)


class ExitTrap(Trap):
    """The guest has called `proc_exit` of WASI: `status` is its exit code."""

    status = 0


def check(result):
    """A result that is not null and not false, or the error that the library reports."""
    if not result:
        raise WasmeltError((lib.wasmelt_last_error() or b"").decode("utf-8", "replace"))
    return result


def utf8(text, what):
    """A string as C has it."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str, not {type(text).__name__}")
    if "\0" in text:
        raise ValueError(f"{what} contains a NUL")
    return text.encode("utf-8")


class Running(threading.local):
    """What happens on a thread: the stores whose guests run, innermost last, and an exception that passes through one."""

    def __init__(self):
        self.stores = []
        self.exception = None


running = Running()


def guarded(store, call):
    """Runs what may run a guest; `call` returns a trap or None."""
    running.stores.append(store)
    try:
        trap = call()
    finally:
        running.stores.pop()
        exception, running.exception = running.exception, None
    if trap and exception is not None:
        lib.wasm_trap_delete(trap)
        raise exception
    if trap:
        raise to_exception(store, trap)


def to_exception(store, trap):
    """The exception for a trap of a call in a store, which is deleted."""
    try:
        message, status, trace = Bytes(), c_int32(), Pointers()
        lib.wasm_trap_message(trap, byref(message))
        text = message.take().rstrip(b"\0").decode("utf-8", "replace")
        lib.wasm_trap_trace(trap, byref(trace))
        frames = [Frame(trace.data[index]) for index in range(trace.size)]
        lib.wasm_frame_vec_delete(byref(trace))
        tag = lib.wasmelt_trap_exception_tag(trap)
        if tag:
            return GuestException(*store._thrown(tag, trap), text, frames, lib.wasmelt_trap_code(trap))
        exits = lib.wasmelt_trap_exit_status(trap, byref(status))
        exception = (ExitTrap if exits else Trap)(text, frames, lib.wasmelt_trap_code(trap))
        if exits:
            exception.status = status.value
        return exception
    finally:
        lib.wasm_trap_delete(trap)


def to_trap(store, exception):
    """A trap for C that stands for an exception of a callback; `guarded` raises the exception itself."""
    running.exception = exception
    text = f"{type(exception).__name__} in a function of the host".encode("utf-8") + b"\0"
    buffer = ctypes.create_string_buffer(text, len(text))
    return lib.wasm_trap_new(store, byref(Bytes(len(text), ctypes.addressof(buffer))))
