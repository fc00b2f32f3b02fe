"""One dump, run and written down: bytes or writes, buffers, exception, events, memo.

`record(implementation, setup, build)` builds the object, dumps it as the setup says and returns a
`Record`. Two records are equal if nobody outside could tell the two dumps apart. Objects are built
anew for each run, since callbacks may change them; addresses in messages are therefore masked.
"""

import collections
import copyreg
import dataclasses
import io
import pickle as std_pickle
import re
import sys
import traceback
import types

from support import trace
from support.classes import Overridden, Persistent, Tabled, make_plain

ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
TYPE_PREFIX = re.compile(r"\b_?(?:fastcopyreg\.)?(?:_core|_pickle|pickle)\.(?=Pickler)")


@dataclasses.dataclass(frozen=True)
class Setup:
    """How to dump: through which entry, at which protocol, with which hooks."""

    entry: str = "dumps"  # dumps, dump, pickler, subclass
    protocol: object = None
    fix_imports: bool = True
    persistent_id: str = ""  # method, instance
    reducer_override: str = ""  # method, instance
    table: str = ""  # a key of TABLES
    table_on: str = "instance"  # instance, class
    fast: bool = False
    binary: object = None
    buffers: str = ""  # out, in, alternate, bad
    dumps: int = 1
    clear: bool = False  # clear_memo between dumps


@dataclasses.dataclass(frozen=True)
class Record:
    """What can be seen of a dump."""

    writes: tuple
    buffers: tuple
    error: object
    events: tuple
    memo: object


class Sink:
    """A file that remembers each write, with its type."""

    def __init__(self):
        self.writes = []

    def write(self, data):
        """Keep a copy, since the pickler may use its buffer again."""
        self.writes.append((type(data).__name__, bytes(data)))


class DefaultTable(dict):
    """A table that makes an entry for one type on demand, and counts what it is asked for."""

    def __missing__(self, key):
        trace.note("missing", key.__name__)
        if key is Tabled:
            return reduce_tabled
        raise KeyError(key)


class WholeTable:
    """The smallest thing that a pickler accepts as a table: `__getitem__` alone."""

    def __getitem__(self, key):
        trace.note("getitem", key.__name__)
        if key is Tabled:
            return reduce_tabled
        return copyreg.dispatch_table[key]


def reduce_tabled(obj):
    """The reducer in the private tables."""
    trace.note("tabled")
    return make_plain, ("tabled", vars(obj).get("a"))


def override(obj):
    """A reducer_override that treats one class and leaves the rest alone."""
    trace.note("override", type(obj).__name__)
    if isinstance(obj, Overridden):
        return make_plain, ("overridden", vars(obj).get("a"))
    return NotImplemented


def persistent_id(obj):
    """A persistent_id that treats one class: its ids are strings, numbers or tuples."""
    trace.note("persistent", type(obj).__name__)
    if type(obj) is Persistent:
        return vars(obj).get("pid", "id")
    return None


TABLES = {
    "dict": lambda: {Tabled: reduce_tabled},
    "empty": dict,
    "copy": lambda: copyreg.dispatch_table | {Tabled: reduce_tabled},
    "chain": lambda: collections.ChainMap({Tabled: reduce_tabled}, copyreg.dispatch_table),
    "proxy": lambda: types.MappingProxyType({Tabled: reduce_tabled}),
    "missing": DefaultTable,
    "user dict": lambda: collections.UserDict({Tabled: reduce_tabled}),
    "mapping": WholeTable,
}


def pickler_class(implementation, setup):
    """The class to make the pickler of: the type itself, or a subclass with hooks as methods."""
    members = {}
    if setup.persistent_id == "method":
        members["persistent_id"] = lambda self, obj: persistent_id(obj)
    if setup.reducer_override == "method":
        members["reducer_override"] = lambda self, obj: override(obj)
    if setup.table and setup.table_on == "class":
        members["dispatch_table"] = TABLES[setup.table]()
    if setup.entry != "subclass" and not members:
        return implementation.Pickler
    return type("SubPickler", (implementation.Pickler,), members)


