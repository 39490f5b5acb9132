"""What the package does with guests, and that wrong use of it is an exception. The C tests of the repository run this."""

import gc
import os
import struct
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from wasmelt import (Deadlines, ExitTrap, Func, FuncType, Global, GlobalType, GuestException, Instance, Limits, Linker, Memory,
                     MemoryType, Module, Output, Pool, Store, Table, TableType, Tag, Trap, ValType, WasiConfig, WasmeltError)

MODULES = Path(os.environ["WASMELT_TEST_MODULES"])
I32 = ValType.i32()
UNARY = FuncType([I32], [I32])


def load(name):
    return Module.deserialize_file(MODULES / f"{name}.so")


def calls(function=lambda number: 2 * number, **options):
    store, linker = Store(), Linker()
    linker.define_func("host", "twice", UNARY, function, **options)
    return store, linker.instantiate(store, load("calls")).exports(store)


def test_calls_pass_numbers():
    store, exports = calls()
    assert exports["add"](store, 1, 2) == 3
    assert exports["add"](store, 2**31 - 1, 1) == -(2**31)
    assert exports["add"](store, 2**32 - 1, 0) == -1
    assert exports["mixed"](store, 1, 2**40, 0.5, 1e300) == [1e300, 0.5, 2**40, 1]
    assert [ty.name for ty in exports["mixed"].type(store).params] == ["i32", "i64", "f32", "f64"]
    assert exports["call_host"](store, 21) == 42


def test_modules_know_imports_and_exports():
    module = load("calls")
    assert module.imports == [("host", "twice")]
    assert module.exports[:2] == ["memory", "counter"]
    same = Module.deserialize((MODULES / "calls.so").read_bytes(), "calls")
    assert same.exports == module.exports


def test_references_pass():
    store, exports = calls()
    thing = object()
    assert exports["same"](store, thing) is thing
    assert exports["same"](store, None) is None
    func = exports["same_func"](store, exports["add"])
    assert func(store, 3, 4) == 7
    assert exports["same_func"](store, None) is None


@pytest.mark.parametrize("name, args, error", [
    ("add", (1,), TypeError), ("add", (1, 2, 3), TypeError), ("add", ("1", 2), TypeError), ("add", (1.0, 2), TypeError),
    ("add", (2**32, 0), OverflowError), ("mixed", (1, 2, None, 4), TypeError), ("same_func", (3,), TypeError),
])
def test_wrong_arguments_are_exceptions(name, args, error):
    store, exports = calls()
    with pytest.raises(error):
        exports[name](store, *args)
    assert exports["add"](store, 1, 2) == 3


def test_exceptions_of_callbacks_go_through():
    class Own(Exception):
        pass

    error = Own("mine")

    def fail(_):
        raise error

    store, exports = calls(fail)
    for _ in range(3):
        with pytest.raises(Own) as caught:
            exports["call_host"](store, 1)
        assert caught.value is error
    with pytest.raises(Trap, match="unreachable"):
        exports["trap"](store)


def exceptions(throw):
    store, linker = Store(), Linker()
    tag = Tag(store, FuncType([I32], []))
    linker.define(store, "host", "other", tag)
    linker.define_func("host", "throw", FuncType([I32], []), lambda number: throw(store, tag, number))
    return store, tag, linker.instantiate(store, load("exceptions")).exports(store)


def test_exceptions_of_guests_have_tags_and_values():
    store, other, exports = exceptions(lambda *_: None)
    own, thing = exports["own"], object()
    assert [ty.name for ty in own.type(store).params] == ["i32", "f64", "externref"]
    for number in range(3):
        with pytest.raises(GuestException) as caught:
            exports["throws"](store, number, thing)
        assert (caught.value.tag, caught.value.values, caught.value.code) == (own, [number, 0.5, thing], 14)
        assert caught.value.tag != other and caught.value.values[2] is thing
    # They are traps to those who do not ask.
    with pytest.raises(Trap):
        exports["throws"](store, 1, None)


def test_the_host_throws_what_guests_catch():
    def throw(store, tag, number):
        raise GuestException(tag, [number])

    store, other, exports = exceptions(throw)
    for number in range(3):
        assert exports["catches"](store, number) == number
        with pytest.raises(GuestException) as caught:
            exports["calls"](store, number)
        assert (caught.value.tag, caught.value.values) == (other, [number])


def test_what_a_function_of_the_host_did_not_catch_goes_on():
    def throw(store, tag, number):
        if number == 0:
            raise GuestException(tag, [77])
        exports["calls"](store, 0)

    store, other, exports = exceptions(throw)
    assert exports["catches"](store, 1) == 77
    with pytest.raises(GuestException) as caught:
        exports["calls"](store, 1)
    assert (caught.value.tag, caught.value.values) == (other, [77])


