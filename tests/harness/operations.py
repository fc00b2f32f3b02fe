"""The operations that oom.py and leaks.py repeat: small object graphs through every entry.

An operation is made anew for each measurement: `prepare()` gives a function without arguments that
does it once, and `view` makes of its result something that can be compared (outside of what is
measured). Its objects are small, so that each of their allocations can be made to fail in turn,
and they are chosen so that each kind of allocation is there: the memo growing, the output growing,
frames, reductions of every shape, hooks, names, errors.
"""

import _imp
import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import importlib.util
import io
import ipaddress
import itertools
import pathlib
import pickle as std_pickle
import sys
import types
import uuid

PROTOCOLS = range(std_pickle.HIGHEST_PROTOCOL + 1)
FRAME = 64 * 1024
OFTEN = 400  # objects of a type after which reducers and constructors are compiled


class Plain:
    def __init__(self, **fields):
        vars(self).update(fields)

    def __eq__(self, other):
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None


class Slots:
    __slots__ = ("left", "right", "_Slots__private", "unset")

    def __init__(self, left, right):
        self.left, self.right, self.__private = left, right, "private"

    def __eq__(self, other):
        return type(other) is Slots and (self.left, self.right) == (other.left, other.right)

    __hash__ = None


class Both(Slots):
    """Slots and a `__dict__`."""


@dataclasses.dataclass
class Record:
    name: str
    number: int
    parts: list


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    number: float


class Stateful(Plain):
    def __getstate__(self):
        return ("state", vars(self).copy())

    def __setstate__(self, state):
        vars(self).update(state[1])


class NewArgs(tuple):
    def __new__(cls, first, *rest):
        return super().__new__(cls, (first, *rest))

    def __getnewargs__(self):
        return tuple(self)


class NewArgsEx(int):
    def __new__(cls, value, *, base=0):
        return super().__new__(cls, value + base)

    def __getnewargs_ex__(self):
        return (int(self),), {"base": 0}


class Registered:
    """Its reducer is in copyreg's table; so are those of the classes that inherit from it."""

    def __init__(self, *args):
        self.args = args

    def __eq__(self, other):
        return type(self) is type(other) and self.args == other.args

    __hash__ = None


class RegisteredState(Registered):
    pass


class RegisteredItems(Registered):
    def __init__(self, *args):
        super().__init__(*args)
        self.items = []
        self.mapping = {}

    def append(self, item):
        self.items.append(item)

    def extend(self, items):
        self.items.extend(items)

    def __setitem__(self, key, value):
        self.mapping[key] = value


class RegisteredSetter(Registered):
    pass


class RegisteredName(Registered):
    pass


class Extension(Registered):
    """Has a code in the extension registry."""


class Colour(enum.Enum):
    RED = "red"


class MyList(list):
    pass


class MyDict(dict):
    pass


class MyError(Exception):
    pass


class Outer:
    class Inner(Plain):
        def method(self):
            return self


Pair = collections.namedtuple("Pair", "first second")
LINES = itertools.count(1000)
SINGLETON = RegisteredName()


class Refused:
    """Cannot be pickled: its reduction is not one."""

    def __reduce__(self):
        return 42


class Raising:
    def __reduce__(self):
        raise LookupError("refused by its reducer")


class Unfindable:
    __qualname__ = "not.there"


def set_state(obj, state):
    obj.setter_state = state


def register():
    """Fills the registry for the classes above."""
    copyreg.pickle(Registered, lambda o: (Registered, o.args))
    copyreg.pickle(RegisteredState, lambda o: (RegisteredState, o.args, {"seen": True}))
    copyreg.pickle(
        RegisteredItems, lambda o: (RegisteredItems, o.args, None, iter("abc"), iter([("k", 1)]))
    )
    copyreg.pickle(
        RegisteredSetter, lambda o: (RegisteredSetter, o.args, "state", None, None, set_state)
    )
    copyreg.pickle(RegisteredName, lambda o: "SINGLETON")
    copyreg.add_extension(__name__, "Extension", 0xE0)


