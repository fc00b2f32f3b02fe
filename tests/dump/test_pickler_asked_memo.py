"""A pickler's memo is made when it is asked for; whoever asks finds the standard library's."""

import collections
import copyreg
import dataclasses
import datetime
import decimal
import functools
import gc
import io
import ipaddress
import pickle
import sys
import typing
import uuid
import weakref

import pytest

from support.implementations import OURS, PROTOCOLS, STANDARD, requires_core
from support.recording import Sink, describe_error, describe_memo

pytestmark = requires_core


class Registered:
    def __init__(self, x, y=None):
        self.x, self.y = x, y


def reduce_registered(obj):
    return Registered, (obj.x, obj.y)


copyreg.pickle(Registered, reduce_registered)


class Called:
    """Its reducer is not understood, and called."""

    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return functools.partial(tuple, [Called, (self.x,)])()


class WithState:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return WithState, (1,), {"x": self.x, "y": "y"}


class Plain:
    def __init__(self, x):
        self.x = x


@dataclasses.dataclass(slots=True)
class Slots:
    x: object
    y: object = "y"


@dataclasses.dataclass(slots=True, frozen=True)
class Frozen:
    x: object
    y: object = "y"


class Mixed(Plain):
    __slots__ = ("z",)

    def __init__(self, x):
        super().__init__(x)
        self.z = x


class Named(typing.NamedTuple):
    x: object
    y: object = "y"


class Text(str):
    pass


class Data(bytes):
    pass


class Number(int):
    pass


class Pair(tuple):
    pass


class Some(set):
    pass


# One object of a kind, with `part` in it where it can hold one.
KINDS = {
    "registered": lambda part: Registered(part, str(id(part))),
    "called": Called,
    "state": WithState,
    "plain": Plain,
    "slots": Slots,
    "frozen": Frozen,
    "mixed": Mixed,
    "named tuple": Named,
    "str": lambda part: Text("text of a class"),
    "bytes": lambda part: Data(b"bytes of a class"),
    "int": lambda part: Number(7),
    "tuple": lambda part: Pair((part, 1)),
    "set": lambda part: Some(["one"]),
    "datetime": lambda part: datetime.datetime(2020, 1, 2),
    "timezone": lambda part: datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    "decimal": lambda part: decimal.Decimal("1.5"),
    "uuid": lambda part: uuid.UUID(int=5),
    "address": lambda part: ipaddress.ip_address("10.1.2.3"),
    "deque": lambda part: collections.deque([part], 4),
    "counter": lambda part: collections.Counter("aab"),
    "defaultdict": lambda part: collections.defaultdict(list, {"k": part}),
    "exception": lambda part: ValueError("message", part),
    "record": lambda part: {"x": part, "y": [1]},
}
PARTS = {"atoms": lambda: 300, "nested": lambda: [Plain(["deep"])], "text": lambda: "a part"}


def outcome(function, *args):
    """The value of a call, or the type of its exception."""
    try:
        return function(*args)
    except Exception as error:
        return type(error).__name__


def some(kind, part="atoms"):
    """Objects of a kind; enough that their reducers have been read by the end."""
    return [KINDS[kind](PARTS[part]()) for _ in range(120)]


def both(scenario):
    """Asserts that a scenario gives the same for both, and returns what it gives."""
    expected, actual = scenario(STANDARD), scenario(OURS)
    assert expected == actual
    return expected


def numbers(memo):
    """The numbers of the entries and the types of their objects, in order."""
    return sorted((index, type(obj).__name__) for index, obj in memo.values())


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", KINDS)
def test_who_looks_finds_numbers_types_and_count(kind, part):
    objects = some(kind, part)

    def scenario(implementation):
        found = []
        for protocol in PROTOCOLS:
            pickler = implementation.Pickler(Sink(), protocol)
            outcome(pickler.dump, objects)  # Slots are not for protocols 0 and 1.
            found.append(describe_memo(pickler.memo))
            assert [index for index, *_ in found[-1]] == list(range(len(found[-1])))
        return found

    both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_a_memo_is_the_same_however_often_it_is_asked_for(kind):
    pickler = OURS.Pickler(Sink())
    pickler.dump(some(kind))
    first = pickler.memo.copy()
    assert first == pickler.memo.copy() == pickler.memo.__reduce__()[1][0]
    assert len({id(obj) for _, obj in first.values()}) == len(first)


