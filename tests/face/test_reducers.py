"""`fastcopyreg.reducers`: what each keeps and refuses, for pickle and copy, ours and the standard
library's.
"""

import asyncio
import bz2
import collections
import copyreg
import gc
import gzip
import io
import lzma
import os
import queue
import re
import subprocess
import sys
import textwrap
import threading
import types

import pytest

import fastcopyreg
from fastcopyreg import _stdlib, reducers, registered_constructors

PROTOCOLS = range(2, 6)
PICKLES = [(_stdlib.dumps, _stdlib.loads)]
COPIES = [(_stdlib.copy, _stdlib.deepcopy)]
if fastcopyreg.backend == "c":
    PICKLES.append((fastcopyreg.pickle.dumps, fastcopyreg.pickle.loads))
    COPIES.append((fastcopyreg.copy.copy, fastcopyreg.copy.deepcopy))
NAMES = [each.name for each in reducers.list()]


@pytest.fixture
def enable(clean_registry):
    return reducers.enable


@pytest.fixture(params=range(len(PICKLES)), ids=["stdlib", "c"][: len(PICKLES)])
def travel(request):
    """Pickle and load under each protocol: the last that came out, all of the same bytes."""
    dumps, loads = PICKLES[request.param]

    def travel(value):
        result = None
        for protocol in PROTOCOLS:
            data = dumps(value, protocol)
            assert data == _stdlib.dumps(value, protocol)
            if isinstance(result, io.IOBase):
                result.close()
            result = loads(data)
        return result

    return travel


@pytest.fixture(params=range(len(COPIES)), ids=["stdlib", "c"][: len(COPIES)])
def copies(request):
    return COPIES[request.param]


# --- which there are


def test_they_are_off():
    assert not any(each.enabled for each in reducers.list())
    script = """
        import copyreg
        from fastcopyreg import reducers
        found = reducers.list()
        assert "code" in [each.name for each in found]
        assert not any(each.enabled for each in found)
        assert not copyreg.dispatch_table.keys() & {cls for each in found for cls in each.types}
    """
    subprocess.run([sys.executable, "-P", "-c", textwrap.dedent(script)], check=True, timeout=60)


def test_the_package_does_not_import_them():
    script = "import fastcopyreg, sys; print('fastcopyreg.reducers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_is_kept_and_lost(name):
    (found,) = [each for each in reducers.list() if each.name == name]
    assert re.search(r"\bKept\b", found.about)
    assert re.search(r"\b[Ll]ost: ", found.about)
    assert found.types
    assert str(found).startswith(f"{name} (off): ")


@pytest.mark.parametrize("name", NAMES)
def test_enabled_and_disabled(enable, name):
    before = dict(copyreg.dispatch_table)
    constructors = registered_constructors()
    enable(name)
    assert {each.name for each in reducers.list() if each.enabled} == {name}
    assert registered_constructors() == constructors, "none of them is a safe constructor"
    reducers.disable(name)
    assert copyreg.dispatch_table == before


def test_a_name_that_there_is_not(enable):
    before = dict(copyreg.dispatch_table)
    with pytest.raises(ValueError, match="no reducer 'modul'; did you mean 'module'"):
        enable("code", "modul")
    with pytest.raises(ValueError, match="no reducer 3"):
        reducers.disable("code", 3)
    assert copyreg.dispatch_table == before


def test_disabling_leaves_what_another_registered(enable):
    def mine(module):
        return str, (module.__name__,)

    enable("module")
    copyreg.pickle(types.ModuleType, mine)
    reducers.disable("module")
    assert copyreg.dispatch_table[types.ModuleType] is mine


# --- code


def test_code(enable, travel):
    enable("code")
    code = compile("answer = 6 * 7\ndef f(): return answer", "<example>", "exec")
    loaded = travel(code)
    assert loaded == code
    assert loaded is not code
    assert loaded.co_filename == "<example>"
    space = {}
    exec(loaded, space)
    assert space["f"]() == 42