def make_pickler(implementation, setup, sink, callback):
    """A pickler with the hooks and attributes that the setup asks for."""
    pickler = pickler_class(implementation, setup)(
        sink, setup.protocol, fix_imports=setup.fix_imports, buffer_callback=callback
    )
    if setup.persistent_id == "instance":
        pickler.persistent_id = persistent_id
    if setup.reducer_override == "instance":
        pickler.reducer_override = override
    if setup.table and setup.table_on == "instance":
        pickler.dispatch_table = TABLES[setup.table]()
    if setup.fast:
        pickler.fast = True
    if setup.binary is not None:
        pickler.bin = setup.binary
    return pickler


def buffer_callback(kind, received):
    """A buffer_callback of the kind named, or None."""
    if not kind:
        return None

    def callback(buffer):
        received.append(type(buffer).__name__)
        with buffer.raw() as raw:
            received.append(bytes(raw))
        if kind == "alternate":
            return len(received) % 4 == 0
        return kind == "in"

    return callback


def run(implementation, setup, obj, sink, received, memo):
    """Dump `obj`; writes, buffers and memo go to the lists given, exceptions pass."""
    callback = buffer_callback(setup.buffers, received)
    keywords = {"fix_imports": setup.fix_imports, "buffer_callback": callback}
    if setup.entry == "dumps":
        for _ in range(setup.dumps):
            result = implementation.dumps(obj, setup.protocol, **keywords)
            sink.writes.append((type(result).__name__, result))
    elif setup.entry == "dump":
        for _ in range(setup.dumps):
            implementation.dump(obj, sink, setup.protocol, **keywords)
    else:
        pickler = make_pickler(implementation, setup, sink, callback)
        try:
            for _ in range(setup.dumps):
                pickler.dump(obj)
                if setup.clear:
                    pickler.clear_memo()
        except RecursionError:
            raise
        except Exception:
            memo.extend(describe_memo(pickler.memo))
            raise
        memo.extend(describe_memo(pickler.memo))


def record(implementation, setup, build):
    """Build, dump, and write down what happened."""
    trace.take()
    sink, received, memo, error = Sink(), [], [], None
    obj = build()
    trace.take()
    try:
        run(implementation, setup, obj, sink, received, memo)
    except RecursionError:
        error = ("RecursionError",)  # Its notes are as many as the stack is deep.
    except Exception as exception:
        error = describe_error(exception)
    return Record(tuple(sink.writes), tuple(received), error, trace.take(), tuple(memo))


def describe_memo(memo):
    """The entries of a memo in the order of their numbers, without addresses."""
    entries = memo.copy() if not isinstance(memo, dict) else memo
    for key, (_, obj) in entries.items():
        assert key == id(obj), "a memo is keyed by identity"
    described = [(index, type(obj).__name__, content(obj)) for index, obj in entries.values()]
    return sorted(described, key=lambda entry: (*entry[:2], repr(entry[2])))


class Unpromised:
    """The content of what only stands in for an object that was not made: any."""

    def __eq__(self, other):
        return True

    __hash__ = None

    def __repr__(self):
        return "..."


def content(obj):
    """What tells memo entries apart: text, or the length of what has a length of its own."""
    if type(obj) in (str, bytes, tuple, list, dict) and obj in ("...", b"...", (None,), [], {}):
        return Unpromised()
    if type(obj) in (str, bytes):
        return obj
    return len(obj) if type(obj) in (list, dict, tuple, set, frozenset) else None


def mask(text):
    """Text without addresses and without the name of the module that a pickler comes from."""
    return TYPE_PREFIX.sub("", ADDRESS.sub("0x", text))


def message(exception):
    """The text of an exception; a KeyError's number may be an address."""
    if isinstance(exception, KeyError) and exception.args and type(exception.args[0]) is int:
        return "a number"
    return mask(str(exception))


def describe_error(exception, depth=4):
    """Type, message, notes, cause, context and the Python frames passed, of an exception."""
    if exception is None or depth == 0:
        return None
    return (
        type(exception).__qualname__,
        message(exception),
        tuple(type(argument).__name__ for argument in exception.args),
        tuple(mask(text) for text in getattr(exception, "__notes__", ())),
        describe_error(exception.__cause__, depth - 1),
        describe_error(exception.__context__, depth - 1),
        exception.__suppress_context__,
        frames(exception),
    )


def outcome(function, *arguments, **keywords):
    """What a call returns, or its error in every detail, without what differs by module."""
    try:
        return function(*arguments, **keywords)
    except Exception as error:
        return describe_error(error)


