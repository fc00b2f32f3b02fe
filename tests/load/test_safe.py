"""Loads that can only call what was registered: `fastcopyreg.safe`.

Each test runs on both backends, and where it can, by the machine of the Python backend too.
"""

import collections
import copyreg
import datetime
import enum
import io
import pickle
import struct
import sys
import uuid
from functools import partial

import pytest

import fastcopyreg
from fastcopyreg import safe
from fastcopyreg._safe import machine, policy, rows
from support import corpus, loading

UnpicklingError = pickle.UnpicklingError
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
IS_PYPY = sys.implementation.name == "pypy"


class Point:
    """Of a plain class."""

    def __init__(self, x=0, y=0):
        self.x, self.y = x, y

    def __eq__(self, other):
        return type(other) is Point and vars(self) == vars(other)

    __hash__ = None

    @classmethod
    def of(cls, text):
        return cls(*text)


class Outer:
    class Inner(Point):
        __eq__ = object.__eq__
        __hash__ = object.__hash__


class Sub(Point):
    """A subclass of what may be allowed."""


class Slots:
    __slots__ = ("a", "b")

    def __getstate__(self):
        return None, {"a": self.a}


class Stating:
    """With a __setstate__ that takes anything."""

    def __init__(self, state=None):
        self.state = state

    def __getstate__(self):
        return {"__odd__": self.state}

    def __setstate__(self, state):
        self.state = state["__odd__"]


class Updating:
    """With the __setstate__ that most that are written are."""

    def __setstate__(self, state):
        self.__dict__.update(state)


class Tupled(Updating):
    """With one that takes anything."""

    def __setstate__(self, state):
        if type(state) is dict:
            self.__dict__.update(state)
        self.last = state


class Member(enum.Enum):
    """With values of several kinds."""

    NUMBER = 1
    TEXT = "text"
    NOTHING = None
    PAIR = (1, ("x", 2.5))
    LIST = [1, 2]
    DATE = datetime.date(2000, 1, 1)
    BYTES = b"x"
    FLOAT = 1.5


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


def make_point(x, y):
    return Point(x, y)


def make_said(x, y) -> Point:
    return Point(x, y)


def make_named(x, y) -> "Point":
    return Point(x, y)


def make_of(cls, *arguments):
    return cls(*arguments)


class Factory:
    @classmethod
    def make(cls, *arguments):
        return cls()


class Reduced:
    def __reduce__(self):
        return make_point, (1, 2)


class Persistent(pickle.Pickler):
    def persistent_id(self, value):
        return "point" if isinstance(value, Point) else None


def by_python(data, allow=(), classes="registered", limits=None):
    """The load of the Python backend, whichever is tested."""
    compiled = machine.Policy(policy.Table(allow, classes, limits))
    return machine.Machine(compiled, data, {}).load()


WAYS = {
    "loads": safe.loads,
    "load": lambda data, **options: safe.load(io.BytesIO(data), **options),
    "Unpickler": lambda data, **options: safe.Unpickler(io.BytesIO(data), **options).load(),
    "Policy": lambda data, allow=(), **options: safe.Policy(allow, **options).loads(data),
    "Policy.load": lambda data, allow=(), **options: safe.Policy(allow, **options).load(
        io.BytesIO(data)
    ),
    "Policy.Unpickler": lambda data, allow=(), **options: (
        safe.Policy(allow, **options).Unpickler(io.BytesIO(data)).load()
    ),
    "python": by_python,
}


@pytest.fixture(params=WAYS)
def load(request):
    """Every way to load."""
    return WAYS[request.param]


def pickled(value, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.dumps(value, protocol)


def refused(load, data, words, **options):
    with pytest.raises(UnpicklingError) as caught:
        load(data, **options)
    assert words in str(caught.value)
    return caught.value


# --- what is loaded


def standard_values():
    names = "built-in", "values"
    built_in = [None, True, 1, 2**70, 1.5, "text", b"bytes", bytearray(b"x"), [1], (1,), {1: 2}]
    built_in += [{1, 2}, frozenset((1,)), complex(1, 2), range(3), ..., NotImplemented, int]
    values = corpus.standard_values()
    return dict(zip(names, (built_in, values), strict=True))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["built-in", "values"])
def test_what_needs_no_allowing_is_loaded_as_pickle_does(kind, protocol):
    for value in standard_values()[kind]:
        try:
            data = pickle.dumps(value, protocol)
        except TypeError:  # A slice cannot be pickled everywhere.
            continue
        expected = loading.outcome(lambda data=data: pickle.loads(data))
        for way in WAYS.values():
            given = loading.outcome(lambda way=way, data=data: way(data))
            if given[0] == "raised" and not_of_standard(value):
                continue
            if IS_PYPY and "a state for an instance of datetime.timezone" in str(given):
                continue  # Only PyPy's have one: docs/safety.md.
            assert given == expected, value