def test_code_of_another_version(enable, travel):
    enable("code")
    code = compile("1", "<example>", "eval")
    _, (magic, marshalled) = copyreg.dispatch_table[types.CodeType](code)
    with pytest.raises(_stdlib.PICKLE["UnpicklingError"], match="another version of Python"):
        reducers.load_code(magic[:1] + b"\0\r\n", marshalled)


def test_code_is_copied_as_ever(enable, copies):
    enable("code")
    code = compile("1", "<example>", "eval")
    assert copies[0](code) is copies[1](code) is code


def test_code_with_free_variables(enable, travel):
    enable("code")

    def made(a, /, b=1, *rest, c=2, **more):
        def inner():
            nonlocal b
            b += a
            return b

        return inner

    code = made(1).__code__
    loaded = travel(code)
    assert (loaded, loaded.co_freevars) == (code, ("a", "b"))
    assert list(loaded.co_positions()) == list(code.co_positions())
    cells = [types.CellType(number) for number in (3, 4)]
    assert types.FunctionType(loaded, {}, closure=tuple(cells))() == 7


def test_code_that_marshal_refuses(enable, travel):
    enable("code")
    code = compile("1", "<example>", "eval").replace(co_consts=(object(),))
    with pytest.raises(_stdlib.PICKLE["PicklingError"], match="cannot pickle <code .*unmarshal"):
        travel(code)


# --- modules


def test_modules(enable, travel, copies):
    enable("module")
    value = [os.path, sys, collections.abc, fastcopyreg]
    assert all(a is b for a, b in zip(travel(value), value, strict=True))
    assert all(a is b for a, b in zip(copies[1](value), value, strict=True))
    assert copies[0](os) is os


def test_a_module_that_cannot_be_imported(enable, travel):
    enable("module")
    with pytest.raises(_stdlib.PICKLE["PicklingError"], match="not what 'import made' gives"):
        travel(types.ModuleType("made"))


@pytest.mark.parametrize("name", [None, 3, [], "sys"], ids=repr)
def test_a_module_whose_name_is_none(enable, travel, name):
    enable("module")
    made = types.ModuleType("made")
    made.__name__ = name
    if name is None:
        del made.__name__
    with pytest.raises(_stdlib.PICKLE["PicklingError"], match="cannot pickle <module"):
        travel(made)


def test_a_module_without_a_spec(enable, travel, monkeypatch):
    enable("module")
    made = types.ModuleType("a_package.made")
    made.__spec__ = None
    monkeypatch.setitem(sys.modules, "a_package", types.ModuleType("a_package"))
    monkeypatch.setitem(sys.modules, "a_package.made", made)
    assert travel(made) is made


# --- views


class Overriding(dict):
    def keys(self):
        raise AssertionError("called")


MAPPINGS = {
    "dict": lambda: {"a": 1, "b": [2]},
    "empty": dict,
    "OrderedDict": lambda: collections.OrderedDict([("b", 1), ("a", 2)]),
    "defaultdict": lambda: collections.defaultdict(list, {"x": [1]}),
    "overriding": lambda: Overriding(a=1),
}
METHODS = {"keys": dict.keys, "values": dict.values, "items": dict.items}


def view(mapping, method):
    owner = collections.OrderedDict if isinstance(mapping, collections.OrderedDict) else dict
    return getattr(owner, method)(mapping)


needs_gc = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="nobody says which dict a view shows"
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_views(enable, travel, mapping, method):
    enable("dict view")
    shown = MAPPINGS[mapping]()
    before = view(shown, method)
    after = travel(before)
    assert type(after) is type(before)
    assert list(after) == list(before)
    assert after.mapping == shown


