"""`safe.learning`: what a program's own pickles need, recorded while they are loaded.

Pickles are loaded by the Unpickler of the standard library in Python, whose opcodes can be looked
at: as `pickle` does it, so of trusted data only.
"""

import io
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import _backend, _stdlib
from . import machine, policy
from .policy import learners

if TYPE_CHECKING:
    import os
    from typing import Any

    from typing_extensions import Buffer

_PythonUnpickler = _stdlib.PICKLE["_Unpickler"]


class _Recorder(_PythonUnpickler):
    """Loads as pickle does, and notes what is found, called, and given a state."""

    dispatch = dict(_PythonUnpickler.dispatch)

    def __init__(self, seen, file, **options):
        super().__init__(file, **options)
        self.seen = seen

    def find_class(self, module, name):
        if self.proto < 3 and self.fix_imports and machine.compat is not None:
            if (module, name) in machine.compat.NAME_MAPPING:
                module, name = machine.compat.NAME_MAPPING[module, name]
            else:
                module = machine.compat.IMPORT_MAPPING.get(module, module)
        found = super().find_class(module, name)
        self.seen.note(module, name, found, "found")
        return found

    def load_reduce(self):
        self.seen.note_object(self.stack[-2], "called")
        super().load_reduce()

    def load_newobj(self):
        self.seen.note_object(self.stack[-2], "made")
        super().load_newobj()

    def load_newobj_ex(self):
        self.seen.note_object(self.stack[-3], "made")
        super().load_newobj_ex()

    def load_build(self):
        self.seen.note_class(type(self.stack[-2]), "state")
        super().load_build()

    dispatch[ord("R")] = load_reduce
    dispatch[0x81] = load_newobj
    dispatch[0x92] = load_newobj_ex
    dispatch[ord("b")] = load_build


class Learning:
    """What was seen in the pickles that were loaded within `with safe.learning() as seen:`."""

    def __init__(self):
        self._names = {}
        self._uses = {}
        self._replaced = []

    # --- what is noted

    def note(self, module, name, value, use):
        self._names.setdefault(id(value), (module, name, value))
        self.note_object(value, use)

    def note_object(self, value, use):
        if id(value) in self._names:
            uses = self._uses.setdefault(id(value), {})
            uses[use] = uses.get(use, 0) + 1

    def note_class(self, cls, use):
        self.note(cls.__module__, cls.__qualname__, cls, use)

    @property
    def globals(self) -> "dict[tuple[str, str], dict[str, int]]":
        """What was found, as {(module, qualified name): {use: how often}}, sorted by name."""
        found = {self._names[key][:2]: dict(uses) for key, uses in self._uses.items()}
        return dict(sorted(found.items()))

    def _needed(self):
        """Return (module, name) of what STANDARD has not, nor the registry."""
        table = policy.Table()
        known = {(row.module, row.name) for row in table.rows}
        return [names for names in self.globals if names not in known]

    def allow_list(self) -> str:
        """Return Python code with a list of what is needed, to paste."""
        needed = self._needed()
        modules = sorted({module for module, _ in needed})
        lines = [f"import {module}" for module in modules]
        items = [f"    {module}.{name}," for module, name in needed]
        return "\n".join([*lines, "", "ALLOW = [", *items, "]", ""]).lstrip("\n")

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write what is needed into a file to review, for `allow=path`: a name a line."""
        with open(path, "w", encoding="utf-8") as file:
            print("# Written by fastcopyreg.safe.learning; for allow=FILE.", file=file)
            for module, name in self._needed():
                uses = ", ".join(f"{use} {n}" for use, n in self.globals[module, name].items())
                print(f"{module}:{name}  # {uses}", file=file)

    # --- loads

    def loads(self, data: "Buffer", /, **options: "Any") -> "Any":
        """Load a pickle as `pickle.loads` does, and note what it needs."""
        return self.load(io.BytesIO(data), **options)

    def load(self, file: "Any", **options: "Any") -> "Any":
        """Read a pickle from a file as `pickle.load` does, and note what it needs."""
        for name in ("allow", "classes", "limits"):
            options.pop(name, None)
        return _Recorder(self, file, **options).load()

    def __enter__(self) -> "Learning":
        from .. import pickle as ours

        std = __import__("pickle")
        for module in (std, ours):
            for name in ("load", "loads"):
                self._replaced.append((module, name, getattr(module, name)))
                setattr(module, name, getattr(self, name))
        learners.append(self)
        _tell()
        return self

    def __exit__(self, *raised: object) -> None:
        for module, name, original in reversed(self._replaced):
            if getattr(module, name) == getattr(self, name):
                setattr(module, name, original)
        self._replaced.clear()
        with suppress(ValueError):
            learners.remove(self)
        _tell()


def _tell():
    """Tell who does the loads of `safe`."""
    if _backend.backend == "c":
        _backend.core.set_learner(learners[-1] if learners else None)
