"""Reducers for types that the standard library's pickle refuses, off until they are enabled.

    from fastcopyreg import reducers

    reducers.enable("module", "lock")
    print(*reducers.list(), sep="\\n")

They go into ``copyreg.dispatch_table``, so that every pickle and copy of the process uses them,
the standard library's too.  What is loaded needs fastcopyreg where it is loaded, and enables
nothing there.  None of them registers a safe constructor.
"""

import builtins
import gc
import importlib
import io
import marshal
import os
import re
import sys
import types
from _thread import RLock, allocate_lock
from collections import OrderedDict
from difflib import get_close_matches
from importlib.util import MAGIC_NUMBER
from threading import Condition
from typing import NamedTuple

from . import _stdlib, copyreg
from ._holders import subclasses_of

__all__ = ("Reducer", "disable", "enable", "list")

_PicklingError = _stdlib.PICKLE["PicklingError"]
_UnpicklingError = _stdlib.PICKLE["UnpicklingError"]


class Reducer(NamedTuple):
    """What `list` says of one: its name, whether it is enabled, its types, what it keeps."""

    name: str
    enabled: bool
    types: tuple[type, ...]
    about: str

    def __str__(self):
        return f"{self.name} ({'on' if self.enabled else 'off'}): {self.about}"


# --- code


def reduce_code(code):
    """A code object, by `marshal`.

    Kept: all that runs and what tracebacks show.  Lost: nothing.  It is loaded only by an
    interpreter whose bytecode is the same, and raises UnpicklingError elsewhere.  Whoever can make
    a pickle that is loaded can make it run code, with this and without: load only what you trust.
    Copies are the same object, as ever.
    """
    try:
        return load_code, (MAGIC_NUMBER, marshal.dumps(code))
    except ValueError as error:
        # `code.replace(co_consts=...)` takes any objects.
        raise _PicklingError(f"cannot pickle {code!r}: {error}") from None


def load_code(magic, marshalled):
    """Rebuild a code object."""
    if magic != MAGIC_NUMBER:
        raise _UnpicklingError(
            f"the pickle holds bytecode of another version of Python ({magic!r}, this one has "
            f"{MAGIC_NUMBER!r})"
        )
    return marshal.loads(marshalled)


# --- modules


def reduce_module(module):
    """A module, by its name.

    Kept: which module it is; loading imports it.  Lost: whatever was changed in it.  A module that
    cannot be imported by its name is refused.  Copies are the same object.
    """
    # As an import system leaves it; a module may have lost its name, or have any object as one.
    name = vars(module).get("__name__")
    if type(name) is not str or sys.modules.get(name) is not module:
        raise _PicklingError(f"cannot pickle {module!r}: it is not what 'import {name}' gives")
    return importlib.import_module, (name,)


# --- views


def _underlying(view, otherwise):
    """Return the object that a view or proxy shows; where the collector cannot say, a dict."""
    if sys.implementation.name == "cpython":
        found = gc.get_referents(view)
        if len(found) == 1:
            return found[0]
    return otherwise(view)


def reduce_dict_view(view):
    """A view of a dict's keys, values or items.

    Kept: the view and its dict: if both are pickled or deep-copied together, it shows that one.
    So the whole dict travels, with what it holds.  Lost: nothing.  A shallow copy shows the same
    dict.
    """
    mapping = _underlying(view, lambda view: view.mapping.copy())
    return view_of, (type(view).__name__, mapping)


_VIEWS = {
    type(method(cls())): method
    for cls in (dict, OrderedDict)
    for method in (cls.keys, cls.values, cls.items)
}
_VIEWS_BY_NAME = {cls.__name__: method for cls, method in _VIEWS.items()}


def view_of(kind, mapping):
    """Rebuild a view of a dict."""
    return _VIEWS_BY_NAME[kind](mapping)


def reduce_mappingproxy(proxy):
    """A ``types.MappingProxyType``.

    Kept: the proxy and the mapping behind it, as with a view of a dict; of a class's ``__dict__``
    the class.  Lost: nothing.  A shallow copy shows the same mapping.
    """
    mapping = _underlying(proxy, dict)
    owner = _class_of(mapping)
    return (vars, (owner,)) if owner is not None else (proxy_of, (mapping,))


_namespace_of = type.__dict__["__dict__"].__get__


def _class_of(mapping):
    """Return the class whose ``__dict__`` this is, None if it is none's."""
    if type(mapping) is dict and "__doc__" in mapping:  # Every class has that.
        for cls in (object, *subclasses_of([object])):
            # Past a metaclass that has something to say of attributes.
            if _underlying(_namespace_of(cls), dict) is mapping:
                return cls
    return None


