"""``install()``: the swap for a whole process, by setting attributes, and undone exactly.

What is replaced is what differs: every name of ``pickle``, ``_pickle``, ``copyreg`` and ``copy``
for which our drop-in has an object of its own.  Those objects are then looked for by identity in
the dict of every module that is loaded, so that a module that took ``from pickle import dumps``
earlier is reached as well as ``pickle`` itself.  The dicts are read as they lie: nothing is asked
of a module, so lazy modules and lazy imports stay as they are.  If the objects are held by more
than that, the default arguments and closures of functions, the attributes of classes, and
``functools.partial`` objects are looked at as well (``_holders.py``).

``multiprocessing`` has a subclass of ``pickle.Pickler``, and the base of a class cannot change.
If it is loaded, a twin of that class over our Pickler takes its place, with the same table of
reducers.  If it is not, its import makes the class over ours.
"""

import _operator as operator
import os
import sys
from _thread import RLock, get_ident
from types import CellType, FunctionType, MethodType

from . import _stdlib
from . import copy as our_copy
from . import copyreg as our_copyreg
from . import pickle as our_pickle
from ._backend import backend
from ._backend import core as _core
from ._holders import (
    TARGETS,
    ClassHolder,
    ModuleHolder,
    are_held_elsewhere,
    find_names,
    full_name,
    holders,
    is_ours,
    module_of,
    namespace_of,
    subclasses_of,
    twins,
)

__all__ = ("InstallReport", "install", "installed", "uninstall")

# (the standard library's names, our drop-in, the modules that the drop-in stands for)
_DROP_INS = (
    (_stdlib.PICKLE, our_pickle, ("pickle", "_pickle")),
    (_stdlib.COPYREG, our_copyreg, ("copyreg",)),
    (_stdlib.COPY, our_copy, ("copy",)),
)
REDUCTION = "multiprocessing.reduction"
VARIABLE = "FASTCOPYREG_INSTALL"


class InstallReport:
    """What `install` did.  ``str`` tells it to people, `to_dict` gives plain data.

    ``backend``: ``"c"``; or ``"python"``, where there is nothing to install.
    ``replaced``: the places that were set, as ``"module.name"``.
    ``unreachable``: pairs of a place and the reason why it was left as it was.  Such are
    subclasses of the standard library's ``Pickler`` and ``Unpickler`` that were made earlier, the
    names by which their modules call those, names of the standard library to which somebody
    else had given another object, containers and instances that hold what was replaced, and child
    processes where ``children=True`` cannot reach them.  Containers and instances are looked for
    when this is read first; if that is after `uninstall`, there are none.
    """

    __slots__ = ("_look", "_unreachable", "backend", "replaced")

    def __init__(self, backend, replaced=(), unreachable=(), look=None):
        self.backend = backend
        self.replaced = tuple(replaced)
        self._unreachable = tuple(unreachable)
        self._look = look

    @property
    def unreachable(self):
        """Pairs (place, why it was not reached)."""
        look, self._look = self._look, None
        if look is not None:
            self._unreachable += tuple(look())
        return self._unreachable

    def __reduce__(self):
        return type(self), (self.backend, self.replaced, self.unreachable)

    def add_unreachable(self, place, reason):
        """Note one more place that was not reached, once."""
        if (place, reason) not in self._unreachable:
            self._unreachable += ((place, reason),)

    def to_dict(self):
        """Return the report as a dict of strings, lists and dicts, ready for JSON."""
        return {
            "backend": self.backend,
            "replaced": list(self.replaced),
            "unreachable": [{"place": p, "reason": r} for p, r in self.unreachable],
        }

    def __repr__(self):
        return (
            f"<{type(self).__name__}: backend {self.backend}, {len(self.replaced)} replaced, "
            f"{len(self.unreachable)} unreachable>"
        )

    def __str__(self):
        if self.backend != "c":
            return "fastcopyreg: nothing to install, this backend is the standard library"
        lines = [f"fastcopyreg: {len(self.replaced)} places replaced"]
        lines += [f"    {place}" for place in self.replaced]
        if self.unreachable:
            lines.append(f"fastcopyreg: {len(self.unreachable)} places not reached")
            lines += [f"    {place}: {reason}" for place, reason in self.unreachable]
        return "\n".join(lines)


