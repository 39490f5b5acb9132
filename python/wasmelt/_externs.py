"""Functions, memories, globals and tables, and the values that go in and out."""

import ctypes
import itertools
from ctypes import byref

from ._errors import GuestException, WasmeltError, check, guarded, running, to_trap, utf8
from ._library import CALLBACK, FINALIZER, UNBOXED, Owned, Val, Vals, Value, lib
from ._store import Store, store_of
from ._types import KINDS, FuncType, GlobalType, Limits, MemoryType, TableType, ValType

# Objects of Python that C knows by a number, until C calls the finalizer.
_objects = {}
_numbers = itertools.count(1)


def _register(item):
    number = next(_numbers)
    _objects[number] = item
    return number


@FINALIZER
def _finalize(number):
    _objects.pop(number, None)


def lower(store, value, ty):
    """A value for a guest. References in it are borrowed from `value`, or owned by whoever deletes the value."""
    raw = Val(ty.kind)
    if ty.name in ("i32", "i64", "f32", "f64"):
        lower_number(raw.of, value, ty)
    elif ty.name in ("externref", "funcref"):
        raw.of.ref = _lower_reference(store, value, ty)
    elif ty.name == "v128":
        raise WasmeltError("vectors are passed to functions and by them alone: not in globals, nor in exceptions")
    else:
        raise WasmeltError(f"the Python package does not pass values of type {ty}")
    return raw


def lower_number(of, value, ty):
    """Puts a number or vector into a union of C."""
    if ty.name in ("i32", "i64"):
        bits = int(ty.name[1:])
        if not isinstance(value, int):
            raise TypeError(f"{value!r} is not an integer, for {ty}")
        if not -(1 << (bits - 1)) <= value < 1 << bits:
            raise OverflowError(f"{value} does not fit into {ty}")
        setattr(of, ty.name, value)
    elif ty.name in ("f32", "f64"):
        if not isinstance(value, (int, float)):
            raise TypeError(f"{value!r} is not a number, for {ty}")
        setattr(of, ty.name, float(value))
    else:
        try:
            lanes = bytes(memoryview(value))
        except TypeError:
            raise TypeError(f"{value!r} has no bytes, for {ty}") from None
        if len(lanes) != 16:
            raise WasmeltError(f"a vector has 16 bytes, not {len(lanes)}")
        of.v128[:] = lanes


def lower_unboxed(places, values, types):
    """Puts numbers and vectors where C expects them."""
    for place, value, ty in zip(places, values, types):
        lower_number(place, value, ty)


def raise_unboxed(places, types):
    """The numbers and vectors that C has left."""
    return [bytes(place.v128) if ty.name == "v128" else getattr(place, ty.name) for place, ty in zip(places, types)]


def _lower_reference(store, value, ty):
    if value is None:
        return None
    if ty.name == "funcref":
        if not isinstance(value, Func):
            raise TypeError(f"{value!r} is not a Func, for funcref")
        value._check(store)
        return check(lib.wasm_ref_copy(value._pointer))
    foreign = check(lib.wasm_foreign_new(store._pointer))
    lib.wasm_foreign_set_host_info_with_finalizer(foreign, _register(value), _finalize)
    return foreign


def raise_value(store, raw):
    """The Python value of one from a guest, whose reference is taken over."""
    name = KINDS.get(raw.kind)
    if name in ("i32", "i64", "f32", "f64"):
        return getattr(raw.of, name)
    return raise_reference(store, raw.of.ref)


def raise_reference(store, pointer):
    """The Python object of a reference, which is taken over."""
    if not pointer:
        return None
    if lib.wasm_ref_as_func(pointer):
        return Func._of(store, pointer)
    try:
        number = lib.wasm_ref_get_host_info(pointer) if lib.wasm_ref_as_foreign(pointer) else None
        if number not in _objects:
            raise WasmeltError("the reference is neither to a function nor to an object of Python")
        return _objects[number]
    finally:
        lib.wasm_ref_delete(pointer)


def _release(raw):
    if raw.kind >= 128 and raw.of.ref:
        lib.wasm_ref_delete(raw.of.ref)


class Values:
    """Values for C, whose references go with `release`."""

    def __init__(self, store, values, types):
        self.array = (Val * len(types))()
        self.vector = Vals(len(types), self.array)
        try:
            for index, (value, ty) in enumerate(zip(values, types)):
                self.array[index] = lower(store, value, ty)
        except BaseException:
            self.release()
            raise

    def release(self):
        for raw in self.array:
            _release(raw)


