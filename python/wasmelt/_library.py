"""The C library: how it is found, its structures, its functions, and who owns what they return."""

import ctypes
import ctypes.util
import os
import sys
import weakref
from ctypes import POINTER, byref, c_bool, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint8
from ctypes import c_uint32, c_uint64, c_void_p

NAMES = ("wasmelt-runtime", "wasmelt")


class Bytes(ctypes.Structure):
    """`wasm_byte_vec_t`"""
    _fields_ = [("size", c_size_t), ("data", c_void_p)]

    def take(self):
        """The bytes; the vector is deleted."""
        try:
            return self.view()
        finally:
            lib.wasm_byte_vec_delete(byref(self))

    def view(self):
        """A copy of the bytes."""
        return ctypes.string_at(self.data, self.size) if self.size else b""


class Pointers(ctypes.Structure):
    """A vector of pointers, such as `wasm_extern_vec_t`."""
    _fields_ = [("size", c_size_t), ("data", POINTER(c_void_p))]


class Of(ctypes.Union):
    _fields_ = [("i32", c_int32), ("i64", c_int64), ("f32", c_float), ("f64", c_double), ("ref", c_void_p)]


class Val(ctypes.Structure):
    """`wasm_val_t`"""
    _fields_ = [("kind", c_uint8), ("of", Of)]


class Vals(ctypes.Structure):
    """`wasm_val_vec_t`"""
    _fields_ = [("size", c_size_t), ("data", POINTER(Val))]


class Value(ctypes.Union):
    """`wasmelt_value_t`"""
    _fields_ = [("i32", c_int32), ("i64", c_int64), ("f32", c_float), ("f64", c_double), ("v128", c_uint8 * 16)]


class CLimits(ctypes.Structure):
    """`wasm_limits_t`"""
    _fields_ = [("min", c_uint32), ("max", c_uint32)]


class CPoolConfig(ctypes.Structure):
    """`wasmelt_pool_config_t`"""
    _fields_ = [("memories", c_size_t), ("memory_slot_bytes", c_uint64), ("tables", c_size_t),
                ("table_elements", c_uint64), ("stacks", c_size_t), ("stack_bytes", c_uint64),
                ("keep_resident_bytes", c_size_t)]


CALLBACK = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, POINTER(Vals), POINTER(Vals))
UNBOXED = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, POINTER(Value), c_size_t)
FINALIZER = ctypes.CFUNCTYPE(None, c_void_p)

P, S, Z, B = c_void_p, c_char_p, c_size_t, c_bool
VEC = POINTER(Bytes)