def _globals_found(substitutes):
    """Yield (holder, name, old, new) for each global that is to be replaced, in modules not ours,
    and for each such attribute of `AbstractReducer`.
    """
    modules = list(sys.modules.items())
    for index, name, old in find_names([module for _, module in modules], substitutes.originals()):
        key, module = modules[index]
        names = namespace_of(module)
        if type(key) is not str or type(name) is not str or is_ours(key, names):
            continue
        # A module that is loaded under two names is met twice.
        if names.get(name) is old:
            yield ModuleHolder(key, module), name, old, substitutes.get(old)
    abstract = _reduction_namespace().get("AbstractReducer")
    if isinstance(abstract, type):
        holder = ClassHolder(f"{REDUCTION}.AbstractReducer", abstract)
        for found in substitutes.found_in(holder):
            yield holder, *found


def _reduction_namespace():
    """Return the dict of `multiprocessing.reduction` if it is loaded, else an empty one."""
    return namespace_of(sys.modules.get(REDUCTION)) or {}


class Substitutes:
    """Which object takes the place of which, found by identity."""

    def __init__(self, pairs):
        # The pairs are kept whole: an id means something only as long as its object lives.
        self._pairs = {id(old): (old, new) for old, new in pairs}

    def __iter__(self):
        return iter(list(self._pairs.values()))

    def __contains__(self, old):
        return id(old) in self._pairs

    def originals(self):
        """Return the objects to be replaced."""
        return tuple(old for old, _ in self)

    def get(self, old):
        """Return what takes the place of *old*; *old* itself if nothing does."""
        return self._pairs.get(id(old), (old, old))[1]

    def add(self, old, new):
        """Let *new* take the place of *old* from now on."""
        self._pairs[id(old)] = (old, new)

    def reversed(self):
        """Return the substitutes that undo these."""
        return Substitutes((new, old) for old, new in self)

    def found_in(self, holder):
        """Return (name, old, new) for each name of *holder* that has an object to be replaced."""
        items = list(holder.namespace().items())
        return [(name, *self._pairs[id(value)]) for name, value in items if value in self]


def twin_of(cls, substitutes):
    """Return *cls* made again over the substitutes of its bases; the same one each time."""
    bases = tuple(map(substitutes.get, cls.__bases__))
    if (cls, bases) not in twins:
        class_cell = CellType()
        attributes = {
            name: _moved(value, class_cell, substitutes)
            for name, value in vars(cls).items()
            if name not in ("__dict__", "__weakref__")
        }
        twin = type(cls)(cls.__name__, bases, attributes)
        twin.__qualname__ = cls.__qualname__
        class_cell.cell_contents = twin
        # At once: a fork in between would leave a child one way and not the way back.
        twins.update({(cls, bases): twin, (twin, cls.__bases__): cls})
    return twins[cls, bases]


def _moved(value, class_cell, substitutes):
    """Return an attribute of a class as its twin has it.

    A method that says ``super()`` has the class that it was written in as a closure variable, one
    of a class that was made in a function may have its base as one.
    """
    if type(value) in (staticmethod, classmethod):
        function = _moved(value.__func__, class_cell, substitutes)
        return value if function is value.__func__ else type(value)(function)
    if type(value) is property:
        functions = value.fget, value.fset, value.fdel
        moved = [_moved(function, class_cell, substitutes) for function in functions]
        same = all(map(operator.is_, functions, moved))
        return value if same else property(*moved, value.__doc__)
    if type(value) is not FunctionType:
        return substitutes.get(value)
    return _moved_function(value, class_cell, substitutes)


def _moved_function(function, class_cell, substitutes):
    old = function.__closure__ or ()
    names = function.__code__.co_freevars
    new = [
        class_cell if name == "__class__" else _moved_cell(cell, substitutes)
        for name, cell in zip(names, old, strict=True)
    ]
    if all(map(operator.is_, old, new)):
        return substitutes.get(function)
    moved = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        tuple(new),
    )
    moved.__kwdefaults__ = function.__kwdefaults__
    moved.__qualname__ = function.__qualname__
    moved.__dict__.update(function.__dict__)
    return moved


def _moved_cell(cell, substitutes):
    try:
        contents = cell.cell_contents
    except ValueError:  # It is empty.
        return cell
    return CellType(substitutes.get(contents)) if contents in substitutes else cell


def _add_multiprocessing(substitutes):
    """Add `ForkingPickler` and its `register`, if multiprocessing is loaded and has its own."""
    namespace = _reduction_namespace()
    cls = namespace.get("ForkingPickler")
    if not isinstance(cls, type) or not any(base in substitutes for base in cls.__bases__):
        return
    substitutes.add(cls, twin_of(cls, substitutes))
    register = namespace.get("register")
    if type(register) is MethodType and register.__self__ is cls:
        substitutes.add(register, MethodType(register.__func__, substitutes.get(cls)))


