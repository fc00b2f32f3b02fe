"""`safe`: loads that can only call what was registered.

    from fastcopyreg import safe

    safe.loads(data)                         built-in data, STANDARD, registered constructors
    safe.loads(data, allow=[Point])          and Point
    policy = safe.Policy(allow=[Point])      the same, made once: policy.loads(data)

The registry's oldest purpose: what a load may call is what was declared a safe constructor, by
`copyreg.constructor(f)`, the third argument of `copyreg.pickle`, `register(...)`, or `allow=`.
Nothing else is imported, looked up or called; whatever is refused raises UnpicklingError.
`docs/safety.md` says what that promises, and what it does not.
"""

from types import MappingProxyType

from . import _backend, _stdlib
from ._safe import policy as _policy
from ._safe import rows as _rows
from ._safe.policy import Allowed, Limits
from ._safe.policy import learners as _learners

__all__ = (
    "STANDARD",
    "Allowed",
    "Limits",
    "Policy",
    "Unpickler",
    "explain",
    "learning",
    "load",
    "loads",
)

_UnpicklingError = _stdlib.PICKLE["UnpicklingError"]

STANDARD = MappingProxyType(
    {
        f"{row.module}.{row.name}": row.object
        for row in _rows.standard(Limits().integer_digits)
        if not row.helper
    }
)
"""What every load may find: the standard library's value types, by the names in their pickles.

They are called only with arguments of the form that their own pickles have, and of a size that
exhausts nobody.
"""

if _backend.backend == "c":
    # The core imports these when it first needs them; a load shall import nothing at all.
    from . import compiler  # noqa: F401
    from ._compiler import values as _values  # noqa: F401

    _core = _backend.core
    loads, load = _core.safe_loads, _core.safe_load
    _core.set_safe(_policy.choose, _policy.constructors())
    _BaseUnpickler = _core.Unpickler
else:
    from ._safe.machine import Machine as _Machine

    def loads(
        data,
        /,
        *,
        allow=(),
        classes="registered",
        limits=None,
        fix_imports=True,
        encoding="ASCII",
        errors="strict",
        buffers=(),
    ):
        """Return the object that a pickle in memory describes, calling only what is allowed.

        Allowed are built-in data, STANDARD, the constructors registered in this process, and
        what allow names; see Policy for allow, classes and limits, which is also what to make
        once where many pickles are loaded with these.  The other arguments are those of
        pickle.loads.  Raises UnpicklingError for what is not allowed.
        """
        options = {
            "fix_imports": fix_imports,
            "encoding": encoding,
            "errors": errors,
            "buffers": buffers,
        }
        if _learners:
            return _learners[-1].loads(data, **options)
        chosen = _policy.choose(allow, classes, limits)
        return _Machine(chosen, memoryview(data), options).load()

    def load(
        file,
        *,
        allow=(),
        classes="registered",
        limits=None,
        fix_imports=True,
        encoding="ASCII",
        errors="strict",
        buffers=(),
    ):
        """Read one pickle from a file, calling only what is allowed; see loads."""
        options = {
            "fix_imports": fix_imports,
            "encoding": encoding,
            "errors": errors,
            "buffers": buffers,
        }
        if _learners:
            return _learners[-1].load(file, **options)
        return _Machine(_policy.choose(allow, classes, limits), file, options).load()

    class _BaseUnpickler:
        """The Unpickler of this backend: the machine, behind the names of pickle.Unpickler."""

        def __init__(self, file, **options):
            if not (hasattr(file, "read") and hasattr(file, "readline")):
                raise TypeError("file must have 'read' and 'readline' attributes")
            if getattr(self, "_machine", None) is not None:
                self._machine.check_idle()
            self._arguments = file, options
            self._machine = None

        def _give(self, compiled):
            file, options = self._arguments
            persistent = getattr(self, "persistent_load", None)
            self._machine = _Machine(compiled, file, options, persistent)

        def load(self):
            """Read one pickle and return the object that it describes."""
            return self._machine.load()

        def find_class(self, module_name, global_name, /):
            """Return what the policy has under these names, or raise UnpicklingError."""
            machine = self._machine
            machine.check_idle()
            machine.stack, machine.marks, machine.offset, machine.helpers = [], [], 0, 0
            machine.protocol = 3
            return machine.find_class(module_name, global_name)


