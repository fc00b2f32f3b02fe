"""`safe.explain`: what a pickle would need, found without running any of it.

The machine of the Python backend goes through the opcodes, but every global is a ghost, which
cannot be called and has no attributes; what is made of it is a ghost again.  What a function
would return is a need of its own where the pickle gives it a state or items, or calls it.
"""

import io
import os
from types import MethodType
from typing import NamedTuple

from . import machine, rows
from .policy import lines_of
from .refusals import name_of

USES = ("found", "called", "made", "state", "items")


class Need(NamedTuple):
    """A global that a pickle asks for, what is done with it, and whether a policy allows that.

    *uses* are of `found`, `called`, `made` (by `__new__`), `state`, `items`; *offset* is the byte
    at which it is asked for first.  *why* says what is not allowed, or is an `Allowed`'s note.
    The *name* of what a function returns is that of the function with `()` behind it.
    """

    name: str
    uses: tuple[str, ...]
    offset: int
    allowed: bool
    why: str


class Problem(NamedTuple):
    """Something at a byte that keeps the pickle from being loaded, whatever is allowed."""

    offset: int
    what: str


class Explanation:
    """What a pickle needs; true if all of it is allowed.  Readable when printed."""

    def __init__(self, needs, problems):
        self.needs, self.problems = tuple(needs), tuple(problems)

    def __bool__(self) -> bool:
        return not self.problems and all(need.allowed for need in self.needs)

    def to_dict(self) -> "dict[str, object]":
        """Return it as plain data."""
        return {
            "allowed": bool(self),
            "needs": [need._asdict() for need in self.needs],
            "problems": [problem._asdict() for problem in self.problems],
        }

    def __str__(self) -> str:
        lines = ["allowed" if self else "not allowed"]
        for need in self.needs:
            mark = "  " if need.allowed else "! "
            why = f": {need.why}" if need.why else ""
            lines.append(f"{mark}{need.name} ({', '.join(need.uses)}; byte {need.offset}){why}")
        lines += [f"! byte {problem.offset}: {problem.what}" for problem in self.problems]
        return "\n".join(lines)

    __repr__ = __str__


class Ghost:
    """Stands for a global, or for an instance that would be made of one; it does nothing.

    *cls* is the class of what a function would return; None: it is not known.
    """

    __slots__ = ("cls", "instance", "need", "row")

    def __init__(self, need, row, instance=False, cls=None):
        self.need, self.row, self.instance, self.cls = need, row, instance, cls

    def is_returned(self):
        """Whether it stands for what an allowed function would return."""
        return self.instance and self.row is not None and not isinstance(self.row.object, type)


class _Noted:
    """A `Need` while it is being found."""

    def __init__(self, name, offset, row, note, uses=("found",)):
        self.name, self.offset, self.row = name, offset, row
        self.uses, self.note, self.faults = set(uses), note, []

    def need(self, any_class):
        allowed = (self.row is not None or any_class) and not self.faults
        why = self.note or ""
        if not allowed:
            why = "; ".join(dict.fromkeys(self.faults)) or "it is not allowed"
        uses = tuple(use for use in USES if use in self.uses)
        return Need(self.name, uses, self.offset, allowed, why)