def not_of_standard(value):
    """Whether the corpus has it among the library's values, and STANDARD does not: paths that may
    be opened, patterns and functions, and what is made of these.
    """
    names = {f"{type(value).__module__}.{type(value).__qualname__}"}
    return not names <= safe.STANDARD.keys()


# A slot with a name that the interpreter might have a meaning for.
WITH_DUNDERS = {"private slots"}


@pytest.mark.parametrize("name", sorted(corpus.VALUES.keys() - corpus.HEAVY - WITH_DUNDERS))
def test_a_pickle_whose_classes_are_allowed_is_loaded_as_pickle_does(name):
    """The whole corpus: what is refused, all the same, is something that no class is."""
    for protocol in (2, 3, pickle.HIGHEST_PROTOCOL):
        try:
            data = pickle.dumps(corpus.VALUES[name](), protocol)
            expected = loading.outcome(lambda data=data: pickle.loads(data))
        except Exception:
            continue
        found = safe.explain(data)
        allow = [need.name for need in found.needs if need.why == "it is not allowed"]
        limits = safe.Limits(integer_digits=10**6, depth=10**6)
        if not safe.explain(data, allow=allow, limits=limits):
            continue
        chosen = safe.Policy(allow, limits=limits)
        if b"reversed" in data:
            continue  # Calling this class gives an object of another.
        assert loading.outcome(partial(chosen.loads, data)) == expected
        file = io.BytesIO(data + b"rest")
        assert loading.outcome(partial(chosen.load, file)) == expected
        if expected[0] == "loaded":
            assert file.read() == b"rest"
        assert loading.outcome(partial(by_python, data, allow, limits=limits)) == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        Point(1, 2),
        [Point(1, 2), Point(3, "x")],
        {"a": Point(Point(1, 2), [Point()])},
        Colour.RED,
        [Colour.BLUE, Right.READ | Right.WRITE],
        collections.defaultdict(Point, a=Point(5)),
        {"k": [datetime.datetime(2020, 1, 1), uuid.UUID(int=7)] * 3},
    ],
    ids=["one", "two", "nested", "member", "flags", "factory", "values"],
)
def test_allowed_classes_are_loaded(load, value, protocol):
    allow = [Point, Colour, Right]
    assert load(pickled(value, protocol), allow=allow) == value


@pytest.mark.parametrize("protocol", [2, 4])
def test_slots_and_states(load, protocol):
    slots = Slots()
    slots.a = [1]
    data = pickled([slots, Stating("odd")], protocol)
    one, two = load(data, allow=[Slots, Stating])
    assert one.a == [1] and not hasattr(one, "b")
    assert two.state == "odd"


def test_nested_classes_and_class_methods(load):
    inner = Outer.Inner(1)
    loaded = load(pickled([inner, inner], 4), allow=[Outer.Inner])
    assert type(loaded[0]) is Outer.Inner and loaded[0] is loaded[1]
    for protocol in (2, 4):
        data = pickled(Point.of, protocol)
        made = data[:-1] + b"X\x02\x00\x00\x00ab\x85R."
        assert load(made, allow=[Point.of, Point]) == Point("a", "b")


def test_python_2_names_are_mapped(load):
    assert load(b"\x80\x02c__builtin__\nset\n](K\x01e\x85R.") == {1}
    data = b"\x80\x03c__builtin__\nset\n](K\x01e\x85R."
    refused(load, data, "__builtin__.set")


def test_pickles_keyword_arguments():
    text = b"U\x02\xe9a."
    assert safe.loads(text, encoding="latin-1") == "\xe9a"
    assert safe.loads(text, encoding="bytes") == b"\xe9a"
    assert safe.loads(text, encoding="ascii", errors="replace") == "\ufffda"
    data = b"\x80\x02c__builtin__\nset\n](K\x01e\x85R."
    refused(safe.loads, data, "__builtin__", fix_imports=False)
    buffers = []
    value = pickle.PickleBuffer(bytearray(b"out of band"))
    data = pickle.dumps(value, 5, buffer_callback=buffers.append)
    assert bytes(safe.loads(data, buffers=buffers)) == b"out of band"
    assert bytes(safe.load(io.BytesIO(data), buffers=buffers)) == b"out of band"
    with pytest.raises(TypeError):
        safe.loads(data, unknown=1)
    with pytest.raises(TypeError):
        safe.loads(data, data)


# --- what is registered


