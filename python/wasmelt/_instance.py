"""Instances, and linkers that find what modules import."""

import contextlib
import threading
from ctypes import byref, c_void_p

from ._errors import WasmeltError, check, guarded, utf8
from ._externs import Extern, _call_back, _call_back_unboxed, _finalize, callback, wrap
from ._library import Owned, Pointers, lib
from ._store import Module, engine_of, store_of


def _instantiate(store, module, make):
    """Runs `make`, which returns an instance or sets a trap."""
    if not isinstance(module, Module):
        raise TypeError(f"a Module is needed, not {type(module).__name__}")
    trap, made = c_void_p(), []

    def call():
        made.append(make(byref(trap)))
        return trap.value

    guarded(store, call)
    return check(made[0])


class Instance(Extern):
    """An instance of a module. `imports` has what the module imports, in its order."""

    def __init__(self, store, module, imports=()):
        store = self._store = store_of(store)
        for item in imports:
            if not isinstance(item, Extern) or isinstance(item, Instance):
                raise TypeError(f"{item!r} cannot be imported")
            item._check(store)
        array = (c_void_p * len(imports))(*[item._pointer for item in imports])
        vector = Pointers(len(imports), array)
        with store._lock:
            self._own(_instantiate(store, module, lambda trap: lib.wasm_instance_new(
                store._pointer, module._pointer, byref(vector), trap)), lib.wasm_instance_delete)
        self._names = module.exports

    @classmethod
    def _made(cls, store, pointer, names):
        instance = cls._of(store, pointer)
        instance._names = names
        return instance

    def exports(self, store):
        """A dictionary of names and what is exported."""
        store, vector = self._check(store), Pointers()
        with store._lock:
            lib.wasm_instance_exports(self._pointer, byref(vector))
            try:
                found = {}
                for index, name in enumerate(self._names[:vector.size]):
                    found[name] = wrap(store, lib.wasm_ref_copy(vector.data[index]))
                return found
            finally:
                lib.wasm_extern_vec_delete(byref(vector))


class Linker(Owned):
    """Names from which modules take their imports. Nothing is defined while a module is being instantiated."""

    def __init__(self, engine=None):
        self._engine = engine_of(engine)
        self._own(check(lib.wasmelt_linker_new(self._engine._pointer)), lib.wasmelt_linker_delete)
        self._lock, self._uses = threading.Lock(), 0

    @contextlib.contextmanager
    def _using(self):
        with self._lock:
            self._uses += 1
        try:
            yield
        finally:
            with self._lock:
                self._uses -= 1

    @contextlib.contextmanager
    def _changing(self):
        with self._lock:
            if self._uses:
                raise WasmeltError("the Linker is being used: define everything before modules are instantiated")
            yield

    def allow_shadowing(self, allow):
        """Whether a name may be defined again."""
        with self._changing():
            lib.wasmelt_linker_allow_shadowing(self._pointer, bool(allow))

    def define(self, store, module, name, item):
        """Defines what belongs to a store."""
        if not isinstance(item, Extern) or isinstance(item, Instance):
            raise TypeError(f"{item!r} cannot be imported")
        names = utf8(module, "the module"), utf8(name, "the name")
        with item._check(store)._lock, self._changing():
            check(lib.wasmelt_linker_define(self._pointer, *names, item._pointer))

    def define_func(self, module, name, ty, function, access_caller=False):
        """Defines a function of the host, for any store."""
        names = utf8(module, "the module"), utf8(name, "the name")
        raw, number = callback(ty, function, access_caller)
        try:
            define, code = lib.wasmelt_linker_define_func, _call_back
            if ty._has_vectors:
                define, code = lib.wasmelt_linker_define_func_unboxed, _call_back_unboxed
            with self._changing():
                check(define(self._pointer, *names, raw, code, number, _finalize))
        finally:
            lib.wasm_functype_delete(raw)

    def define_wasi(self):
        """Defines WASI preview 1, which works on what `Store.set_wasi` has said."""
        with self._changing():
            check(lib.wasmelt_linker_define_wasi(self._pointer))

    def define_instance(self, store, module, instance):
        """Defines all exports of an instance."""
        if not isinstance(instance, Instance):
            raise TypeError(f"an Instance is needed, not {type(instance).__name__}")
        store = instance._check(store)
        with store._lock, self._changing():
            check(lib.wasmelt_linker_define_instance(
                self._pointer, store._pointer, utf8(module, "the module"), instance._pointer))

    def get(self, store, module, name):
        """What is defined, or None."""
        store = store_of(store)
        with store._lock, self._using():
            pointer = lib.wasmelt_linker_get(
                self._pointer, store._pointer, utf8(module, "the module"), utf8(name, "the name"))
            return wrap(store, pointer) if pointer else None

    def instantiate(self, store, module):
        """An instance of a module whose imports are all defined."""
        store = store_of(store)
        with store._lock, self._using():
            pointer = _instantiate(store, module, lambda trap: lib.wasmelt_linker_instantiate(
                self._pointer, store._pointer, module._pointer, trap))
        return Instance._made(store, pointer, module.exports)
