"""Attacks on loads that restrict what may be called: over 150 pickles, each named.

Each would make the file `PWNED` if it were loaded by `pickle` in a process that has `harm` (a
module of ours, as dangerous as `os.system`), or would exhaust the process, or change what is not
its own. `ATTACKS` maps a name to the bytes; `GROUPS` says which kind each is of.
"""

import collections
import enum
import pickle
import struct
import sys
import types

MARKER = "fastcopyreg_safe_attack_was_run"
"""The file that a payload makes, in the current folder."""


def touch(*arguments, **keywords):
    """The payload."""
    with open(MARKER, "w") as file:
        file.write(repr(arguments))
    return touch


class Popen:
    """A class whose constructor does harm."""

    def __init__(self, *arguments, **keywords):
        touch(*arguments)

    def __setstate__(self, state):
        touch(state)

    def append(self, item):
        touch(item)

    extend = add = append

    def __setitem__(self, key, value):
        touch(key, value)

    @classmethod
    def run(cls, *arguments):
        touch(*arguments)

    class Inner:
        def __new__(cls, *arguments):
            touch(*arguments)
            return super().__new__(cls)


class Victim:
    """An allowed class, of which nothing but its own objects may be changed."""

    kind = "innocent"

    def method(self):
        return "innocent"

    def harm(self, *arguments):
        touch(*arguments)


class SlotsVictim:
    """An allowed class with slots."""

    __slots__ = ("a", "b")


class Text(str):
    """An allowed class that says it is equal to whatever it is compared with."""

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def startswith(self, *arguments):
        return True

    __hash__ = str.__hash__


class Pair(collections.namedtuple("Pair", "a b")):
    """An allowed class that is hashed as a tuple is."""

    __slots__ = ()


class Number(int):
    """An allowed class that is hashed as an int is."""


class Choice(enum.Enum):
    """An allowed enum."""

    ONE = 1
    TWO = ("a", 2)

    @classmethod
    def _missing_(cls, value):
        repr(value)
        return touch(value)


def helper(*arguments):
    """An allowed function."""
    return list(arguments)


helper.evil = touch

MODULE = "harm"


def install():
    """Put the module that the payloads name in its place; return it."""
    module = sys.modules.get(MODULE)
    if module is None:
        module = sys.modules[MODULE] = types.ModuleType(MODULE)
        for value in (touch, Popen, *ALLOWED):
            value.__module__ = MODULE
            setattr(module, value.__name__, value)
        module.os = __import__("os")
        module.instance = Victim()
    return module


ALLOWED = (Victim, SlotsVictim, Text, Pair, Number, Choice, helper)
"""What the loads of the tests allow: with these, too, every attack is refused."""

ATTACKS = {}
GROUPS = {}


def attack(group, name, data):
    assert name not in ATTACKS, name
    ATTACKS[name] = data
    GROUPS[name] = group


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def short(value):
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def line_global(module, name):
    return f"c{module}\n{name}\n".encode()


def stack_global(module, name):
    return short(module) + short(name) + b"\x93"


def memoized_global(module, name):
    return short(module) + b"\x94" + short(name) + b"\x94\x93\x94"


WAYS = {
    "GLOBAL": (b"", line_global),
    "GLOBAL of protocol 2": (b"\x80\x02", line_global),
    "STACK_GLOBAL": (b"\x80\x04", stack_global),
    "STACK_GLOBAL as dumps writes it": (b"\x80\x04", memoized_global),
}
ARGUMENT = text(MARKER)
TOUCH, VICTIM = (MODULE, "touch"), (MODULE, "Victim")

# --- each way to a global, and each way to call it

CALLS = {
    "REDUCE": lambda function: function + b"(" + ARGUMENT + b"tR.",
    "REDUCE with TUPLE1": lambda function: function + ARGUMENT + b"\x85R.",
    "REDUCE with a memoized tuple": lambda function: function + ARGUMENT + b"\x85\x94R\x94.",
    "REDUCE of nothing": lambda function: function + b")R.",
    "NEWOBJ": lambda function: function + b")\x81.",
    "NEWOBJ with arguments": lambda function: function + ARGUMENT + b"\x85\x81.",
    "NEWOBJ_EX": lambda function: function + ARGUMENT + b"\x85}\x92.",
    "OBJ": lambda function: b"(" + function + ARGUMENT + b"o.",
    "OBJ of nothing": lambda function: b"(" + function + b"o.",
}
for way, (head, named) in WAYS.items():
    for call, program in CALLS.items():
        attack("calls", f"{call} of a function by {way}", head + program(named(*TOUCH)))
    for call in ("REDUCE", "NEWOBJ", "OBJ"):
        cls = named(MODULE, "Popen")
        attack("calls", f"{call} of a class by {way}", head + CALLS[call](cls))