@pytest.fixture
def registry(monkeypatch, clean_registry):
    """Registrations that are taken back."""
    from fastcopyreg import _constructors

    before = dict(_constructors.allowed), dict(_constructors._constructors)
    yield
    for table, contents in zip(
        (_constructors.allowed, _constructors._constructors), before, strict=True
    ):
        for key in table.keys() - contents.keys():
            del table[key]
    policy._kept.cache_clear()
    safe.loads(pickled(1), limits=safe.Limits(size=99))


def test_a_registered_constructor_is_called(load, registry):
    data = pickled(Reduced())
    refused(load, data, f"{__name__}.make_point")
    fastcopyreg.copyreg.constructor(make_point)
    assert load(data) == Point(1, 2)
    refused(load, pickled(Point()), "Point")


def test_so_is_the_third_argument_of_pickle(load, registry):
    fastcopyreg.copyreg.pickle(Sub, lambda sub: (make_point, (sub.x, sub.y)), make_point)
    assert load(pickled(Sub(3, 4))) == Point(3, 4)
    copyreg.dispatch_table.pop(Sub)
    refused(load, pickled(Sub()), "Sub")


def test_and_what_register_declares(load, registry):
    fastcopyreg.register(Point, fields=("x",), state=("y",))
    assert load(pickled(Point(1, 2))) == Point(1, 2)


def test_a_class_that_only_takes_a_state_is_no_factory(load, registry):
    from fastcopyreg import _constructors

    _constructors.remember_class(Sub)
    factory = pickled(collections.defaultdict(Sub))
    refused(load, factory, "defaultdict")  # It would be called.


def test_without_registration_by_default_right_after_one(registry):
    """The policy of loads(data) is kept, and made anew when something was registered."""
    data = pickled(Point(1, 2))
    for _ in range(3):
        refused(safe.loads, data, "Point")
    fastcopyreg.copyreg.constructor(Point)
    for _ in range(3):
        assert safe.loads(data) == Point(1, 2)


# --- what is refused, and how


def test_a_refusal_says_what_where_and_how_to_allow_it(load):
    data = pickle.dumps([1, {"a": ["x", Point()]}], 2)
    error = refused(load, data, f"the global {__name__}.Point is not allowed")
    assert f"allow=[{__name__}.Point]" in str(error)
    assert error.kind == "global"
    assert data[error.offset : error.offset + 1] == b"c"
    assert error.path == "[1]['a'][1]"


PLACES = {
    "": Point(),
    "[2]": [0, 1, Point(), 3],
    "['k']": {"k": Point()},
    "['k'][0]": {"j": 1, "k": [Point()]},
    "[0][0][0]": [[[Point()]]],
    "[1]['x']['y'][2]": [0, {"w": [1], "x": {"y": [1, 2, Point()]}}],
    "[5][3]": {4: 1, 5: [0, 1, 2, Point()]},
}


@pytest.mark.parametrize("path", PLACES)
def test_paths(load, path):
    for protocol in (1, 2, 4):
        error = refused(load, pickled(PLACES[path], protocol), "Point")
        assert error.path == path, protocol


def test_a_subclass_of_an_allowed_class_is_not_allowed(load):
    refused(load, pickled(Sub()), "Sub", allow=[Point])


def test_what_an_allowed_function_returns_is_not_allowed(load):
    data = pickled(Reduced())[:-1] + b"}b."
    refused(load, data, "a state for an instance of", allow=[make_point])


def test_nothing_is_imported(load, monkeypatch):
    module = "only_for_reimport"
    monkeypatch.delitem(sys.modules, f"support.{module}", raising=False)
    refused(load, f"csupport.{module}\nx\n.".encode(), "not allowed")
    assert f"support.{module}" not in sys.modules


def test_an_enum_takes_one_value(load):
    data = pickled(Colour.RED, 2)
    name = f"c{__name__}\nColour\n".encode()
    assert load(data, allow=[Colour]) is Colour.RED
    functional = name + b"X\x01\x00\x00\x00XX\x01\x00\x00\x00a\x86R."
    refused(load, functional, "arguments", allow=[Colour])


def test_members_by_getattr(load):
    """As enums were pickled by name, and as some still are."""
    name = f"cbuiltins\ngetattr\n(c{__name__}\nColour\nVRED\ntR.".encode()
    assert load(name, allow=[Colour]) is Colour.RED
    refused(load, name.replace(b"RED", b"mro"), "getattr", allow=[Colour])


def test_the_standard_forms_are_for_standard_only(load):
    data = b"cdecimal\nDecimal\nK\x01\x85R."
    refused(load, data, "STANDARD allows")
    import decimal

    assert load(data, allow=[decimal.Decimal]) == 1