class Extern(Owned):
    """What is in a store. The object of C keeps what the store has alive."""

    @classmethod
    def _of(cls, store, pointer):
        item = cls.__new__(cls)
        item._own(check(pointer), lib.wasm_ref_delete)
        item._store = store
        return item

    def _check(self, store):
        """The store of the object, which is the one that is given."""
        if store_of(store) is not self._store:
            raise WasmeltError(f"the {type(self).__name__} is of another store")
        return self._store


class Caller:
    """The instance that calls a host function; good until that returns."""

    def __init__(self, store, pointer):
        self._store, self._pointer = store, pointer

    def get(self, name):
        """The export with this name, or None."""
        if self._pointer is None:
            raise WasmeltError("the function that had the caller has returned")
        pointer = lib.wasmelt_caller_export(self._pointer, utf8(name, "the name"))
        return wrap(self._store, pointer) if pointer else None

    def __getitem__(self, name):
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found


def _guarded(caller, run):
    try:
        run()
        return None
    except GuestException as exception:
        return _thrown(caller, exception)
    # Every other exception goes through the guest and is raised by the call into it.
    except BaseException as exception:
        return to_trap(lib.wasmelt_caller_store(caller), exception)


def _thrown(caller, exception):
    """A trap for C that stands for an exception of WebAssembly."""
    raw = lib.wasmelt_caller_store(caller)
    try:
        if not isinstance(exception.tag, Tag):
            raise TypeError(f"a Tag is needed, not {type(exception.tag).__name__}")
        store = running.stores[-1]
        ty = exception.tag.type(store)
        if len(exception.values) != len(ty.params):
            raise TypeError(f"an exception of the tag has {len(ty.params)} values, and {len(exception.values)} were given")
        values = Values(store, exception.values, ty.params)
        try:
            return check(lib.wasmelt_trap_new_exception(raw, exception.tag._pointer, byref(values.vector)))
        finally:
            values.release()
    except BaseException as error:
        return to_trap(raw, error)


@CALLBACK
def _call_back(number, caller, args, results):
    return _guarded(caller, lambda: _run(_objects[number], caller, args.contents, results.contents))


@UNBOXED
def _call_back_unboxed(number, caller, values, _count):
    return _guarded(caller, lambda: _run_unboxed(_objects[number], caller, values))


def _run(function, pointer, args, results):
    ty, store = function[1], running.stores[-1]
    values = [raise_value(store, _copy(args.data[index])) for index in range(args.size)]
    lowered = Values(store, _returned(function, pointer, values), ty.results)
    for index in range(results.size):
        results.data[index] = lowered.array[index]


def _run_unboxed(function, pointer, values):
    _, ty, _ = function
    returned = _returned(function, pointer, raise_unboxed(values[:len(ty.params)], ty.params))
    places = (Value * len(ty.results))()
    lower_unboxed(places, returned, ty.results)
    for index, place in enumerate(places):
        values[index] = place


def _returned(function, pointer, values):
    """What a function of the host returns, as a list."""
    callback, ty, access_caller = function
    caller = Caller(running.stores[-1], pointer)
    try:
        return _results(callback(*([caller] if access_caller else []), *values), ty)
    finally:
        caller._pointer = None


def _copy(raw):
    """A value that owns its reference."""
    if raw.kind < 128 or not raw.of.ref:
        return raw
    copy = Val(raw.kind)
    copy.of.ref = check(lib.wasm_ref_copy(raw.of.ref))
    return copy


def _results(returned, ty):
    count = len(ty.results)
    if count == 1:
        return [returned]
    if count == 0 and returned is not None:
        raise WasmeltError(f"a function without results returned {returned!r}")
    values = [] if returned is None else list(returned)
    if len(values) != count:
        raise WasmeltError(f"a function of {count} results returned {len(values)}")
    return values


def callback(ty, function, access_caller):
    """What C needs of a host function: its type, which the caller deletes, and its number."""
    if not isinstance(ty, FuncType):
        raise TypeError(f"a FuncType is needed, not {type(ty).__name__}")
    if not callable(function):
        raise TypeError(f"{function!r} cannot be called")
    return ty._new(), _register((function, ty, access_caller))


