"""The machine of the Python backend: a load that can only call what a policy allows.

It gives the verdict of the core (csrc/safe*.c) on every input: what is refused is refused there,
at the same place and in the same words, and what is loaded is equal.  What a pickle says as text
(INT, LONG, FLOAT, STRING, UNICODE) is read by the standard library, as a pickle of that alone.
"""

import copyreg
import sys
from sys import audit, intern
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodType,
    ModuleType,
)

from .._stdlib import PICKLE
from .._stdlib import loads as std_loads
from . import refusals, rows

UnpicklingError = PICKLE["UnpicklingError"]
PickleBuffer = PICKLE.get("PickleBuffer")
FREE_COPIES = 1_000_000
FREE_ARGUMENTS = 64
KEY_PARTS, FEW_PARTS, KEY_DEPTH = 2**20, 128, 10_000
LONG_KEY, MOST_PARTS = 4096, 1024
TUPLES_KEEP_HASHES = sys.version_info >= (3, 14) and sys.implementation.name == "cpython"
MODULUS = 2 ** (61 if sys.maxsize > 2**32 else 31) - 1

try:
    import _compat_pickle as compat
except ImportError:  # It is the standard library's own, and may be gone one day.
    compat = None


class Policy:
    """A table of rows as the machine asks it."""

    def __init__(self, table):
        self.limits = table.limits
        self.any_class = table.any_class
        self.attributes = table.attributes
        self.by_name, self.by_id = {}, {}
        for row in table.rows:
            if not row.flags & rows.IS_UNNAMED:
                self.by_name.setdefault((row.module, row.name), row)
            self.by_id.setdefault(id(row.object), row)
        self.rows = table.rows  # They keep the objects alive, whose addresses are keys.

    def row(self, value):
        return self.by_id.get(id(value))


class Input:
    """The bytes of a pickle, from memory or a file, and how many of them were taken."""

    def __init__(self, source, most):
        self.most = most
        self.begin = 0
        self.taken = 0
        self.window, self.at, self.end = b"", 0, 0
        self.frame_end = None
        self.file = None
        if hasattr(source, "read") and hasattr(source, "readline"):
            self.file = source
        else:
            self.window = bytes(memoryview(source))
            self.end = len(self.window)

    def next_pickle(self):
        self.begin = self.taken
        self.frame_end = None

    def _truncated(self):
        return UnpicklingError("pickle data was truncated")

    def _check(self, size):
        if self.taken - self.begin + size > self.most:
            raise UnpicklingError("the pickle is longer than the limit 'size'")

    def _refill(self, size):
        """Read so many bytes from the file, which become the window."""
        if self.file is None:
            raise self._truncated()
        self._check(size)
        data = self.file.read(size)
        if len(data) < size:
            raise self._truncated()
        self.window, self.at, self.end = bytes(data), 0, len(data)

    def take(self, size):
        if self.frame_end is not None:
            if self.frame_end - self.at >= size:
                return self._advance(size)
            self._leave_frame()
        if self.end - self.at < size:
            if self.at < self.end:
                raise self._truncated()
            self._refill(size)
        return self._advance(size)

    def _leave_frame(self):
        if self.at < self.frame_end:
            raise UnpicklingError("pickle exhausted before end of frame")
        self.frame_end = None

    def _advance(self, size):
        data = self.window[self.at : self.at + size]
        self.at += size
        self.taken += size
        return data

    def opcode(self):
        try:
            return self.take(1)[0]
        except UnpicklingError:
            if self.taken - self.begin < self.most:
                raise EOFError("Ran out of input") from None
            raise

    def line(self):
        """Return the rest of a line without its newline."""
        end = self.end if self.frame_end is None else self.frame_end
        newline = self.window.find(b"\n", self.at, end)
        if newline >= 0:
            return self._advance(newline + 1 - self.at)[:-1]
        if self.frame_end is not None:
            self._leave_frame()
            return self.line()
        if self.file is None or self.at < self.end:
            raise self._truncated()
        data = bytes(self.file.readline())
        if not data.endswith(b"\n"):
            raise self._truncated()
        self.taken += len(data)
        return data[:-1]

    def open_frame(self, size):
        if self.frame_end is not None:
            if self.at < self.frame_end:
                raise UnpicklingError("beginning of a new frame before end of current frame")
            self.frame_end = None
        if self.end - self.at < size:
            if self.at < self.end:
                raise self._truncated()
            self._refill(size)
        self.frame_end = self.at + size


def says_it_is_safe(value):
    """Return whether a function has a true `__safe_for_unpickling__`."""
    if type(value) is not FunctionType:
        return False
    try:
        return bool(value.__dict__.get("__safe_for_unpickling__"))
    except Exception:
        return False


def is_atom(value):
    return value is None or isinstance(value, int) or type(value) in (float, str)


def is_plain_name(name):
    if type(name) is not str:
        return False
    return len(name) < 4 or not (name.startswith("__") and name.endswith("__"))