attack("calls", "INST of a function", b"(" + ARGUMENT + b"iharm\ntouch\n.")
attack("calls", "INST of a class", b"(" + ARGUMENT + b"iharm\nPopen\n.")
attack("calls", "INST of nothing", b"(iharm\nPopen\n.")
attack("calls", "REDUCE without arguments (__basicnew__)", b"charm\nPopen\nNR.")
attack("calls", "a global that is only looked at", line_global(*TOUCH) + b".")
attack("calls", "a global in a list", b"]" + line_global(*TOUCH) + b"a.")
attack("calls", "a global that is popped", line_global(*TOUCH) + b"0N.")
attack(
    "calls",
    "a frame as dumps writes it",
    pickle.dumps(1, 4)[:2]
    + b"\x95"
    + struct.pack("<Q", len(memoized_global(*TOUCH)) + 4)
    + memoized_global(*TOUCH)
    + b")R\x94.",
)
for protocol in range(6):
    attack(
        "calls",
        f"os.system as a reducer gives it, protocol {protocol}",
        (b"\x80" + bytes([protocol])) * (protocol > 1)
        + line_global("os", "system")
        + text(f"touch {MARKER}")
        + b"\x85R.",
    )
for module, name, argument in (
    ("posix", "system", f"touch {MARKER}"),
    ("nt", "system", f"copy nul {MARKER}"),
    ("subprocess", "Popen", f"touch {MARKER}"),
    ("subprocess", "getoutput", f"touch {MARKER}"),
    ("builtins", "eval", f"open('{MARKER}', 'w')"),
    ("builtins", "exec", f"open('{MARKER}', 'w')"),
    ("builtins", "open", MARKER),
    ("builtins", "__import__", "harm"),
    ("builtins", "compile", "1"),
    ("io", "open", MARKER),
    ("_io", "FileIO", MARKER),
    ("runpy", "run_path", MARKER),
    ("timeit", "timeit", f"open('{MARKER}', 'w')"),
    ("pdb", "run", f"open('{MARKER}', 'w')"),
    ("webbrowser", "open", "http://localhost/"),
    ("importlib", "import_module", "harm"),
    ("code", "InteractiveInterpreter", "x"),
    ("ctypes", "CDLL", "x"),
    ("socket", "socket", "x"),
    ("shutil", "rmtree", MARKER),
    ("pickle", "loads", "x"),
    ("_pickle", "loads", "x"),
    ("pty", "spawn", "sh"),
    ("logging.config", "listen", "1"),
    ("cProfile", "run", f"open('{MARKER}', 'w')"),
    ("pip", "main", "x"),
    ("sys", "exit", "x"),
    ("os", "_exit", "x"),
    ("fastcopyreg.pickle", "loads", "x"),
    ("fastcopyreg.safe", "loads", "x"),
    ("fastcopyreg.registration", "restore", "x"),
    ("builtins", "print", "x"),
    ("builtins", "input", "x"),
    ("builtins", "breakpoint", "x"),
    ("builtins", "memoryview", "x"),
    ("re", "_compile", "(a*)*b"),
    ("zoneinfo", "ZoneInfo", "../../../etc/passwd"),
    ("zoneinfo", "ZoneInfo._unpickle", "../../../etc/passwd"),
    ("array", "_array_reconstructor", "x"),
    ("functools", "_lru_cache_wrapper", "x"),
    ("tempfile", "_TemporaryFileWrapper", "x"),
    ("os", "_wrap_close", "x"),
    ("multiprocessing.reduction", "DupFd", "x"),
    ("xml.dom.minidom", "parse", "x"),
    ("email.utils", "localtime", "x"),
    ("numpy.core.multiarray", "fromfile", "x"),
    ("torch.serialization", "load", "x"),
):
    attack(
        "functions",
        f"{module}.{name}",
        line_global(module, name) + text(argument) + b"\x85R.",
    )

# --- behind every opcode of a value, so that none of them ends the asking

for name, data in {
    "FLOAT": b"F1.5\n",
    "INT": b"I1\n",
    "LONG": b"L1L\n",
    "BININT": b"J\x01\x00\x00\x00",
    "BININT1": b"K\x01",
    "BININT2": b"M\x01\x00",
    "LONG1": b"\x8a\x01\x01",
    "LONG4": b"\x8b\x01\x00\x00\x00\x01",
    "BINFLOAT": b"G" + bytes(8),
    "STRING": b"S'x'\n",
    "BINSTRING": b"T\x01\x00\x00\x00x",
    "SHORT_BINSTRING": b"U\x01x",
    "UNICODE": b"Vx\n",
    "BINUNICODE": text("x"),
    "SHORT_BINUNICODE": b"\x8c\x01x",
    "BINUNICODE8": b"\x8d\x01" + bytes(7) + b"x",
    "BINBYTES": b"B\x01\x00\x00\x00x",
    "SHORT_BINBYTES": b"C\x01x",
    "BINBYTES8": b"\x8e\x01" + bytes(7) + b"x",
    "BYTEARRAY8": b"\x96\x01" + bytes(7) + b"x",
    "NEWTRUE": b"\x88",
    "NEWFALSE": b"\x89",
    "EMPTY_LIST": b"]",
    "EMPTY_DICT": b"}",
    "EMPTY_SET": b"\x8f",
    "EMPTY_TUPLE": b")",
    "LIST": b"(l",
    "DICT": b"(d",
    "TUPLE": b"(t",
    "TUPLE2": b"NN\x86",
    "FROZENSET": b"(\x91",
    "SETITEM": b"}K\x01Ns",
    "ADDITEMS": b"\x8f(K\x01\x90",
    "MEMOIZE": b"N\x94",
    "BINPUT": b"Nq\x00",
    "LONG_BINPUT": b"Nr\x01\x00\x00\x00",
    "PUT": b"Np0\n",
    "GET": b"Np0\n0g0\n",
    "LONG_BINGET": b"Nq\x000j\x00\x00\x00\x00",
    "DUP": b"N20",
    "POP_MARK": b"N(N1",
}.items():
    attack("calls", f"a call behind {name}", data + line_global(*TOUCH) + ARGUMENT + b"\x85R\x86.")