class Ghosts(machine.Machine):
    """A machine in which nothing is called."""

    def __init__(self, compiled, source, notes=()):
        super().__init__(compiled, source, {"buffers": self._buffers()})
        self.noted = {}
        self.problems = []
        self.notes = dict(notes)

    @staticmethod
    def _buffers():
        while True:
            yield bytearray()

    def problem(self, what):
        self.problems.append(Problem(self.offset, what))

    # --- globals

    def find_class(self, module, name):
        if self.protocol < 3 and self.fix_imports and machine.compat is not None:
            if (module, name) in machine.compat.NAME_MAPPING:
                module, name = machine.compat.NAME_MAPPING[module, name]
            else:
                module = machine.compat.IMPORT_MAPPING.get(module, module)
        return self.find(module, name)

    def find(self, module, name):
        row = self.policy.by_name.get((module, name))
        text = f"{module}:{name}"
        if text not in self.noted:
            note = self.notes.get((module, name))
            self.noted[text] = _Noted(text, self.offset, row, note)
        return Ghost(self.noted[text], row)

    def extension(self, size):
        try:
            super().extension(size)
        except machine.UnpicklingError as error:
            if getattr(error, "kind", None) != "extension":
                raise
            self.problem("an extension code that is not registered here")
            self.stack.append(Ghost(None, None, True))

    # --- calls

    def use(self, value, use, forms, arguments):
        """Note that a global is used; a ghost of what that gives."""
        if type(value) is Ghost and value.is_returned():
            fault = "what it returns is called, and may be another object than is allowed"
            self.note_returned(value, use, fault)
            return Ghost(None, None, True)
        if type(value) is not Ghost or value.instance:
            self.problem(f"{use}: something that is no global")
            return Ghost(None, None, True)
        need, row = value.need, value.row
        if need is None:
            return Ghost(None, None, True)
        need.uses.add(use)
        if row is not None and row.helper:
            return self.ghost_of_helper(need, rows.HELPERS[row.helper], arguments)
        if row is not None and not self.policy.any_class and not self.fits(forms(row), arguments):
            need.faults.append(f"not {use} with such arguments")
        return Ghost(need, row, True, self.class_returned(row, arguments))

    def class_returned(self, row, arguments):
        """Return the class of what a function returns, as far as one can tell; or None."""
        if row is None or isinstance(row.object, type):
            return None
        said = said_to_return(row.object)
        if said is not None:
            return said
        first = arguments[0] if arguments else None
        if type(first) is Ghost and not first.instance and first.row is not None:
            made = first.row.object  # It makes an instance of it, as such functions do.
            return made if isinstance(made, type) else None
        return None

    def note_returned(self, value, use, fault=None):
        """Note what is done with what a function returned; *fault* is why that is not allowed."""
        name = f"{value.need.name}()"
        if name not in self.noted:
            self.noted[name] = _Noted(name, self.offset, value.row, None, ())
        self.noted[name].uses.add(use)
        if fault is not None and not self.policy.any_class:
            self.noted[name].faults.append(fault)

    def fault_of_returned(self, cls, use, flags):
        """Return why what is of a class takes no state or items; None if it does."""
        if cls is None:
            return (
                "what it returns is of a class that the pickle does not name: that class must be "
                "allowed, and the function say it (-> Class), for this to tell"
            )
        row = self.policy.row(cls)
        if row is None:
            return f"what it returns takes {use} if {name_of(cls)} is allowed"
        return None if row.flags & flags else f"what it returns takes no {use}"

    def ghost_of_helper(self, need, helper, arguments):
        if helper in ("reconstructor", "newobj") and arguments:
            return self.use(arguments[0], "made", lambda row: row.make, arguments[1:0])
        if helper == "encode":
            return b""
        if helper == "getattr" and len(arguments) == 2 and type(arguments[0]) is Ghost:
            owner, name = arguments
            if owner.row is not None and type(name) is str:
                found = self.policy.attributes.get(id(owner.row.object), {})
                if name in found:
                    return self.ghost_of_attribute(owner, name, found[name])
            need.faults.append("getattr of something that is not allowed")
        return Ghost(None, None, True)

    def ghost_of_attribute(self, owner, name, value):
        """A member of an enum, or a method of a class that is registered."""
        if type(value) is not MethodType:
            return Ghost(owner.need, owner.row, True)
        text = f"{owner.need.name}.{name}"
        row = self.policy.row(value)
        if text not in self.noted:
            self.noted[text] = _Noted(text, self.offset, row, None)
        return Ghost(self.noted[text], row)

    def fits(self, forms, arguments):
        if forms is None or any(type(argument) is Ghost for argument in arguments):
            return forms is None or any(self.may_fit(form, arguments) for form in forms)
        return self.matches(forms, arguments)

    def may_fit(self, form, arguments):
        """Whether the arguments may have the form, where nothing is known of a ghost."""
        specs, repeats = form
        least = len(specs) - repeats
        if len(arguments) < least if repeats else len(arguments) != least:
            return False
        return all(
            type(argument) is Ghost
            or machine.MATCHERS[specs[min(i, len(specs) - 1)].kind](
                self, specs[min(i, len(specs) - 1)], argument
            )
            for i, argument in enumerate(arguments)
        )

    def op_reduce(self):
        self.need(2)
        arguments, value = self.stack[-1], self.stack[-2]
        if type(arguments) is not tuple:
            self.problem("arguments that are no tuple")
            arguments = ()
        made = self.use(value, "called", lambda row: row.call, arguments)
        self.finish_call(made, arguments)

    def newobj(self, keywords):
        self.need(2 + keywords)
        top = len(self.stack) - keywords
        arguments, cls = self.stack[top - 1], self.stack[top - 2]
        made = self.use(
            cls, "made", lambda row: row.make, arguments if type(arguments) is tuple else ()
        )
        self.count_made(top - 1, top - 2)
        del self.stack[top - 2 :]
        self.stack.append(made)

    def instantiate(self, cls, arguments):
        use = "called" if arguments else "made"
        return self.use(cls, use, lambda row: row.call if arguments else row.make, arguments)

    def check_instance(self, cls, arguments):
        pass

    # --- state and items

    def on(self, value, use, flags):
        """Note that an instance is changed."""
        need = value.need if type(value) is Ghost else None
        if type(value) is not Ghost or not value.instance:
            self.problem(f"{use}: for something that is no instance")
            return
        if need is None:
            return
        if value.is_returned():
            self.note_returned(value, use, self.fault_of_returned(value.cls, use, flags))
            return
        need.uses.add(use)
        row = value.row
        if row is not None and not row.flags & flags and not self.policy.any_class:
            need.faults.append(f"its instances take no {use}")

    def op_build(self):
        self.need(2)
        self.on(self.stack[-2], "state", rows.TAKES_STATE | rows.TAKES_UUID)
        self.nest(len(self.stack) - 1, len(self.stack) - 2)
        self.stack.pop()

    def append_from(self, start):
        if not self.ghostly(start, True):
            super().append_from(start)

    def op_append(self):
        if self.reach() < 2 or not self.ghostly(len(self.stack) - 1, False):
            super().op_append()

    def set_from(self, start, marked):
        if not self.ghostly(start, marked):
            super().set_from(start, marked)

    def op_additems(self):
        if not self.marks or not self.ghostly(self.fence, True):
            super().op_additems()

    def ghostly(self, start, marked):
        """Take items off that a ghost would take; whether it was one."""
        if not self.taker(start) or type(self.stack[start - 1]) is not Ghost:
            return False
        self.on(self.stack[start - 1], "items", rows.TAKES_ITEMS)
        self.nest_items(start)
        if marked:
            self.marks.pop()
        del self.stack[start:]
        return True

    def op_persid(self):
        self.input.line()
        self.problem("a persistent id")
        self.stack.append(Ghost(None, None, True))

    def op_binpersid(self):
        self.need(1)
        self.stack.pop()
        self.problem("a persistent id")
        self.stack.append(Ghost(None, None, True))

    def op_readonly_buffer(self):
        self.need(1)

    def stop(self):
        self.helpers = 0
        return super().stop()