# The result and the parameters of each function; those whose names end in `delete` take a pointer and return nothing.
FUNCTIONS = {
    "wasmelt_last_error": (S, []), "wasmelt_version": (S, []),
    "wasm_engine_new": (P, []), "wasm_store_new": (P, [P]),
    "wasmelt_load_module": (P, [S, S]), "wasmelt_load_module_bytes": (P, [VEC, S]),
    "wasm_module_imports": (None, [P, P]), "wasm_module_exports": (None, [P, P]),
    "wasm_importtype_module": (VEC, [P]), "wasm_importtype_name": (VEC, [P]), "wasm_exporttype_name": (VEC, [P]),
    "wasmelt_store_limiter": (None, [P, c_int64, c_int64, c_int64, c_int64, c_int64, B]),
    "wasmelt_store_set_fuel": (B, [P, c_uint64]), "wasmelt_store_get_fuel": (B, [P, POINTER(c_uint64)]),
    "wasmelt_store_set_wasi": (B, [P, P]),
    "wasmelt_pool_config_default": (None, [POINTER(CPoolConfig)]), "wasmelt_pool_new": (P, [POINTER(CPoolConfig)]),
    "wasmelt_store_new": (P, [P, P, c_uint64]),
    "wasmelt_deadlines_new": (P, []), "wasmelt_deadlines_tick": (Z, [P]),
    "wasmelt_store_set_deadline": (B, [P, P, c_uint64]), "wasmelt_store_clear_deadline": (B, [P]),
    "wasmelt_interrupt_handle_new": (P, [P]), "wasmelt_interrupt_handle_interrupt": (B, [P]),
    "wasm_valtype_new": (P, [c_uint8]), "wasm_valtype_kind": (c_uint8, [P]),
    "wasm_valtype_vec_new": (None, [P, Z, P]), "wasm_functype_new": (P, [P, P]),
    "wasm_functype_params": (POINTER(Pointers), [P]), "wasm_functype_results": (POINTER(Pointers), [P]),
    "wasm_globaltype_new": (P, [P, c_uint8]), "wasm_globaltype_content": (P, [P]),
    "wasm_globaltype_mutability": (c_uint8, [P]),
    "wasm_tabletype_new": (P, [P, P]), "wasm_tabletype_element": (P, [P]),
    "wasm_tabletype_limits": (POINTER(CLimits), [P]),
    "wasm_memorytype_new": (P, [P]), "wasm_memorytype_limits": (POINTER(CLimits), [P]),
    "wasmelt_func_new": (P, [P, P, CALLBACK, P, FINALIZER]), "wasm_func_type": (P, [P]),
    "wasm_func_call": (P, [P, P, P]),
    "wasmelt_func_call": (P, [P, POINTER(Value), Z]),
    "wasmelt_func_new_unboxed": (P, [P, P, UNBOXED, P, FINALIZER]),
    "wasmelt_tag_new": (P, [P, P]), "wasm_extern_type": (P, [P]), "wasm_tagtype_functype": (P, [P]),
    "wasmelt_trap_new_exception": (P, [P, P, P]), "wasmelt_trap_exception_tag": (P, [P]),
    "wasmelt_trap_exception_values": (B, [P, P]),
    "wasm_global_new": (P, [P, P, P]), "wasm_global_type": (P, [P]), "wasm_global_get": (None, [P, P]),
    "wasm_global_set": (None, [P, P]),
    "wasm_table_new": (P, [P, P, P]), "wasm_table_type": (P, [P]), "wasm_table_size": (c_uint32, [P]),
    "wasm_table_get": (P, [P, c_uint32]), "wasm_table_set": (B, [P, c_uint32, P]),
    "wasm_table_grow": (B, [P, c_uint32, P]),
    "wasm_memory_new": (P, [P, P]), "wasm_memory_type": (P, [P]), "wasm_memory_data_size": (Z, [P]),
    "wasm_memory_size": (c_uint32, [P]), "wasm_memory_grow": (B, [P, c_uint32]),
    "wasmelt_memory_read": (B, [P, Z, P, Z]), "wasmelt_memory_write": (B, [P, Z, S, Z]),
    "wasm_extern_kind": (c_uint8, [P]),
    "wasm_ref_copy": (P, [P]), "wasm_ref_same": (B, [P, P]), "wasm_ref_as_func": (P, [P]),
    "wasm_ref_as_foreign": (P, [P]), "wasm_ref_get_host_info": (P, [P]),
    "wasm_foreign_new": (P, [P]), "wasm_foreign_set_host_info_with_finalizer": (None, [P, P, FINALIZER]),
    "wasm_instance_new": (P, [P, P, P, P]), "wasm_instance_exports": (None, [P, P]),
    "wasm_trap_new": (P, [P, VEC]), "wasm_trap_message": (None, [P, VEC]), "wasm_trap_trace": (None, [P, P]),
    "wasmelt_trap_code": (c_uint8, [P]), "wasmelt_trap_exit_status": (B, [P, POINTER(c_int32)]),
    "wasm_frame_func_index": (c_uint32, [P]), "wasm_frame_module_offset": (Z, [P]),
    "wasmelt_frame_module_name": (VEC, [P]), "wasmelt_frame_func_name": (VEC, [P]), "wasmelt_frame_text": (VEC, [P]),
    "wasmelt_caller_store": (P, [P]), "wasmelt_caller_export": (P, [P, S]),
    "wasmelt_linker_new": (P, [P]), "wasmelt_linker_allow_shadowing": (None, [P, B]),
    "wasmelt_linker_define": (B, [P, S, S, P]),
    "wasmelt_linker_define_func": (B, [P, S, S, P, CALLBACK, P, FINALIZER]),
    "wasmelt_linker_define_func_unboxed": (B, [P, S, S, P, UNBOXED, P, FINALIZER]),
    "wasmelt_linker_define_wasi": (B, [P]), "wasmelt_linker_define_instance": (B, [P, P, S, P]),
    "wasmelt_linker_get": (P, [P, P, S, S]), "wasmelt_linker_instantiate": (P, [P, P, P, P]),
    "wasmelt_wasi_config_new": (P, []), "wasmelt_wasi_config_arg": (B, [P, S]), "wasmelt_wasi_config_env": (B, [P, S, S]),
    "wasmelt_wasi_config_stdin_bytes": (B, [P, VEC]),
    "wasmelt_wasi_config_stdout": (B, [P, P]), "wasmelt_wasi_config_stderr": (B, [P, P]),
    "wasmelt_wasi_config_preopened_dir": (B, [P, S, S, B]),
    "wasmelt_wasi_config_preopened_file": (B, [P, S, S, B]),
    "wasmelt_output_new": (P, [Z]), "wasmelt_output_contents": (None, [P, VEC]),
}
FUNCTIONS.update({f"wasmelt_wasi_config_inherit_{what}": (B, [P]) for what in ("env", "stdin", "stdout", "stderr")})
FUNCTIONS.update({f"{name}_delete": (None, [P]) for name in (
    "wasm_engine", "wasm_store", "wasm_module", "wasm_importtype_vec", "wasm_exporttype_vec", "wasm_functype",
    "wasm_globaltype", "wasm_tabletype", "wasm_memorytype", "wasm_externtype", "wasm_val_vec", "wasm_ref", "wasm_foreign",
    "wasm_extern", "wasm_extern_vec",
    "wasm_instance", "wasm_trap", "wasm_frame_vec", "wasm_byte_vec", "wasmelt_linker", "wasmelt_wasi_config",
    "wasmelt_output", "wasmelt_interrupt_handle", "wasmelt_pool", "wasmelt_deadlines")})