def shallow_outcome(function, *arguments):
    """The same, of what does not nest: a RecursionError is an accident, and no outcome."""
    try:
        return function(*arguments)
    except Exception as error:
        assert not isinstance(error, RecursionError)
        return describe_error(error)


def frames(exception):
    """The names of functions in the traceback, the harness's own left out."""
    walked = traceback.walk_tb(exception.__traceback__)
    return tuple(
        frame.f_code.co_name
        for frame, _ in walked
        if not frame.f_code.co_filename.endswith(("recording.py", "pickle.py"))
    )


def joined(record_):
    """The bytes of all writes."""
    return b"".join(data for _, data in record_.writes)


def explain(expected, actual, setup):
    """A message that shows the first difference between two records."""
    for field in ("error", "events", "buffers", "memo"):
        left, right = getattr(expected, field), getattr(actual, field)
        if left != right:
            return f"{field} differ for {setup}\n  stdlib: {left!r}\n  tested: {right!r}"
    left, right = joined(expected), joined(actual)
    if left == right:
        sizes = [[(kind, len(data)) for kind, data in r.writes] for r in (expected, actual)]
        return f"writes differ for {setup}\n  stdlib: {sizes[0]}\n  tested: {sizes[1]}"
    at = next(
        (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b),
        min(len(left), len(right)),
    )
    window = slice(max(at - 30, 0), at + 30)
    return (
        f"bytes differ at {at} for {setup}\n  stdlib: {left[window]!r} of {len(left)}"
        f"\n  tested: {right[window]!r} of {len(right)}"
    )


def compare(standard, ours, setup, build):
    """Assert that both implementations dump what `build` makes alike; returns the record."""
    expected = record(standard, setup, build)
    actual = record(ours, setup, build)
    assert alike(expected, actual), explain(expected, actual, setup)
    return expected


def alike(expected, actual):
    """Whether two records are equal; out of stack there, going deeper is allowed here."""
    if expected.error is not None and expected.error[0] == "RecursionError":
        return actual.error is None or actual.error[0] == "RecursionError"
    return expected == actual


def setups(protocols=range(std_pickle.HIGHEST_PROTOCOL + 1)):
    """Every way of dumping that the corpus goes through, at each protocol."""
    for protocol in protocols:
        yield from entry_setups(protocol)
        yield from hook_setups(protocol)
        yield from table_setups(protocol)


def entry_setups(protocol):
    """The plain entries, and a pickler's own switches."""
    for entry in ("dumps", "dump", "pickler", "subclass"):
        yield Setup(entry, protocol)
    yield Setup("dumps", protocol, fix_imports=False)
    yield Setup("pickler", protocol, fast=True)
    yield Setup("pickler", protocol, binary=protocol == 0)
    yield Setup("pickler", protocol, dumps=2)
    yield Setup("pickler", protocol, dumps=2, clear=True)
    if protocol >= 5:
        for kind in ("out", "in", "alternate"):
            yield Setup("dumps", protocol, buffers=kind)
        yield Setup("pickler", protocol, buffers="out")


def hook_setups(protocol):
    """persistent_id and reducer_override, as methods and as attributes."""
    for place in ("method", "instance"):
        yield Setup("pickler", protocol, persistent_id=place)
        yield Setup("subclass", protocol, reducer_override=place)
    yield Setup("subclass", protocol, persistent_id="method", reducer_override="method")


def table_setups(protocol):
    """Each kind of private table, on the instance and on the class."""
    for table in TABLES:
        yield Setup("pickler", protocol, table=table)
    for table in ("dict", "chain", "missing"):
        yield Setup("subclass", protocol, table=table, table_on="class")


def version_at_least(*version):
    """Whether the running interpreter is of that version or later."""
    return sys.version_info >= version


def into_file(dump, obj, protocol=None):
    """The bytes that `dump(obj, file, protocol)` writes."""
    file = io.BytesIO()
    dump(obj, file, protocol)
    return file.getvalue()


def compare_every_way(standard, ours, build, fast=False):
    """`compare` by each protocol and entry, three times, since the first of all is asked."""
    for protocol in range(std_pickle.HIGHEST_PROTOCOL + 1):
        for entry in ("dumps", "dump", "pickler", "subclass"):
            for _ in range(3):
                compare(standard, ours, Setup(entry, protocol), build)
        compare(standard, ours, Setup("pickler", protocol, fast=fast), build)
