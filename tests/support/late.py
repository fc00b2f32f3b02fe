"""Objects whose finalisers pickle, load and copy while their interpreter is ending.

A child process runs `main()`. It makes such objects, each held by something that lets go of it at
another moment of the end, and some after `sys.modules` and the builtins are gone. A finaliser
writes what each operation gave, or which exception it raised; what it needs for that, it holds
itself.
"""

import atexit
import builtins
import codecs
import collections
import contextlib
import contextvars
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import os
import pathlib
import sys
import threading
import types
import uuid

import fastcopyreg


class Plain:
    def __init__(self, x=1, y="text"):
        self.x = x
        self.y = y


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x=1):
        self.x = x


class Registered(Plain):
    pass


class Reducing(Plain):
    def __reduce__(self):
        return Reducing, (self.x, self.y)


class Stateful(Plain):
    def __setstate__(self, state):
        self.__dict__.update(state)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int = 1


class Colour(enum.Enum):
    RED = 1


class Named(collections.namedtuple("Named", "x y")):
    __slots__ = ()


class Failure(Exception):
    pass


def function():
    pass


def values():
    """What is pickled and copied, by name; each is new with every call."""
    return {
        "datetime": datetime.datetime(2020, 1, 2, 3, 4, 5, 6, datetime.UTC),
        "date": datetime.date(2020, 1, 2),
        "time": datetime.time(1, 2, 3, 4),
        "timedelta": datetime.timedelta(1, 2, 3),
        "timezone": datetime.timezone(datetime.timedelta(hours=1), "one"),
        "Decimal": decimal.Decimal("1.50"),
        "Fraction": fractions.Fraction(1, 3),
        "UUID": uuid.UUID(int=5),
        "Path": pathlib.PurePosixPath("a/b"),
        "Enum": Colour.RED,
        "plain": Plain(),
        "slots": Slotted(),
        "frozen": Frozen(),
        "registered": Registered(),
        "reducing": Reducing(),
        "stateful": Stateful(),
        "namedtuple": Named(1, 2),
        "exception": Failure("words", 5),
        "deque": collections.deque([1, 2], 5),
        "OrderedDict": collections.OrderedDict(a=1),
        "Counter": collections.Counter("aab"),
        "defaultdict": collections.defaultdict(list, a=[1]),
        "namespace": types.SimpleNamespace(a=1),
        "partial": functools.partial(int, base=2),
        "complex": 1 + 2j,
        "range": range(5),
        "slice": slice(1, 2),
        "set": {1, 2},
        "function": function,
        "builtin": len,
        "class": Plain,
        "method": Plain().__init__,
        "atoms": [1, 1.5, "text", b"bytes", None, True, (1, 2), {"a": [1]}],
        "surrogate": "\udc80",
        "bytearray": bytearray(b"bytes"),
        "many": [Plain(i, [datetime.date(2020, 1, 2), Registered(i)]) for i in range(200)],
    }


def reduce_registered(object):
    return Registered, (object.x, object.y)


def operations(pickle, copy):
    """Pairs of an operation's name and a function of a value and its pickle."""

    def through_pickler(value, data, Pickler=pickle.Pickler, File=io.BytesIO):
        file = File()
        Pickler(file, 4).dump(value)
        return file.getvalue()

    def through_unpickler(value, data, Unpickler=pickle.Unpickler, File=io.BytesIO):
        return Unpickler(File(data)).load()

    def dumps(protocol, dumps=pickle.dumps):
        return lambda value, data: dumps(value, protocol)

    def loads(value, data, loads=pickle.loads):
        return loads(data)

    return [
        *((f"dumps {protocol}", dumps(protocol)) for protocol in (0, 1, 2, 3, 4, 5)),
        ("Pickler", through_pickler),
        ("loads", loads),
        ("Unpickler", through_unpickler),
        ("copy", lambda value, data, copy=copy.copy: copy(value)),
        ("deepcopy", lambda value, data, copy=copy.deepcopy: copy(value)),
    ]


def explain(value, data, explain=fastcopyreg.explain):
    return str(explain(value))