# --- names that lead elsewhere

for name in (
    "os.system",
    "Popen.run",
    "Victim.harm",
    "Victim.method.__globals__",
    "Victim.__init__.__globals__",
    "Victim.__class__",
    "Victim.__subclasses__",
    "helper.evil",
    "helper.__globals__",
    "helper.__code__",
    "helper.__builtins__",
    "instance.harm",
    "Popen.Inner",
    "__builtins__",
    "__dict__",
    "__loader__",
    "__getattribute__",
    "<locals>.touch",
    ".touch",
    "touch.",
    "",
):
    attack(
        "names",
        f"the name {name!r} of a module with allowed objects",
        b"\x80\x04" + stack_global(MODULE, name) + ARGUMENT + b"\x85R.",
    )
for module, name in (
    ("builtins", "getattr.__self__.eval"),
    ("datetime", "datetime.__class__"),
    ("datetime", "sys.modules"),
    ("collections", "_sys.modules"),
    ("collections", "OrderedDict.__init__"),
    ("uuid", "os.system"),
    ("uuid", "os"),
    ("pathlib", "os.system"),
    ("decimal", "Decimal.from_float"),
    ("types", "FunctionType"),
    ("types", "CodeType"),
    ("harm\x00", "Victim"),
    ("harm ", "touch"),
    ("Harm", "touch"),
    ("harm.", "touch"),
    ("", "touch"),
    ("__main__", "__builtins__"),
    ("builtins", "object.__subclasses__"),
    ("builtins", "list.append"),
    ("builtins", "dict.update"),
    ("harm", "Victim\x00"),
    ("harm", "\udc80".encode("utf-8", "surrogatepass").decode("latin-1")),
):
    attack(
        "names",
        f"the name {name!r} of {module!r}",
        b"\x80\x04" + stack_global(module, name) + b")R.",
    )
attack("names", "a path of Python 2 names", b"c__builtin__\neval\n" + ARGUMENT + b"\x85R.")
attack("names", "commands, which is subprocess", b"ccommands\ngetoutput\n" + ARGUMENT + b"\x85R.")
attack("names", "a name of surrogates", b"\x80\x04\x8c\x04harm\x8c\x03\xed\xb2\x80\x93.")
attack("names", "STACK_GLOBAL of numbers", b"\x80\x04K\x01K\x02\x93.")
attack("names", "STACK_GLOBAL of bytes", b"\x80\x04C\x04harmC\x05touch\x93.")
attack("names", "STACK_GLOBAL of a tuple", b"\x80\x04\x8c\x04harm\x8c\x05touch\x85\x93.")

for name, data in {
    "module": b"charm\nText\n" + text("os") + b"\x85\x81" + short("system"),
    "name": short(MODULE) + b"charm\nText\n" + text("touch") + b"\x85\x81",
}.items():
    attack(
        "names",
        f"STACK_GLOBAL of a str subclass that is equal to anything, as {name}",
        b"\x80\x04" + data + b"\x93" + ARGUMENT + b"\x85R.",
    )
TEXT_CLASS = b"charm\nText\n" + text("latin1") + b"\x85\x81"
attack(
    "gadgets",
    "encode to a str subclass",
    b"c_codecs\nencode\n" + text("x") + TEXT_CLASS + b"\x86R.",
)
attack(
    "gadgets",
    "getattr of a str subclass",
    b"cbuiltins\ngetattr\ncharm\nChoice\ncharm\nText\n" + text("mro") + b"\x85\x81\x86R.",
)
attack("gadgets", "Decimal of a str subclass", b"cdecimal\nDecimal\n" + TEXT_CLASS + b"\x85R.")
attack(
    "state",
    "names that are equal to anything",
    b"charm\nVictim\n)\x81}charm\nText\n" + text("__class__") + b"\x85\x81Nsb.",
)

# --- gadgets made of helpers and of what is allowed

for module, name in (
    ("operator", "attrgetter"),
    ("operator", "itemgetter"),
    ("operator", "methodcaller"),
    ("operator", "call"),
    ("functools", "partial"),
    ("functools", "reduce"),
    ("functools", "partialmethod"),
    ("itertools", "starmap"),
    ("builtins", "map"),
    ("builtins", "filter"),
    ("builtins", "zip"),
    ("builtins", "vars"),
    ("builtins", "globals"),
    ("builtins", "setattr"),
    ("builtins", "delattr"),
    ("builtins", "property"),
    ("builtins", "super"),
    ("builtins", "classmethod"),
    ("copyreg", "__newobj_ex__"),
    ("copyreg", "add_extension"),
    ("copyreg", "constructor"),
    ("copyreg", "pickle"),
    ("types", "ModuleType"),
    ("types", "MethodType"),
    ("weakref", "finalize"),
    ("atexit", "register"),
    ("threading", "Timer"),
    ("signal", "signal"),
    ("codecs", "decode"),
    ("_codecs", "decode"),
    ("codecs", "encode"),
):
    attack(
        "gadgets",
        f"{module}.{name}",
        line_global(module, name) + text("eval") + text("x") + b"\x86R.",
    )