@needs_gc
@pytest.mark.parametrize("method", METHODS)
def test_a_view_goes_with_its_dict(enable, travel, copies, method):
    enable("dict view")
    shown = {"a": [1]}
    for mapping, after in (
        travel((shown, view(shown, method))),
        copies[1]((shown, view(shown, method))),
    ):
        mapping["b"] = 2
        assert len(after) == 2
    shallow = copies[0](view(shown, method))
    shown["c"] = 3
    assert len(shallow) == 2
    assert shown == {"a": [1], "c": 3}


@needs_gc
def test_mappingproxy(enable, travel, copies):
    enable("mappingproxy")
    shown = {"a": [1]}
    proxy = types.MappingProxyType(shown)
    for mapping, after in (travel((shown, proxy)), copies[1]((shown, proxy))):
        assert type(after) is types.MappingProxyType
        assert after == proxy
        mapping["b"] = 2
        assert after["b"] == 2
    shallow = copies[0](proxy)
    shown["c"] = 3
    assert shallow["c"] == 3
    ordered = collections.OrderedDict(a=1)
    assert travel(types.MappingProxyType(ordered)) == ordered
    chained = types.MappingProxyType(collections.ChainMap({"a": 1}, {"b": 2}))
    assert dict(travel(chained)) == dict(chained)


class WithDict:
    x = 1


class WithoutDict:
    __slots__ = ("x",)


@needs_gc
@pytest.mark.parametrize("cls", [WithDict, WithoutDict, int, collections.OrderedDict])
def test_the_dict_of_a_class(enable, travel, cls):
    enable("mappingproxy")
    assert travel(vars(cls)) == vars(cls)


class Says(type):
    def __getattribute__(cls, name):
        raise RuntimeError("asked for an attribute")


@needs_gc
def test_no_class_is_asked_which_is_shown(enable, travel):
    enable("mappingproxy")
    mute = Says("Mute", (), {})
    try:
        assert travel(vars(WithDict)) == vars(WithDict)
    finally:
        del mute
        gc.collect()


def test_a_mapping_like_that_of_a_class(enable, travel):
    enable("mappingproxy")
    shown = {"__module__": "x", "__doc__": None}
    assert travel(types.MappingProxyType(shown)) == shown


# --- matches

MATCHES = {
    "search": lambda: re.search("b(c)(d)?", "abcd"),
    "search from": lambda: re.compile("b").search("abb", 2, 3),
    "match": lambda: re.match("(?P<x>a+)", "aaab"),
    "fullmatch": lambda: re.fullmatch("a+?", "aaa"),
    "one of many": lambda: list(re.finditer("(?<=a)b", "ab ab ab"))[1],
    "empty": lambda: list(re.finditer("", "ab"))[2],
    "bytes": lambda: re.search(b"b", b"abc"),
    "no group": lambda: re.search("(x)?b", "ab"),
}


@pytest.mark.parametrize("name", MATCHES)
def test_matches(enable, travel, copies, name):
    enable("match")
    match = MATCHES[name]()
    after = travel(match)
    for attribute in ("re", "string", "pos", "endpos", "regs", "lastindex", "lastgroup"):
        assert getattr(after, attribute) == getattr(match, attribute)
    assert after.groups() == match.groups()
    assert copies[0](match) is copies[1](match) is match


def test_a_match_whose_string_changed(enable, travel):
    enable("match")
    string = bytearray(b"abc")
    match = re.search(b"b", string)
    assert travel(match).span() == (1, 2)
    string[1:2] = b"x"
    with pytest.raises(_stdlib.PICKLE["PicklingError"], match="does not give the same"):
        travel(match)
    function, arguments = reducers.reduce_match(re.search("b", "ab"))
    with pytest.raises(_stdlib.PICKLE["UnpicklingError"], match="not found again"):
        function(arguments[0], "xx", *arguments[2:])


# --- memory

