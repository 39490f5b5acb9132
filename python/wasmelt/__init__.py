"""Calls WebAssembly modules that `wasmelt compile --emit cdylib` made, over wasmelt's C library.

The shape is that of wasmtime's Python package: what belongs to a store takes the store, or the caller of a host function,
as its first argument. A module is native code: load only files that wasmelt made and nobody changed.

The C library is the file that the environment variable WASMELT_LIBRARY names, or lies beside this package, or is one that
the system finds.
"""

from ._errors import ExitTrap, Frame, GuestException, Trap, WasmeltError
from ._externs import Caller, Func, Global, Memory, Table, Tag
from ._instance import Instance, Linker
from ._store import Deadlines, Engine, InterruptHandle, Module, Pool, Store
from ._types import FuncType, GlobalType, Limits, MemoryType, TableType, ValType
from ._wasi import Output, WasiConfig

__all__ = [
    "Caller", "Deadlines", "Engine", "ExitTrap", "Frame", "Func", "FuncType", "Global", "GlobalType", "GuestException", "Instance",
    "InterruptHandle", "Limits", "Linker", "Memory", "MemoryType", "Module", "Output", "Pool", "Store", "Table", "TableType", "Tag", "Trap",
    "ValType", "WasiConfig", "WasmeltError",
]