def proxy_of(mapping):
    """Rebuild a ``types.MappingProxyType``, which cannot be found by its own name."""
    return types.MappingProxyType(mapping)


# --- matches


def _searches(pattern, string, pos, endpos):
    """Yield each way in which a match is found, with its name, the matches last."""
    for how in ("search", "match", "fullmatch"):
        yield how, getattr(pattern, how)(string, pos, endpos)
    for found in pattern.finditer(string, pos, endpos):
        yield "finditer", found


def _is_same(found, regs, lastindex):
    return found is not None and found.regs == regs and found.lastindex == lastindex


def reduce_match(match):
    """A match of `re`.

    Kept: the pattern, the string and all groups; loading matches again, in the way that gives the
    same.  Lost: nothing.  If the string was changed meanwhile (a bytearray), or no way gives the
    same match, it is refused.  Copies are the same object, as ever.
    """
    where = match.re, match.string, match.pos, match.endpos
    for how, found in _searches(*where):
        if _is_same(found, match.regs, match.lastindex):
            return find_again, (*where, how, match.regs, match.lastindex)
    raise _PicklingError(f"cannot pickle {match!r}: matching again does not give the same")


def find_again(pattern, string, pos, endpos, how, regs, lastindex):
    """Rebuild a match."""
    for way, found in _searches(pattern, string, pos, endpos):
        if way == how and _is_same(found, regs, lastindex):
            return found
    raise _UnpicklingError("the match that was pickled is not found again")


# --- memory


def reduce_memoryview(view):
    """A memoryview.

    Kept: the contents, the format, the shape, and whether it can be written to.  Lost: the object
    whose memory it shows, of which it becomes independent, and strides: the memory is contiguous.
    Formats that `memoryview.cast` does not take are refused.
    """
    contents = view.tobytes() if view.readonly else bytearray(view.tobytes())
    try:
        memory_of(contents, view.format, view.shape)
    except (TypeError, ValueError) as error:
        raise _PicklingError(
            f"cannot pickle a memoryview of format {view.format!r} and shape {view.shape}: {error}"
        ) from None
    return memory_of, (contents, view.format, view.shape)


def memory_of(contents, format, shape):
    """Rebuild a memoryview."""
    view = memoryview(contents)
    if (format, shape) == (view.format, view.shape):
        return view
    if len(shape) == 1:
        return view.cast(format)
    return view.cast(format, builtins.list(shape))


# --- locks


def reduce_lock(lock):
    """A lock, as ``threading.Lock()`` makes it.

    Kept: that there is one.  Lost: whether it is locked: the new one is not.
    """
    return allocate_lock, ()


def reduce_rlock(lock):
    """A lock that its owner can take again, as ``threading.RLock()`` makes it.

    Kept: that there is one.  Lost: whether it is locked, and by whom: the new one is not.
    """
    return RLock, ()


def reduce_condition(condition):
    """A ``threading.Condition``, and with it what has one: Event, Semaphore, Barrier, Queue.

    Kept: its lock, made anew where that is; so it goes with what else has the lock.  Lost: who
    waits for it.  A shallow copy has the same lock.
    """
    # Without the lock's own methods, bound to it: a deep copy would go on calling those of the
    # first lock.  The new one's come with it.
    lock = condition._lock
    state = {
        name: value
        for name, value in vars(condition).items()
        if name != "_lock" and getattr(value, "__self__", None) is not lock
    }
    return Condition, (lock,), state


# --- files


def _check_open(file):
    if file.closed:
        raise _PicklingError(f"cannot pickle {file!r}: it is closed")


