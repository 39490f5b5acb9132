"""Types of WebAssembly as plain Python values, and how they become types of C."""

import ctypes
from ctypes import byref, c_void_p

from ._errors import WasmeltError, check
from ._library import CLimits, Pointers, lib

NO_MAXIMUM = 0xFFFFFFFF
KINDS = {0: "i32", 1: "i64", 2: "f32", 3: "f64", 4: "v128", 128: "externref", 129: "funcref", 130: "exnref"}
NUMBERS = {name: kind for kind, name in KINDS.items()}


class ValType:
    """The type of a value."""

    def __init__(self, name):
        if name not in NUMBERS:
            raise WasmeltError(f"{name!r} is not the name of a type")
        self.name, self.kind = name, NUMBERS[name]

    def __eq__(self, other):
        return isinstance(other, ValType) and self.kind == other.kind

    def __hash__(self):
        return hash(self.kind)

    def __repr__(self):
        return self.name

    @staticmethod
    def i32():
        return ValType("i32")

    @staticmethod
    def i64():
        return ValType("i64")

    @staticmethod
    def f32():
        return ValType("f32")

    @staticmethod
    def f64():
        return ValType("f64")

    @staticmethod
    def v128():
        return ValType("v128")

    @staticmethod
    def externref():
        return ValType("externref")

    @staticmethod
    def funcref():
        return ValType("funcref")

    @staticmethod
    def _of(pointer):
        kind = lib.wasm_valtype_kind(pointer)
        if kind not in KINDS:
            raise WasmeltError(f"the Python package does not know the type of number {kind}")
        return ValType(KINDS[kind])

    def _new(self):
        return check(lib.wasm_valtype_new(self.kind))


def valtype(value):
    """Refuses what is not a type."""
    if not isinstance(value, ValType):
        raise TypeError(f"a ValType is needed, not {type(value).__name__}")
    return value


def _vector(types):
    vector = Pointers()
    lib.wasm_valtype_vec_new(byref(vector), len(types), (c_void_p * len(types))(*[ty._new() for ty in types]))
    return vector


def _list(vector):
    return [ValType._of(vector.data[index]) for index in range(vector.size)]


class FuncType:
    """The type of a function: `params` and `results`, lists of ValType."""

    def __init__(self, params, results):
        self.params, self.results = [valtype(ty) for ty in params], [valtype(ty) for ty in results]

    @staticmethod
    def _take(pointer):
        try:
            return FuncType._of(check(pointer))
        finally:
            lib.wasm_functype_delete(pointer)

    @staticmethod
    def _of(pointer):
        return FuncType(_list(lib.wasm_functype_params(pointer).contents), _list(lib.wasm_functype_results(pointer).contents))

    @property
    def _has_vectors(self):
        """Whether values are passed without boxes, where vectors have room."""
        types = self.params + self.results
        if not any(ty.name == "v128" for ty in types):
            return False
        if any(ty.kind >= NUMBERS["externref"] for ty in types):
            raise WasmeltError("the Python package does not pass vectors and references to one function")
        return True

    def _new(self):
        return check(lib.wasm_functype_new(byref(_vector(self.params)), byref(_vector(self.results))))


class Limits:
    """Lengths: `min`, and `max` or None."""

    def __init__(self, min, max=None):
        for length in (min, 0 if max is None else max):
            if not isinstance(length, int) or not 0 <= length < NO_MAXIMUM:
                raise WasmeltError(f"{length!r} is not a length")
        self.min, self.max = min, max

    @staticmethod
    def _of(limits):
        return Limits(limits.min, None if limits.max == NO_MAXIMUM else limits.max)

    def _new(self):
        return CLimits(self.min, NO_MAXIMUM if self.max is None else self.max)


class MemoryType:
    """The type of a memory: `limits` in pages of 64 KiB."""

    def __init__(self, limits):
        if not isinstance(limits, Limits):
            raise TypeError("Limits are needed")
        self.limits = limits


class TableType:
    """The type of a table: `element` and `limits`."""

    def __init__(self, element, limits):
        if not isinstance(limits, Limits):
            raise TypeError("Limits are needed")
        self.element, self.limits = valtype(element), limits


class GlobalType:
    """The type of a global: `content`, and whether it can change."""

    def __init__(self, content, mutable):
        self.content, self.mutable = valtype(content), bool(mutable)