def tasks_of(pickle, copy, more=()):
    """What is to be done: (label, function, value, pickle of it)."""
    copyreg.pickle(Registered, reduce_registered)
    tasks = []
    for name, value in values().items():
        for protocol in (2, 4):
            data = pickle.dumps(value, protocol)
            for what, operation in [*operations(pickle, copy), *more]:
                if protocol == 4 or what in ("loads", "Unpickler"):
                    tasks.append((f"{name}: {what} ({protocol})", operation, value, data))
    return tasks


def finaliser_of(holder, tasks):
    """A `__del__` that does all of it and says so, a line for each."""

    def finalise(self, write=os.write, kind=type, everything=BaseException, bytes=bytes, str=str):
        write(1, (holder + " begins\n").encode())
        for label, operation, value, data in tasks:
            try:
                result = operation(value, data)
            except everything as error:
                said = "raises " + kind(error).__name__ + " | " + str(error)
            else:
                said = result.hex() if kind(result) is bytes else kind(result).__name__
            line = holder + ": " + label + " | " + said + "\n"
            write(1, line.encode("utf-8", "backslashreplace"))
        write(1, (holder + " ends\n").encode())

    return finalise


def nothing(self, *arguments):
    """What is registered somewhere, so that the object is kept."""


def late_object(holder, tasks, tracked):
    """An object with that finaliser; one that is not tracked dies while garbage is cleared."""
    namespace = {"__del__": finaliser_of(holder, tasks), "nothing": nothing}
    return type("Late", (), namespace if tracked else {**namespace, "__slots__": ()})()


# --- what holds it


def in_thread_that_goes_on(late):
    """A daemon thread's local, which is cleared with the interpreter's threads."""
    ready = threading.Event()

    def wait(local):
        local.late = late
        ready.set()
        threading.Event().wait()

    threading.Thread(target=wait, args=(threading.local(),), daemon=True).start()
    ready.wait()


def in_thread_local(late, local=threading.local()):  # noqa: B008
    local.late = late


def in_cycle(late):
    globals()["cycle"] = itself = [late]
    itself.append(itself)


def in_dict_of_interpreter(late):
    import ctypes

    api = ctypes.PyDLL(None)
    api.PyInterpreterState_Get.restype = ctypes.c_void_p
    api.PyInterpreterState_GetDict.argtypes = [ctypes.c_void_p]
    api.PyInterpreterState_GetDict.restype = ctypes.py_object
    api.PyInterpreterState_GetDict(api.PyInterpreterState_Get())["late"] = late


HOLDERS = {
    "nothing": lambda late: None,
    "module": lambda late: globals().update(held=late),
    "main": lambda late: setattr(sys.modules["__main__"], "held", late),
    "builtins": lambda late: setattr(builtins, "held", late),
    "sys": lambda late: setattr(sys, "held", late),
    "cycle": in_cycle,
    "atexit": lambda late: atexit.register(late.nothing),
    "fork": lambda late: os.register_at_fork(before=late.nothing),
    "codec": lambda late: codecs.register(late.nothing),
    "codec_error": lambda late: codecs.register_error("late", late.nothing),
    "thread_local": in_thread_local,
    "thread": in_thread_that_goes_on,
    "context": lambda late: contextvars.ContextVar("late").set(late),
    "asyncgen": lambda late: sys.set_asyncgen_hooks(finalizer=late.nothing),
    "audit": lambda late: sys.addaudithook(late.nothing),
    "core": lambda late: setattr(fastcopyreg._backend.core, "held", late),
    "interpreter": in_dict_of_interpreter,
}


def main(implementation, holders, warm, tracked):
    """Make an object for each of the holders, which are named in one str, and leave it to that.

    `warm` does all of it once before.
    """
    if implementation == "std":
        import copy
        import pickle
    else:
        from fastcopyreg import copy, pickle
    more = [("explain", explain)] if implementation == "ours, explaining" else []
    tasks = tasks_of(pickle, copy, more)
    for _, operation, value, data in tasks if warm else ():
        with contextlib.suppress(TypeError):  # Slots, to protocols 0 and 1.
            operation(value, data)
    for holder in holders.split():
        HOLDERS[holder](late_object(holder, tasks, tracked))