def _is_at(path, descriptor):
    """Return whether that is the file that the path leads to, from here and now."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except (OSError, ValueError):
        return False


def _lowest(file):
    """Return the `io.FileIO` under an open file; None if it is over something else."""
    for layer in ("buffer", "raw"):
        file = getattr(file, layer, file)
    return file if type(file) is io.FileIO else None


def reduce_file(file):
    """An open file of the file system, by its path.

    Kept: the path, the position, the encoding, and what can be done with it.  Lost: the contents,
    which are those at the path when it is loaded; the argument ``newline`` of `open`; and that a
    mode truncates or creates: "w" and "x" become "r+", so that nothing is lost by loading.  What
    is still in the buffer is written first.  Refused are a file without a path (a pipe, a
    descriptor, a standard stream), one to which its path leads no more (it was deleted, or another
    is there), one over something else (a compressed file, memory), and one in the middle of
    iterating over its lines.
    """
    _check_open(file)
    lowest = _lowest(file)
    if lowest is None:
        raise _PicklingError(f"cannot pickle {file!r}: what is under it is no file with a path")
    path = lowest.name
    if not isinstance(path, str | bytes) or not _is_at(path, lowest.fileno()):
        raise _PicklingError(f"cannot pickle {file!r}: it has no path to open it by")
    if file.writable():
        file.flush()
    mode = "a" if "a" in lowest.mode else "r"
    mode += "+" * (lowest.mode.rstrip("b") != mode)  # "w", "x" and what has a "+".
    options = {}
    if isinstance(file, io.TextIOWrapper):
        options = {"encoding": file.encoding, "errors": file.errors}
        options["buffering"] = 1 if file.line_buffering else -1
    elif isinstance(file, io.RawIOBase):
        options = {"buffering": 0}
    if not isinstance(file, io.TextIOWrapper):
        mode += "b"
    return open_again, (path, mode, options, file.tell())


def open_again(name, mode, options, position):
    """Rebuild an open file."""
    file = open(name, mode, **options)  # noqa: SIM115
    try:
        file.seek(position)
    except BaseException:
        file.close()
        raise
    return file


def reduce_file_content(file):
    """An open file that can be read and sought in, as ``io.StringIO`` or ``io.BytesIO``.

    Kept: the contents and the position.  Lost: the path, and that it is a file: what is written to
    it later goes nowhere else.  Give the name "file" instead for one that is opened again.
    """
    _check_open(file)
    if not (file.readable() and file.seekable()):
        raise _PicklingError(f"cannot pickle the contents of {file!r}: they cannot be read")
    position = file.tell()
    try:
        rest = file.read()
        file.seek(0)
        whole = file.read()
    finally:
        file.seek(position)
    return contents_of, (whole, len(whole) - len(rest))


def contents_of(contents, position):
    """Rebuild a file in memory."""
    file = io.StringIO(contents) if isinstance(contents, str) else io.BytesIO(contents)
    file.seek(position)
    return file


# --- generators


def refuse_generator(running):
    """A generator, coroutine or asynchronous generator: refused, with what to do instead.

    Kept and lost: nothing; the message is all there is.
    """
    raise _PicklingError(
        f"cannot pickle {running!r}: where it stands is a frame of this process; pickle a list of "
        "what it gives, or the arguments of the function that made it, or make it an iterator "
        "class whose attributes say where it stands"
    )


# --- which there are


_CODE = type(reduce_code.__code__)
_FILES = io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO

_REDUCERS = {
    "code": {_CODE: reduce_code},
    "dict view": dict.fromkeys(_VIEWS, reduce_dict_view),
    "file": dict.fromkeys(_FILES, reduce_file),
    "file content": dict.fromkeys(_FILES, reduce_file_content),
    "generator": dict.fromkeys(
        (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType), refuse_generator
    ),
    "lock": {
        type(allocate_lock()): reduce_lock,
        type(RLock()): reduce_rlock,
        Condition: reduce_condition,
    },
    "mappingproxy": {types.MappingProxyType: reduce_mappingproxy},
    "match": {re.Match: reduce_match},
    "memoryview": {memoryview: reduce_memoryview},
    "module": {types.ModuleType: reduce_module},
}


def _checked(names):
    for name in names:
        if name not in _REDUCERS:
            similar = get_close_matches(str(name), _REDUCERS, 1)
            hint = f"; did you mean {similar[0]!r}?" if similar else ""
            raise ValueError(f"there is no reducer {name!r}{hint} (there are {_names()})")
    return names


def _names():
    return ", ".join(map(repr, _REDUCERS))


def enable(*names):
    """Register the reducers of these names, in place of any that there are for their types.

    "file" and "file content" are for the same types: the one enabled last is in force.  Raises
    ValueError, having done nothing, if there is no reducer of a name.
    """
    for name in _checked(names):
        for cls, reducer in _REDUCERS[name].items():
            copyreg.pickle(cls, reducer)


def disable(*names):
    """Remove the reducers of these names; another that was registered meanwhile stays."""
    for name in _checked(names):
        for cls, reducer in _REDUCERS[name].items():
            if _stdlib.dispatch_table.get(cls) is reducer:
                del _stdlib.dispatch_table[cls]


def list():
    """Return a list with a `Reducer` for each name."""
    return [
        Reducer(
            name,
            all(_stdlib.dispatch_table.get(cls) is made for cls, made in reducers.items()),
            tuple(reducers),
            next(iter(reducers.values())).__doc__,
        )
        for name, reducers in _REDUCERS.items()
    ]