ANY = [Point(1, 2), Colour.RED, Sub(1)]


@pytest.mark.parametrize("value", ANY, ids=["point", "colour", "sub"])
def test_any_class_is_what_the_old_documentation_says(load, value):
    loaded = load(pickled(value), classes="any")
    assert type(loaded) is type(value)


def test_any_class_is_no_function_and_imports_nothing(load):
    refused(load, pickled(Reduced()), "make_point", classes="any")
    refused(load, b"cnot_imported_yet\nX\n.", "not_imported_yet", classes="any")
    refused(load, b"\x80\x04\x8c\x09test_safe\x8c\x0bOuter.Inner\x93.", "Outer", classes="any")


def test_safe_for_unpickling(load, monkeypatch):
    monkeypatch.setattr(make_point, "__safe_for_unpickling__", True, raising=False)
    assert load(pickled(Reduced()), classes="any") == Point(1, 2)
    refused(load, pickled(Reduced()), "make_point")
    monkeypatch.setattr(make_point, "__safe_for_unpickling__", 0)
    refused(load, pickled(Reduced()), "make_point", classes="any")


def test_any_class_changes_no_class(load):
    data = f"c{__name__}\nPoint\n".encode() + b"}X\x01\x00\x00\x00zK\x01sb."
    refused(load, data, "only instances have a state", classes="any")


def test_mistakes_in_arguments():
    with pytest.raises(ValueError, match="classes"):
        safe.loads(pickled(1), classes="all")
    with pytest.raises(TypeError, match="limits"):
        safe.loads(pickled(1), limits=5)
    with pytest.raises(TypeError, match="called"):
        safe.Policy([5])
    with pytest.raises(ValueError, match="module:qualified name"):
        safe.Policy(["os.system"])
    with pytest.raises(TypeError, match="no name"):
        safe.Policy([type("Nameless", (), {"__call__": lambda self: 1})()])
    with pytest.raises(ValueError, match="depth"):
        safe.Limits(depth=-1)
    with pytest.raises(ValueError, match="string"):
        safe.Limits(string=1)


def test_allow_by_name_by_file_and_with_a_note(tmp_path):
    data = pickled(Point(1, 2))
    assert safe.loads(data, allow=[f"{__name__}:Point"]) == Point(1, 2)
    path = tmp_path / "list"
    path.write_text(f"# a comment\n{__name__}:Point  # found 1\n\n", encoding="utf-8")
    assert safe.loads(data, allow=path) == safe.loads(data, allow=str(path)) == Point(1, 2)
    noted = safe.Allowed(Point, note="its __init__ only stores")
    assert safe.loads(data, allow=[noted]) == Point(1, 2)
    assert "its __init__ only stores" in str(safe.explain(data, allow=[noted]))
    renamed = safe.Allowed(make_point, name="old.module:make")
    assert safe.loads(b"cold.module\nmake\nK\x01K\x02\x86R.", allow=[renamed]) == Point(1, 2)


@pytest.mark.parametrize("member", [*Member, Right.READ | Right.WRITE], ids=lambda m: m.name)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_members_with_values_of_every_kind(load, member, protocol):
    assert load(pickle.dumps(member, protocol), allow=[Member, Right]) is member


@pytest.mark.parametrize("value", [2.5j, [1, [0] * 200], datetime.time(1), Point(), range(3)])
def test_what_is_no_value_of_an_enum_is_not_shown_to_it(load, value):
    """It would be hashed, and shown in a ValueError, by the class."""
    data = pickled(value)
    name = f"c{__name__}\nMember\n".encode()
    data = data[:2] + name + data[data.index(b"\x95", 2) + 9 : -1] + b"\x85R."
    refused(load, data, "arguments", allow=[Member, Point])


@pytest.mark.parametrize("cls", [Updating, Tupled])
@pytest.mark.parametrize("again", [False, True])
def test_setstate_is_that_of_the_class(load, cls, again):
    """Whatever the pickle has put into the object: `bytearray` would take a terabyte."""
    name = f"c{__name__}\n{cls.__name__}\n".encode()
    one = name + b")\x81}" + b"X\x0c\x00\x00\x00__setstate__cbuiltins\nbytearray\nsb"
    state = b"}X\x01\x00\x00\x00xK\x01sb" if cls is Updating else b"L1000000000000L\nb"
    for loaded in load(b"](" + (one + state) * (200 if again else 1) + b"e.", allow=[cls]):
        assert vars(loaded)["__setstate__"] is bytearray
        assert loaded.x == 1 if cls is Updating else loaded.last == 10**12