GETATTR = b"cbuiltins\ngetattr\n"
attack("gadgets", "getattr of a class", GETATTR + b"charm\nVictim\n" + text("harm") + b"\x86R.")
attack("gadgets", "getattr of a function", GETATTR + b"charm\nhelper\n" + text("evil") + b"\x86R.")
attack(
    "gadgets", "getattr of globals", GETATTR + b"charm\nhelper\n" + text("__globals__") + b"\x86R."
)
attack("gadgets", "getattr of an int", GETATTR + b"K\x01" + text("__class__") + b"\x86R.")
attack("gadgets", "getattr of STANDARD", GETATTR + b"cuuid\nUUID\n" + text("__init__") + b"\x86R.")
attack("gadgets", "getattr with a default", GETATTR + b"charm\nVictim\n" + text("x") + b"N\x87R.")
attack("gadgets", "getattr as a value", b"](" + GETATTR + b"e.")
attack("gadgets", "getattr as a result", GETATTR + b".")
attack("gadgets", "getattr by NEWOBJ", GETATTR + b")\x81.")
attack("gadgets", "getattr by OBJ", b"(" + GETATTR + b"charm\nVictim\n" + text("harm") + b"o.")
attack("gadgets", "getattr as a factory", b"ccollections\ndefaultdict\n" + GETATTR + b"\x85R.")
attack("gadgets", "getattr from the memo", GETATTR + b"q\x000h\x00.")
attack("gadgets", "getattr twice by DUP", GETATTR + b"2\x86.")
attack("gadgets", "getattr as an argument", b"charm\nhelper\n" + GETATTR + b"\x85R.")
attack("gadgets", "getattr with a state", GETATTR + b"}" + text("code") + b"K\x01sb.")
RECONSTRUCTOR = b"ccopyreg\n_reconstructor\n"
attack(
    "gadgets",
    "_reconstructor of a class",
    RECONSTRUCTOR + b"charm\nPopen\ncbuiltins\nobject\nN\x87R.",
)
attack(
    "gadgets", "_reconstructor on list", RECONSTRUCTOR + b"charm\nVictim\ncbuiltins\nlist\n]\x87R."
)
attack(
    "gadgets",
    "_reconstructor on int",
    RECONSTRUCTOR + b"cbuiltins\nbool\ncbuiltins\nint\nK\x05\x87R.",
)
attack(
    "gadgets",
    "_reconstructor of no class",
    RECONSTRUCTOR + b"charm\nhelper\ncbuiltins\nobject\nN\x87R.",
)
attack(
    "gadgets",
    "_reconstructor with a state",
    RECONSTRUCTOR + b"charm\nVictim\ncbuiltins\nobject\n}\x87R.",
)
attack(
    "gadgets", "_reconstructor of two", RECONSTRUCTOR + b"charm\nVictim\ncbuiltins\nobject\n\x86R."
)
attack("gadgets", "_reconstructor as a value", RECONSTRUCTOR + b"\x85.")
NEWOBJ = b"ccopyreg\n__newobj__\n"
attack("gadgets", "__newobj__ of a class", NEWOBJ + b"charm\nPopen\n\x85R.")
attack("gadgets", "__newobj__ of a function", NEWOBJ + b"charm\nhelper\n\x85R.")
attack("gadgets", "__newobj__ of nothing", NEWOBJ + b")R.")
attack(
    "gadgets", "__newobj__ of STANDARD", NEWOBJ + b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x86R."
)
ENCODE = b"c_codecs\nencode\n"
attack("gadgets", "encode with another codec", ENCODE + text("x") + text("rot13") + b"\x86R.")
attack("gadgets", "encode with a module's name", ENCODE + text("x") + text("harm") + b"\x86R.")
attack("gadgets", "encode of bytes", ENCODE + b"C\x01x" + text("latin1") + b"\x86R.")
attack("gadgets", "encode of one", ENCODE + text("x") + b"\x85R.")
attack("gadgets", "type of one", b"cbuiltins\ntype\nK\x01\x85R.")
attack("gadgets", "type of three makes a class", b"cbuiltins\ntype\n" + text("X") + b")}\x87R.")
attack(
    "gadgets", "a factory that is not allowed", b"ccollections\ndefaultdict\ncharm\ntouch\n\x85R."
)
attack("gadgets", "a factory that is no class", b"ccollections\ndefaultdict\nK\x01\x85R.")
attack("gadgets", "what a call gave is called", b"charm\nhelper\n)RN\x85R.")
attack("gadgets", "an instance is called", b"charm\nVictim\n)\x81)R.")
attack("gadgets", "a text is called", text("eval") + b")R.")
attack("gadgets", "None is called", b"N)R.")
attack("gadgets", "an int is made", b"K\x01)\x81.")
attack("gadgets", "arguments that are a list", b"charm\nhelper\n](K\x01eR.")
attack("gadgets", "arguments that are a text", b"charm\nhelper\n" + text("ab") + b"R.")
attack("gadgets", "arguments that are a number", b"charm\nhelper\nK\x01R.")
attack("gadgets", "keywords that are a list", b"charm\nVictim\n)]\x92.")
attack("gadgets", "STANDARD by NEWOBJ", b"cdecimal\nDecimal\n" + text("1") + b"\x85\x81.")
attack("gadgets", "int by INST", b"(" + text("9" * 100) + b"ibuiltins\nint\n.")
attack(
    "gadgets",
    "bytearray with a codec that is imported",
    b"cbuiltins\nbytearray\n" + text("x") + text("harm") + b"\x86R.",
)