OPERATIONS = {
    code: (
        getattr(Ghosts, operation.__name__) if operation.__name__.startswith("op_") else operation
    )
    for code, operation in machine.OPERATIONS.items()
}
"""The machine's, where a ghost does otherwise."""

Ghosts.operations = OPERATIONS


def said_to_return(function):
    """Return the class that a function of the program's says that it returns; or None."""
    try:
        said = function.__annotations__.get("return")
        if isinstance(said, str):
            inner = function.__func__ if type(function) is MethodType else function
            said = inner.__globals__.get(said)
    except Exception:  # Names in annotations may be those of nothing.
        said = None
    if said is None and type(function) is MethodType:
        said = function.__self__
    return said if isinstance(said, type) else None


def walked(compiled, data, notes=()):
    """Return the `Ghosts` that has gone through a pickle; nothing of it was run."""
    source = data if hasattr(data, "readline") else memoryview(data)
    ghosts = Ghosts(compiled, source, notes)
    try:
        ghosts.load()
    except RecursionError:
        ghosts.problem("it is too deep")
    except Exception as error:
        offset = getattr(error, "offset", ghosts.offset)
        ghosts.problems.append(Problem(offset, f"{type(error).__name__}: {error}"))
    return ghosts


def explained(data, policy):
    """Return the `Explanation` of a pickle by what a `safe.Policy` allows."""
    table = policy._table
    notes = {item.names(): item.note for item in table.allowed if item.note}
    ghosts = walked(machine.Policy(table), data, notes)
    needs = [noted.need(table.any_class) for noted in ghosts.noted.values()]
    return Explanation(needs, ghosts.problems)


def names_in(items):
    """Return the names in a list of names, and of files that hold some."""
    names = []
    for item in items:
        names += lines_of(item) if os.path.isfile(item) else [item]
    return names


def explained_file(path, policy):
    """Return the `Explanation` of each pickle in a file, one after another, by a `safe.Policy`."""
    with open(path, "rb") as file:
        source, found = io.BytesIO(file.read()), []
    while source.tell() < len(source.getbuffer()):
        found.append(explained(source, policy))
        if found[-1].problems:
            break
    return found or [explained(b"", policy)]