# --- Unpickler


class Identified(safe.Unpickler):
    def persistent_load(self, pid):
        return ["found", pid]


def test_persistent_ids_are_asked_of_a_subclass_alone():
    file = io.BytesIO()
    Persistent(file, 2).dump([Point()])
    data = file.getvalue()
    assert Identified(io.BytesIO(data)).load() == [["found", "point"]]
    assert Identified(io.BytesIO(b"Pname\n.")).load() == ["found", "name"]
    with pytest.raises(UnpicklingError, match="persistent"):
        safe.Unpickler(io.BytesIO(data)).load()


def test_find_class_is_not_asked():
    with pytest.raises(TypeError, match="find_class would not be asked"):

        class Finding(safe.Unpickler):
            def find_class(self, module, name):
                return getattr(__import__(module), name)

    unpickler = safe.Unpickler(io.BytesIO(), allow=[Point])
    assert unpickler.find_class(__name__, "Point") is Point
    with pytest.raises(UnpicklingError):
        unpickler.find_class("os", "system")


def test_an_unpickler_reads_on_and_keeps_its_memo():
    shared = [1]
    file = io.BytesIO()
    pickler = pickle.Pickler(file, 2)
    pickler.dump(shared)
    pickler.dump([shared, Point()])
    file.seek(0)
    unpickler = safe.Unpickler(file, allow=[Point])
    first = unpickler.load()
    second = unpickler.load()
    assert second[0] is first
    with pytest.raises(EOFError):
        unpickler.load()


# --- limits


def limited(**limits):
    return {"limits": safe.Limits(**limits)}


def colliding(count):
    keys = [i * (2**61 - 1) for i in range(1, count + 1)]
    return pickled(dict.fromkeys(keys))


LIMITED = {
    "size": (pickled(b"x" * 1000), 1100, 500),
    "depth": (b"]" * 50 + b"a" * 49 + b".", 50, 49),
    "depth of tuples": (b")" + b"\x85" * 50 + b".", 50, 49),
    "depth of objects": (pickled(Point(Point(Point(1)))), 7, 3),
    "objects": (pickled([[i] for i in range(100)]), 101, 100),
    "objects that are called": (pickled([datetime.date(2000, 1, 1)] * 2 + [1]), 4, 2),
    "memo": (pickled([str(i) for i in range(300)]), 400, 200),
    "string": (pickled("x" * 2000), 2000, 1999),
    "string of bytes": (pickled(b"x" * 2000), 2000, 1999),
    "string of a line": (pickled("x" * 2000, 0), 3000, 1999),
    "integer_digits": (pickled(10**500), 501, 400),
    "integer_digits of a line": (pickled(10**500, 0), 501, 400),
    "collisions": (colliding(100), 4950, 4949),
}


@pytest.mark.parametrize("name", LIMITED)
def test_a_limit_is_named(load, name):
    data, enough, less = LIMITED[name]
    limit = name.partition(" ")[0]
    expected = pickle.loads(data)
    assert load(data, allow=[Point], **limited(**{limit: enough})) == expected
    refused(load, data, f"the limit '{limit}'", allow=[Point], **limited(**{limit: less}))


def test_the_limit_of_size_holds_for_files_that_lie():
    class Endless:
        def __init__(self):
            self.given = 0

        def read(self, size):
            self.given += size
            return b"]" * size

        def readline(self):
            return b"x\n"

    for options in ({}, {"allow": [Point]}):
        file = Endless()
        with pytest.raises(UnpicklingError, match="size"):
            safe.load(file, limits=safe.Limits(size=10_000), **options)
        assert file.given <= 20_000
    frame = b"\x80\x04\x95" + struct.pack("<Q", 10**12)
    with pytest.raises(UnpicklingError, match="size|truncated"):
        safe.load(io.BytesIO(frame), limits=safe.Limits(size=10_000))


@pytest.mark.parametrize(
    "make",
    [
        lambda i: (i * (2**61 - 1),),
        lambda i: frozenset((i * (2**61 - 1),)),
        lambda i: uuid.UUID(int=i * (2**61 - 1)),
        lambda i: range(i * (2**61 - 1), i * (2**61 - 1) + 2),
    ],
    ids=["tuple", "frozenset", "uuid", "range"],
)
def test_collisions_are_counted_in_all_that_can_collide(load, make):
    keys = [make(i) for i in range(1, 60)]
    if len({hash(key) for key in keys}) > 1:
        pytest.skip("these do not collide in this version")
    for value in (dict.fromkeys(keys), set(keys), frozenset(keys)):
        for protocol in (2, 4):
            data = pickled(value, protocol)
            refused(load, data, "collisions", **limited(collisions=500))
            assert load(data, **limited(collisions=5000)) == value


