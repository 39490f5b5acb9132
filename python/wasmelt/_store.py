"""Engines, stores, and modules."""

import os
import threading
import time
import weakref
from ctypes import byref, c_uint64

from ._errors import WasmeltError, check, utf8
from ._library import CPoolConfig, Owned, Pointers, byte_vec, lib

UNLIMITED = -1


class Engine(Owned):
    """Takes part in the making of stores and linkers; one is made where none is given."""

    def __init__(self):
        self._own(check(lib.wasm_engine_new()), lib.wasm_engine_delete)


def engine_of(engine):
    """The engine, or a new one."""
    if engine is not None and not isinstance(engine, Engine):
        raise TypeError(f"an Engine is needed, not {type(engine).__name__}")
    return engine or Engine()


class InterruptHandle(Owned):
    """Interrupts the guests of a store from any thread. The handle may outlive the store."""

    def __init__(self, store):
        self._own(check(lib.wasmelt_interrupt_handle_new(store._pointer)), lib.wasmelt_interrupt_handle_delete)

    def interrupt(self):
        """Ends the call that runs at this moment with a trap; whether there is such a call."""
        return lib.wasmelt_interrupt_handle_interrupt(self._pointer)


class Pool(Owned):
    """Address space that stores take their memories, tables and stacks from, so that a store costs microseconds (Linux).

    The arguments are the fields of `wasmelt_pool_config_t`, and what they are without them is said there. Several threads
    may use a pool at a time.
    """

    FIELDS = tuple(name for name, _ in CPoolConfig._fields_)

    def __init__(self, **config):
        settings = CPoolConfig()
        lib.wasmelt_pool_config_default(byref(settings))
        for name, number in config.items():
            if name not in self.FIELDS:
                raise TypeError(f"a pool has no `{name}`, but {', '.join(self.FIELDS)}")
            if not isinstance(number, int) or not 0 <= number < 2**63:
                raise WasmeltError(f"{number!r} is not a number of `{name}`")
            setattr(settings, name, number)
        self._own(check(lib.wasmelt_pool_new(byref(settings))), lib.wasmelt_pool_delete)


class Deadlines(Owned):
    """Ends the calls of stores whose time is over, see `Store.set_deadline`.

    With a period in seconds, a thread looks after them as often as that while anybody has this object. Without one, somebody
    calls `tick`. Several threads may use it at a time.
    """

    def __init__(self, period=None):
        self._own(check(lib.wasmelt_deadlines_new()), lib.wasmelt_deadlines_delete)
        if period is not None:
            if not 0 < period < 1e9:
                raise WasmeltError(f"{period!r} is not a period in seconds")
            threading.Thread(target=_look_after, args=(weakref.ref(self), period), daemon=True).start()

    def tick(self):
        """Interrupts all calls whose deadline is over; how many these are."""
        return lib.wasmelt_deadlines_tick(self._pointer)


def _look_after(deadlines, period):
    while True:
        time.sleep(period)
        found = deadlines()
        if found is None:
            return
        found.tick()
        # Nothing is kept alive while nothing is done.
        del found