@pytest.mark.parametrize("thrown, error", [
    (lambda tag, _: GuestException(tag, []), TypeError), (lambda tag, _: GuestException(tag, ["text"]), TypeError),
    (lambda tag, _: GuestException(None, [1]), TypeError), (lambda _, other: GuestException(other, [1]), WasmeltError),
])
def test_what_cannot_be_thrown_is_an_exception(thrown, error):
    elsewhere = Tag(Store(), FuncType([I32], []))

    def throw(_, tag, __):
        raise thrown(tag, elsewhere)

    store, _, exports = exceptions(throw)
    for name in ("catches", "calls"):
        with pytest.raises(error):
            exports[name](store, 1)
    for wrong in (lambda: Tag(store, UNARY), lambda: Tag(store, 1)):
        with pytest.raises((WasmeltError, TypeError)):
            wrong()


def vector(*lanes):
    return struct.pack("<4i", *lanes)


def test_vectors_pass():
    def swap(lanes, number):
        return [number, lanes[::-1]]

    ty = FuncType([ValType.v128(), I32], [I32, ValType.v128()])
    store, linker = Store(), Linker()
    linker.define_func("host", "swap", ty, swap)
    exports = linker.instantiate(store, load("vectors")).exports(store)
    assert exports["add"](store, vector(1, 2, 3, 4), bytearray(vector(10, 20, 30, -40))) == vector(11, 22, 33, -36)
    lanes = bytes(range(16))
    assert exports["swap"](store, lanes, 7) == [7, lanes[::-1]]
    assert Func(store, ty, swap)(store, lanes, 7) == [7, lanes[::-1]]
    assert [ty.name for ty in exports["swap"].type(store).results] == ["i32", "v128"]
    with pytest.raises(Trap, match="unreachable"):
        exports["trap"](store, lanes)
    for wrong, error in [((b"short", 1), WasmeltError), ((1, 1), TypeError), ((lanes, "text"), TypeError)]:
        with pytest.raises(error):
            exports["swap"](store, *wrong)
    with pytest.raises(WasmeltError, match="vectors and references"):
        exports["both"](store, lanes, None)
    with pytest.raises(WasmeltError, match="globals"):
        Global(store, GlobalType(ValType.v128(), True), lanes)
    with pytest.raises(WasmeltError):
        Func(store, ty, lambda *_: [1, b"short"])(store, lanes, 7)


def test_an_exception_that_a_callback_caught_is_gone():
    def outer(number):
        if number == 0:
            raise KeyError("inner")
        with pytest.raises(KeyError):
            exports["call_host"](store, 0)
        return 5

    store, exports = calls(outer)
    assert exports["call_host"](store, 1) == 5


@pytest.mark.parametrize("returned", [None, "text", 2**40, [1, 2]])
def test_wrong_results_of_callbacks_are_exceptions(returned):
    store, exports = calls(lambda _: returned)
    with pytest.raises((TypeError, OverflowError)):
        exports["call_host"](store, 1)


def test_callers_have_memories_until_they_return():
    kept = []

    def write(caller, number):
        kept.append(caller)
        return caller["memory"].write(caller, b"from the host", number)

    store, exports = calls(write, access_caller=True)
    assert exports["call_host"](store, 10) == 13
    assert exports["memory"].read(store, 10, 23) == b"from the host"
    with pytest.raises(WasmeltError, match="returned"):
        kept[0].get("memory")


def test_traps_have_messages_and_frames():
    store, exports = calls()
    with pytest.raises(Trap, match="unreachable") as caught:
        exports["trap"](store)
    assert caught.value.code == 1
    assert len(caught.value.frames) >= 2
    assert caught.value.frames[0].func_name == "inner"
    assert caught.value.frames[0].module_name == "calls"
    with pytest.raises(Trap, match="divide by zero"):
        exports["divide"](store, 1, 0)


def test_memories_are_read_written_and_grown():
    store, exports = calls()
    memory = exports["memory"]
    before = memory.read(store)
    assert memory.write(store, b"abc", 65533) == 3
    assert memory.grow(store, 1) == 1
    assert before == bytes(65536)
    assert memory.read(store, 65533, 65538) == b"abc\0\0"
    assert (memory.size(store), memory.data_len(store)) == (2, 131072)
    assert memory.type(store).limits.max == 4
    for wrong in [lambda: memory.write(store, b"abc", 131070), lambda: memory.grow(store, 100)]:
        with pytest.raises(WasmeltError):
            wrong()
    for wrong in [lambda: memory.read(store, -1), lambda: memory.read(store, 0, 2**70), lambda: memory.write(store, b"", 2**70)]:
        with pytest.raises(IndexError):
            wrong()
    own = Memory(store, MemoryType(Limits(1, 2)))
    assert own.size(store) == 1