class Parts:
    """What is walked of a key or argument, and the texts and bytes in it."""

    def __init__(self, whole, most):
        self.waiting, self.most, self.seen, self.size = [whole], most, 0, 0

    def add(self, parts):
        """Have these looked at, too; whether there are no more than the most."""
        parts = list(parts)
        self.seen += len(parts)
        self.waiting += parts
        return self.seen <= self.most

    def add_of(self, whole):
        """Add the parts of what has any in a hash."""
        if isinstance(whole, str):
            self.size += str.__len__(whole)
        elif isinstance(whole, bytes):
            self.size += bytes.__len__(whole)
        elif isinstance(whole, tuple):
            return self.add(tuple.__iter__(whole))
        elif isinstance(whole, set | frozenset):
            return self.add((set if isinstance(whole, set) else frozenset).__iter__(whole))
        return True

    def add_of_container(self, whole):
        """The same of a list or dict."""
        if isinstance(whole, list):
            return self.add(list.__iter__(whole))
        if isinstance(whole, dict):
            return self.add(part for pair in dict.items(whole) for part in pair)
        return True


HASHED_BY_PARTS = {id(cls.__dict__.get("__hash__")) for cls in (tuple, complex, frozenset)}


def _little(data):
    return int.from_bytes(data, "little")