class Store(Owned):
    """Everything that instances share. Threads that use a store at a time wait for each other."""

    def __init__(self, engine=None, pool=None, stack_bytes=0):
        """A store, which takes what it needs from a pool where one is given. Guests have a call stack of so many bytes; 0
        stands for what the first module was compiled for, or for the pool's."""
        self._engine = engine_of(engine)
        if pool is not None and not isinstance(pool, Pool):
            raise TypeError(f"a Pool is needed, not {type(pool).__name__}")
        if not isinstance(stack_bytes, int) or not 0 <= stack_bytes < 2**63:
            raise WasmeltError(f"{stack_bytes!r} is not a length in bytes")
        pointer = lib.wasmelt_store_new(self._engine._pointer, pool and pool._pointer, stack_bytes)
        self._own(check(pointer), lib.wasm_store_delete)
        self._lock = threading.RLock()

    def set_limits(self, memory_size=UNLIMITED, table_elements=UNLIMITED, instances=UNLIMITED, tables=UNLIMITED,
                   memories=UNLIMITED, trap_on_grow_failure=False):
        """Limits from now on: bytes of each memory, elements of each table, and how many there may be; -1 is no limit."""
        numbers = [memory_size, table_elements, instances, tables, memories]
        for number in numbers:
            if not isinstance(number, int) or not -(2**63) <= number < 2**63:
                raise WasmeltError(f"{number!r} is not a limit")
        with self._lock:
            lib.wasmelt_store_limiter(self._pointer, *numbers, bool(trap_on_grow_failure))

    def set_fuel(self, fuel):
        """What guests may execute from now on, in operators. Modules are compiled with `--fuel`."""
        if not isinstance(fuel, int) or not 0 <= fuel < 2**64:
            raise WasmeltError(f"{fuel!r} is not an amount of fuel")
        with self._lock:
            check(lib.wasmelt_store_set_fuel(self._pointer, fuel))

    def get_fuel(self):
        """How much fuel is left."""
        fuel = c_uint64()
        with self._lock:
            check(lib.wasmelt_store_get_fuel(self._pointer, byref(fuel)))
        return fuel.value

    def set_wasi(self, config):
        """Gives guests what a WasiConfig says, which can be used once."""
        pointer = config._take()
        with self._lock:
            check(lib.wasmelt_store_set_wasi(self._pointer, pointer))

    def set_deadline(self, deadlines, seconds):
        """Lets a call end with a trap that runs so many seconds from now. Modules are compiled with `--interruptible`."""
        if not isinstance(deadlines, Deadlines):
            raise TypeError(f"Deadlines are needed, not {type(deadlines).__name__}")
        if not 0 <= seconds < 1e9:
            raise WasmeltError(f"{seconds!r} is not a time in seconds")
        with self._lock:
            check(lib.wasmelt_store_set_deadline(self._pointer, deadlines._pointer, int(seconds * 1e9)))

    def clear_deadline(self):
        """The store has no deadline any more."""
        with self._lock:
            check(lib.wasmelt_store_clear_deadline(self._pointer))

    def interrupt_handle(self):
        """A handle to stop guests. Modules are compiled with `--interruptible`."""
        with self._lock:
            return InterruptHandle(self)


def store_of(store):
    """The store that a store or the caller of a host function stands for."""
    found = getattr(store, "_store", store)
    if not isinstance(found, Store):
        raise TypeError(f"a Store is needed, not {type(store).__name__}")
    return found


class Module(Owned):
    """A module from a library that wasmelt made: native code, which is trusted."""

    def __init__(self, *_):
        raise WasmeltError("modules come from `Module.deserialize_file` or `Module.deserialize`, of what `wasmelt compile "
                           "--emit cdylib` made")

    @classmethod
    def _of(cls, pointer):
        module = cls.__new__(cls)
        module._own(check(pointer), lib.wasm_module_delete)
        return module

    @classmethod
    def deserialize_file(cls, path, name=None):
        """The module in a file. Its name is that of the file, unless `--library-name` has said another."""
        path = os.fspath(path)
        name = name or os.path.basename(path).split(".")[0]
        # A name without a folder would be looked for where the system has libraries.
        return cls._of(lib.wasmelt_load_module(utf8(os.path.abspath(path), "the path"), utf8(name, "the name")))

    @classmethod
    def deserialize(cls, data, name):
        """The module of this name in the bytes of a library."""
        vector, _buffer = byte_vec(bytes(memoryview(data)))
        return cls._of(lib.wasmelt_load_module_bytes(byref(vector), utf8(name, "the name")))

    @property
    def imports(self):
        """Pairs of a module's name and a name, in their order."""
        return self._names(lib.wasm_module_imports, lib.wasm_importtype_vec_delete, lambda item: (
            _text(lib.wasm_importtype_module(item)), _text(lib.wasm_importtype_name(item))))

    @property
    def exports(self):
        """Names, in their order."""
        return self._names(lib.wasm_module_exports, lib.wasm_exporttype_vec_delete,
                           lambda item: _text(lib.wasm_exporttype_name(item)))

    def _names(self, function, delete, read):
        vector = Pointers()
        function(self._pointer, byref(vector))
        try:
            return [read(vector.data[index]) for index in range(vector.size)]
        finally:
            delete(byref(vector))


def _text(vector):
    return vector.contents.view().decode("utf-8")