def test_globals_change():
    store, exports = calls()
    counter = exports["counter"]
    counter.set_value(store, 11)
    assert counter.value(store) == 11
    assert exports["fixed"].value(store) == 9
    with pytest.raises(WasmeltError, match="cannot change"):
        exports["fixed"].set_value(store, 1)
    with pytest.raises(TypeError):
        counter.set_value(store, "text")
    own = Global(store, GlobalType(ValType.f64(), True), 1.5)
    assert own.value(store) == 1.5


def test_tables_hold_functions():
    store, exports = calls()
    table = exports["table"]
    assert table.get(store, 0)(store, 1, 1) == 2
    assert table.get(store, 1) is None
    table.set(store, 1, exports["add"])
    assert table.get(store, 1)(store, 2, 2) == 4
    assert table.grow(store, 2) == 2
    assert table.size(store) == 4
    with pytest.raises(IndexError):
        table.get(store, 4)
    with pytest.raises(WasmeltError):
        table.grow(store, 100)
    assert Table(store, TableType(ValType.funcref(), Limits(1)), exports["add"]).get(store, 0) is not None


def wasi(status):
    store, linker, output, config = Store(), Linker(), Output(), WasiConfig()
    linker.define_wasi()
    config.argv(["name", "x"][:status])
    config.env({"NAME": "value"})
    config.stdin_bytes(b"hello")
    config.stdout(output)
    store.set_wasi(config)
    start = linker.instantiate(store, load("wasi")).exports(store)["_start"]
    with pytest.raises(ExitTrap) as caught:
        start(store)
    assert caught.value.status == status
    with pytest.raises(WasmeltError, match="already"):
        store.set_wasi(config)
    return output


def test_wasi_reads_writes_and_exits():
    assert wasi(2).contents() == b"hello"


def test_directories_that_are_not_there_are_refused(tmp_path):
    WasiConfig().preopen_dir(tmp_path, "/data", read_only=True)
    with pytest.raises(WasmeltError):
        WasiConfig().preopen_dir(tmp_path / "absent", "/data")


def test_single_files_are_granted(tmp_path):
    (tmp_path / "file").write_text("text")
    config = WasiConfig()
    config.preopen_file(tmp_path / "file", "/etc/file", read_only=True)
    with pytest.raises(WasmeltError, match="twice"):
        config.preopen_file(tmp_path / "file", "/etc/file")
    with pytest.raises(WasmeltError):
        config.preopen_file(tmp_path / "absent", "/etc/absent")


def test_limits_hold():
    store, exports = calls()
    store.set_limits(memory_size=2 * 65536)
    assert exports["grow"](store, 1) == 1
    assert exports["grow"](store, 1) == -1


def test_fuel_runs_out():
    store = Store()
    store.set_fuel(10_000)
    count = Instance(store, load("fuel")).exports(store)["count"]
    assert count(store, 10) == 10
    assert 0 < store.get_fuel() < 10_000
    with pytest.raises(Trap, match="fuel") as caught:
        count(store, 1_000_000)
    assert caught.value.code == 15
    with pytest.raises(WasmeltError):
        Store().get_fuel()
    with pytest.raises(WasmeltError):
        Instance(store, load("spin"))


def test_other_threads_interrupt():
    store = Store()
    spin = Instance(store, load("spin")).exports(store)["spin"]
    handle = store.interrupt_handle()

    def stop():
        while not handle.interrupt():
            time.sleep(0.001)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Trap) as caught:
        spin(store)
    thread.join()
    assert caught.value.code == 16


def test_deadlines_end_calls():
    deadlines = Deadlines(period=0.005)
    store = Store()
    spin = Instance(store, load("spin")).exports(store)["spin"]
    store.set_deadline(deadlines, 0.05)
    start = time.monotonic()
    with pytest.raises(Trap) as caught:
        spin(store)
    assert caught.value.code == 16 and 0.04 < time.monotonic() - start < 20
    # By hand, and not where there is no deadline any more.
    by_hand = Deadlines()
    store.set_deadline(by_hand, 0)
    store.clear_deadline()
    assert by_hand.tick() == 0
    for wrong in (-1, 1e10, float("nan")):
        with pytest.raises(WasmeltError):
            store.set_deadline(deadlines, wrong)
    with pytest.raises(TypeError):
        store.set_deadline(store, 1)
    with pytest.raises(WasmeltError):
        Deadlines(period=0)