class Machine:
    """A stack, marks, a memo, an input, and what the load has used."""

    def __init__(self, policy, source, options, persistent_load=None):
        self.policy = policy
        self.limits = policy.limits
        self.input = Input(source, policy.limits.size)
        self.fix_imports = options.get("fix_imports", True)
        self.encoding = options.get("encoding", "ASCII")
        self.errors = options.get("errors", "strict")
        buffers = options.get("buffers")
        self.buffers = None if buffers is None else iter(buffers)
        self.persistent_load = persistent_load
        self.memo = {}
        self.heights, self.grown = {}, 0
        self.running = False

    def check_idle(self):
        if self.running:
            raise RuntimeError("Unpickler object is already used")

    def load(self):
        self.check_idle()
        self.running = True
        try:
            return self.load_one()
        finally:
            self.running = False

    def load_one(self):
        self.stack, self.marks, self.nesting = [], [], []
        self.protocol = 0
        self.objects = self.charged = self.collisions = self.sets = self.helpers = 0
        self.parts = 0
        self.hashes, self.hashed = {}, {}
        self.buffer = Machine  # Nothing that is on a stack.
        self.input.next_pickle()
        operations = self.operations
        while True:
            self.offset = self.input.taken - self.input.begin
            opcode = self.input.opcode()
            if opcode == 0x2E:
                return self.stop()
            operation = operations.get(opcode)
            if operation is None:
                raise UnpicklingError(f"invalid load key, {bytes([opcode])!r}.")
            operation(self)

    # --- the stack

    @property
    def fence(self):
        return self.marks[-1] if self.marks else 0

    def reach(self):
        return len(self.stack) - self.fence

    def underflow(self):
        raise UnpicklingError(
            "unexpected MARK found" if self.marks else "unpickling stack underflow"
        )

    def need(self, count):
        if self.reach() < count:
            self.underflow()

    def pop_mark(self):
        if not self.marks:
            raise UnpicklingError("could not find MARK")
        return self.marks.pop()

    def pop_items(self):
        start = self.pop_mark()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # --- refusals and limits

    def refuse(self, kind, subject=None):
        refusals.refuse(kind, subject, self.offset, (tuple(self.stack), tuple(self.marks)))

    def exceed(self, limit):
        self.offset = self.input.taken - self.input.begin - 1
        self.refuse("limit", limit)

    def check_string(self, size):
        if size > self.limits.string:
            self.exceed("string")

    def charge(self, amount):
        self.charged += amount
        if self.charged > FREE_COPIES:
            read = self.input.taken - self.input.begin
            if (self.charged - FREE_COPIES) // (self.limits.copies + 1) > read:
                self.exceed("copies")
        return True

    def take_nesting(self, height):
        deepest = 0
        while self.nesting and self.nesting[-1][0] >= height:
            deepest = max(deepest, self.nesting.pop()[1])
        return deepest

    def nest(self, parts, whole, least=0):
        depth = max(self.take_nesting(parts), least) + 1
        if self.nesting and self.nesting[-1][0] == whole:
            self.nesting[-1] = (whole, max(depth, self.nesting[-1][1]))
        else:
            self.nesting.append((whole, depth))
        if depth > self.limits.depth:
            self.exceed("depth")

    def nest_items(self, start):
        """The container below takes the items from *start* up."""
        if self.nesting and self.nesting[-1][0] >= start:
            self.nest(start, start - 1)

    def count_made(self, parts, whole):
        self.objects += 1
        if self.objects > self.limits.objects:
            self.exceed("objects")
        self.nest(parts, whole)

    # --- heights: see csrc/load/safe_heights.h

    def is_freed_within(self, value):
        row = self.policy.row(type(value))
        return row is not None and bool(row.flags & rows.IS_FREED_WITHIN)

    def height_of(self, value):
        if id(value) not in self.heights:
            parts = value.values() if isinstance(value, dict) else value
            inner = (self.heights.get(id(part)) for part in parts if self.is_freed_within(part))
            height = 1 + max((found[1] for found in inner if found is not None), default=0)
            self.heights[id(value)] = value, height
        return self.heights[id(value)][1]

    def hold(self, container, items):
        """Note that a container takes items; None: one that is not made yet."""
        held = [item for item in items if item is not container and self.is_freed_within(item)]
        height = 1 + max(map(self.height_of, held), default=0)
        if height == 1:
            return
        before = self.heights.get(id(container))
        if before is not None and height > before[1]:
            self.grown += height - before[1]
            self.heights[id(container)] = container, height
        if height + self.grown > self.limits.depth:
            self.exceed("depth")

    # --- keys

    def check_parts(self, key):
        """Hold a key that is a tuple of tuples to a depth and a number of parts.

        Where tuples keep their hashes, the innermost are hashed first: so hash() need not go down.
        """
        if not isinstance(key, tuple) or self.has_few_parts(key):
            return
        walk = [(key, tuple.__iter__(key))]
        while walk:
            whole, parts = walk[-1]
            inner = next((part for part in parts if self.is_walked(part)), None)
            if inner is not None:
                walk.append((inner, tuple.__iter__(inner)))
                continue
            walk.pop()
            if TUPLES_KEEP_HASHES:
                hash(whole)
                self.hashed[id(whole)] = whole
                continue
            self.parts += len(whole) + 1
            if self.parts > KEY_PARTS:
                raise UnpicklingError("too many tuples in the tuples that are keys")
            if len(walk) == KEY_DEPTH:
                raise RecursionError

    @staticmethod
    def has_few_parts(key):
        parts = Parts(key, FEW_PARTS - 1)
        while parts.waiting:
            if not parts.add_of(parts.waiting.pop()):
                return False
        return True

    def is_walked(self, part):
        return (
            isinstance(part, tuple)
            and type(part).__hash__ is tuple.__hash__
            and id(part) not in self.hashed
        )

    def may_collide(self, key):
        hashing = find_on(type(key), "__hash__")
        if hashing is int.__dict__["__hash__"]:
            return int(key) >= MODULUS or int(key) <= -MODULUS
        if id(hashing) in HASHED_BY_PARTS or type(key) in (range, slice):
            return True
        row = self.policy.row(type(key))
        return row is not None and bool(row.flags & rows.IS_VALUE)

    def charge_comparison(self, key):
        """Charge what it may take to compare a key with another of the same hash."""
        parts, few = Parts(key, MOST_PARTS), True
        while few and parts.waiting:
            part = parts.waiting.pop()
            if isinstance(part, slice):
                few = parts.add((part.start, part.stop, part.step))
            else:
                few = parts.add_of(part)
        if not few:
            self.exceed("collisions")
        self.charge(parts.size)

    def check_keys(self, container, keys):
        if container is None:
            self.sets += 1
        place = self.sets if container is None else -id(container)
        for key in keys:
            if type(key) in (str, bytes):
                if len(key) > LONG_KEY:
                    self.charge(len(key))
                continue
            if type(key) is memoryview:  # Each is hashed anew, of the same memory.
                self.charge(key.nbytes)
                continue
            if not self.may_collide(key):
                continue
            try:
                self.check_parts(key)
                entry = place, hash(key)
            except UnpicklingError:
                raise
            except RecursionError:
                self.exceed("depth")
            except Exception:  # The dict or set words it.
                continue
            before = self.hashes.get(entry, 0)
            self.hashes[entry] = before + 1
            self.collisions += before
            if self.collisions > self.limits.collisions:
                self.exceed("collisions")
            if before:
                self.charge_comparison(key)

    # --- forms

    def matches(self, forms, arguments):
        if forms is None:
            return True
        return any(self.matches_form(form, arguments) for form in forms)

    def matches_form(self, form, arguments):
        specs, repeats = form
        least = len(specs) - repeats
        if len(arguments) < least if repeats else len(arguments) != least:
            return False
        if len(arguments) > len(specs):
            self.charge(len(arguments))
        return all(
            MATCHERS[specs[min(i, len(specs) - 1)].kind](
                self, specs[min(i, len(specs) - 1)], argument
            )
            for i, argument in enumerate(arguments)
        )

    def matches_int(self, spec, value):
        if type(value) is not int:
            return False
        if rows.LEAST <= value <= rows.GREATEST:
            return spec.low <= value <= spec.high
        if spec.high != rows.GREATEST if value > 0 else spec.low != rows.LEAST:
            return False
        words = value.bit_length() // 32 + 1
        return self.charge(words * words)

    def matches_text(self, spec, value):
        if type(value) is not str or len(value) > spec.high:
            return False
        if spec.about is not None and not set(value) <= set(spec.about):
            return False
        return self.charge(len(value))

    def matches_bytes(self, spec, value):
        if type(value) is not bytes or not spec.low <= len(value) <= spec.high:
            return False
        return self.charge(len(value))

    def matches_list(self, spec, value):
        if type(value) not in (list, tuple):
            return False
        self.charge(len(value))
        if spec.low > 0:
            return all(map(is_atom, value))
        self.hold(None, value)
        return True

    def matches_dict(self, spec, value):
        if type(value) is not dict or (spec.low > 0 and not all(map(is_atom, value.values()))):
            return False
        return self.charge(len(value))

    def matches_keys(self, spec, value):
        if type(value) not in (list, tuple):
            return False
        self.charge(len(value))
        self.check_keys(None, value)
        return True

    def matches_factory(self, spec, value):
        row = self.policy.row(value)
        if row is not None:
            return bool(row.flags & rows.IS_FACTORY)
        return self.policy.any_class and isinstance(value, type)

    def matches_parts(self, spec, value):
        if spec.about is not None and type(value) is not spec.about:
            return False
        parts = Parts(value, FEW_PARTS)
        while parts.waiting:
            part = parts.waiting.pop()
            if isinstance(part, slice) or not parts.add_of(part):
                return False
            if spec.low:
                row = self.policy.row(type(part))
                if row is not None and row.flags & (rows.TAKES_ITEMS | rows.TAKES_STATE):
                    return False
                if not parts.add_of_container(part):
                    return False
        return self.charge(parts.size)

    def charge_arguments(self, count):
        if count > FREE_ARGUMENTS:
            self.charge(count)

    # --- globals

    def find_class(self, module, name):
        audit("pickle.find_class", module, name)
        if self.protocol < 3 and self.fix_imports and compat is not None:
            if (module, name) in compat.NAME_MAPPING:
                module, name = compat.NAME_MAPPING[module, name]
            elif module in compat.IMPORT_MAPPING:
                module = compat.IMPORT_MAPPING[module]
        return self.find(module, name)

    def find(self, module, name):
        row = self.policy.by_name.get((module, name))
        if row is not None:
            self.helpers += row.helper != 0
            return row.object
        if self.policy.any_class:
            found = find_any(module, name)
            if found is not None:
                return found
        self.refuse("global", (module, name))

    # --- calls

    def is_any(self, value):
        return self.policy.any_class and (isinstance(value, type) or says_it_is_safe(value))

    def check_new(self, cls, arguments, keywords=False):
        if not isinstance(cls, type):
            self.refuse("call", cls)
        row = self.policy.row(cls)
        if self.policy.any_class or (row is not None and row.make is None):
            return
        if row is None or row.helper:
            self.refuse("call", cls)
        if keywords or not self.matches(row.make, arguments):
            self.refuse("arguments", (cls, *arguments))

    def call(self, callable_, arguments):
        row = self.policy.row(callable_)
        if (row is not None and row.call is None) or self.is_any(callable_):
            return callable_(*arguments)
        if row is None:
            self.refuse("call", callable_)
        if row.helper:
            return self.call_helper(rows.HELPERS[row.helper], arguments)
        if not self.matches(row.call, arguments):
            self.refuse("arguments", (callable_, *arguments))
        return callable_(*arguments)

    def call_helper(self, helper, arguments):
        self.helpers -= 1
        if helper == "reconstructor":
            if len(arguments) != 3 or arguments[1] is not object or arguments[2] is not None:
                self.refuse("reconstructor")
            self.check_new(arguments[0], ())
            return object.__new__(arguments[0])
        if helper == "newobj":
            if not arguments:
                self.refuse("newobj")
            cls, *rest = arguments
            self.check_new(cls, rest)
            return cls.__new__(cls, *rest)
        if helper == "encode":
            good = len(arguments) == 2 and all(type(part) is str for part in arguments)
            if not good or arguments[1] != "latin1":
                self.refuse("encode")
            self.charge(len(arguments[0]))
            return arguments[0].encode("latin1")
        if helper == "getattr":
            found = None
            if len(arguments) == 2 and type(arguments[1]) is str:
                found = self.policy.attributes.get(id(arguments[0]), {}).get(arguments[1])
            if found is None:
                self.refuse("getattr")
            return found
        value = arguments[0] if len(arguments) == 1 else self
        if value is not None and value is not ... and value is not NotImplemented:
            self.refuse("type")
        return type(value)

    def check_instance(self, cls, arguments):
        if not arguments and isinstance(cls, type) and find_on(cls, "__getinitargs__") is None:
            self.check_new(cls, ())
            return
        row = self.policy.row(cls)
        if row is not None and row.helper:
            self.refuse("call", cls)
        if (row is not None and row.call is None) or self.is_any(cls):
            return
        if row is None:
            self.refuse("call", cls)
        if not self.matches(row.call, arguments):
            self.refuse("arguments", (cls, *arguments))

    def instantiate(self, cls, arguments):
        if not arguments and isinstance(cls, type) and not hasattr(cls, "__getinitargs__"):
            return cls.__new__(cls)
        return cls(*arguments)

    # --- state

    def ways(self, value):
        functions = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
        if isinstance(value, functions):
            return 0
        if self.policy.any_class:
            return rows.TAKES_STATE
        row = self.policy.row(type(value))
        return 0 if row is None else row.flags & (rows.TAKES_STATE | rows.TAKES_UUID)

    def check_half(self, half):
        if half is None:
            return
        if type(half) is not dict:
            self.refuse("state", half)
        for name in half:
            if not is_plain_name(name):
                self.refuse("name", name)
            if len(name) > LONG_KEY:
                self.charge(len(name))

    def check_state(self, state):
        if type(state) is not tuple:
            self.check_half(state)
            return
        if len(state) != 2:
            self.refuse("state", state)
        self.check_half(state[0])
        self.check_half(state[1])

    def build(self, value, state):
        setstate = method_of(value, "__setstate__")
        if setstate is not None:
            setstate(state)
            return
        self.check_state(state)
        plain, slots = state if type(state) is tuple else (state, None)
        if plain is not None:
            attributes = value.__dict__
            if type(attributes) is not dict:
                self.refuse("items", attributes)
            for name, part in plain.items():
                attributes[intern(name)] = part
        if slots is not None:
            for name, part in slots.items():
                setattr(value, name, part)

    # --- the memo

    def put(self, index):
        self.need(1)
        self.memo[index] = self.stack[-1]
        if len(self.memo) > self.limits.memo:
            self.exceed("memo")

    def fetch(self, index):
        if index not in self.memo:
            raise UnpicklingError(f"Memo value not found at index {index}")
        value = self.memo[index]
        self.helpers += type(value) is rows.Helper
        self.stack.append(value)

    def index_of_line(self):
        line = self.input.line()
        if not line:
            raise UnpicklingError("pickle data was truncated")
        return _index(line)

    # --- the end

    def stop(self):
        self.offset = self.input.taken - self.input.begin - 1
        if self.helpers:
            self.refuse("helper")
        if self.input.taken - self.input.begin > self.limits.size:
            self.exceed("size")
        self.need(1)
        return self.stack.pop()

    # --- opcodes: values

    def op_proto(self):
        version = self.input.take(1)[0]
        if version > PICKLE["HIGHEST_PROTOCOL"]:
            raise ValueError(f"unsupported pickle protocol: {version}")
        self.protocol = version

    def op_frame(self):
        size = _little(self.input.take(8))
        if size > sys.maxsize:
            self.exceed("size")
        self.input.open_frame(size)

    def op_text(self, opcode, check):
        """An opcode whose argument is a line, read by the standard library."""
        line = self.input.line()
        check(len(line) + 1)
        options = {"encoding": self.encoding, "errors": self.errors}
        self.stack.append(std_loads(opcode + line + b"\n.", **options))

    def check_digits(self, length):
        if length > self.limits.integer_digits + 3:
            self.exceed("integer_digits")

    def integer(self, size):
        if size > self.limits.integer_digits * 5 // 12 + 1:
            self.exceed("integer_digits")
        self.stack.append(int.from_bytes(self.input.take(size), "little", signed=True))

    def signed_count(self, what="LONG "):
        count = _little(self.input.take(4))
        if count >= 2**31:
            raise UnpicklingError(f"{what}pickle has negative byte count")
        self.check_string(count)
        return count

    def op_long4(self):
        self.integer(self.signed_count())

    def count(self, size):
        count = _little(self.input.take(size))
        self.check_string(count)
        return count

    def string(self, size):
        count = self.count(size)
        self.stack.append(self.input.take(count).decode("utf-8", "surrogatepass"))

    def old_string(self, size):
        """A str of Python 2, whose count of four bytes has a sign in some versions."""
        count = self.signed_count("BINSTRING ") if size == SIGNED_SIZE else self.count(size)
        data = self.input.take(count)
        if self.encoding == "bytes":
            self.stack.append(data)
        else:
            self.stack.append(data.decode(self.encoding, self.errors))

    def op_next_buffer(self):
        if self.buffers is None:
            raise UnpicklingError(
                "pickle stream refers to out-of-band data but no *buffers* argument was given"
            )
        try:
            self.buffer = next(self.buffers)
        except StopIteration:
            raise UnpicklingError("not enough out-of-band buffers") from None
        self.stack.append(self.buffer)

    def op_readonly_buffer(self):
        if self.reach() < 1:
            self.underflow()
        value = self.stack[-1]
        exact = type(value) in (bytes, bytearray, memoryview, PickleBuffer)
        if not exact and value is not self.buffer:
            self.refuse("buffer", value)
        view = memoryview(value)
        if not view.readonly:
            self.stack[-1] = view.toreadonly()

    # --- opcodes: the stack

    def op_mark(self):
        if len(self.marks) >= self.limits.depth:
            self.exceed("depth")
        self.marks.append(len(self.stack))

    def op_pop(self):
        if self.marks and len(self.stack) == self.fence:
            self.marks.pop()
            return
        if self.reach() < 1:
            self.underflow()
        self.take_nesting(len(self.stack) - 1)
        self.stack.pop()

    def op_pop_mark(self):
        self.take_nesting(self.fence)
        del self.stack[self.pop_mark() :]

    def op_dup(self):
        self.need(1)
        self.helpers += type(self.stack[-1]) is rows.Helper
        self.stack.append(self.stack[-1])

    # --- opcodes: containers

    def open_container(self, value):
        self.count_made(len(self.stack), len(self.stack))
        self.stack.append(value)

    def close_counted(self, size):
        if self.reach() < size:
            self.underflow()
        start = len(self.stack) - size
        self.count_made(start, start)
        items = tuple(self.stack[start:])
        del self.stack[start:]
        self.stack.append(items)

    def close_marked(self, make):
        if self.marks:
            self.count_made(self.fence, self.fence)
        self.stack.append(make(self.pop_items()))

    def op_dict(self):
        if self.marks and self.reach() % 2 == 0:
            self.count_made(self.fence, self.fence)
            self.check_keys(None, self.stack[self.fence :: 2])
        items = self.pop_items()
        if len(items) % 2:
            raise UnpicklingError("odd number of items for DICT")
        self.stack.append(dict(zip(items[::2], items[1::2], strict=True)))

    def op_frozenset(self):
        if self.marks:
            self.count_made(self.fence, self.fence)
            self.check_keys(None, self.stack[self.fence :])
        self.stack.append(frozenset(self.pop_items()))

    def check_takes(self, value, items):
        row = self.policy.row(type(value))
        is_any_object = self.policy.any_class and not isinstance(value, type | ModuleType)
        if not is_any_object and (row is None or not row.flags & rows.TAKES_ITEMS):
            self.refuse("items", value)
        if row is not None and row.flags & rows.IS_FREED_WITHIN:
            self.hold(value, items)

    def taker(self, start):
        """The object that takes the items from *start* up, and whether there is one in reach."""
        least = self.fence
        if self.marks and start == self.fence:
            least = self.marks[-2] if len(self.marks) > 1 else 0
        return start > least

    def append_from(self, start):
        """APPENDS of what lies from *start* up."""
        if not self.taker(start):
            if self.marks and start == self.fence:
                self.marks.pop()
            self.underflow()
        value = self.stack[start - 1]
        if type(value) is not list:
            self.check_takes(value, self.stack[start:])
        self.nest_items(start)
        if self.marks and start == self.fence:
            self.marks.pop()
        if start < len(self.stack) or not APPENDS_PASSES_EMPTY:
            self.extend(value, start)

    def method_of(self, value, name):
        method = method_of(value, name)
        if method is None:
            self.offset = self.input.taken - self.input.begin - 1
            self.refuse("method", value)
        return method

    def extend(self, value, start):
        """By the methods of its class: what a pickle has put into it is not asked."""
        extend = method_of(value, "extend")
        append = None if extend is not None else self.method_of(value, "append")
        items = self.stack[start:]
        del self.stack[start:]
        if extend is not None:
            extend(items)
            return
        for item in items:
            append(item)

    def op_append(self):
        if self.reach() < 2:
            self.underflow()
        start = len(self.stack) - 1
        value = self.stack[start - 1]
        if type(value) is not list:
            self.check_takes(value, self.stack[start:])
        self.nest_items(start)
        self.extend(value, start)

    def op_appends(self):
        if not self.marks:
            self.pop_mark()
        self.append_from(self.fence)

    def set_from(self, start, marked):
        if not self.taker(start):
            if marked:
                self.marks.pop()
            self.underflow()
        if (len(self.stack) - start) % 2:
            raise UnpicklingError("odd number of items for SETITEMS")
        value = self.stack[start - 1]
        if type(value) is not dict:
            self.check_takes(value, self.stack[start + 1 :: 2])
        self.nest_items(start)
        self.check_keys(value, self.stack[start::2])
        if marked:
            self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        for i in range(0, len(items), 2):
            value[items[i]] = items[i + 1]

    def op_setitem(self):
        if self.reach() < 3:
            self.underflow()
        self.set_from(len(self.stack) - 2, False)

    def op_setitems(self):
        if not self.marks:
            self.pop_mark()
        self.set_from(self.fence, True)

    def op_additems(self):
        if not self.marks:
            self.pop_mark()
        start = self.fence
        if not self.taker(start):
            self.marks.pop()
            self.underflow()
        value = self.stack[start - 1]
        if type(value) is not set:
            self.check_takes(value, self.stack[start:])
        self.nest_items(start)
        self.check_keys(value, self.stack[start:])
        self.marks.pop()
        if start == len(self.stack) and APPENDS_PASSES_EMPTY:
            return
        add = None if isinstance(value, set) else self.method_of(value, "add")
        items = self.stack[start:]
        del self.stack[start:]
        if add is None:
            value.update(items)
            return
        for item in items:
            add(item)

    # --- opcodes: globals and calls

    def names_of_lines(self, encoding):
        names = []
        for _ in range(2):
            line = self.input.line()
            if not line:
                raise UnpicklingError("pickle data was truncated")
            names.append(line.decode(encoding))
        return names

    def op_global(self):
        self.stack.append(self.find_class(*self.names_of_lines("utf-8")))

    def op_stack_global(self):
        self.need(1)
        name = self.stack.pop()
        self.need(1)
        module = self.stack.pop()
        if type(module) is not str or type(name) is not str:
            raise UnpicklingError("STACK_GLOBAL requires str")
        self.stack.append(self.find_class(module, name))

    def extension(self, size):
        code = int.from_bytes(self.input.take(size), "little", signed=size == 4)
        pair = copyreg._inverted_registry.get(code)
        if (
            type(pair) is not tuple
            or len(pair) != 2
            or not all(type(name) is str for name in pair)
        ):
            self.refuse("extension", code)
        audit("pickle.find_class", *pair)
        self.stack.append(self.find(*pair))

    def op_reduce(self):
        if self.reach() < 2:
            if self.reach() == 1:
                self.stack.pop()
            self.underflow()
        arguments, callable_ = self.stack[-1], self.stack[-2]
        if type(arguments) is not tuple:
            self.refuse("no tuple", callable_)
        row = self.policy.row(callable_)
        if row is None or row.helper or row.call is not None:
            # What is refused is refused before anything is counted.
            if row is not None and row.helper:
                made = self.call_helper(rows.HELPERS[row.helper], arguments)
                self.finish_call(made, arguments)
                return
            if not self.is_any(callable_):
                if row is None:
                    self.refuse("call", callable_)
                if not self.matches(row.call, arguments):
                    self.refuse("arguments", (callable_, *arguments))
        self.charge_arguments(len(arguments))
        self.count_made(len(self.stack) - 1, len(self.stack) - 2)
        made = callable_(*arguments)
        del self.stack[-2:]
        self.stack.append(made)

    def finish_call(self, made, arguments):
        self.charge_arguments(len(arguments))
        self.count_made(len(self.stack) - 1, len(self.stack) - 2)
        del self.stack[-2:]
        self.stack.append(made)

    def newobj(self, keywords):
        if self.reach() < 2 + keywords:
            self.underflow()
        named = self.stack[-1] if keywords else {}
        top = len(self.stack) - keywords
        arguments, cls = self.stack[top - 1], self.stack[top - 2]
        if type(arguments) is not tuple or type(named) is not dict:
            self.refuse("no tuple", cls)
        self.check_new(cls, arguments, keywords)
        self.charge_arguments(len(arguments))
        self.count_made(top - 1, top - 2)
        made = cls.__new__(cls, *arguments, **named)
        del self.stack[top - 2 :]
        self.stack.append(made)

    def op_obj(self):
        if not self.marks:
            self.pop_mark()
        start = self.fence
        if start == len(self.stack):
            self.marks.pop()
            self.underflow()
        cls, *arguments = self.stack[start:]
        self.check_instance(cls, arguments)
        self.charge_arguments(len(arguments))
        self.count_made(start + 1, start)
        self.marks.pop()
        del self.stack[start:]
        self.stack.append(self.instantiate(cls, arguments))

    def op_inst(self):
        start = self.pop_mark()
        cls = self.find_class(*self.names_of_lines("ascii"))
        self.offset = self.input.taken - self.input.begin - 1
        arguments = self.stack[start:]
        self.check_instance(cls, arguments)
        self.charge_arguments(len(arguments))
        self.count_made(start, start)
        del self.stack[start:]
        self.stack.append(self.instantiate(cls, arguments))

    def op_build(self):
        if self.reach() < 2:
            self.underflow()
        state, value = self.stack[-1], self.stack[-2]
        ways = self.ways(value)
        if not ways:
            self.refuse("build", value)
        if ways == rows.TAKES_UUID and not is_uuid_state(state):
            self.refuse("state", state)
        self.nest(len(self.stack) - 1, len(self.stack) - 2)
        halves = state if type(state) is tuple and len(state) == 2 else (state,)
        self.charge(sum(len(half) for half in halves if type(half) is dict))
        self.stack.pop()
        self.build(value, state)

    # --- opcodes: persistent ids

    def op_persid(self):
        if self.persistent_load is None:
            self.refuse("persistent")
        line = self.input.line()
        try:
            name = line.decode("ascii")
        except UnicodeDecodeError:
            raise UnpicklingError("persistent IDs in protocol 0 must be ASCII strings") from None
        self.stack.append(self.persistent_load(name))

    def op_binpersid(self):
        if self.persistent_load is None:
            self.refuse("persistent")
        self.need(1)
        self.take_nesting(len(self.stack) - 1)
        name = self.stack.pop()
        self.stack.append(self.persistent_load(name))