VIEWS = {
    "bytes": lambda: memoryview(b"abc"),
    "empty": lambda: memoryview(b""),
    "writable": lambda: memoryview(bytearray(b"abc")),
    "strided": lambda: memoryview(b"abcdef")[::2],
    "reversed": lambda: memoryview(bytearray(b"abcdef"))[::-1],
    "doubles": lambda: memoryview(bytes(16)).cast("d"),
    "two dimensions": lambda: memoryview(bytes(range(12))).cast("B", [3, 4]),
    "ints of two": lambda: memoryview(bytearray(24)).cast("i", [2, 3]),
    "no dimension": lambda: memoryview(b"\1").cast("B", []),
    "empty ints": lambda: memoryview(b"").cast("i"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_memoryviews(enable, travel, copies, name):
    enable("memoryview")
    before = VIEWS[name]()
    for after in (travel(before), copies[0](before), copies[1](before)):
        assert (after.format, after.shape) == (before.format, before.shape)
        assert after.readonly == before.readonly
        assert after.tobytes() == before.tobytes()
        if not after.readonly and after.nbytes:
            contents = before.tobytes()
            after.cast("B")[0] ^= 255
            assert before.tobytes() == contents


def test_memory_of_a_format_that_cannot_be_cast(enable, travel):
    import ctypes

    enable("memoryview")
    with pytest.raises(_stdlib.PICKLE["PicklingError"], match="of format"):
        travel(memoryview((ctypes.c_int * 2)(1, 2)))


# --- locks


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock], ids=["Lock", "RLock"])
@pytest.mark.parametrize("locked", [False, True])
def test_locks(enable, travel, copies, make, locked):
    enable("lock")
    lock = make()
    if locked:
        lock.acquire()
    for new in (travel(lock), copies[0](lock), copies[1](lock)):
        assert type(new) is type(lock)
        assert new is not lock
        assert new.acquire(blocking=False)
        new.release()


def test_what_holds_locks(enable, travel):
    enable("lock")
    event = threading.Event()
    event.set()
    assert travel(event).is_set()
    waiting = queue.Queue()
    waiting.put("x")
    assert travel(waiting).get(timeout=1) == "x"
    twice = threading.Lock()
    one, other = travel([twice, twice])
    assert one is other