class Func(Extern):
    """A function of a guest or of the host."""

    def __init__(self, store, ty, function, access_caller=False):
        self._store = store_of(store)
        raw, number = callback(ty, function, access_caller)
        try:
            new, code = lib.wasmelt_func_new, _call_back
            if ty._has_vectors:
                new, code = lib.wasmelt_func_new_unboxed, _call_back_unboxed
            with self._store._lock:
                self._own(check(new(self._store._pointer, raw, code, number, _finalize)), lib.wasm_ref_delete)
        finally:
            lib.wasm_functype_delete(raw)

    def type(self, store):
        """The FuncType."""
        with self._check(store)._lock:
            return FuncType._take(lib.wasm_func_type(self._pointer))

    def __call__(self, store, *args):
        """Calls the function; the result, a list of several, or None."""
        store = self._check(store)
        with store._lock:
            ty = FuncType._take(lib.wasm_func_type(self._pointer))
            if len(args) != len(ty.params):
                raise TypeError(f"the function has {len(ty.params)} parameters, and {len(args)} arguments were given")
            if ty._has_vectors:
                return _result(self._call_unboxed(store, args, ty))
            values = Values(store, args, ty.params)
            raw = (Val * len(ty.results))()
            results = Vals(len(ty.results), raw)
            try:
                guarded(store, lambda: lib.wasm_func_call(self._pointer, byref(values.vector), byref(results)))
            finally:
                values.release()
            return _result([raise_value(store, value) for value in raw])

    def _call_unboxed(self, store, args, ty):
        places = (Value * max(len(ty.params), len(ty.results)))()
        lower_unboxed(places, args, ty.params)
        guarded(store, lambda: lib.wasmelt_func_call(self._pointer, places, len(places)))
        return raise_unboxed(places, ty.results)


def _result(values):
    """The results of a call: one, a list of several, or None."""
    return values[0] if len(values) == 1 else values or None


class Memory(Extern):
    """A linear memory. Bytes are copied in and out: nothing of Python's points into a memory."""

    def __init__(self, store, ty):
        self._store = store_of(store)
        raw = check(lib.wasm_memorytype_new(byref(ty.limits._new())))
        try:
            with self._store._lock:
                self._own(check(lib.wasm_memory_new(self._store._pointer, raw)), lib.wasm_ref_delete)
        finally:
            lib.wasm_memorytype_delete(raw)

    def type(self, store):
        """The MemoryType."""
        with self._check(store)._lock:
            raw = check(lib.wasm_memory_type(self._pointer))
            try:
                return MemoryType(Limits._of(lib.wasm_memorytype_limits(raw).contents))
            finally:
                lib.wasm_memorytype_delete(raw)

    def size(self, store):
        """The length in pages."""
        with self._check(store)._lock:
            return lib.wasm_memory_size(self._pointer)

    def data_len(self, store):
        """The length in bytes."""
        with self._check(store)._lock:
            return lib.wasm_memory_data_size(self._pointer)

    def grow(self, store, delta):
        """Adds pages; the length before, in pages."""
        with self._check(store)._lock:
            before = lib.wasm_memory_size(self._pointer)
            check(lib.wasm_memory_grow(self._pointer, _index(delta, 1 << 32)))
            return before

    def read(self, store, start=0, stop=None):
        """A copy of the bytes from `start` up to `stop`, by default the end, as a bytearray. Both are in the memory."""
        with self._check(store)._lock:
            length = lib.wasm_memory_data_size(self._pointer)
            start, stop = _index(start, length + 1), length if stop is None else _index(stop, length + 1)
            data = bytearray(max(stop - start, 0))
            if data:
                buffer = (ctypes.c_char * len(data)).from_buffer(data)
                check(lib.wasmelt_memory_read(self._pointer, start, buffer, len(data)))
            return data

    def write(self, store, data, start=0):
        """Copies bytes into the memory; how many these are."""
        data = bytes(memoryview(data))
        with self._check(store)._lock:
            start = _index(start, lib.wasm_memory_data_size(self._pointer) + 1)
            check(lib.wasmelt_memory_write(self._pointer, start, data, len(data)))
        return len(data)


def _index(index, end):
    """An index below `end`."""
    if not isinstance(index, int):
        raise TypeError(f"{index!r} is not an integer")
    if not 0 <= index < end:
        raise IndexError(f"{index} is not in 0..{end}")
    return index