def find_on(cls, name):
    """Return what *cls* has under a name, along its MRO, as it lies there; None if nothing."""
    for base in type.__dict__["__mro__"].__get__(cls):
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def method_of(value, name):
    """Return what the class of *value* has under a name, bound to it; None if nothing."""
    found = find_on(type(value), name)
    bind = getattr(type(found), "__get__", None)
    return found if found is None or bind is None else bind(found, value, type(value))


def find_any(module, name):
    """Return what classes="any" finds in the dict of a module that is there; None if nothing."""
    found = sys.modules.get(module)
    if not isinstance(found, ModuleType):
        return None
    value = ModuleType.__dict__["__dict__"].__get__(found).get(name)
    return value if isinstance(value, type) or says_it_is_safe(value) else None


def is_uuid_state(state):
    if type(state) is not dict or not all(type(name) is str for name in state):
        return False
    if "int" not in state:
        return False
    number, safety = state["int"], state.get("is_safe")
    if type(number) is not int or not 0 <= number < 2**128:
        return False
    if safety is not None and (type(safety) is not int or safety not in (0, -1)):
        return False
    return len(state) == 1 + ("is_safe" in state)


MATCHERS = (
    lambda machine, spec, value: True,
    lambda machine, spec, value: value is None,
    Machine.matches_int,
    lambda machine, spec, value: type(value) is float,
    Machine.matches_text,
    Machine.matches_bytes,
    Machine.matches_list,
    Machine.matches_dict,
    Machine.matches_keys,
    lambda machine, spec, value: type(value) is spec.about,
    lambda machine, spec, value: issubclass(type(value), spec.about),
    lambda machine, spec, value: value is spec.about,
    Machine.matches_factory,
    lambda machine, spec, value: type(value) is str and value == spec.about,
    Machine.matches_parts,
)
"""In the order of rows.KINDS."""