# --- extension codes; the tests register 251: harm.touch, and leave it in the cache

for opcode, code in ((b"\x82", b"\xfb"), (b"\x83", b"\xfb\x00"), (b"\x84", b"\xfb\x00\x00\x00")):
    number = opcode[0] - 0x81
    attack(
        "extensions",
        f"EXT{2 ** (number - 1)} of a registered function",
        opcode + code + ARGUMENT + b"\x85R.",
    )
attack("extensions", "EXT1 in the cache without a name", b"\x82\xfc" + ARGUMENT + b"\x85R.")
attack("extensions", "EXT1 of nothing", b"\x82\xee.")
attack("extensions", "EXT1 of 0", b"\x82\x00.")
attack("extensions", "EXT4 that is negative", b"\x84\xff\xff\xff\xff.")

# --- BUILD

for target, data in {
    "an allowed class": b"charm\nVictim\n",
    "a class of STANDARD": b"cuuid\nUUID\n",
    "object": b"cbuiltins\nobject\n",
    "an allowed function": b"charm\nhelper\n",
    "a list": b"]",
    "a dict": b"}",
    "a tuple": b"K\x01\x85",
    "a text": text("x"),
    "None": b"N",
    "a date": b"cdatetime\ndate\nC\x04\x07\xd0\x01\x01\x85R",
    "a deque": b"ccollections\ndeque\n)R",
    "an OrderedDict": b"ccollections\nOrderedDict\n)R",
    "what an allowed function gave": b"charm\nhelper\n)R",
}.items():
    state = b"}" + text("kind") + text("guilty") + b"s"
    attack("state", f"a state for {target}", data + state + b"b.")
    attack("state", f"a slots state for {target}", data + b"N" + state + b"\x86b.")
for name in (
    "__class__",
    "__dict__",
    "__setstate__",
    "__reduce_ex__",
    "__init__",
    "__del__",
    "__getattr__",
    "__doc__",
):
    for half, state in {
        "dict": lambda name: b"}" + text(name) + b"charm\nhelper\nsb.",
        "slots": lambda name: b"N}" + text(name) + b"charm\nhelper\ns\x86b.",
        "dict as dumps writes it": lambda name: b"}\x94(" + short(name) + b"\x94K\x01ub.",
    }.items():
        attack("state", f"{name} in a state ({half})", b"charm\nVictim\n)\x81" + state(name))
    attack(
        "state",
        f"{name} in a state (slots of a class with slots)",
        b"charm\nSlotsVictim\n)\x81N}" + text(name) + b"charm\nVictim\ns\x86b.",
    )
VICTIM_OBJECT = b"charm\nVictim\n)\x81"
attack("state", "a state that is a list", VICTIM_OBJECT + b"]b.")
attack("state", "a state that is a number", VICTIM_OBJECT + b"K\x01b.")
attack("state", "a state of three", VICTIM_OBJECT + b"NNN\x87b.")
attack("state", "a slots state that is a list", VICTIM_OBJECT + b"N]\x86b.")
attack("state", "names that are numbers", VICTIM_OBJECT + b"}K\x01K\x02sb.")
attack("state", "names that are bytes", VICTIM_OBJECT + b"}C\x04kindK\x02sb.")
attack(
    "state",
    "a UUID of too many bits",
    b"cuuid\nUUID\n)\x81}" + text("int") + b"\x8a\x12" + bytes(17) + b"\x01sb.",
)
attack(
    "state",
    "a UUID with other attributes",
    b"cuuid\nUUID\n)\x81}(" + text("int") + b"K\x01" + text("hex") + b"K\x01ub.",
)
attack("state", "a UUID of a text", b"cuuid\nUUID\n)\x81}" + text("int") + text("x") + b"sb.")
attack(
    "state",
    "a SimpleNamespace with dunders",
    b"ctypes\nSimpleNamespace\n)R}" + text("__class__") + b"K\x01sb.",
)
attack(
    "state",
    "a SimpleNamespace with dunders as dumps writes it",
    b"\x80\x04"
    + memoized_global("types", "SimpleNamespace")
    + b")R\x94}\x94("
    + short("__class__")
    + b"\x94K\x01"
    + short("b")
    + b"\x94K\x02ub.",
)

# --- items

for opcode, name in ((b"K\x01a", "APPEND"), (b"(K\x01e", "APPENDS")):
    for target, data in {
        "a tuple": b")",
        "a date": b"cdatetime\ndate\nC\x04\x07\xd0\x01\x01\x85R",
        "a bytearray": b"\x96" + struct.pack("<Q", 1) + b"x",
        "a class": b"charm\nVictim\n",
        "a set": b"\x8f",
        "a SimpleNamespace": b"ctypes\nSimpleNamespace\n)R",
    }.items():
        attack("items", f"{name} to {target}", data + opcode + b".")