def recursive_list():
    items = [1]
    items.append(items)
    return items


def recursive_tuple():
    inside = []
    outside = (inside, "t")
    inside.append(outside)
    return outside


def recursive_object():
    node = Plain(name="node")
    node.me = node
    node.children = [node, {"up": node}]
    return node


def shared():
    part = ["part", (1, 2)]
    return [part, (part, part), {"a": part, "b": part[1]}]


def scalars():
    numbers = [
        None,
        True,
        False,
        0,
        255,
        65535,
        -1,
        2**31,
        2**70,
        -(2**2100),
        1.5,
        1e300,
        complex(1, 2),
    ]
    return [
        *numbers,
        "",
        "ascii",
        "h\xe9",
        "\u1234\n\\",
        "\ud800",
        "x" * 300,
        b"",
        b"bytes",
        b"y" * 300,
        bytearray(b"array"),
    ]


#: Ordinary values by name: each makes its object.
VALUES = {
    "scalars": scalars,
    "containers": lambda: [
        (),
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 3, 4),
        [],
        [1],
        {},
        {"a": 1},
        set(),
        {1},
        frozenset({2}),
    ],
    "many ints": lambda: list(range(1002)),
    "many strings": lambda: [f"string {i}" for i in range(70)],
    "many pairs": lambda: {f"key {i}": float(i) for i in range(40)},
    "frames": lambda: ["f" * (FRAME // 2), "g" * (FRAME // 2), b"h" * (FRAME + 1), "end"],
    "shared": shared,
    "recursive list": recursive_list,
    "recursive tuple": recursive_tuple,
    "recursive object": recursive_object,
    "nested": lambda: functools.reduce(lambda inside, _: [(inside,)], range(20), None),
    "globals": lambda: [
        Plain,
        Outer.Inner,
        len,
        functools.reduce,
        collections.OrderedDict,
        type(None),
        ...,
        NotImplemented,
    ],
    "method": lambda: [[].append, "x".join, dict.fromkeys],
    "plain": lambda: [Plain(name="n", size=2, parts=["a", "b"]), Plain()],
    "inner": lambda: Outer.Inner(a=1),
    "slots": lambda: [Slots("l", ["r"]), Both(1, 2)],
    "dataclasses": lambda: [Record("name", 5, [1, 2]), Frozen("f", 0.5)],
    "stateful": lambda: Stateful(a=1),
    "newargs": lambda: [NewArgs("a", "b"), NewArgsEx(5)],
    "registered": lambda: [Registered("a", 1), Registered(["b"], Registered())],
    "registered state": lambda: RegisteredState(1),
    "registered items": lambda: RegisteredItems("i"),
    "registered setter": lambda: RegisteredSetter("s"),
    "registered name": lambda: [SINGLETON, SINGLETON],
    "extension": lambda: [Extension, Extension],
    "enum": lambda: Colour.RED,
    "exceptions": lambda: [ValueError("v", 1), MyError("mine"), KeyError("k")],
    "subclasses": lambda: [MyList("ab"), MyDict(a=1), Pair(1, "two"), collections.Counter("aab")],
    "values": lambda: [
        datetime.datetime(2024, 5, 6, 7, 8, 9),
        datetime.date(2024, 1, 2),
        datetime.timedelta(1, 2, 3),
        datetime.UTC,
        decimal.Decimal("1.50"),
        fractions.Fraction(1, 3),
        uuid.UUID(int=5),
        pathlib.PurePosixPath("a/b"),
        range(3),
        types.SimpleNamespace(a=1),
    ],
    "collections": lambda: [
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
        collections.deque([1, 2], 5),
    ],
}

#: Values whose slots only protocol 2 and later can save.
NEED_PROTOCOL_2 = ("slots", "dataclasses")

#: The value whose reduction has six parts, one more than copy takes.
REFUSED_BY_COPY = "registered setter"

#: Values that cannot be pickled, and what says so.
REFUSED = {
    "bad reduction": (lambda: [1, Refused()], std_pickle.PicklingError),
    "raising reducer": (lambda: {"a": ("b", Raising())}, LookupError),
    "lambda": (lambda: [lambda: None], (std_pickle.PicklingError, AttributeError)),
    "unfindable": (lambda: Unfindable(), (std_pickle.PicklingError, AttributeError)),
    "generator": (lambda: (i for i in "ab"), TypeError),
}


class Operation:
    """One thing to repeat: its name, how to prepare it, and how to look at its result.

    *spared*: why its allocations are not made to fail, if they are not. *fills*: how many
    repetitions go towards filling tables that are emptied when they are full; only phases of that
    length, and some of them, tell a leak from what such tables hold.
    """

    def __init__(self, name, prepare, view=lambda result: result, spared=None, fills=0):
        self.name = name
        self.prepare = prepare
        self.view = view
        self.spared = spared
        self.fills = fills


def values_of(protocol):
    """The values that a protocol can save, with their names."""
    return [
        (name, make)
        for name, make in VALUES.items()
        if protocol >= 2 or name not in NEED_PROTOCOL_2
    ]


class Subject:
    """What is tested: the modules of fastcopyreg, or the standard library's to test the harness
    itself.
    """

    def __init__(self, name):
        package = "" if name == "stdlib" else name + "."
        self.core = package + "_core" if name == "fastcopyreg" else None
        self.pickle = importlib.import_module(package + "pickle")
        self.copy = importlib.import_module(package + "copy")


def refused(call, raises):
    """The call as an operation that must raise: its result is the exception."""

    def operation():
        try:
            call()
        except raises as error:
            return error
        raise AssertionError("was not refused")

    return operation


def type_and_message(error):
    return type(error), str(error)


def repickled(graph):
    """A graph as the pickle that the standard library makes of it: graphs with cycles do not
    compare.
    """
    return std_pickle.dumps(graph, 2)


def dumps_operations(subject):
    for protocol in PROTOCOLS:
        for name, make in values_of(protocol):
            yield Operation(
                f"dumps {name}, protocol {protocol}",
                lambda make=make, p=protocol: functools.partial(subject.pickle.dumps, make(), p),
            )


def refused_operations(subject):
    for protocol in (0, 2, 5):
        for name, (make, raises) in REFUSED.items():
            yield Operation(
                f"dumps refused {name}, protocol {protocol}",
                lambda make=make, p=protocol, r=raises: refused(
                    functools.partial(subject.pickle.dumps, make(), p), r
                ),
                type_and_message,
            )


def to_file(Pickler, value, protocol, **options):
    """A function that pickles the value into a new file by a new pickler, and returns what was
    written.
    """

    def operation():
        file = io.BytesIO()
        Pickler(file, protocol, **options).dump(value)
        return file.getvalue()

    return operation


def hook_picklers(subject):
    """Subclasses and settings of Pickler, by name."""

    class Persistent(subject.pickle.Pickler):
        def persistent_id(self, obj):
            return "id" if isinstance(obj, Slots) else None

    class Override(subject.pickle.Pickler):
        def reducer_override(self, obj):
            return (str, ("over",)) if isinstance(obj, Slots) else NotImplemented

    class Table(subject.pickle.Pickler):
        dispatch_table = {Slots: lambda obj: (Pair, (obj.left, obj.right))}

    class Chained(subject.pickle.Pickler):
        dispatch_table = collections.ChainMap({}, {Slots: lambda obj: (Pair, (1, 2))})

    class Read(subject.pickle.Pickler):
        def persistent_id(self, obj):
            return "id" if type(obj) is Pair else None

        def reducer_override(self, obj):
            return NotImplemented

    return {
        "hooks that are read": Read,
        "persistent_id": Persistent,
        "reducer_override": Override,
        "dispatch_table": Table,
        "ChainMap": Chained,
        "Pickler": subject.pickle.Pickler,
    }


def reused_pickler(subject, value, protocol):
    """One pickler for every repetition, the memo cleared before each."""
    parts = []
    # Not a BytesIO, which closes itself when it cannot be truncated for lack of memory.
    pickler = subject.pickle.Pickler(types.SimpleNamespace(write=parts.append), protocol)

    def operation():
        pickler.clear_memo()
        parts.clear()
        pickler.dump(value)
        return b"".join(parts)

    return operation


def memo_round_trip(subject):
    """Takes a pickler's memo out and puts copies of it back."""
    pickler = subject.pickle.Pickler(io.BytesIO())
    value = [f"string {i}" for i in range(20)]
    pickler.dump(value)

    def operation():
        copied = pickler.memo.copy()
        pickler.memo = copied
        pickler.memo = pickler.memo
        return len(pickler.memo.copy())

    return operation


def asked_memo(subject):
    """Dumps what is numbered without being made, asks for the memo, and gives it to another."""
    value = [Slots(1, ["two"]), Registered(1), datetime.datetime(2020, 1, 1), Slots("l", "r")]

    def operation():
        first, second = subject.pickle.Pickler(io.BytesIO()), subject.pickle.Pickler(io.BytesIO())
        first.dump(value)
        second.memo = first.memo
        second.dump([value, Registered(2)])
        return len(second.memo.copy())

    return operation


def pickler_operations(subject):
    value = [Slots(1, ["two"]), Slots("l", "r"), "s", Registered(1)]
    for name, Pickler in hook_picklers(subject).items():
        for protocol in (2, 4, 5):
            yield Operation(
                f"dump by {name}, protocol {protocol}",
                lambda P=Pickler, p=protocol: to_file(P, value, p),
            )
    for protocol in (2, 4, 5):
        yield Operation(
            f"reused Pickler, protocol {protocol}",
            lambda p=protocol: reused_pickler(subject, [*value, scalars(), shared()], p),
        )
        yield Operation(
            f"dump to a file, protocol {protocol}",
            lambda p=protocol: to_file_function(subject, VALUES["frames"](), p),
        )
    yield Operation("memo round trip", lambda: memo_round_trip(subject))
    yield Operation("memo asked for", lambda: asked_memo(subject))
    yield Operation("Pickler made", lambda: lambda: subject.pickle.Pickler(io.BytesIO()).bin)
    yield Operation(
        "fix_imports",
        lambda: functools.partial(
            subject.pickle.dumps,
            [range(3), collections.OrderedDict, functools.reduce],
            2,
            fix_imports=True,
        ),
    )


def to_file_function(subject, value, protocol):
    def operation():
        file = io.BytesIO()
        subject.pickle.dump(value, file, protocol)
        return file.getvalue()

    return operation


def new_core(name):
    """A function that makes and executes one more module object of an extension module."""
    spec = importlib.util.find_spec(name)

    def operation():
        module = _imp.create_dynamic(spec)
        _imp.exec_dynamic(module)
        return sorted(vars(module))

    return operation


def initialised_again(subject):
    """One pickler, initialised again for each dump."""
    pickler = subject.pickle.Pickler(io.BytesIO())

    def operation():
        file = io.BytesIO()
        pickler.__init__(file, 4)
        pickler.dump(["again", ("and", "again")])
        return file.getvalue()

    return operation


def in_a_cycle(subject):
    """A pickler that only the garbage collector can free: its hook is a method of its owner."""

    class Owner(subject.pickle.Pickler):
        def reducer_override(self, obj):
            return NotImplemented

    def operation():
        pickler = Owner(io.BytesIO())
        pickler.dispatch_table = {Slots: pickler.reducer_override}
        pickler.dump("cycle")
        return pickler.bin

    return operation


def core_operations(subject):
    """Making the core's module and its types, and what their life has besides dumping."""
    if subject.core is not None:
        yield Operation(
            "core imported",
            lambda: new_core(subject.core),
            spared="it asks the standard library's pickle and compiler, which leak and crash",
        )
    yield Operation("Pickler initialised again", lambda: initialised_again(subject))
    yield Operation("Pickler in a cycle", lambda: in_a_cycle(subject))
    yield Operation(
        "subclass made",
        lambda: lambda: type("Sub", (subject.pickle.Pickler,), {})(io.BytesIO(), 2).bin,
    )


def out_of_band(subject, value):
    """Pickles with buffers handed to a callback; returns the pickle and their number."""

    def operation():
        buffers = []
        data = subject.pickle.dumps(value, 5, buffer_callback=buffers.append)
        return data, len(buffers)

    return operation


def buffer_operations(subject):
    value = [
        std_pickle.PickleBuffer(b"read-only"),
        std_pickle.PickleBuffer(bytearray(b"w" * FRAME)),
        "end",
    ]
    yield Operation("buffers out of band", lambda: out_of_band(subject, value))
    yield Operation("buffers in band", lambda: functools.partial(subject.pickle.dumps, value, 5))
    yield Operation(
        "buffers refused",
        lambda: refused(
            functools.partial(subject.pickle.dumps, value, 4), std_pickle.PicklingError
        ),
        type_and_message,
    )


class Row:
    """Its constructor is read, and rows of it are loaded without a call."""

    __slots__ = ("count", "label", "share")

    def __init__(self, label, share, count):
        self.label = label
        self.share = share
        self.count = count

    def __eq__(self, other):
        return type(self) is type(other) and self.__reduce__() == other.__reduce__()

    __hash__ = None

    def __reduce__(self):
        return Row, (self.label, self.share, self.count)


#: What ours loads in ways of its own.
QUICK_LOADS = {
    "one call": lambda: Row("label", 1.5, 3),
    "one dict": lambda: {"first": 1, "second": "text", "third": None},
    "one dict of many": lambda: {f"known key {i}": i for i in range(9)},
    "dicts of keys met before": lambda: [{f"known key {i}": [i] for i in range(20)}] * 2,
    "rows": lambda: [Row(f"label {i}", i * 0.5, i) for i in range(40)],
    "rows that are left": lambda: [Row("text", [i], i) for i in range(8)],
    "values": lambda: [each for i in range(9) for each in quick_values(i)],
}


def quick_values(i):
    """Values whose types or their methods are not called; fresh numbers."""
    return [
        uuid.UUID(int=2**100 + i),
        fractions.Fraction(10**6 + i, 10**9 + 7),
        ipaddress.IPv4Address(2**31 + i),
        ipaddress.IPv6Address(2**100 + i),
        pathlib.PurePosixPath("a", str(i)),
        collections.Counter({f"key {i}": 1000 + i}),
        collections.deque((1000 + i, [i])),
        collections.deque((1000 + i, [i]), 5),
        collections.OrderedDict(first=1000 + i, second=[i]),
        collections.defaultdict(list, first=1000 + i, second=[i], third=None),
        types.SimpleNamespace(first=1000 + i, second=[i], third=None),
        complex(i, -i),
        datetime.timezone(datetime.timedelta(minutes=i)),
        slice(1000 + i, None, None),
    ]


def quick_operations(subject):
    from fastcopyreg import _core

    for name, make in QUICK_LOADS.items():
        data = std_pickle.dumps(make(), 4)

        def loading(data=data):
            before = _core.plan_threshold(1)
            for _ in range(4):  # By now, all is read, and known.
                subject.pickle.loads(data)
            _core.plan_threshold(before)
            return functools.partial(subject.pickle.loads, data)

        yield Operation(f"loads {name}, quickly", loading, repickled)


def loads_operations(subject):
    for protocol in PROTOCOLS:
        for name, make in values_of(protocol):
            data = std_pickle.dumps(make(), protocol)
            yield Operation(
                f"loads {name}, protocol {protocol}",
                lambda data=data: functools.partial(subject.pickle.loads, data),
                repickled,
            )
            yield Operation(
                f"load {name} from a file, protocol {protocol}",
                lambda data=data: lambda: subject.pickle.load(io.BytesIO(data)),
                repickled,
            )


def safe_refusals():
    """Pickles that are refused, each for another reason, and at another place in the core."""
    cls = f"c{__name__}\nPlain\n".encode()
    collide = b"".join(
        b"\x8a\x0c" + (n * (2**61 - 1)).to_bytes(12, "little") + b"N" for n in range(1, 9)
    )
    return {
        "a global": b"](cos\nsystem\ne.",
        "a global by its bytes": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
        "a call": cls + b")\x81)R.",
        "arguments": b"cdecimal\nDecimal\nK\x01\x85R.",
        "arguments of NEWOBJ": b"cuuid\nUUID\nK\x01\x85\x81.",
        "a state": b"]}b.",
        "the name of a state": cls + b")\x81}X\x09\x00\x00\x00__class__Nsb.",
        "items": b"cdatetime\ndate\nC\x04\x07\xd0\x01\x01\x85RK\x01a.",
        "a helper": b"cbuiltins\ngetattr\n.",
        "an extension": b"\x82\xee.",
        "collisions": b"}(" + collide + b"u.",
        "depth": b"]" * 99 + b"a" * 98 + b".",
        "a persistent id": b"Pid\n.",
    }


def safe_operations(subject):
    """Loads of fastcopyreg.safe; it has no twin in the standard library."""
    if subject.core is None:
        return
    safe = importlib.import_module("fastcopyreg.safe")
    allow = (Plain, Slots, Both, Record, Frozen, Stateful, NewArgs, Registered, Colour, MyList)
    limits = safe.Limits(depth=50, collisions=10)
    policy = safe.Policy(allow, limits=limits)
    for protocol in PROTOCOLS:
        for name, make in values_of(protocol):
            data = std_pickle.dumps(make(), protocol)
            try:
                policy.loads(data)
            except std_pickle.UnpicklingError:
                continue  # Of another class.
            for way, prepare in {
                "safe loads": lambda data=data: functools.partial(policy.loads, data),
                "safe load": lambda data=data: lambda: policy.load(io.BytesIO(data)),
                "safe Unpickler": lambda data=data: (
                    lambda: policy.Unpickler(io.BytesIO(data)).load()
                ),
            }.items():
                yield Operation(f"{way} of {name}, protocol {protocol}", prepare, repickled)
    for name, data in safe_refusals().items():
        yield Operation(
            f"safe loads refused: {name}",
            lambda data=data: refused(
                functools.partial(policy.loads, data), std_pickle.UnpicklingError
            ),
            type_and_message,
        )
    yield Operation(
        "a safe Policy made",
        lambda: lambda: len(safe.Policy(allow, limits=limits).allowed),
        spared="its list.append(), of Python, crashes" if sys.version_info >= (3, 15) else None,
    )
    yield Operation(
        "safe loads with keywords",
        lambda: lambda: safe.loads(b"\x80\x04]\x94K\x01a.", limits=limits, fix_imports=False),
    )


def unpickler_operations(subject):
    class Persistent(subject.pickle.Unpickler):
        def persistent_load(self, pid):
            return ("loaded", pid)

    class Finding(subject.pickle.Unpickler):
        def find_class(self, module, name):
            return super().find_class(module, name)

    persistent = b"\x80\x04]\x94(\x8c\x02idQ\x8c\x02idQe."
    found = std_pickle.dumps([Plain(a=1), Registered(1), collections.OrderedDict(a=1)], 4)
    broken = found[:-9]
    buffers = [b"one", bytearray(b"two")]
    banded = std_pickle.dumps(
        [std_pickle.PickleBuffer(b) for b in buffers], 5, buffer_callback=lambda b: None
    )
    yield Operation("persistent_load", lambda: lambda: Persistent(io.BytesIO(persistent)).load())
    yield Operation("find_class", lambda: lambda: Finding(io.BytesIO(found)).load(), repickled)
    yield Operation(
        "loads with buffers", lambda: lambda: len(subject.pickle.loads(banded, buffers=buffers))
    )
    yield Operation("Unpickler memo", lambda: unpickler_memo(subject, found))
    yield Operation(
        "loads refused truncated",
        lambda: refused(
            functools.partial(subject.pickle.loads, broken), (std_pickle.UnpicklingError, EOFError)
        ),
        type_and_message,
    )
    yield Operation(
        "loads refused missing name",
        lambda: refused(
            functools.partial(subject.pickle.loads, b"cbuiltins\nnot_there\n."), AttributeError
        ),
        type_and_message,
    )


#: Pickles of opcodes that today's picklers do not write, and how to load them.
OLD_PICKLES = {
    "INST": (b"(I1\nioperations\nRegistered\n.", {}),
    "OBJ": (b"(coperations\nRegistered\nI1\no.", {}),
    "LIST and DICT": (b"(I1\n(S'key'\nL123456789012L\ndl.", {}),
    "DUP and POP_MARK": (b"I7\n2(I8\n1\x86.", {}),
    "LONG4": (b"\x8b\x09\x00\x00\x00" + bytes(range(1, 10)) + b".", {}),
    "text of Python 2": (b"(U\x03abcS'd\\x65f'\nT\x01\x00\x00\x00xt.", {}),
    "text of Python 2 as bytes": (b"(U\x03a\xe9cS'd'\nt.", {"encoding": "bytes"}),
    "names of Python 2": (b"c__builtin__\nxrange\n(I3\ntR.", {}),
    "state in a tuple": (b"coperations\nPlain\n)R(N}S'a'\nI1\nstb.", {}),
}

#: What must be refused when it is read.
REFUSED_PICKLES = {
    "empty": (b"", EOFError),
    "no such opcode": (b"(\xfe.", std_pickle.UnpicklingError),
    "stack underflow": (b"}s.", std_pickle.UnpicklingError),
    "memo missing": (b"h\x07.", std_pickle.UnpicklingError),
    "length out of all proportion": (b"B\xff\xff\xff\x7fx.", std_pickle.UnpicklingError),
    "not callable": (b"I1\n)R.", TypeError),
    "extension unregistered": (b"\x82\x07.", ValueError),
    "raising": (b"cbuiltins\nint\n(S'x'\ntR.", ValueError),
}


def old_pickle_operations(subject):
    """Opcodes of every age, and pickles that are refused, from memory and from a file."""
    loads, load = subject.pickle.loads, subject.pickle.load
    for name, (data, options) in OLD_PICKLES.items():
        yield Operation(
            f"loads {name}",
            lambda data=data, options=options: functools.partial(loads, data, **options),
            repickled,
        )
        yield Operation(
            f"load {name} from a file",
            lambda data=data, options=options: lambda: load(io.BytesIO(data), **options),
            repickled,
        )
    for name, (data, raises) in REFUSED_PICKLES.items():
        yield Operation(
            f"loads refused {name}",
            lambda data=data, raises=raises: refused(functools.partial(loads, data), raises),
            type_and_message,
        )


def unpickler_memo(subject, data):
    def operation():
        unpickler = subject.pickle.Unpickler(io.BytesIO(data))
        unpickler.load()
        unpickler.memo = unpickler.memo.copy()
        return len(unpickler.memo.copy())

    return operation


class Copied(Plain):
    def __deepcopy__(self, memo):
        return type(self)(seen=len(memo))

    def __copy__(self):
        return type(self)(seen="copy")


def copy_operations(subject):
    own = [Copied(), Copied()]
    for name in ("copy", "deepcopy"):
        function = getattr(subject.copy, name)
        for value, make in VALUES.items():
            if value == REFUSED_BY_COPY:
                continue
            yield Operation(
                f"{name} {value}",
                lambda f=function, make=make: functools.partial(f, make()),
                repickled,
            )
        yield Operation(
            f"{name} with a method of its own",
            lambda f=function: functools.partial(f, own),
            repickled,
        )
    yield Operation(
        "deepcopy with a memo",
        lambda: lambda: subject.copy.deepcopy([Plain(a=[1])], {}),
        repickled,
    )
    if hasattr(subject.copy, "replace"):
        record = Record("name", 1, [2])
        yield Operation(
            "replace", lambda: lambda: subject.copy.replace(record, number=3), repickled
        )
        yield Operation(
            "replace refused",
            lambda: refused(lambda: subject.copy.replace(record, unknown=3), TypeError),
            type_and_message,
        )
    yield Operation(
        "deepcopy refused",
        lambda: refused(functools.partial(subject.copy.deepcopy, [1, [Raising()]]), LookupError),
        type_and_message,
    )
    yield Operation(
        "deepcopy refused six parts",
        lambda: refused(
            functools.partial(subject.copy.deepcopy, VALUES[REFUSED_BY_COPY]()), TypeError
        ),
        type_and_message,
    )


Fresh = None  # the class made last by fresh_class


def fresh_init(self, left, right):
    self.left = left
    self.right = right


def fresh_reducer(obj):
    return Fresh, (obj.left, obj.right)


def fresh_class(kind):
    """A class made now, so that whatever is known of types has to be learnt, kept and dropped."""
    global Fresh
    names = {"__module__": __name__, "__init__": fresh_function(fresh_init)}
    if kind == "slots":
        names["__slots__"] = ("left", "right")
    Fresh = type("Fresh", (), names)
    if kind == "registered":
        copyreg.pickle(Fresh, fresh_function(fresh_reducer))
    return Fresh


def fresh_function(function):
    """A copy of the function with code of its own, so that it has to be read again."""
    code = function.__code__.replace(co_firstlineno=next(LINES))
    return types.FunctionType(code, globals())


class FreshUse:
    """Hands so many objects of a class made for this call, and before it, to *use*.

    Making a class is not what is tested: without memory, interpreters crash over it.
    """

    def __init__(self, kind, count, use):
        self.kind = kind
        self.count = count
        self.use = use
        self.objects = None

    def make_ready(self):
        if self.objects:
            copyreg.dispatch_table.pop(type(self.objects[0]), None)
        cls = fresh_class(self.kind)
        self.objects = [cls(i, "right") for i in range(self.count)]

    def __call__(self):
        return self.use(self.objects)


def make_ready(call):
    """Does what a call needs to have done before it each time, outside of what is measured."""
    if isinstance(call, FreshUse):
        call.make_ready()


def once(call):
    """Does an operation once, with what it needs to have done before."""
    make_ready(call)
    return call()


READING = "the compiler, which is Python, makes thousands: it takes too long"


def fresh_operations(subject):
    """Types met for the first time, a few times, and often enough to be learnt by heart."""
    pickle, deepcopy = subject.pickle, subject.copy.deepcopy
    uses = {
        "dumps": lambda objects: pickle.dumps(objects, 4),
        "loads": lambda objects: len(pickle.loads(pickle.dumps(objects, 4))),
        "deepcopy": lambda objects: len(deepcopy(objects)),
    }
    for name, use in uses.items():
        for kind in ("plain", "slots", "registered"):
            for count in (2, OFTEN):
                yield Operation(
                    f"{name} of {count} of a new class, {kind}",
                    functools.partial(FreshUse, kind, count, use),
                    spared=READING if count == OFTEN and kind == "registered" else None,
                    fills=300 if count == OFTEN else 2000,
                )


#: Every group of operations; a crash costs no more than its own case of its own group.
GROUPS = {
    "core": core_operations,
    "dumps": dumps_operations,
    "refused": refused_operations,
    "pickler": pickler_operations,
    "buffers": buffer_operations,
    "loads": loads_operations,
    "quick loads": quick_operations,
    "unpickler": unpickler_operations,
    "safe": safe_operations,
    "old pickles": old_pickle_operations,
    "copy": copy_operations,
    "fresh": fresh_operations,
}