def _said_by_standard(data):
    """Return what the standard library says of a pickle that it refuses; or None."""
    try:
        std_loads(data)
    except Exception as error:
        return str(error)
    return None


APPENDS_PASSES_EMPTY = _said_by_standard(b"N(e.") is None
SIGNED_SIZE = 4 if "negative" in (_said_by_standard(b"T\xff\xff\xff\xff") or "") else None


def _constant(value):
    return lambda machine: machine.stack.append(value)


def _number(size, signed=False):
    def operation(machine):
        data = machine.input.take(size)
        machine.stack.append(int.from_bytes(data, "little", signed=signed))

    return operation


def _binfloat(machine):
    from struct import unpack

    machine.stack.append(unpack(">d", machine.input.take(8))[0])


def _raw(size):
    return lambda machine: machine.stack.append(machine.input.take(machine.count(size)))


def _bytearray8(machine):
    machine.stack.append(bytearray(machine.input.take(machine.count(8))))


def _line(opcode, check):
    return lambda machine: machine.op_text(opcode, getattr(machine, check))


def _index(line):
    index = int(line.decode("latin-1"))
    if not -sys.maxsize <= index <= sys.maxsize:
        raise OverflowError("Python int too large to convert to C ssize_t")
    return index


def _put_line(machine):
    line = machine.input.line()
    if not line:
        raise UnpicklingError("pickle data was truncated")
    machine.need(1)
    index = _index(line)
    if index < 0:
        raise ValueError("negative PUT argument")
    machine.put(index)