@pytest.mark.parametrize("way", ["proxy", "copy", "during"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_pickler_is_assigned_the_memo(kind, way):
    objects = some(kind)

    def scenario(implementation):
        sink = Sink()
        first, second = implementation.Pickler(sink), implementation.Pickler(sink)

        class Assigns:
            def __reduce__(self):
                second.memo = first.memo
                return list, ()

        first.dump([*objects, Assigns()] if way == "during" else objects)
        if way != "during":
            second.memo = first.memo if way == "proxy" else first.memo.copy()
        count = len(second.memo.copy())
        if way == "proxy":
            assert second.memo.copy() == first.memo.copy()
        first.clear_memo()
        gc.collect()
        second.dump([objects, some(kind)[0], objects[0]])
        return count, sink.writes, numbers(second.memo.copy())

    both(scenario)


@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_several_dumps_with_one_pickler(kind, look):
    objects, others = some(kind), some(kind, "nested")

    def scenario(implementation):
        sink = Sink()
        pickler = implementation.Pickler(sink)
        for dumped in (objects, others[:5], [objects, others], objects[3], [others[2], objects]):
            pickler.dump(dumped)
            if look:
                pickler.memo.copy()
        return sink.writes, numbers(pickler.memo.copy())

    both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reducer_looks_in_the_middle(kind):
    objects = some(kind)

    def scenario(implementation):
        sink, seen = Sink(), []
        pickler = implementation.Pickler(sink)

        class Looks:
            def __reduce__(self):
                seen.append(numbers(pickler.memo.copy()))
                return list, ()

        pickler.dump([objects[:40], Looks(), objects[40:], Looks(), objects[0]])
        return seen, sink.writes, numbers(pickler.memo.copy())

    both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_a_memo_after_a_failure_in_the_middle(kind):
    objects = some(kind)
    failing = [objects, [KINDS[kind]([lambda: 0])], sys.stdin.__class__.__dict__]

    def scenario(implementation):
        sink = Sink()
        pickler = implementation.Pickler(sink)
        errors = [outcome(pickler.dump, obj) for obj in (failing, objects, failing, objects[1])]
        return errors, sink.writes, numbers(pickler.memo.copy())

    both(scenario)


# ---- instance dicts that others get hold of after the dump ----------------------------------


class Other(Plain):
    pass


def replace(obj):
    taken = obj.__dict__
    obj.__dict__ = {"x": "replaced"}
    return taken


def delete(obj):
    taken = obj.__dict__
    del obj.__dict__
    return taken


def clear(obj):
    taken = obj.__dict__
    taken.clear()
    return taken


def grow(obj):
    for number in range(40):
        setattr(obj, f"new{number}", number)
    return obj.__dict__


def change_class(obj):
    obj.__class__ = Other
    return obj.__dict__


CHANGES = {
    "take": lambda obj: obj.__dict__,
    "replace": replace,
    "delete": delete,
    "clear": clear,
    "grow": grow,
    "class": change_class,
    "replace unseen": lambda obj: setattr(obj, "__dict__", {"x": 2}),
    "delete unseen": lambda obj: delattr(obj, "__dict__"),
    "delete attributes": lambda obj: delattr(obj, "x"),
}


@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("make", [Plain, Mixed, Registered])
def test_a_dict_taken_later_is_the_one_that_was_numbered(make, change, look):
    def scenario(implementation):
        objects = [make(n) for n in range(60)]
        sink = Sink()
        pickler = implementation.Pickler(sink)
        pickler.dump(objects)
        taken = [outcome(CHANGES[change], obj) for obj in objects[::7]]
        before = numbers(pickler.memo.copy()) if look else None
        pickler.dump([taken, objects])
        pickler.dump([objects, [obj.__dict__ for obj in objects], taken])
        return before, sink.writes, numbers(pickler.memo.copy())

    both(scenario)


# ---- lifetimes -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_dumped_lives_as_long_as_the_memo(kind):
    def scenario(implementation):
        parts = [Plain(n) for n in range(80)]
        watches = [weakref.ref(part) for part in parts]
        objects = [KINDS[kind](part) for part in parts]
        pickler = implementation.Pickler(Sink())
        pickler.dump(objects)
        held = [ref() is not None for ref in watches]
        del objects, parts
        gc.collect()
        kept = [ref() is not None for ref in watches]
        pickler.clear_memo()
        gc.collect()
        return held, kept, [ref() is not None for ref in watches]

    assert not any(both(scenario)[2])


class Buffer(bytearray):
    """A buffer of which one can see whether it lives."""


@pytest.mark.parametrize("make", [Registered, Slots, Frozen, Named, Called, WithState, Pair])
@pytest.mark.parametrize("way", ["buffer", "extension"])
def test_what_has_no_number_lives_as_long_as_what_is_not_made(make, way):
    """A buffer out of band, and a class with an extension code, are in no memo but by a tuple."""

    def part():
        if way == "buffer":
            return pickle.PickleBuffer(Buffer(b"data"))
        cls = type("Coded", (), {"__module__": __name__})
        globals()["Coded"] = cls
        return cls

    def scenario(implementation):
        pickler = implementation.Pickler(Sink(), 5, buffer_callback=lambda buffer: None)
        for _ in range(70):
            pickler.dump([make((1, 2) if make is Pair else 1)])
        value = part()
        watched = weakref.ref(value.raw().obj if way == "buffer" else value)
        obj = make((value, 2) if make is Pair else value)
        if way == "extension":
            copyreg.add_extension(__name__, "Coded", 0x7F1234)
        try:
            pickler.dump([obj])
        finally:
            if way == "extension":
                copyreg.remove_extension(__name__, "Coded", 0x7F1234)
                del globals()["Coded"]
        del obj, value
        gc.collect()
        other = implementation.Pickler(Sink())
        other.memo = pickler.memo
        kept = watched() is not None
        del pickler
        gc.collect()
        kept_by_other = watched() is not None
        del other
        gc.collect()
        return kept, kept_by_other, watched() is not None

    assert both(scenario)[2] is False


@pytest.mark.parametrize("kind", KINDS)
def test_a_cycle_through_a_memo_is_collected(kind):
    holder = Plain(some(kind))
    holder.pickler = OURS.Pickler(Sink())
    holder.pickler.dump(holder.x)
    holder.pickler.dump([[holder.x], *holder.x])
    holder.x.append(holder)
    watch = weakref.ref(holder)
    gc.collect()
    del holder
    gc.collect()
    assert watch() is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_collector_is_shown_what_is_owned(kind):
    objects = some(kind, "nested")
    pickler = OURS.Pickler(Sink())
    pickler.dump(objects)
    unasked = collections.Counter(id(obj) for obj in gc.get_referents(pickler))
    entries = pickler.memo.copy()
    asked = collections.Counter(id(obj) for obj in gc.get_referents(pickler))
    assert not unasked - asked
    assert all(asked[key] >= 1 for key in entries)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_owned_once_too_often(kind):
    shared = Plain("shared")
    objects = [KINDS[kind](shared) for _ in range(100)]
    before = sys.getrefcount(shared), [sys.getrefcount(obj) for obj in objects]
    for ask in (False, True):
        pickler = OURS.Pickler(Sink())
        pickler.dump(objects)
        pickler.dump(objects)
        if ask:
            other = OURS.Pickler(Sink())
            other.memo = pickler.memo
            del other
        del pickler
        gc.collect()
    assert (sys.getrefcount(shared), [sys.getrefcount(obj) for obj in objects]) == before


# ---- BytesIO ---------------------------------------------------------------------------------


class Noted(io.BytesIO):
    """Its write() is its own."""

    def write(self, data):
        self.note = [*getattr(self, "note", []), (type(data).__name__, len(data))]
        return super().write(data)


def hidden():
    """A BytesIO whose write() is hidden on the object."""
    file = io.BytesIO()
    file.note, write = [], file.write

    def noting(data):
        file.note.append((type(data).__name__, len(data)))
        return write(data)

    file.write = noting
    return file


def with_an_export():
    file = io.BytesIO(b"before")
    file.view = file.getbuffer()
    return file


def closed():
    file = io.BytesIO()
    file.close()
    return file


def in_the_middle():
    file = io.BytesIO(b"0123456789" * 20_000)
    file.seek(11)
    return file


def beyond_the_end():
    file = io.BytesIO(b"0123456789")
    file.seek(1000)
    return file


FILES = {
    "empty": io.BytesIO,
    "class": Noted,
    "derived": type("Derived", (io.BytesIO,), {}),
    "hidden": hidden,
    "export": with_an_export,
    "closed": closed,
    "middle": in_the_middle,
    "beyond": beyond_the_end,
}
LARGE = {
    "objects": lambda: [Registered(n, "some text " * 3) for n in range(2500)],
    "plain": lambda: [Plain(["some text " * 3]) for n in range(2500)],
    "slots": lambda: [Slots("some text " * 3, n) for n in range(2500)],
    "frozen": lambda: [Frozen([n], n) for n in range(2500)],
    "mixed": lambda: [Mixed([n]) for n in range(2500)],
    "states": lambda: [WithState(n) for n in range(2500)],
    "named": lambda: [Named(n) for n in range(2500)],
    "bytes": lambda: [b"x" * 70_000, Registered(1, b"y" * 100_000), b"z"] * 3,
    "bytearray": lambda: [bytearray(b"x" * 70_000), "s" * 70_000, bytearray(b"x" * 65_536)],
    "buffers": lambda: [pickle.PickleBuffer(bytearray(b"x" * 70_000)), b"b", Registered(1, 2)],
    "decimals": lambda: [decimal.Decimal(n) / 7 for n in range(2500)],
}


@pytest.mark.parametrize("door", ["dump", "Pickler"])
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("large", LARGE)
def test_a_bytesio_is_written_to_as_there(large, file, door):
    objects = LARGE[large]()

    def scenario(implementation):
        made, error = FILES[file](), None
        try:
            if door == "dump":
                implementation.dump(objects, made, 5)
            else:
                implementation.Pickler(made, 5).dump(objects)
        except Exception as raised:
            error = describe_error(raised)
        note = getattr(made, "note", None)
        if hasattr(made, "view"):
            made.view.release()
        if made.closed:
            return error, note
        return error, note, made.getvalue(), made.tell()

    both(scenario)


@pytest.mark.parametrize("large", sorted(LARGE.keys() - {"bytes", "bytearray", "buffers"}))
def test_a_bytesio_that_takes_nothing_fails_at_the_same_part(large):
    """Wherever in an object the frame ends: the notes say where that was."""
    objects = LARGE[large]()
    for implementation in (STANDARD, OURS):
        implementation.dumps(objects)  # Reducers are read by then.

    def scenario(implementation, padding):
        file = io.BytesIO()
        with file.getbuffer():
            try:
                implementation.dump(["x" * (64_500 + padding), *objects[:60]], file)
            except BufferError as error:
                return describe_error(error)

    for padding in range(100):
        both(functools.partial(scenario, padding=padding))


@pytest.mark.parametrize("large", LARGE)
def test_what_is_in_a_bytesio_can_be_looked_at_in_the_middle(large):
    objects = LARGE[large]()

    def scenario(implementation):
        file, seen = io.BytesIO(), []

        class Looks:
            def __reduce__(self):
                seen.append((file.getvalue(), file.tell()))
                return list, ()

        implementation.dump([Looks(), *objects, Looks(), *objects[:50], Looks()], file, 5)
        return seen, file.getvalue()

    both(scenario)


def test_a_buffer_that_is_asked_for_while_it_is_written_may_do_anything():
    """The `__buffer__` of a class in Python runs while a BytesIO reads it."""
    if sys.version_info < (3, 12):
        pytest.skip("classes in Python have no __buffer__")

    def scenario(implementation):
        objects = [Registered(n, [n]) for n in range(50)]

        class Exporter:
            def __buffer__(self, flags):
                del objects[0].x
                objects[0].x = ["anew"]
                return memoryview(bytearray(b"x" * 70_000))

        file = io.BytesIO()
        shared = [*objects]
        shared.append(pickle.PickleBuffer(Exporter()))
        shared.extend([objects[0], Registered(1, [1])])
        return outcome(implementation.dump, shared, file, 5), file.getvalue(), objects[0].x

    both(scenario)


# ---- the memory of a pickler that is gone ---------------------------------------------------


def test_what_dies_with_a_memo_may_dump():
    """The next pickler takes over the memory of the last, also while that one is being emptied."""

    def scenario(implementation):
        written = []

        class Dumps:
            def __reduce__(self):
                return Dumps, ()

            def __del__(self):
                file = io.BytesIO()
                implementation.Pickler(file).dump([Registered(1, "x"), Plain(2)] * 3)
                implementation.dump(list(range(300)), file)
                written.append(file.getvalue())

        globals()["Dumps"] = Dumps
        Dumps.__qualname__ = "Dumps"
        for count in (1, 3, 2000):
            file = io.BytesIO()
            pickler = implementation.Pickler(file)
            pickler.dump([Dumps() for _ in range(count)] + [[n] for n in range(count)])
            written.append(file.getvalue())
            del pickler
        del globals()["Dumps"]
        return written

    both(scenario)


def test_picklers_that_live_at_once_are_apart():
    def scenario(implementation):
        files = [io.BytesIO() for _ in range(5)]
        picklers = [implementation.Pickler(file) for file in files]
        shared = [Registered(n) for n in range(50)]
        for round_number in range(6):
            for number, pickler in enumerate(picklers):
                pickler.dump([shared, number, round_number])
            picklers[round_number % 5] = implementation.Pickler(files[round_number % 5])
        return [file.getvalue() for file in files]

    both(scenario)
