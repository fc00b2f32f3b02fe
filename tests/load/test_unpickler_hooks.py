"""Hooks and options: find_class, persistent_load, memo, buffers, encodings, audit, arguments."""

import collections
import gc
import io
import pickle as std_pickle
import subprocess
import sys
import textwrap
import weakref

import pytest

from fastcopyreg.pickle import Unpickler, dumps, load, loads
from support import classes, loading
from support.implementations import PROTOCOLS, requires_core

pytestmark = requires_core


def both(function):
    """The same call with either implementation ends alike; returns how."""
    ours = loading.outcome(lambda: function(loading.OURS))
    assert ours == loading.outcome(lambda: function(loading.STANDARD))
    return ours


# find_class.


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_find_class_overridden_is_asked_in_order(protocol):
    data = dumps([classes.Point(1, 2), len, classes.Point, collections.OrderedDict], protocol)

    def names(module):
        asked = []

        class Asking(module.Unpickler):
            def find_class(self, module_name, name):
                asked.append((module_name, name))
                return super().find_class(module_name, name)

        Asking(io.BytesIO(data)).load()
        return asked

    assert names(loading.OURS) == names(loading.STANDARD) != []


def test_find_class_on_an_instance_is_asked():
    class Assignable(Unpickler):
        pass

    unpickler = Assignable(io.BytesIO(b"cnowhere\nnothing\n."))
    unpickler.find_class = lambda module_name, name: (module_name, name)
    assert unpickler.load() == ("nowhere", "nothing")


@pytest.mark.parametrize("protocol", (b"", b"\x80\x02", b"\x80\x03", b"\x80\x04"))
@pytest.mark.parametrize(
    "names",
    [
        ("builtins", "len"),
        ("builtins", "nothing"),
        ("builtins", "str.upper"),
        ("builtins", "str.nothing"),
        ("builtins", "<locals>.x"),
        ("builtins", "__doc__"),
        ("builtins", "__class__"),
        ("nowhere", "nothing"),
        ("", "x"),
        ("os.path", "join"),
        ("os", "sep"),
        ("__builtin__", "xrange"),
        ("copy_reg", "_reconstructor"),
        ("exceptions", "StandardError"),
        ("collections", "UserDict"),
    ],
)
def test_find_class_finds_or_refuses_alike(protocol, names):
    def find(module, **options):
        unpickler = module.Unpickler(io.BytesIO(protocol + b"N."), **options)
        unpickler.load()
        return unpickler.find_class(*names)

    both(find)
    both(lambda module: find(module, fix_imports=False))
    both(lambda module: module.loads(protocol + "c{}\n{}\n.".format(*names).encode()))
    stack_global = b"".join(b"\x8c" + bytes([len(name)]) + name.encode() for name in names)
    both(lambda module: module.loads(protocol + stack_global + b"\x93."))
    memoized = stack_global.replace(names[1].encode(), names[1].encode() + b"\x94")
    both(lambda module: module.loads(protocol + memoized + b"\x93."))


@pytest.fixture
def scratch_module():
    module = type(sys)("fastcopyreg_scratch")
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


SCRATCH = b"\x80\x04\x8c\x13fastcopyreg_scratch\x94\x8c\x05thing\x94\x93\x94."


def test_a_global_that_changes_is_found_anew(scratch_module):
    for thing in (classes.Point, classes.Plain, len, 3, None):
        scratch_module.thing = thing
        assert loads(SCRATCH) is thing
    del scratch_module.thing
    with pytest.raises(AttributeError):
        loads(SCRATCH)
    scratch_module.__getattr__ = lambda name: name.upper()
    assert loads(SCRATCH) == "THING"


def test_a_module_replaced_by_any_object_is_asked(scratch_module, monkeypatch):
    scratch_module.thing = len
    assert loads(SCRATCH) is len

    class Asked:
        thing = property(lambda self: "asked")

    monkeypatch.setitem(sys.modules, scratch_module.__name__, Asked())
    assert loads(SCRATCH) == "asked"


def test_import_replaced_is_called(scratch_module, monkeypatch):
    scratch_module.thing = len
    imported, original = [], __import__
    monkeypatch.setattr(
        "builtins.__import__", lambda name, *rest: imported.append(name) or original(name, *rest)
    )
    assert loads(SCRATCH) is len
    assert imported == [scratch_module.__name__]


AUDITED = """
import sys
{setup}
events = []
sys.addaudithook(lambda name, args: name == "pickle.find_class" and events.append(args))
data = {data!r}
pickle.loads(data), pickle.loads(data), pickle.Unpickler(io.BytesIO(data)).load()
print(events)
"""


def test_audit_events():
    data = dumps([classes.Point(1, 2), len], 4)
    printed = []
    for name in ("pickle", "fastcopyreg.pickle"):
        setup = f"import io, {name} as pickle; sys.path.insert(0, 'tests'); import support.classes"
        code = textwrap.dedent(AUDITED).format(setup=setup, data=data)
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        printed.append(run.stdout)
    assert printed[0] == printed[1] != b"[]\n"


