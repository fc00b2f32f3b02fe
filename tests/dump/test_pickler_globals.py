"""Names: modules and qualified names, the 2.x tables, extension codes, imports."""

import _compat_pickle
import builtins
import copyreg
import sys
import types

import pytest

from support import trace
from support.classes import Outer, Plain, Registered, make_plain
from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Setup, compare, record

pytestmark = requires_core


def same(scenario, *args):
    """Assert that a scenario gives the same for both implementations; returns what it gives."""
    expected, actual = scenario(STANDARD, *args), scenario(OURS, *args)
    assert expected == actual
    return expected


def same_everywhere(obj, hooks=True):
    """Compare one object at each protocol, alone and twice in a list."""
    found = []
    for protocol in PROTOCOLS:
        for fix_imports in (True, False):
            setup = Setup("dumps", protocol, fix_imports=fix_imports)
            found.append(compare(STANDARD, OURS, setup, lambda: [obj, obj]))
    return found


class Named:
    """A global that says any name and module of itself."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def __reduce__(self):
        return vars(self).get("reduced", "named")


@pytest.fixture
def module(monkeypatch):
    """A module of our own making, in sys.modules for the test."""
    made = types.ModuleType("made_module")
    monkeypatch.setitem(sys.modules, "made_module", made)
    return made


def make_class(module, name="Made", qualname=None):
    """A class that says it is from the module; not put there."""
    made = type(name, (), {"__module__": module.__name__})
    made.__qualname__ = qualname or name
    return made


def test_class_that_is_not_where_it_says(module):
    made = make_class(module)
    same_everywhere(made)
    same_everywhere(made())
    module.Made = 3
    same_everywhere(made)
    module.Made = made
    assert all(found.error is None for found in same_everywhere(made))
    assert all(found.error is None for found in same_everywhere(made()))


def test_class_replaced_between_dumps(module):
    module.Made = first = make_class(module)
    same_everywhere(first())
    module.Made = second = make_class(module)
    same_everywhere(first())
    same_everywhere(second())
    del module.Made
    same_everywhere(second())


def test_class_replaced_in_the_middle_of_a_dump(module):
    class Replaces:
        def __reduce__(self):
            module.Made = make_class(module)
            return make_plain, ()

    def scenario(implementation, protocol):
        module.Made = made = make_class(module)
        return record(
            implementation, Setup("dumps", protocol), lambda: [made(), Replaces(), made()]
        )

    for protocol in PROTOCOLS:
        same(scenario, protocol)


def test_class_renamed_between_dumps(module):
    module.Made = module.Other = made = make_class(module)
    first = OURS.dumps(made())
    made.__qualname__ = "Other"
    same_everywhere(made())
    assert OURS.dumps(made()) != first
    made.__qualname__ = "Missing"
    same_everywhere(made())
    made.__module__ = "no_such_module"
    same_everywhere(made())
    made.__module__ = None
    same_everywhere(made())
    made.__module__ = 3
    same_everywhere(made())


@pytest.mark.parametrize(
    "qualname",
    [
        "A.B",
        "A..B",
        ".A",
        "A.",
        "",
        "A.<locals>.B",
        "<lambda>",
        "<locals>.A",
        "Ü",
        "\udc80",
        "A\nB",
        "__main__",
    ],
)
def test_odd_qualified_names(module, qualname):
    made = make_class(module, qualname=qualname)
    setattr(module, qualname, made)
    same_everywhere(made)
    same_everywhere(made())


@pytest.mark.parametrize("name", ["Ünïcode", "with space", "1", "line\nbreak", "\ud800"])
def test_odd_module_names(monkeypatch, name):
    odd = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, odd)
    odd.Made = make_class(odd)
    same_everywhere(odd.Made)


def test_module_that_is_none_in_sys_modules(monkeypatch, module):
    made = make_class(module)
    monkeypatch.setitem(sys.modules, "made_module", None)
    same_everywhere(made)


def test_module_that_is_not_a_module(monkeypatch):
    class Fake:
        def __getattr__(self, name):
            trace.note("fake module", name)
            if name == "Made":
                return made
            raise AttributeError(name)

    made = type("Made", (), {"__module__": "fake_module"})
    monkeypatch.setitem(sys.modules, "fake_module", Fake())
    same_everywhere(made)


def test_module_with_a_getattr(module):
    made = make_class(module)
    module.__getattr__ = lambda name: trace.note("module getattr", name) or made
    same_everywhere(made)
    same_everywhere(made())


@pytest.mark.parametrize("attributes", [
    {},
    {"__module__": "support.classes"},
    {"__module__": None},
    {"__module__": 3},
    {"__module__": "no_such_module"},
    {"__qualname__": "named", "__module__": "made_module"},
    {"reduced": "held.inner", "__module__": "made_module"},
    {"reduced": "missing.inner", "__module__": "made_module"},
], ids=repr)  # fmt: skip
def test_global_without_a_module_of_its_own(module, attributes):
    """`whichmodule` then looks through sys.modules."""
    named = Named(**attributes)
    same_everywhere(named)
    module.named = named
    module.held = types.SimpleNamespace(inner=named)
    same_everywhere(named)


def test_search_through_sys_modules_meets_odd_modules(monkeypatch):
    class Odd:
        def __getattr__(self, name):
            if name == "named":
                trace.note("asked odd module")
                raise AttributeError(name)
            raise AttributeError(name)

    named = Named()
    monkeypatch.setitem(sys.modules, "aa_odd", Odd())
    monkeypatch.setitem(sys.modules, "aa_none", None)
    monkeypatch.setitem(sys.modules, "zz_found", types.SimpleNamespace(named=named))
    same_everywhere(named)


def test_sys_modules_that_is_no_dict(monkeypatch):
    monkeypatch.setattr(sys, "modules", 3)
    records = [record(i, Setup("dumps", 4), lambda: Named()) for i in (STANDARD, OURS)]
    monkeypatch.undo()
    assert records[0] == records[1]


def test_main_module():
    main = sys.modules["__main__"]
    made = type("MainClass", (), {"__module__": "__main__"})
    main.MainClass = made
    try:
        same_everywhere(made)
        same_everywhere(made())
    finally:
        del main.MainClass


@pytest.mark.parametrize(
    "obj", [Outer.Inner, Outer.Inner.Innermost, Outer.function, Outer.Inner.method]
)
def test_nested_names(obj):
    same_everywhere(obj)


def test_builtin_functions_and_methods():
    for obj in (
        len,
        "x".join,
        [].append,
        dict.fromkeys,
        str.join,
        object.__init__,
        int.__add__,
        (1).__add__,
    ):
        same_everywhere(obj)


RENAMED = [
    builtins.range, builtins.map, builtins.zip, builtins.filter, KeyError, OSError, ImportError,
    ModuleNotFoundError, ConnectionError, TimeoutError, RecursionError, copyreg.pickle, str, bytes,
    StopAsyncIteration, FileNotFoundError, BrokenPipeError,
]  # fmt: skip


@pytest.mark.parametrize("obj", RENAMED, ids=lambda obj: obj.__name__)
def test_names_of_python_2(obj):
    same_everywhere(obj)


def test_modules_of_python_2():
    import collections
    import functools
    import http.client
    import itertools
    import queue
    import socketserver
    import urllib.request
    import xmlrpc.client

    for obj in (
        collections.UserDict,
        collections.UserString,
        functools.reduce,
        itertools.chain,
        queue.Queue,
        socketserver.TCPServer,
        http.client.HTTPException,
        urllib.request.Request,
        xmlrpc.client.Fault,
    ):
        same_everywhere(obj)


COMPATIBILITY = {
    "new name": ("REVERSE_NAME_MAPPING", ("support.classes", "Plain"), ("old", "Name")),
    "new import": ("REVERSE_IMPORT_MAPPING", "support.classes", "old_module"),
    "name list": ("REVERSE_NAME_MAPPING", ("support.classes", "Plain"), ["old", "Name"]),
    "name of one": ("REVERSE_NAME_MAPPING", ("support.classes", "Plain"), ("old",)),
    "name numbers": ("REVERSE_NAME_MAPPING", ("support.classes", "Plain"), (1, 2)),
    "import number": ("REVERSE_IMPORT_MAPPING", "support.classes", 3),
    "import not ascii": ("REVERSE_IMPORT_MAPPING", "support.classes", "älter"),
    "name not ascii": ("REVERSE_NAME_MAPPING", ("support.classes", "Plain"), ("old", "Näme")),
}


@pytest.mark.parametrize("name", COMPATIBILITY)
def test_compatibility_tables_are_live(monkeypatch, name):
    before = OURS.dumps(Plain, 2)
    table, key, value = COMPATIBILITY[name]
    monkeypatch.setitem(getattr(_compat_pickle, table), key, value)
    found = same_everywhere(Plain)
    assert any(r.error or r.writes[0][1] != before for r in found)


@pytest.fixture
def extensions():
    """The extension registry, put back after the test."""
    tables = (copyreg._extension_registry, copyreg._inverted_registry, copyreg._extension_cache)
    before = [dict(table) for table in tables]
    yield
    for table, contents in zip(tables, before, strict=True):
        table.clear()
        table.update(contents)


@pytest.mark.parametrize("code", [1, 2, 255, 256, 65535, 65536, 2**31 - 1])
def test_extension_codes(extensions, code):
    copyreg.add_extension("support.classes", "Plain", code)
    same_everywhere(Plain)
    same_everywhere(Plain())
    same_everywhere([Plain(), Registered(1, 2, 3), Plain])
    assert OURS.dumps(Plain, 2)[2:3] in (b"\x82", b"\x83", b"\x84")
    copyreg.remove_extension("support.classes", "Plain", code)
    same_everywhere(Plain())


@pytest.mark.parametrize("code", [0, -1, 2**31, 2**63, 2**70, "1", None, 1.5], ids=repr)
def test_extension_codes_put_there_by_hand(extensions, code):
    copyreg._extension_registry["support.classes", "Plain"] = code
    same_everywhere(Plain)


def test_extension_of_a_registered_constructor(extensions):
    copyreg.add_extension("support.classes", "Registered", 7)
    found = same_everywhere(Registered(1, 2, 3))
    assert any(b"\x82\x07" in r.writes[0][1] for r in found)


def test_extension_added_by_a_reducer_that_runs(extensions):
    class Adds:
        def __reduce__(self):
            copyreg.add_extension("support.classes", "Plain", 240)
            return make_plain, ()

    def scenario(implementation, protocol):
        copyreg._extension_registry.pop(("support.classes", "Plain"), None)
        copyreg._inverted_registry.pop(240, None)
        return record(
            implementation, Setup("dumps", protocol), lambda: [Plain(), Adds(), Plain(), Plain]
        )

    for protocol in PROTOCOLS:
        same(scenario, protocol)


def test_extension_of_a_dotted_name(extensions):
    copyreg.add_extension("support.classes", "Outer.Inner", 9)
    same_everywhere(Outer.Inner)


def test_import_hooks_are_called_as_often(monkeypatch):
    """`__import__` may be anybody's; each first occurrence of a global asks it."""
    original = builtins.__import__

    def hook(name, *args, **kwargs):
        if not name.startswith(("_pytest", "importlib")):
            trace.note("import", name, args[2:])
        return original(name, *args, **kwargs)

    def scenario(implementation, protocol):
        monkeypatch.setattr(builtins, "__import__", hook)
        try:
            return record(
                implementation,
                Setup("dumps", protocol),
                lambda: [Plain(), len, Plain, Registered()],
            )
        finally:
            monkeypatch.undo()

    for protocol in PROTOCOLS:
        found = same(scenario, protocol)
        assert any(event[0] == "import" for event in found.events)


def test_import_hook_that_raises(monkeypatch):
    def hook(name, *args, **kwargs):
        raise ImportError("hooked " + name)

    def scenario(implementation):
        monkeypatch.setattr(builtins, "__import__", hook)
        try:
            return record(implementation, Setup("dumps", 4), lambda: [Plain()])
        finally:
            monkeypatch.undo()

    assert same(scenario).error[0] == "PicklingError"


def test_module_that_must_be_imported(monkeypatch):
    """A class whose module was dropped from sys.modules is imported again, and is another."""
    from support import only_for_reimport as only

    def scenario(implementation):
        monkeypatch.delitem(sys.modules, "support.only_for_reimport", raising=False)
        found = record(implementation, Setup("dumps", 4), only.Held)
        return found, "support.only_for_reimport" in sys.modules

    found, imported = same(scenario)
    assert imported and found.error is not None


@pytest.mark.parametrize(
    "value", [None, ..., NotImplemented, type(None), type(...), type(NotImplemented)], ids=repr
)
def test_singletons_and_their_types(value):
    same_everywhere(value)