class Swap:
    """Objects to be replaced by others, and the places where they were.

    *pairs* are (the standard library's object, ours); *set_type_module* sets the ``__module__`` of
    a type of ours, which Python code cannot set if the type is immutable.
    """

    def __init__(self, pairs, set_type_module):
        self._substitutes = Substitutes(pairs)
        self._set_type_module = set_type_module
        self._renamed = []
        self._places = []

    def replaced(self):
        """Return the places that were set, as ``"module.name"``."""
        return [holder.place(name) for holder, name, _, _ in self._places]

    def enter(self):
        """Set every place that is found; return pairs (place, why it was not reached).

        If anything is raised, a KeyboardInterrupt for one, everything is as before.
        """
        try:
            _add_multiprocessing(self._substitutes)
            subclasses = self._earlier_subclasses()
            makers = {module_of(cls) for cls in subclasses} - TARGETS - {REDUCTION}
            left = [
                *self._set_places(_globals_found(self._substitutes), makers),
                *self._set_places(self._taken_earlier(), makers),
            ]
            self._take_standard_names()
        except BaseException:
            self.leave()
            raise
        return [
            *((place, "somebody else's object is here") for place in self._foreign_places()),
            *((full_name(cls), "a subclass that was made earlier") for cls in subclasses),
            *left,
        ]

    def held_elsewhere(self):
        """Return pairs (place, reason) for what else holds an original, while this is in force."""
        if not self._places:
            return []
        from . import _elsewhere

        return _elsewhere.find(self._substitutes, self._places)

    def leave(self):
        """Put back what each place had, and let our objects be called as before."""
        for holder, name, old, new in reversed(self._places):
            if holder.namespace().get(name) is new:
                holder.set(name, old)
        self._places.clear()
        self._restore_later_imports()
        for obj, module in self._renamed:
            self._set_module(obj, module)
        self._renamed.clear()

    def _earlier_subclasses(self):
        """Return the subclasses of the classes to be replaced that are not replaced themselves."""
        classes = [old for old, _ in self._substitutes if isinstance(old, type)]
        return [cls for cls in subclasses_of(classes) if cls not in self._substitutes]

    def _set_places(self, found, makers):
        """Set the places that were found; return (place, reason) for each that is left as it was.

        *makers* are modules that have made a subclass.  They may call the class by name with an
        instance of the subclass (``Pickler.dump(self, obj)``), and only the class that it was made
        from takes it.
        """
        left = []
        for holder, name, old, new in found:
            if isinstance(old, type) and holder.maker() in makers:
                left.append((holder.place(name), "its module has made a subclass of it"))
                continue
            # Noted first, so that an interrupt between the two leaves nothing behind.
            self._places.append((holder, name, old, new))
            try:
                holder.set(name, new)
            except (AttributeError, TypeError):
                self._places.pop()
                left.append((holder.place(name), "it cannot be changed"))
        return left

    def _taken_earlier(self):
        """Yield (holder, name, old, new) for what functions, classes and partials have taken.

        Looking at every object of the process is what costs most here, so it is done only if
        somebody has a reference that is not accounted for.
        """
        if not are_held_elsewhere(self._substitutes, self._places):
            return
        for holder in holders(self._substitutes):
            for found in self._substitutes.found_in(holder):
                yield holder, *found

    def _foreign_places(self):
        """Return the places of the standard library that ought to hold ours by now and do not."""
        return [
            f"{module}.{name}"
            for standard, _, modules in _DROP_INS
            for module in modules
            for name, value in (namespace_of(sys.modules.get(module)) or {}).items()
            if standard.get(name) in self._substitutes
            if value is not self._substitutes.get(standard[name])
        ]

    def _take_standard_names(self):
        """Let our objects be pickled by the names of those whose places they take."""
        for old, new in self._substitutes:
            if old.__module__ != new.__module__:
                self._renamed.append((new, new.__module__))
                self._set_module(new, old.__module__)

    def _set_module(self, obj, name):
        if isinstance(obj, type):
            self._set_type_module(obj, name)
        else:
            obj.__module__ = name

    def _restore_later_imports(self):
        """Give modules of the standard library that were imported meanwhile its own objects.

        Other modules keep what they took: whether they took it from `pickle` or from us on
        purpose, nobody can tell.
        """
        standard = self._substitutes.reversed()
        _add_multiprocessing(standard)
        for holder, name, _, original in _globals_found(standard):
            if holder.label.partition(".")[0] in sys.stdlib_module_names:
                holder.set(name, original)