# persistent_load.


@pytest.mark.parametrize("data", [b"Pabc\n.", b"K\x01Q.", b"P\xe9\n.", b"P\n.", b"Q.", b"P"])
def test_persistent_ids(data):
    class Loading:
        def persistent_load(self, pid):
            return ("loaded", pid)

    both(lambda module: type("U", (Loading, module.Unpickler), {})(io.BytesIO(data)).load())
    both(lambda module: module.Unpickler(io.BytesIO(data)).load())
    both(lambda module: module.loads(data))


def test_persistent_load_assigned():
    unpickler = Unpickler(io.BytesIO(b"K\x01Q."))
    unpickler.persistent_load = lambda pid: [pid]
    assert unpickler.load() == [1]
    assert unpickler.persistent_load("x") == ["x"]


def test_a_method_does_not_keep_its_unpickler_alive():
    class Loading(Unpickler):
        def persistent_load(self, pid):
            return pid

    unpickler = Loading(io.BytesIO(b"K\x01Q."))
    assert unpickler.load() == 1
    gone = weakref.ref(unpickler)
    gc.disable()
    try:
        del unpickler
        assert gone() is None
    finally:
        gc.enable()


# The memo.


def test_memo_is_shown_in_full():
    shared = ["s"]
    data = dumps([shared, shared, classes.Point(1, 2), ("t", "u")], 4)
    contents = []
    for module in (loading.OURS, loading.STANDARD):
        unpickler = module.Unpickler(io.BytesIO(data))
        unpickler.load()
        memo = unpickler.memo.copy()
        contents.append([(index, type(value)) for index, value in sorted(memo.items())])
        assert std_pickle.loads(std_pickle.dumps(unpickler.memo)).keys() == memo.keys()
    assert contents[0] == contents[1]


def test_memo_is_assigned_and_cleared():
    first = Unpickler(io.BytesIO(b"\x80\x04]\x94."))
    made = first.load()
    second = Unpickler(io.BytesIO(b"\x80\x04h\x00K\x05\x94\x86."))
    second.memo = first.memo
    assert second.load() == (made, 5)
    assert second.memo.copy() == {0: made, 1: 5}
    second.memo = {7: "seven", 10**6: "far"}
    assert second.memo.copy() == {7: "seven", 10**6: "far"}
    second.memo.clear()
    assert second.memo.copy() == {}
    for wrong in (3, [], {"a": 1}, {-1: 1}, {1.5: 1}):
        both(lambda module, wrong=wrong: setattr(module.Unpickler(io.BytesIO()), "memo", wrong))


@pytest.mark.parametrize("index", [0, 1, 31, 32, 33, 64, 1000, 2**31, 2**32 - 1])
def test_memo_indices_far_apart(index):
    put = b"K\x07r" + index.to_bytes(4, "little")
    for rest in (b"0j" + index.to_bytes(4, "little"), b"\x940h\x00", b"\x940h\x01", b"0j\1\0\0\0"):
        data = put + rest + b"."
        ours = loading.outcome(lambda data=data: loads(data))
        standard = loading.outcome(lambda data=data: std_pickle.loads(data))
        assert ours == standard or standard[1] is MemoryError


# What lives until the end of the load.


class Mortal:
    """Its death is noted."""

    died: list = []

    def __init__(self, name, *held):
        self.name = name

    def __del__(self):
        self.died.append(self.name)


def forget_arguments(*arguments):
    Mortal.died.append("called")
    return len(arguments)


class Forgetting:
    """Its state is dropped when it is set."""

    def __setstate__(self, state):
        Mortal.died.append("set")


def mortal(name):
    """The opcodes that make one, with every memo entry that the pickler would make."""
    made = b"\x8c\x1atests_unpickler_hooks_here\x94\x8c\x06Mortal\x94\x93\x94\x8c"
    return made + bytes([len(name)]) + name + b"\x94\x85\x94R\x94"


def named(name):
    return (
        b"\x8c\x1atests_unpickler_hooks_here\x94\x8c" + bytes([len(name)]) + name + b"\x94\x93\x94"
    )


DEATHS = {
    "popped": mortal(b"a") + b"0" + mortal(b"b") + b"00N.",
    "arguments": named(b"forget_arguments") + mortal(b"a") + mortal(b"b") + b"\x86\x94R\x94.",
    "nested arguments": named(b"forget_arguments")
    + b"]\x94"
    + mortal(b"a")
    + b"a\x85\x94R\x94"
    + mortal(b"b")
    + b"0.",
    "state": named(b"Forgetting")
    + b")\x81\x94}\x94\x8c\x01k\x94"
    + mortal(b"a")
    + b"sb"
    + mortal(b"b")
    + b"0.",
    "overwritten": b"}\x94(K\x01"
    + mortal(b"a")
    + b"K\x01"
    + mortal(b"b")
    + b"u"
    + named(b"forget_arguments")
    + b")R0.",
    "failed": mortal(b"a") + b"0" + mortal(b"b") + named(b"forget_arguments") + b")RK\x01b.",
}