for opcode, name in ((b"K\x01K\x02s", "SETITEM"), (b"(K\x01K\x02u", "SETITEMS")):
    for target, data in {
        "a class": b"charm\nVictim\n",
        "a list": b"](NNe",
        "a bytearray": b"\x96" + struct.pack("<Q", 2) + b"xy",
    }.items():
        attack("items", f"{name} to {target}", data + opcode + b".")
attack("items", "ADDITEMS to a list", b"](K\x01\x90.")
attack("items", "ADDITEMS to a frozenset", b"(K\x01\x91(K\x02\x90.")
attack("items", "ADDITEMS to a dict", b"}(K\x02\x90.")
attack("items", "READONLY_BUFFER of an instance", VICTIM_OBJECT + b"\x98.")

# --- persistent ids, the memo, the stack

attack("persistent", "PERSID", b"Pid\n.")
attack("persistent", "BINPERSID", text("id") + b"Q.")
attack("persistent", "BINPERSID of a tuple", b"charm\nhelper\n)R\x85Q.")
attack("memo", "a global from the memo", b"charm\ntouch\nq\x000h\x00" + ARGUMENT + b"\x85R.")
attack("memo", "an index that is not there", b"h\x05.")
attack("memo", "an index that is huge", b"j\xff\xff\xff\xff.")
attack("memo", "an index that is put elsewhere", b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff.")
attack("memo", "GET of a negative index", b"Np0\ng-1\n.")
attack("memo", "PUT of a negative index", b"Np-1\n.")
attack("memo", "MEMOIZE of nothing", b"\x94.")
attack("memo", "PUT of nothing", b"q\x00.")
attack("memo", "what was allowed is put over", b"charm\nhelper\nq\x00charm\ntouch\nq\x00h\x00)R.")
for name, data in {
    "REDUCE of one": b"charm\nhelper\nR.",
    "REDUCE of nothing at all": b"R.",
    "REDUCE over a MARK": b"charm\nhelper\n()R.",
    "BUILD of one": b"}b.",
    "BUILD over a MARK": VICTIM_OBJECT + b"(}b.",
    "TUPLE without MARK": b"Nt.",
    "APPENDS without MARK": b"]e.",
    "APPENDS of a MARK": b"(e.",
    "SETITEMS of an odd number": b"}(Nu.",
    "SETITEM over a MARK": b"}(NNs.",
    "STOP of nothing": b".",
    "STOP over a MARK": b"N(.",
    "POP of nothing": b"0.",
    "POP_MARK of nothing": b"1.",
    "DUP of nothing": b"2.",
    "NEWOBJ of one": b")\x81.",
    "OBJ of nothing but a MARK": b"(o.",
    "OBJ without MARK": b"charm\nVictim\no.",
    "STACK_GLOBAL over a MARK": short("harm") + b"(" + short("Victim") + b"\x93.",
    "an unknown opcode": b"\xff.",
    "nothing": b"",
    "no STOP": b"N",
}.items():
    attack("stack", name, data)

# --- lies of the stream

for name, data in {
    "a protocol of the future": b"\x80\x63N.",
    "protocol 2 behind protocol 4 renames": b"\x80\x04\x80\x02c__builtin__\neval\n)R.",
    "a frame that is longer than the pickle": b"\x80\x04\x95" + struct.pack("<Q", 99) + b"N.",
    "a frame of nearly everything": b"\x80\x04\x95" + struct.pack("<Q", 2**63 - 1) + b"N.",
    "a frame of too much": b"\x80\x04\x95" + struct.pack("<Q", 2**64 - 1) + b"N.",
    "a frame that ends within an opcode": b"\x80\x04\x95" + struct.pack("<Q", 2) + b"M\x01\x01.",
    "a frame that ends within a name": b"\x80\x04\x95"
    + struct.pack("<Q", 5)
    + b"charm\ntouch\n)R.",
    "a frame within a frame": b"\x80\x04\x95"
    + struct.pack("<Q", 20)
    + b"\x95"
    + struct.pack("<Q", 4)
    + b"charm\ntouch\n)R.",
    "bytes that are not there": b"B\xff\xff\xff\x7fx.",
    "bytes of 64 bits": b"\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "a text that is not there": b"X\xff\xff\xff\xffx.",
    "a text of 64 bits": b"\x8d" + struct.pack("<Q", 2**63) + b"x.",
    "a bytearray that is not there": b"\x96" + struct.pack("<Q", 2**40) + b"x.",
    "an int that is not there": b"\x8b\xff\xff\xff\x7f\x01.",
    "an int of negative size": b"\x8b\xff\xff\xff\xff.",
    "a text that is no UTF-8": b"X\x02\x00\x00\x00\xff\xfe.",
    "a STRING without quotes": b"Sx\n.",
    "a STRING with another quote": b"S'x\"\n.",
    "an INT that is none": b"Ix\n.",
    "a FLOAT that is none": b"Fx\n.",
    "a line that does not end": b"Vx",
    "out-of-band data that is not there": b"\x97.",
}.items():
    attack("stream", name, data)

# --- what would exhaust the process

DIGITS = "9" * 100_000
LONG_TEXT = b"X" + struct.pack("<I", 300_000) + b"x" * 300_000
LONG_BYTES = b"B" + LONG_TEXT[1:]
SHARED_TUPLE = b"Nq\x01" + b"0(h\x01h\x01h\x01h\x01tq\x01" * 40 + b"0"
for name, data in {
    "Fraction of a huge exponent": line_global("fractions", "Fraction")
    + text("1e1000000")
    + b"\x85R.",
    "Fraction of a text": line_global("fractions", "Fraction") + text("1/3") + b"\x85R.",
    "Fraction over zero": line_global("fractions", "Fraction") + b"K\x01K\x00\x86R.",
    "bytearray of a size": b"cbuiltins\nbytearray\nL1000000000000L\n\x85R.",
    "bytes of a size": b"cbuiltins\nbytes\nL1000000000000L\n\x85R.",
    "bytearray of a range": b"cbuiltins\nbytearray\n"
    b"cbuiltins\nrange\nK\x00L1000000000L\nK\x01\x87R\x85R.",
    "deque of a range": b"ccollections\ndeque\ncbuiltins\nrange\nK\x00L1000000000000L\nK\x01"
    b"\x87R\x85R.",
    "list of a range": b"cbuiltins\nlist\ncbuiltins\nrange\nK\x00L1000000000L\nK\x01\x87R\x85R.",
    "tuple of a range": b"cbuiltins\ntuple\ncbuiltins\nrange\nK\x00L1000000000L\nK\x01\x87R\x85R.",
    "set of a range": b"cbuiltins\nset\ncbuiltins\nrange\nK\x00L1000000000000L\nK\x01\x87R\x85R.",
    "Counter of a range": b"ccollections\nCounter\n"
    b"cbuiltins\nrange\nK\x00J\xff\xff\xff\x7fK\x01"
    b"\x87R\x85R.",
    "frozenset of a text": b"cbuiltins\nfrozenset\n" + text("abc") + b"\x85R.",
    "OrderedDict of a dict": b"ccollections\nOrderedDict\n}\x85R.",
    "int of many digits": b"cbuiltins\nint\n" + text(DIGITS) + b"\x85R.",
    "LONG of many digits": b"L" + DIGITS.encode() + b"L\n.",
    "INT of many digits": b"I" + DIGITS.encode() + b"\n.",
    "LONG4 of many bytes": b"\x8b" + struct.pack("<I", 100_000) + b"\x01" * 100_000 + b".",
    "Decimal of many digits": line_global("decimal", "Decimal") + text(DIGITS) + b"\x85R.",
    "Decimal of a tuple": line_global("decimal", "Decimal") + b"K\x00K\x01\x85K\x02\x87\x85R.",
    "str of bytes": b"cbuiltins\nstr\nC\x01x\x85R.",
    "UUID by a call": b"cuuid\nUUID\n" + text("x" * 32) + b"\x85R.",
    "a path of a list": b"cpathlib\nPurePosixPath\n]\x85R.",
    "an address of bytes": b"cipaddress\nIPv4Address\nC\x04abcd\x85R.",
    "a network of a pair": b"cipaddress\nIPv4Network\nK\x01K\x02\x86\x85R.",
    "a date of a text": b"cdatetime\ndate\n" + text("2000-01-01") + b"\x85R.",
    "a date of numbers": b"cdatetime\ndate\nM\xd0\x07K\x01K\x01\x87R.",
    "a datetime of a list": b"cdatetime\ndatetime\n]\x85R.",
    "a timedelta of a float": b"cdatetime\ntimedelta\nG" + struct.pack(">d", 1e300) + b"\x85R.",
    "a timedelta of huge days": b"cdatetime\ntimedelta\nL10000000000L\nK\x00K\x00\x87R.",
    "a timezone of a number": b"cdatetime\ntimezone\nK\x01\x85R.",
    "complex of a text": b"cbuiltins\ncomplex\n" + text("1j") + b"\x85R.",
    "range of a text": b"cbuiltins\nrange\n" + text("5") + b"\x85R.",
    "SimpleNamespace of a dict": b"ctypes\nSimpleNamespace\n}\x85R.",
    "ints that collide": b"}("
    + b"".join(
        b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"N" for i in range(1, 1000)
    )
    + b"u.",
    "ints in tuples that collide": b"}("
    + b"".join(
        b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"\x85N" for i in range(1, 1000)
    )
    + b"u.",
    "ints that collide in a set": b"\x8f("
    + b"".join(b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") for i in range(1, 1000))
    + b"\x90.",
    "ints that collide in a frozenset": b"("
    + b"".join(b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") for i in range(1, 1000))
    + b"\x91.",
    "ints that collide in a set of a list": b"cbuiltins\nset\n]("
    + b"".join(b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") for i in range(1, 1000))
    + b"e\x85R.",
    "ints that collide one by one": b"}"
    + b"".join(
        b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"Ns" for i in range(1, 1000)
    )
    + b".",
    "ints of a subclass that collide": b"}("
    + b"".join(
        b"charm\nNumber\n\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"\x85\x81N"
        for i in range(1, 1000)
    )
    + b"u.",
    "named tuples that collide": b"}("
    + b"".join(
        b"charm\nPair\n\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"N\x86\x81N"
        for i in range(1, 1000)
    )
    + b"u.",
    "texts that are equal, and not the same": LONG_TEXT
    + b"q\x00"
    + LONG_TEXT
    + b"q\x01}h\x00Ns"
    + b"h\x01Ns" * 50_000
    + b".",
    "bytes that are equal, and not the same": LONG_BYTES
    + b"q\x00"
    + LONG_BYTES
    + b"q\x01\x8f(h\x00\x90("
    + b"h\x01" * 50_000
    + b"\x90.",
    "tuples of texts that are equal, and not the same": LONG_TEXT
    + b"\x85q\x00"
    + LONG_TEXT
    + b"\x85q\x01}h\x00Ns"
    + b"h\x01Ns" * 50_000
    + b".",
    "names of attributes that are equal, and not the same": b"charm\nVictim\n)\x81}"
    + LONG_TEXT
    + b"Nsb}"
    + LONG_TEXT
    + b"Nsq\x010"
    + b"h\x01b" * 50_000
    + b".",
    "a path of the same many parts": b"cpathlib\nPurePosixPath\nq\x00("
    + text("")
    + b"q\x02"
    + b"h\x02" * 20_000
    + b"tq\x010]("
    + b"h\x00h\x01R" * 3000
    + b"e.",
    "a call with the same many arguments": b"charm\nhelper\nq\x00("
    + b"N" * 20_000
    + b"tq\x010]("
    + b"h\x00h\x01R" * 3000
    + b"e.",
    "slices within slices": b"cbuiltins\nslice\nq\x00K\x01q\x01"
    + b"0h\x00h\x01NN\x87Rq\x01" * 100_000
    + b".",
    "slices that share their parts": b"cbuiltins\nslice\nq\x00K\x01q\x01"
    + b"0h\x00h\x01h\x01h\x01\x87Rq\x01" * 60
    + b"0}h\x01Ns.",
    "slices in tuples in slices": b"cbuiltins\nslice\nq\x00K\x01q\x01"
    + b"0h\x00h\x01\x85NN\x87Rq\x01" * 1000
    + b"0}h\x01Ns.",
    "a slice of a tuple of millions of parts": SHARED_TUPLE + b"cbuiltins\nslice\nh\x01NN\x87R.",
    "a member by a value of millions of parts": SHARED_TUPLE + b"charm\nChoice\nh\x01\x85R.",
    "a member by a list of millions of parts": b"Nq\x01"
    + b"0](h\x01h\x01h\x01h\x01eq\x01" * 40
    + b"charm\nChoice\nh\x01\x85R.",
    "a member by a list in a tuple": b"Nq\x01"
    + b"0](h\x01h\x01h\x01h\x01eq\x01" * 40
    + b"charm\nChoice\nh\x01\x85\x85R.",
    "a member by a deque": b"charm\nChoice\nccollections\ndeque\n)R\x85R.",
    "a member by an object": b"charm\nChoice\ncharm\nVictim\n)\x81\x85R.",
    "a member by two values": b"charm\nChoice\n" + text("X") + text("a b") + b"\x86R.",
    "marks alone": b"(" * 2_000_000 + b".",
    "marks and lists": b"](" * 2000 + b".",
    "a Decimal of another alphabet": line_global("decimal", "Decimal")
    + text("\u0661")
    + b"\x85R.",
    "a Decimal with spaces": line_global("decimal", "Decimal") + text(" " * 50) + b"\x85R.",
    "an address with a long scope": b"cipaddress\nIPv6Address\n"
    + text("::1%" + "x" * 200)
    + b"\x85R.",
    "a UUID of a negative number": b"cuuid\nUUID\n)\x81}" + text("int") + b"J\xff\xff\xff\xffsb.",
    "a UUID whose safety is a huge number": b"cuuid\nUUID\n)\x81}("
    + text("int")
    + b"K\x01"
    + text("is_safe")
    + b"\x8a\x09"
    + bytes(8)
    + b"\x01ub.",
    "a struct_time of a text": b"ctime\nstruct_time\n" + text("x" * 9) + b"}\x86R.",
    "a range of floats": b"cbuiltins\nrange\nG" + bytes(8) + b"K\x01K\x01\x87R.",
    "a Fraction that is negative below": line_global("fractions", "Fraction")
    + b"K\x01J\xff\xff\xff\xff\x86R.",
    "a factory with arguments": b"ccollections\ndefaultdict\ncbuiltins\nlist\n](NNe\x86R.",
    "Counter of an odd thing": b"ccollections\nCounter\n](NNe\x85R.",
    "lists within lists": b"]" * 5000 + b"a" * 4999 + b".",
    "tuples within tuples": b")" + b"\x85" * 5000 + b".",
    "dicts within dicts": b"}" + b"K\x01}" * 5000 + b"s" * 5000 + b".",
    "many copies of a text": b"cbuiltins\nbytearray\nq\x00"
    + b"B\x00\x00\x01\x00"
    + bytes(65536)
    + b"\x85q\x01]("
    + b"h\x00h\x01R" * 2000
    + b"e.",
    "many copies of a state": VICTIM_OBJECT.replace(b")\x81", b"q\x000}(")
    + b"".join(text(f"n{i}") + b"N" for i in range(3000))
    + b"uq\x010]("
    + b"h\x00)\x81h\x01b" * 1000
    + b"e.",
    "many sets of a list": b"cbuiltins\nset\nq\x000]("
    + b"K\x01" * 5000
    + b"e\x85q\x010]("
    + b"h\x00h\x01R" * 2000
    + b"e.",
}.items():
    attack("exhaustion", name, data)