def standard_pairs():
    """Return (the standard library's object, ours) for each name where the two differ."""
    return [
        (old, vars(drop_in)[name])
        for standard, drop_in, _ in _DROP_INS
        for name, old in standard.items()
        if vars(drop_in)[name] is not old
    ]


_lock = RLock()
_in_force = []
"""The pair (Swap or None, InstallReport) while installed, else nothing; changed under the lock."""
_for_children = []
"""What FASTCOPYREG_INSTALL was before `install` set it, None if it was not set; else nothing."""
_under_way = []
"""The pair (thread, Swap) while a thread sets or restores the places of that swap."""


def install(*, children=False):
    """Make the standard library's pickle, copyreg and copy ours in this process.

    Returns an `InstallReport`; called again, the same one, having done nothing.  Any thread may
    call it at any time, also while others pickle: they meet the old function or the new one, and
    both write the same.  On the Python backend there is nothing to replace.

    With *children*, FASTCOPYREG_INSTALL=1 is set in the environment until `uninstall`, so that the
    interpreters that are started meanwhile begin with the swap, however they are started.  A call
    with it adds that to an earlier one without.

    While installed, the functions and classes that were set are pickled by the standard library's
    names, so that a reader without fastcopyreg can load them.
    """
    with _lock:
        if not _in_force:
            if backend == "c":
                _install_core()
            else:
                _in_force.append((None, InstallReport(backend)))
        if children:
            _add_children()
        return _in_force[0][1]


def _install_core():
    swap = Swap(standard_pairs(), _core.set_type_module)
    _under_way.append((get_ident(), swap))
    try:
        unreachable = swap.enter()
        report = InstallReport(backend, swap.replaced(), unreachable, swap.held_elsewhere)
        _in_force.append((swap, report))
    finally:
        _under_way.pop()


def _add_children():
    if not _for_children and os.environ.get(VARIABLE, "0") in ("", "0"):
        _for_children.append(os.environ.get(VARIABLE))
        os.environ[VARIABLE] = "1"
    report = _in_force[0][1]
    if report.backend == "c" and not has_startup_file():
        report.add_unreachable("child processes", "fastcopyreg.pth is in no site directory here")


def has_startup_file():
    """Return whether interpreters like this one look for FASTCOPYREG_INSTALL when they start."""
    if sys.flags.ignore_environment or sys.flags.no_site:
        return False
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    site = sys.modules.get("site")
    known = [*site.getsitepackages(), site.getusersitepackages()] if site is not None else []
    return any(
        os.path.exists(f"{folder}/fastcopyreg{end}") for end in (".pth", ".start")
    ) and os.path.normcase(folder) in map(os.path.normcase, map(os.path.abspath, known))


def uninstall():
    """Undo `install`; do nothing if it is not in force.

    Each place gets back what it had, unless it was changed or deleted meanwhile.  A module of the
    standard library that was imported meanwhile gets the standard library's objects too; any other
    module keeps what it took, which goes on working.
    """
    with _lock:
        _restore_variable()
        if _in_force and _in_force[0][0] is None:
            _in_force.clear()
        elif _in_force:
            _uninstall_core(_in_force[0][0])


def _restore_variable():
    """Give the environment back what it had, unless that was changed meanwhile."""
    if _for_children:
        before = _for_children[0]
        if os.environ.get(VARIABLE) == "1":
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before
        _for_children.clear()


def _uninstall_core(swap):
    _under_way.append((get_ident(), swap))
    try:
        _in_force.clear()
        swap.leave()
    finally:
        _under_way.pop()


def installed():
    """Return whether `install` is in force; always False on the Python backend."""
    return any(swap is not None for swap, _ in _in_force)


def _after_fork_in_child():
    """Take back what another thread, which is not in this process, had begun.

    What the core counts as under way in such a thread would never end.  Its lock would never be
    given back here, and the places that it had set would stay as they are.  What the thread that
    forks has begun itself, it ends here as well.
    """
    global _lock
    if backend == "c":
        _core.calls_under_way(True)
    if _lock._is_owned():
        return
    _lock = RLock()
    if _under_way:
        _restore_variable()
        _in_force.clear()
        for _, swap in _under_way:
            swap.leave()
        _under_way.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