@pytest.mark.parametrize("name", DEATHS)
def test_objects_die_in_the_same_order(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "tests_unpickler_hooks_here", sys.modules[__name__])
    deaths = []
    for module in (loading.OURS, loading.STANDARD):
        for data in (b"\x80\x04" + DEATHS[name], bytearray(b"\x80\x04" + DEATHS[name])):
            Mortal.died.clear()
            loading.outcome(lambda module=module, data=data: module.loads(data))
            deaths.append(list(Mortal.died))
    assert deaths[0] == deaths[1] == deaths[2] == deaths[3] != []


# Options.


@pytest.mark.parametrize("encoding", ["ASCII", "latin1", "bytes", "utf-8", "nonsense"])
@pytest.mark.parametrize("errors", ["strict", "ignore", "surrogateescape", "nonsense"])
@pytest.mark.parametrize(
    "data", [b"U\x02\xe9a.", b"T\x01\x00\x00\x00a.", b"S'\\xe9a'\n.", b"S''\n.", b"U\x00."]
)
def test_strings_of_python_2(encoding, errors, data):
    options = {"encoding": encoding, "errors": errors}
    both(lambda module: module.loads(data, **options))
    both(lambda module: module.load(io.BytesIO(data), **options))
    both(lambda module: module.Unpickler(io.BytesIO(data), **options).load())


@pytest.mark.parametrize("buffers", [None, (), [b"a"], [bytearray(b"a"), b"b"], 3, iter([b"c"])])
@pytest.mark.parametrize("data", [b"\x97.", b"\x97\x98.", b"\x97\x97\x86.", b"N.", b"\x98."])
def test_out_of_band_buffers(buffers, data):
    make = (lambda: iter([b"c"])) if hasattr(buffers, "__next__") else (lambda: buffers)
    both(lambda module: module.loads(data, buffers=make()))
    both(lambda module: module.Unpickler(io.BytesIO(data), buffers=make()).load())


def test_out_of_band_round_trip():
    value, buffers = [bytearray(b"abc"), b"xyz"], []
    data = dumps(
        [std_pickle.PickleBuffer(part) for part in value], 5, buffer_callback=buffers.append
    )
    loaded = loads(data, buffers=buffers)
    assert [bytes(part) for part in loaded] == value
    assert memoryview(loaded[0]).readonly is False
    assert memoryview(loaded[1]).readonly is True


CALLS = {
    "no data": lambda module: module.loads(),
    "two": lambda module: module.loads(b"N.", b"N."),
    "by name": lambda module: module.loads(data=b"N."),
    "text": lambda module: module.loads("N."),
    "bad encoding": lambda module: module.loads(b"N.", encoding=3),
    "no encoding": lambda module: module.loads(b"N.", encoding=None),
    "null in encoding": lambda module: module.loads(b"N.", encoding="a\0b"),
    "surrogate in encoding": lambda module: module.loads(b"N.", encoding="\ud800"),
    "bad errors": lambda module: module.loads(b"N.", errors=b"strict"),
    "unknown": lambda module: module.loads(b"N.", unknown=1),
    "no file": lambda module: module.load(),
    "a number": lambda module: module.load(3),
    "file by name": lambda module: module.load(file=io.BytesIO(b"N.")),
    "two files": lambda module: module.load(io.BytesIO(b"N."), 1),
    "unpickler of a number": lambda module: module.Unpickler(3),
    "unpickler of nothing": lambda module: module.Unpickler(),
    "unpickler by name": lambda module: module.Unpickler(file=io.BytesIO(b"N.")).load(),
    "module and name of wrong types": lambda module: module.Unpickler(io.BytesIO()).find_class(
        "math", None
    ),
    "signature of loads": lambda module: module.loads.__text_signature__,
    "signature of load": lambda module: module.load.__text_signature__,
    "signature of Unpickler": lambda module: module.Unpickler.__text_signature__,
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_taken_or_refused_alike(name):
    both(CALLS[name])


# The old form.


class Basic:
    """As classes were made in Python 2.0."""

    @classmethod
    def __basicnew__(cls):
        made = object.__new__(cls)
        made.how = "basicnew"
        return made


def test_no_arguments_call_basicnew():
    data = f"c{__name__}\nBasic\nNR.".encode()
    sys.modules.setdefault(__name__, sys.modules[Basic.__module__])
    assert loads(data).how == "basicnew"
    assert load(io.BytesIO(data)).how == "basicnew"
    both(lambda module: module.loads(b"cbuiltins\nlen\nNR."))
    both(lambda module: module.loads(b"cbuiltins\nlist\nNR."))


# Depth.


def test_a_deep_pickle_loads():
    depth = 200_000
    for opener, closer in ((b"]", b"a"), (b"(", b"t"), (b"}K\x01", b"s")):
        loaded = loads(opener * depth + b"N" + closer * depth + b".")
        for _ in range(depth):
            loaded = loaded[0] if isinstance(loaded, (list, tuple)) else loaded[1]
        assert loaded is None