CONDITIONS = {
    "Condition": threading.Condition,
    "Condition of a Lock": lambda: threading.Condition(threading.Lock()),
    "Event": lambda: threading.Event()._cond,
    "Semaphore": lambda: threading.Semaphore(2)._cond,
    "BoundedSemaphore": lambda: threading.BoundedSemaphore(2)._cond,
    "Barrier": lambda: threading.Barrier(2)._cond,
    "Queue": lambda: queue.Queue().not_empty,
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_have_a_lock_of_their_own(enable, travel, copies, name):
    """A deep copy of a bound method of a lock is that of the first lock, to `copy`."""
    enable("lock")
    condition = CONDITIONS[name]()
    condition.note = [1]
    with condition:
        made = travel(condition), copies[1](condition), copies[1]([condition, condition])[1]
        for new in made:
            assert new.acquire(blocking=False), "the first one's lock is held"
            new.notify_all()
            assert not new.wait(0.001)
            new.release()
            with new:
                new.notify()
            assert type(new._lock) is type(condition._lock)
            assert new.note == [1]
            assert new.note is not condition.note
    shallow = copies[0](condition)
    assert shallow._lock is condition._lock
    with shallow:
        condition.notify()
    lock, of_it = travel((condition._lock, condition))
    assert of_it._lock is lock


@pytest.mark.parametrize("how", [0, 1], ids=["travels", "is copied"])
def test_what_has_conditions_works(enable, travel, copies, how):
    enable("lock")
    make = (travel, copies[1])[how]
    waiting = make(queue.Queue(1))
    waiting.put("x")
    with pytest.raises(queue.Full):
        waiting.put("y", timeout=0.001)
    assert waiting.get() == "x"
    waiting.task_done()
    waiting.join()
    limited = make(threading.BoundedSemaphore(1))
    with limited:
        assert not limited.acquire(timeout=0.001)
    with pytest.raises(ValueError, match="released too many times"):
        limited.release()
    event = make(threading.Event())
    thread = threading.Timer(0.001, event.set)
    thread.start()
    assert event.wait(30)
    thread.join(30)
    barrier = make(threading.Barrier(2))
    thread = threading.Thread(target=barrier.wait)
    thread.start()
    assert barrier.wait(30) in (0, 1)
    thread.join(30)


# --- files


@pytest.fixture
def poem(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("one\ntwö\nthree\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["file", "file content"])
def test_a_file_in_the_middle_of_reading_is_read_on(enable, travel, poem, name):
    """The example of the old documentation."""
    enable(name)
    with open(poem, encoding="utf-8") as file:
        assert file.readline() == "one\n"
        with travel(file) as after:
            assert after.readline() == "twö\n"
            assert after.read() == "three\n"
            after.seek(0)
            assert after.readline() == "one\n"
            assert isinstance(after, io.StringIO) == (name == "file content")
        assert file.read() == "twö\nthree\n"


@pytest.mark.parametrize("name", ["file", "file content"])
@pytest.mark.parametrize("mode", ["rb", "rb+"])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_binary_files(enable, travel, poem, name, mode, buffering):
    enable(name)
    with open(poem, mode, buffering=buffering) as file:
        file.seek(4)
        with travel(file) as after:
            assert after.tell() == 4
            assert after.read() == "twö\nthree\n".encode()
            assert isinstance(after, io.BytesIO) == (name == "file content")
            if name == "file":
                assert (type(after), after.mode) == (type(file), file.mode)
        assert file.tell() == 4


@pytest.mark.parametrize("mode", ["w", "a", "x", "r+", "wb", "ab", "xb", "w+", "rb+"])
def test_a_file_that_is_being_written_is_written_on(enable, poem, mode):
    enable("file")
    if "x" in mode:
        os.remove(poem)
    text = "b" not in mode
    options = {"encoding": "utf-8"} if text else {}
    with open(poem, mode, **options) as file:
        file.write("first " if text else b"first ")
        with _stdlib.loads(_stdlib.dumps(file)) as after:
            assert after.tell() == file.tell()
            assert after.writable()
            after.write("second" if text else b"second")
    with open(poem, encoding="utf-8") as file:
        assert "first second" in file.read()


def test_what_a_text_file_was_opened_with(enable, travel, poem):
    enable("file")
    with (
        open(poem, encoding="latin-1", errors="replace", buffering=1) as file,
        travel(file) as after,
    ):
        told = after.encoding, after.errors, after.line_buffering, after.name, after.mode
        assert told == ("latin-1", "replace", True, poem, "r")


def test_files_that_cannot_travel(enable, travel, poem):
    error = _stdlib.PICKLE["PicklingError"]
    enable("file")
    with open(poem) as file:
        pass
    with pytest.raises(error, match="it is closed"):
        travel(file)
    reading, writing = os.pipe()
    with open(reading) as source, open(writing, "w"), pytest.raises(error, match="no path"):
        travel(source)
    with open(poem) as file:
        next(file)
        with pytest.raises(OSError, match="telling position disabled"):
            travel(file)
    enable("file content")
    with open(poem, "a") as file, pytest.raises(error, match="cannot be read"):
        travel(file)


def opened_over(path, kind):
    """Return a file that is no plain one, with four bytes or characters read."""
    module = {"gzip": gzip, "bz2": bz2, "lzma": lzma}.get(kind.partition(" ")[0])
    if module is not None:
        with open(path, "rb") as file, module.open(path + ".packed", "wb") as packed:
            packed.write(file.read())
        file = module.open(path + ".packed", "rt" if "text" in kind else "rb", **utf8(kind))
        if "text" not in kind:
            file = io.BufferedReader(file)
    else:
        with open(path, "rb") as file:
            memory = io.BytesIO(file.read())
        text = "text" in kind
        file = io.TextIOWrapper(memory, **utf8(kind)) if text else io.BufferedReader(memory)
    assert file.read(4) in ("one\n", b"one\n")
    return file


def utf8(kind):
    return {"encoding": "utf-8"} if "text" in kind else {}


OVER = ["gzip", "gzip text", "bz2", "bz2 text", "lzma", "lzma text", "memory", "memory text"]


@pytest.mark.parametrize("kind", OVER)
def test_files_over_something_else(enable, travel, poem, kind):
    """They have no path that opens what they give; their contents can travel."""
    enable("file")
    with opened_over(poem, kind) as file:
        with pytest.raises(_stdlib.PICKLE["PicklingError"], match="what is under it is no file"):
            travel(file)
        enable("file content")
        after = travel(file)
        assert after.read() in ("twö\nthree\n", "twö\nthree\n".encode())
        assert file.read(1) in ("t", b"t")


def test_a_text_file_made_by_hand(enable, travel, poem):
    enable("file")
    with open(poem, "rb") as lower, io.TextIOWrapper(lower, encoding="utf-8") as file:
        assert file.readline() == "one\n"
        with travel(file) as after:
            assert (after.readline(), after.mode) == ("twö\n", "r")


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("mode", ["r", "rb", "r+b"])
def test_a_path_that_leads_to_it_no_more(enable, travel, poem, mode, replaced):
    enable("file")
    with open(poem, mode) as file:
        os.rename(poem, poem + ".old")
        if replaced:
            with open(poem, "w") as other:
                other.write("other")
        with pytest.raises(_stdlib.PICKLE["PicklingError"], match="has no path to open it by"):
            travel(file)
        enable("file content")
        assert len(travel(file).read()) in (14, 15)


@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"], ids=repr)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_contents_are_what_the_file_gives(enable, travel, tmp_path, encoding, newline):
    """Also its ends of lines; at each position, the end too."""
    enable("file content")
    path = tmp_path / "lines"
    path.write_text("ö1\r\n2\n3\r4", encoding=encoding, newline="")
    with open(path, encoding=encoding, newline=newline) as file:
        while True:
            position = file.tell()
            after = travel(file)
            assert after.read() == file.read()
            file.seek(position)
            if not file.read(1):
                break


def test_a_position_that_is_not_there_closes_the_file(enable, poem):
    with pytest.raises(ValueError):
        reducers.open_again(poem, "r", {}, -1)


# --- generators


async def asynchronous():
    yield 1


async def coroutine():
    await asyncio.sleep(0)


def test_generators_are_refused_with_help(enable, travel, copies):
    enable("generator")
    waiting = coroutine()
    try:
        for value in ((x for x in "ab"), waiting, asynchronous()):
            for attempt in (travel, *copies):
                with pytest.raises(_stdlib.PICKLE["PicklingError"], match="pickle a list of what"):
                    attempt(value)
    finally:
        waiting.close()


# --- through another process


@pytest.mark.slow
def test_another_interpreter_loads_them_without_enabling(enable, poem):
    enable("code", "module", "dict view", "mappingproxy", "match", "memoryview", "lock", "file")
    file = reducers.open_again(poem, "r", {"encoding": "utf-8"}, 0)
    file.readline()
    value = [
        compile("6 * 7", "<example>", "eval"),
        os,
        {"a": 1}.items(),
        types.MappingProxyType({"b": 2}),
        re.search("b", "abc"),
        memoryview(b"abc"),
        threading.Lock(),
        file,
    ]
    data = _stdlib.dumps(value)
    file.close()
    script = """
        import pickle, sys
        code, os, items, proxy, match, view, lock, file = pickle.load(sys.stdin.buffer)
        print(eval(code), os.__name__, *items, *proxy, match.start(), view.tobytes(),
            lock.locked(), file.readline().encode())
        file.close()
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script)],
        input=data,
        capture_output=True,
        timeout=60,
    )
    assert done.stderr == b""
    assert done.stdout.decode().split("\n")[0].strip() == (
        "42 os ('a', 1) b 1 b'abc' False b'tw\\xc3\\xb6\\n'"
    )