def candidates():
    """Files that may be the library, the first choice first."""
    named = os.environ.get("WASMELT_LIBRARY")
    if named:
        return [named]
    ending = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
    beside = [os.path.join(os.path.dirname(__file__), f"lib{name}{ending}") for name in NAMES]
    system = [ctypes.util.find_library(name) for name in NAMES]
    return [path for path in beside if os.path.exists(path)] + [path for path in system if path]


def load():
    """The library, whose functions have their types."""
    paths = candidates()
    if not paths:
        raise ImportError(
            "libwasmelt-runtime is not found: set WASMELT_LIBRARY to the file that `cargo xtask c-api` makes, put that file "
            f"into {os.path.dirname(__file__)}, or install the file where the system looks for libraries")
    try:
        library = ctypes.CDLL(paths[0])
        for name, (result, parameters) in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, parameters
    except (OSError, AttributeError) as error:
        raise ImportError(f"{paths[0]} is not a usable library of wasmelt: {error}") from error
    return library


lib = load()


class Owned:
    """A Python object that owns one of C's, and deletes that when nobody has the Python object any more."""

    def _own(self, pointer, delete):
        self._pointer = pointer
        self._deleter = weakref.finalize(self, delete, pointer)
        # The end of the process frees everything; until then, other objects may use this one.
        self._deleter.atexit = False

    def _disown(self):
        """The pointer, which C owns from now on."""
        self._deleter.detach()
        pointer, self._pointer = self._pointer, None
        return pointer


def byte_vec(data):
    """A vector that borrows bytes, and what it borrows."""
    buffer = ctypes.create_string_buffer(data, max(len(data), 1))
    return Bytes(len(data), ctypes.addressof(buffer)), buffer