def test_collisions_are_counted_for_each_container(load):
    value = [{n * (2**61 - 1): 1 for n in (1, 2)} for _ in range(100)]
    assert load(pickled(value), **limited(collisions=100)) == value


def test_what_constructors_copy_is_in_proportion():
    """A memo would have the same long text copied again and again."""
    text = b"B" + struct.pack("<I", 100_000) + bytes(100_000)
    again = b"cbuiltins\nbytearray\nq\x00" + text + b"\x85q\x010](" + b"h\x00h\x01R" * 500 + b"e."
    for way in WAYS.values():
        refused(way, again, "the limit 'copies'")
    once = b"cbuiltins\nbytearray\n" + text * 1 + b"\x85R."
    assert safe.loads(once) == bytes(100_000)


def deep(cls, count):
    """Instances of a class of `collections`, each of which is an item of the next."""
    value = cls()
    for _ in range(count):
        outer = cls()
        outer.append(value) if cls is collections.deque else outer.update(x=value)
        value = outer
    return value


@pytest.mark.parametrize("cls", [collections.deque, collections.defaultdict])
def test_what_is_freed_within_another_has_a_depth(load, cls):
    """Up to 3.13 a million of them end the process when they go away.  Those that are fetched from
    the memo are counted too."""
    name = f"ccollections\n{cls.__name__}\nq\x00)Rq\x01".encode("latin-1")
    put = b"0h\x00)Rh\x01aq\x01" if cls is collections.deque else b"0h\x00)RNh\x01sq\x01"
    refused(load, name + put * 1000 + b".", "the limit 'depth'")
    refused(load, name + put * 50 + b".", "the limit 'depth'", **limited(depth=50))
    assert load(name + put * 999 + b".") is not None
    assert load(name + put * 50 + b".", **limited(depth=51)) is not None
    between = name + (put.replace(b"h\x01", b"](h\x01e")) * 3000 + b"."
    assert load(between) is not None
    assert load(pickled(deep(cls, 200))) is not None


def test_deques_may_share_and_hold_one_another(load):
    shared = collections.deque([1])
    parent = collections.deque()
    children = [collections.deque([parent, shared]) for _ in range(500)]
    parent += [*children, *children, parent]
    found = load(pickled([parent, shared]))
    again = pickle.loads(pickled([parent, shared]))
    assert len(found[0]) == len(again[0]) == 1001
    assert found[0][0][0] is found[0] is found[0][-1]
    assert all(child[1] is found[1] for child in [*found[0]][:-1])


def test_deques_of_several_pickles_have_a_depth_too():
    """The memo goes on in an Unpickler, and so do the depths."""
    first = b"ccollections\ndeque\nq\x00)Rq\x01."
    more = b"h\x00)Rh\x01aq\x01" + b"0h\x00)Rh\x01aq\x01" * 199 + b"."
    table = machine.Policy(policy.Table())
    file = lambda: io.BytesIO(first + more * 6)  # noqa: E731
    for unpickler in (safe.Unpickler(file()), machine.Machine(table, file(), {})):
        for _ in range(5):
            unpickler.load()
        with pytest.raises(UnpicklingError, match="limit 'depth'"):
            unpickler.load()


def test_a_struct_time_holds_numbers_and_texts(load):
    import time

    value = time.localtime(0)
    assert load(pickled(value)) == value
    refused(load, pickled(time.struct_time([[1], *range(8)])), "STANDARD allows")
    refused(load, pickled(time.struct_time([*range(9), value, 0])), "STANDARD allows")


@pytest.mark.parametrize("items", [b"(K\x01e", b"K\x01a", b"(K\x01\x90"])
def test_items_go_to_the_methods_of_the_class(load, items):
    """What a pickle has put into the object would be called, with whatever it says."""

    class Taking:
        def extend(self, items):
            self.taken = [*items]

        def add(self, item):
            self.taken = [item]

    allow = [safe.Allowed(Taking, name="some:Taking")]
    name = b"csome\nTaking\n)\x81"
    for attribute in ("extend", "append", "add"):
        put = b"}X" + struct.pack("<I", len(attribute)) + attribute.encode()
        data = name + put + b"cbuiltins\nbytearray\nsb" + items + b"."
        assert load(data, allow=allow).taken == [1]
        data = data.replace(name, f"c{__name__}\nPoint\n)".encode() + b"\x81")
        refused(load, data, "its class has no method", allow=[Point])


