"""WASI: what the guests of a store may have of the system."""

import os
from ctypes import byref

from ._errors import WasmeltError, check, utf8
from ._library import Bytes, Owned, byte_vec, lib


class Output(Owned):
    """A buffer that takes what guests write, up to a number of bytes; then their writes fail."""

    def __init__(self, capacity=1 << 20):
        if not isinstance(capacity, int) or not 0 <= capacity < 1 << 62:
            raise WasmeltError(f"{capacity!r} is not a number of bytes")
        self._own(check(lib.wasmelt_output_new(capacity)), lib.wasmelt_output_delete)

    def contents(self):
        """What was written so far, as bytes."""
        vector = Bytes()
        lib.wasmelt_output_contents(self._pointer, byref(vector))
        return vector.take()


class WasiConfig(Owned):
    """What guests may have; nothing, until something is said. `Store.set_wasi` uses it up."""

    def __init__(self):
        self._own(check(lib.wasmelt_wasi_config_new()), lib.wasmelt_wasi_config_delete)

    def _take(self):
        if self._pointer is None:
            raise WasmeltError("the WasiConfig was given to a store already")
        return self._disown()

    def _say(self, function, *args):
        if self._pointer is None:
            raise WasmeltError("the WasiConfig was given to a store already")
        check(function(self._pointer, *args))

    def argv(self, arguments):
        """Adds arguments, of which the first is the guest's own name."""
        for argument in arguments:
            self._say(lib.wasmelt_wasi_config_arg, utf8(argument, "an argument"))

    def env(self, variables):
        """Adds environment variables, from a dictionary or pairs."""
        for name, value in dict(variables).items():
            self._say(lib.wasmelt_wasi_config_env, utf8(name, "a name"), utf8(value, "a value"))

    def inherit_env(self):
        """Adds the environment of the process."""
        self._say(lib.wasmelt_wasi_config_inherit_env)

    def inherit_stdin(self):
        """Standard input is that of the process."""
        self._say(lib.wasmelt_wasi_config_inherit_stdin)

    def inherit_stdout(self):
        """Standard output is that of the process."""
        self._say(lib.wasmelt_wasi_config_inherit_stdout)

    def inherit_stderr(self):
        """Standard error is that of the process."""
        self._say(lib.wasmelt_wasi_config_inherit_stderr)

    def stdin_bytes(self, data):
        """Standard input has these bytes."""
        vector, _buffer = byte_vec(bytes(memoryview(data)))
        self._say(lib.wasmelt_wasi_config_stdin_bytes, byref(vector))

    def stdin_file(self, path):
        """Standard input has the bytes that the file has at this moment."""
        with open(path, "rb") as file:
            self.stdin_bytes(file.read())

    def stdout(self, output):
        """Standard output goes into an Output."""
        self._say(lib.wasmelt_wasi_config_stdout, _output(output))

    def stderr(self, output):
        """Standard error goes into an Output."""
        self._say(lib.wasmelt_wasi_config_stderr, _output(output))

    def preopen_dir(self, host_path, guest_path, read_only=False):
        """Grants a directory under a name of the guest's. No path leads out of it."""
        self._say(lib.wasmelt_wasi_config_preopened_dir, utf8(os.fspath(host_path), "the path"),
                  utf8(guest_path, "the guest's path"), bool(read_only))

    def preopen_file(self, host_path, guest_path, read_only=False):
        """Grants one file under a name of the guest's, in a directory that has nothing else."""
        self._say(lib.wasmelt_wasi_config_preopened_file, utf8(os.fspath(host_path), "the path"),
                  utf8(guest_path, "the guest's path"), bool(read_only))


def _output(output):
    if not isinstance(output, Output):
        raise TypeError(f"an Output is needed, not {type(output).__name__}")
    return output._pointer