def _give_policy(unpickler, compiled):
    if _backend.backend == "c":
        _core.set_policy(unpickler, compiled)
    else:
        unpickler._give(compiled)


class Unpickler(_BaseUnpickler):
    """Reads pickles from a file, calling only what is allowed; the memo is kept between them.

    A subclass may define `persistent_load(self, pid)`, which is then called for persistent ids; in
    all others they are refused.  `find_class` is not asked, so a subclass that defines it is an
    error: what may be found is said by `allow`.
    """

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        if cls.find_class is not Unpickler.find_class:
            raise TypeError(
                f"{cls.__qualname__}.find_class would not be asked; allow=... says what a "
                "safe.Unpickler may find"
            )

    if _backend.backend == "c":

        def __new__(cls, *arguments, **options):
            # From its first moment on, whatever a subclass initialises.
            self = super().__new__(cls)
            _give_policy(self, _policy.choose())
            return self

    def __init__(self, file, *, allow=(), classes="registered", limits=None, **options):
        super().__init__(file, **options)
        compiled = _policy.choose(allow, classes, limits)
        _give_policy(self, compiled)


class Policy:
    """What loads may find and call, made once: `policy.loads(data)`, `.load(file)`, `.Unpickler`.

    *allow* names what is allowed besides STANDARD and what this process has registered so far: an
    iterable of classes and callables, of `"module:qualified name"`, which is imported now, and of
    `Allowed` objects; or the path of a file that `learning` has saved.  A class is allowed under
    its own name alone; its subclasses are not.  Its objects may be made with any arguments, take
    any state and items: what its `__init__`, `__setstate__`, `__setattr__`, `__hash__`, `__eq__`
    and `__del__` do with data that somebody made up is its own risk.

    *classes* is `"registered"`, or `"any"` for the rule of the old documentation to the letter:
    any class of a module that is already imported, a registered constructor, or a function with a
    true `__safe_for_unpickling__`.  That lets in `subprocess.Popen`, `os._wrap_close` and every
    other class whose constructor does something: it is no defence against anybody.

    *limits* is a `Limits`.
    """

    __slots__ = ("_compiled", "_table")

    def __init__(self, allow=(), *, classes="registered", limits=None):
        self._table = _policy.Table(allow, classes, limits)
        self._compiled = self._table.compiled()

    @property
    def limits(self):
        """The limits of its loads."""
        return self._table.limits

    @property
    def allowed(self):
        """The names of what a load may find, as (module, qualified name)."""
        return frozenset((row.module, row.name) for row in self._table.rows)

    def loads(self, data, /, **options):
        """Return the object that a pickle in memory describes; *options* are pickle.loads's."""
        if _backend.backend == "c":
            return _core.policy_loads(self._compiled, data, **options)
        if _learners:
            return _learners[-1].loads(data, **options)
        return _Machine(self._compiled, memoryview(data), options).load()

    def load(self, file, **options):
        """Read one pickle from a file; *options* are pickle.load's."""
        if _backend.backend == "c":
            return _core.policy_load(self._compiled, file, **options)
        if _learners:
            return _learners[-1].load(file, **options)
        return _Machine(self._compiled, file, options).load()

    def Unpickler(self, file, **options):
        """Return a `safe.Unpickler` of this policy."""
        unpickler = Unpickler(file, **options)
        _give_policy(unpickler, self._compiled)
        return unpickler


def explain(data, *, allow=(), classes="registered", limits=None):
    """List what a pickle would need, without running any of it; see `Explanation`.

    *data* is bytes, or a file.  What it needs is compared with what these arguments allow.
    """
    from ._safe.explain import explained

    return explained(data, Policy(allow, classes=classes, limits=limits))


def learning():
    """Return a context in which `pickle`'s loads record what they find and call.

    For trusted data, in a test run: ``with safe.learning() as seen:`` loads as pickle does, and
    notes each global, constructor and state that the program's own pickles need.  Loads by
    ``seen.loads`` and ``seen.load`` are recorded, and, where nothing else has replaced them, those
    of `pickle` and of `fastcopyreg.pickle` too.  ``seen.allow_list()`` is Python code to paste,
    ``seen.save(FILE)`` a file to review, for ``allow=FILE``.
    """
    from ._safe.learning import Learning

    return Learning()