@pytest.mark.skipif(IS_PYPY, reason="an mmap has no hash there")
def test_views_of_a_buffer_that_are_keys_are_charged():
    """Each is hashed over all of its memory, and a pickle makes one with two opcodes."""
    import mmap

    data = b"\x97q\x00\x8f(" + b"h\x00\x98" * 200 + b"\x90."
    view, table = memoryview(mmap.mmap(-1, 100_000)), machine.Policy(policy.Table())
    for load in (
        lambda: safe.loads(data, buffers=[view]),
        lambda: machine.Machine(table, data, {"buffers": [view]}).load(),
    ):
        with pytest.raises(UnpicklingError, match="limit 'copies'"):
            load()


def test_keys_that_would_be_hashed_for_years():
    tuples = b")q\x00" + b"".join(b"0h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))
    data = b"}" + tuples + b"Ns."
    for way in WAYS.values():
        with pytest.raises((UnpicklingError, RecursionError)):
            way(data)
            raise RecursionError  # From 3.14 tuples keep their hashes, and it is loaded at once.


# --- explain and learning


def test_explain_says_what_is_needed_and_done():
    data = pickled([Point(1, 2), datetime.date(2000, 1, 1), Stating(1)])
    found = safe.explain(data)
    assert not found and not found.problems
    needs = {need.name: need for need in found.needs}
    assert needs[f"{__name__}:Point"].uses == ("found", "made", "state")
    assert not needs[f"{__name__}:Point"].allowed
    assert needs["datetime:date"].allowed
    assert safe.explain(data, allow=[Point, Stating])
    assert safe.explain(io.BytesIO(data), allow=[Point, Stating])
    assert found.to_dict()["allowed"] is False


def test_explain_of_nonsense():
    for data in (b"", b"junk", b"(" * 10, pickled([1])[:-3]):
        found = safe.explain(data)
        assert not found and found.problems


def nested(take, count=30_000):
    """A pickle of a tuple so deep, which `take` takes from the memo."""
    index = lambda number: b"j" + number.to_bytes(4, "little")  # noqa: E731
    layers = b"".join(index(number) + b"\x85\x940" for number in range(count))
    return b"\x80\x04)\x940" + layers + take.replace(b"@", index(count))


@pytest.mark.parametrize(
    "take",
    [
        b"}@Ns.",
        b"\x8f(@\x90.",
        b"(@\x91.",
        b"(@Nd.",
        b"cbuiltins\nset\n]@a\x85R.",
        b"ccollections\nOrderedDict\n)R@Ns.",
    ],
)
def test_a_deep_key_is_hashed_or_refused(take):
    """Never a RecursionError: where tuples keep their hashes it is a key, elsewhere too deep."""
    data = nested(take)
    for load in (safe.loads, by_python):
        if sys.implementation.name == "cpython" and sys.version_info >= (3, 14):
            assert len(load(data)) == 1
        else:
            with pytest.raises(pickle.UnpicklingError, match="limit 'depth'"):
                load(data)


@pytest.mark.parametrize("count", [2**63, 2**64 - 1])
@pytest.mark.parametrize("opcode", [b"\x8d", b"\x8e", b"\x95", b"\x96"])
def test_a_count_that_no_memory_holds_exceeds_a_limit(opcode, count):
    data = opcode + count.to_bytes(8, "little") + b"N."
    for load in (safe.loads, by_python, lambda data: safe.load(io.BytesIO(data))):
        with pytest.raises(pickle.UnpicklingError, match="limit '(string|size)'"):
            load(data)


def test_what_frozensets_are_given_goes_to_their_add():
    class Adding(frozenset):
        added = ()

        def add(self, item):
            self.added += (item,)

    allow = [safe.Allowed(Adding, name="some:Adding")]
    for load in (safe.loads, by_python):
        assert load(b"csome\nAdding\n)R(K\x01\x90.", allow=allow).added == (1,)


def built(callable_, arguments):
    """A pickle of a call whose result is given a state."""
    name = f"c{__name__}\n{callable_}\n".encode()
    return b"\x80\x02" + name + arguments + b"R}X\x01\x00\x00\x00xK\x05sb."


TWO = b"K\x01K\x02\x86"
GIVEN = f"(c{__name__}\nPoint\nK\x01K\x02t".encode()


@pytest.mark.parametrize("allows_class", [False, True])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [(make_said, TWO), (make_named, TWO), (make_of, GIVEN)],
    ids=["said", "named", "given"],
)
def test_explain_knows_what_a_function_returns(function, arguments, allows_class):
    data = built(function.__name__, arguments)
    allow = [function, Point] if allows_class else [function]
    found = safe.explain(data, allow=allow)
    verdict = loading.outcome(partial(safe.loads, data, allow=allow))
    assert bool(found) == allows_class == (verdict[0] == "loaded")
    returned = {need.name: need for need in found.needs}[f"{__name__}:{function.__name__}()"]
    assert returned.uses == ("state",)
    assert returned.allowed == allows_class