@pytest.mark.skipif(sys.platform != "linux", reason="pools are for Linux")
def test_stores_take_from_a_pool():
    pool = Pool(memories=2, memory_slot_bytes=8 << 30, tables=2, table_elements=1000, stacks=2, stack_bytes=1 << 20)
    module, linker = load("calls"), Linker()
    linker.define_func("host", "twice", UNARY, lambda number: 2 * number)
    for number in range(20):
        store = Store(pool=pool)
        exports = linker.instantiate(store, module).exports(store)
        memory = exports["memory"]
        # A slot has nothing of its last guest.
        assert memory.read(store, 1000, 1004) == bytes(4)
        memory.write(store, bytes([number + 1] * 4), 1000)
        assert exports["add"](store, number, 1) == number + 1
        del store, exports, memory
        gc.collect()
    stores = []
    with pytest.raises(WasmeltError):
        for _ in range(3):
            store = Store(pool=pool)
            stores.append((store, linker.instantiate(store, module)))
    assert len(stores) == 2
    with pytest.raises(TypeError):
        Pool(memorys=1)
    with pytest.raises(WasmeltError):
        Pool(memories=-1)
    with pytest.raises(TypeError):
        Store(pool=module)
    with pytest.raises(WasmeltError):
        Store(stack_bytes=-1)


def test_objects_die_in_any_order():
    store, exports = calls()
    add = exports["add"]
    memory = exports["memory"]
    del exports
    gc.collect()
    assert add(store, 1, 2) == 3
    del store
    gc.collect()
    assert add(add._store, 1, 2) == 3
    del add
    gc.collect()
    assert len(memory.read(memory._store)) == 65536
    handle = Instance(memory._store, load("fuel"))
    del memory, handle
    gc.collect()


def test_host_functions_go_with_store_and_linker():
    class Function:
        def __call__(self, number):
            return number

    function = Function()
    gone = weakref.ref(function)
    store, exports = calls(function)
    assert exports["call_host"](store, 4) == 4
    del function
    gc.collect()
    assert gone() is not None
    del store, exports
    gc.collect()
    assert gone() is None


def test_many_stores():
    module, linker = load("calls"), Linker()
    linker.define_func("host", "twice", UNARY, lambda number: 2 * number)
    stores = [Store() for _ in range(50)]
    instances = [linker.instantiate(store, module) for store in stores]
    del module, linker
    for number, (store, instance) in enumerate(zip(stores, instances)):
        assert instance.exports(store)["call_host"](store, number) == 2 * number


def test_threads_that_share_a_store_wait():
    store, exports = calls()
    results = []
    work = lambda: results.extend(exports["call_host"](store, number) for number in range(200))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(4 * [2 * number for number in range(200)])


def test_objects_of_other_stores_are_refused():
    (one, exports), (two, _) = calls(), calls()
    with pytest.raises(WasmeltError, match="another store"):
        exports["add"](two, 1, 2)
    func = Func(two, UNARY, lambda number: number)
    with pytest.raises(WasmeltError, match="another store"):
        Instance(one, load("calls"), [func])
    with pytest.raises(WasmeltError, match="another store"):
        exports["same_func"](one, func)


def test_wrong_use_is_an_exception():
    store = Store()
    with pytest.raises(WasmeltError):
        Module.deserialize_file(MODULES / "absent.so")
    with pytest.raises(WasmeltError):
        Module.deserialize(b"not a library", "name")
    with pytest.raises(WasmeltError, match="deserialize"):
        Module(store, b"")
    with pytest.raises(WasmeltError):
        Instance(store, load("calls"))
    with pytest.raises(WasmeltError):
        Instance(store, load("calls"), [Func(store, FuncType([], []), print)])
    with pytest.raises(WasmeltError, match="twice"):
        Linker().instantiate(store, load("calls"))
    for wrong in [lambda: Instance(store, None), lambda: Instance(None, load("fuel")), lambda: Func(store, 1, print),
                  lambda: Func(store, UNARY, 1), lambda: FuncType([1], []), lambda: Store(1),
                  lambda: WasiConfig().stdout(1), lambda: Linker().define(store, "a", "b", 1)]:
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError, match="NUL"):
        WasiConfig().argv(["a\0b"])


def test_linkers_do_not_change_while_they_are_used():
    store, linker = Store(), Linker()
    caught = []

    def define():
        with pytest.raises(WasmeltError, match="being used") as error:
            linker.define_wasi()
        caught.append(error)

    linker.define_func("host", "start", FuncType([], []), define)
    linker.instantiate(store, load("start"))
    linker.define_wasi()
    assert len(caught) == 1


def test_a_missing_library_is_named(tmp_path):
    missing = str(tmp_path / "absent.so")
    environment = dict(os.environ, WASMELT_LIBRARY=missing)
    done = subprocess.run([sys.executable, "-B", "-c", "import wasmelt"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is not a usable library of wasmelt" in done.stderr and missing in done.stderr