class Global(Extern):
    """A global."""

    def __init__(self, store, ty, value):
        self._store = store_of(store)
        values = Values(self._store, [value], [ty.content])
        raw = check(lib.wasm_globaltype_new(ty.content._new(), int(ty.mutable)))
        try:
            with self._store._lock:
                self._own(check(lib.wasm_global_new(self._store._pointer, raw, values.array)), lib.wasm_ref_delete)
        finally:
            values.release()
            lib.wasm_globaltype_delete(raw)

    def type(self, store):
        """The GlobalType."""
        with self._check(store)._lock:
            raw = check(lib.wasm_global_type(self._pointer))
            try:
                return GlobalType(ValType._of(lib.wasm_globaltype_content(raw)), lib.wasm_globaltype_mutability(raw))
            finally:
                lib.wasm_globaltype_delete(raw)

    def value(self, store):
        """What the global holds."""
        content = self.type(store).content
        if content.name in ("v128", "exnref"):
            raise WasmeltError(f"the Python package does not pass values of type {content}")
        raw = Val()
        with self._store._lock:
            lib.wasm_global_get(self._pointer, byref(raw))
            return raise_value(self._store, raw)

    def set_value(self, store, value):
        """Changes the global."""
        ty = self.type(store)
        if not ty.mutable:
            raise WasmeltError("the global cannot change")
        with self._store._lock:
            values = Values(self._store, [value], [ty.content])
            try:
                lib.wasm_global_set(self._pointer, values.array)
            finally:
                values.release()


class Table(Extern):
    """A table of references."""

    def __init__(self, store, ty, init=None):
        self._store = store_of(store)
        values = Values(self._store, [init], [ty.element])
        try:
            raw = check(lib.wasm_tabletype_new(ty.element._new(), byref(ty.limits._new())))
            try:
                with self._store._lock:
                    self._own(check(lib.wasm_table_new(self._store._pointer, raw, values.array[0].of.ref)),
                              lib.wasm_ref_delete)
            finally:
                lib.wasm_tabletype_delete(raw)
        finally:
            values.release()

    def type(self, store):
        """The TableType."""
        with self._check(store)._lock:
            raw = check(lib.wasm_table_type(self._pointer))
            try:
                return TableType(ValType._of(lib.wasm_tabletype_element(raw)),
                                 Limits._of(lib.wasm_tabletype_limits(raw).contents))
            finally:
                lib.wasm_tabletype_delete(raw)

    def size(self, store):
        """The length."""
        with self._check(store)._lock:
            return lib.wasm_table_size(self._pointer)

    def get(self, store, index):
        """An element: a Func, an object, or None."""
        with self._check(store)._lock:
            index = _index(index, lib.wasm_table_size(self._pointer))
            return raise_reference(self._store, lib.wasm_table_get(self._pointer, index))

    def set(self, store, index, value):
        """Changes an element."""
        index = _index(index, self.size(store))
        self._with(store, value, lambda ref: lib.wasm_table_set(self._pointer, index, ref))

    def grow(self, store, delta, init=None):
        """Adds elements; the length before."""
        before, delta = self.size(store), _index(delta, 1 << 32)
        self._with(store, init, lambda ref: lib.wasm_table_grow(self._pointer, delta, ref))
        return before

    def _with(self, store, value, action):
        element = self.type(store).element
        with self._store._lock:
            values = Values(self._store, [value], [element])
            try:
                check(action(values.array[0].of.ref))
            finally:
                values.release()


class Tag(Extern):
    """What tells exceptions apart. The type's parameters are those of an exception's values; a tag has no results."""

    def __init__(self, store, ty):
        self._store = store_of(store)
        if not isinstance(ty, FuncType):
            raise TypeError(f"a FuncType is needed, not {type(ty).__name__}")
        raw = ty._new()
        try:
            with self._store._lock:
                self._own(check(lib.wasmelt_tag_new(self._store._pointer, raw)), lib.wasm_ref_delete)
        finally:
            lib.wasm_functype_delete(raw)

    def type(self, store):
        """The FuncType."""
        with self._check(store)._lock:
            raw = check(lib.wasm_extern_type(self._pointer))
            try:
                return FuncType._of(check(lib.wasm_tagtype_functype(raw)))
            finally:
                lib.wasm_externtype_delete(raw)

    def __eq__(self, other):
        return isinstance(other, Tag) and lib.wasm_ref_same(self._pointer, other._pointer)

    def __hash__(self):
        return hash(Tag)


def thrown(store, tag, trap):
    """The tag, which is taken over, and the values of the exception that a trap stands for."""
    values = Vals()
    tag = Tag._of(store, tag)
    check(lib.wasmelt_trap_exception_values(trap, byref(values)))
    try:
        return tag, [raise_value(store, _copy(values.data[index])) for index in range(values.size)]
    finally:
        lib.wasm_val_vec_delete(byref(values))


Store._thrown = thrown


def wrap(store, pointer):
    """The Python object for what was exported, which the object owns."""
    kinds = {0: Func, 1: Global, 2: Table, 3: Memory, 4: Tag}
    return kinds[lib.wasm_extern_kind(pointer)]._of(store, pointer)