OPERATIONS = {
    ord("("): Machine.op_mark,
    ord("0"): Machine.op_pop,
    ord("1"): Machine.op_pop_mark,
    ord("2"): Machine.op_dup,
    ord("F"): _line(b"F", "check_string"),
    ord("I"): _line(b"I", "check_digits"),
    ord("J"): _number(4, True),
    ord("K"): _number(1),
    ord("L"): _line(b"L", "check_digits"),
    ord("M"): _number(2),
    ord("N"): _constant(None),
    ord("P"): Machine.op_persid,
    ord("Q"): Machine.op_binpersid,
    ord("R"): Machine.op_reduce,
    ord("S"): _line(b"S", "check_string"),
    ord("T"): lambda machine: machine.old_string(4),
    ord("U"): lambda machine: machine.old_string(1),
    ord("V"): _line(b"V", "check_string"),
    ord("X"): lambda machine: machine.string(4),
    ord("a"): Machine.op_append,
    ord("b"): Machine.op_build,
    ord("c"): Machine.op_global,
    ord("d"): Machine.op_dict,
    ord("}"): lambda machine: machine.open_container({}),
    ord("e"): Machine.op_appends,
    ord("g"): lambda machine: machine.fetch(machine.index_of_line()),
    ord("h"): lambda machine: machine.fetch(machine.input.take(1)[0]),
    ord("i"): Machine.op_inst,
    ord("j"): lambda machine: machine.fetch(_little(machine.input.take(4))),
    ord("l"): lambda machine: machine.close_marked(list),
    ord("]"): lambda machine: machine.open_container([]),
    ord("o"): Machine.op_obj,
    ord("p"): _put_line,
    ord("q"): lambda machine: machine.put(machine.input.take(1)[0]),
    ord("r"): lambda machine: machine.put(_little(machine.input.take(4))),
    ord("s"): Machine.op_setitem,
    ord("t"): lambda machine: machine.close_marked(tuple),
    ord(")"): _constant(()),
    ord("u"): Machine.op_setitems,
    ord("G"): _binfloat,
    0x80: Machine.op_proto,
    0x81: lambda machine: machine.newobj(False),
    0x82: lambda machine: machine.extension(1),
    0x83: lambda machine: machine.extension(2),
    0x84: lambda machine: machine.extension(4),
    0x85: lambda machine: machine.close_counted(1),
    0x86: lambda machine: machine.close_counted(2),
    0x87: lambda machine: machine.close_counted(3),
    0x88: _constant(True),
    0x89: _constant(False),
    0x8A: lambda machine: machine.integer(machine.input.take(1)[0]),
    0x8B: Machine.op_long4,
    ord("B"): _raw(4),
    ord("C"): _raw(1),
    0x8C: lambda machine: machine.string(1),
    0x8D: lambda machine: machine.string(8),
    0x8E: _raw(8),
    0x8F: lambda machine: machine.open_container(set()),
    0x90: Machine.op_additems,
    0x91: Machine.op_frozenset,
    0x92: lambda machine: machine.newobj(True),
    0x93: Machine.op_stack_global,
    0x94: lambda machine: machine.put(len(machine.memo)),
    0x95: Machine.op_frame,
    0x96: _bytearray8,
    0x97: Machine.op_next_buffer,
    0x98: Machine.op_readonly_buffer,
}

Machine.operations = OPERATIONS