def test_explain_does_not_guess_what_a_function_returns():
    found = safe.explain(built("make_point", TWO), allow=[make_point, Point])
    assert not found
    assert "does not name" in found.needs[-1].why
    called = built("make_said", TWO)[:-1] + b")R."
    assert "is called" in safe.explain(called, allow=[make_said, Point]).needs[-1].why
    assert safe.explain(built("make_point", TWO), classes="any")


def test_explain_of_what_getattr_gives():
    name = f"c{__name__}\nFactory\n".encode()
    method = b"\x80\x02cbuiltins\ngetattr\n" + name + b"X\x04\x00\x00\x00make\x86R)R}b."
    for allow in ([Factory.make], [Factory.make, Factory]):
        verdict = loading.outcome(partial(safe.loads, method, allow=allow))
        assert bool(safe.explain(method, allow=allow)) == (verdict[0] == "loaded"), allow
    name = f"c{__name__}\nColour\n".encode()
    member = b"\x80\x02cbuiltins\ngetattr\n" + name + b"X\x03\x00\x00\x00RED\x86R"
    assert safe.explain(member + b".", allow=[Colour])
    assert not safe.explain(member + b"}b.", allow=[Colour])


@pytest.fixture
def seen():
    loads = pickle.loads, fastcopyreg.pickle.loads
    with safe.learning() as learning:
        yield learning
    assert (pickle.loads, fastcopyreg.pickle.loads) == loads


def test_learning_records_what_is_needed(seen, tmp_path):
    data = pickled([Point(1, 2), Colour.RED, datetime.date(2000, 1, 1), Reduced()])
    for load in (safe.loads, pickle.loads, fastcopyreg.pickle.loads, seen.loads):
        assert load(data)[0] == Point(1, 2)
    for load in (safe.load, pickle.load, safe.Policy().load):
        assert load(io.BytesIO(data))[0] == Point(1, 2)
    assert seen.globals[__name__, "Point"]["state"] == 7
    code = seen.allow_list()
    namespace = {}
    exec(code, namespace)
    assert namespace["ALLOW"] == [Colour, Point, make_point]
    seen.save(tmp_path / "list")
    learned = tmp_path / "list"
    assert safe.Policy(learned).allowed >= {(__name__, "Point"), (__name__, "make_point")}


def test_after_learning_loads_are_safe_again(tmp_path):
    data = pickled(Point(1, 2))
    with safe.learning() as seen:
        safe.loads(data)
        seen.save(tmp_path / "list")
    refused(safe.loads, data, "Point")
    assert safe.loads(data, allow=tmp_path / "list") == Point(1, 2)


def test_learning_within_learning():
    with safe.learning() as outer:
        with safe.learning() as inner:
            safe.loads(pickled(Point()))
        safe.loads(pickled(Colour.RED))
    assert [*inner.globals] == [(__name__, "Point")]
    assert [*outer.globals] == [(__name__, "Colour")]


# --- the command line


def command(*arguments):
    from fastcopyreg.__main__ import main

    return main(["check", *arguments])


def test_check_of_a_file(tmp_path, capsys):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickled({"a": [1, datetime.date(2000, 1, 1)]}))
    assert command(str(path)) == 0
    assert "datetime:date" in capsys.readouterr().out
    path.write_bytes(pickled(1) + pickled(Point(1, 2)))
    assert command(str(path)) == 1
    assert f"! {__name__}:Point" in capsys.readouterr().out
    assert command(str(path), "--allow", f"{__name__}:Point") == 0
    assert command(str(path), "--json") == 1
    capsys.readouterr()
    path.write_bytes(b"")
    assert command(str(path)) == 1
    assert command(str(path), "--allow", "no.such.module:x") == 2


# --- the rows


def test_standard_names_what_it_has():
    assert safe.STANDARD["datetime.date"] is datetime.date
    assert "builtins.getattr" not in safe.STANDARD
    with pytest.raises(TypeError):
        safe.STANDARD["x"] = 1


def test_flags_and_kinds_are_the_cores(c_core):
    """Rows say numbers that the core knows by names."""
    assert len(rows.KINDS) == 15 and len(rows.HELPERS) == 6
    with pytest.raises(TypeError):
        c_core.Policy((), (), False, None, {}, rows.Helper, 0)
    with pytest.raises(TypeError):
        c_core.Policy(((1,),), (1,) * 8, False, None, {}, rows.Helper, 0)
