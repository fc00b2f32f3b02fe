"""More attacks on loads that restrict what may be called; they are added to `attacks.ATTACKS`.

Those of public reports against scanners and restricted unpicklers, those that go by what an object
or a type does after the opcodes, and those that somebody who has read the sources would try.
"""

import struct

from support.attacks import (
    ARGUMENT,
    ENCODE,
    GETATTR,
    NEWOBJ,
    RECONSTRUCTOR,
    VICTIM_OBJECT,
    attack,
    line_global,
    short,
    text,
)

PRIME = 2**61 - 1
MANY = 1000
DEEP = 5000
HUGE = b"L1000000000000L\n"
LONG_RANGE = b"cbuiltins\nrange\nK\x00" + HUGE + b"K\x01\x87R"


def whole(number):
    """LONG1."""
    data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def with_attribute(name, value):
    return VICTIM_OBJECT + b"}" + text(name) + value + b"sb"


# --- functions of public reports, which a scanner or a filter has let through

for path in (
    "_osx_support:_read_output",
    "asyncio.unix_events:_UnixSubprocessTransport._start",
    "bdb:Bdb.run",
    "builtins:bytes.fromhex",
    "cProfile:runctx",
    "code:InteractiveInterpreter.runcode",
    "ctypes:_FuncPtr",
    "distutils.file_util:write_file",
    "doctest:debug_script",
    "ensurepip:_run_pip",
    "fileinput:input",
    "idlelib.autocomplete:AutoComplete.get_entity",
    "idlelib.calltip:get_entity",
    "idlelib.run:Executive.runcode",
    "imaplib:IMAP4_stream",
    "lib2to3.pgen2.grammar:Grammar.loads",
    "linecache:getlines",
    "logging:FileHandler",
    "marshal:loads",
    "multiprocessing.util:spawnv_passfds",
    "numpy.f2py.crackfortran:getlincoef",
    "numpy.testing._private.utils:runstring",
    "pickle:Unpickler",
    "pkgutil:resolve_name",
    "profile:Profile.runctx",
    "pydoc:locate",
    "pydoc:pipepager",
    "site:execsitecustomize",
    "smtplib:SMTP",
    "sqlite3:connect",
    "sys:modules",
    "test.support.script_helper:assert_python_ok",
    "torch.utils._config_module:load_config",
    "torch:load",
    "trace:Trace.runctx",
    "types:FunctionType",
    "unittest.mock:_importer",
    "urllib.request:urlopen",
    "uuid:_get_command_stdout",
    "venv:main",
):
    attack(
        "functions",
        f"{path}, of a report",
        b"\x80\x04"
        + short(path.partition(":")[0])
        + short(path.partition(":")[2])
        + b"\x93"
        + ARGUMENT
        + b"\x85R.",
    )
CALL = b"charm\ntouch\n" + ARGUMENT + b"\x85R"
attack("stack", "a call, and then an opcode that there is not", CALL + b"\xff.")
attack("stack", "a call, and then the end", CALL)
attack("stack", "a call behind a pickle that is popped", b"N0" + CALL + b"\xff")
attack("calls", "a call within another protocol's header", b"\x80\x04N0\x80\x00" + CALL + b".")
attack("names", "sys.modules, filled", b"csys\nmodules\n" + text("sys") + b"Ns.")
attack(
    "state", "a state for the main module's name", b"c__main__\nsecret\n}" + text("x") + b"Nsb."
)
attack("calls", "INST of a dotted name", b"(" + ARGUMENT + b"iharm\nos.system\n.")
attack("calls", "INST of a method of an allowed class", b"(" + ARGUMENT + b"iharm\nVictim.harm\n.")

# --- names

for module, name in (
    ("__builtin__", "reduce"),
    ("__builtin__", "intern"),
    ("__builtin__", "raw_input"),
    ("__builtin__", "file"),
    ("os", "getcwdu"),
    ("itertools", "imap"),
    ("cPickle", "loads"),
    ("UserDict", "UserDict"),
    ("urllib", "urlopen"),
    ("exceptions", "OSError"),
    ("StringIO", "StringIO"),
):
    attack(
        "names",
        f"{module}.{name} of Python 2",
        b"\x80\x02" + line_global(module, name) + ARGUMENT + b"\x85R.",
    )
attack("names", "a name of Python 2 in protocol 3", b"\x80\x03c__builtin__\nset\n]\x85R.")
attack("names", "a name with a carriage return", b"charm\r\nVictim\r\n)\x81.")
attack("names", "a module's name in another script", line_global("harm", "ｔｏｕｃｈ") + b")R.")
attack("names", "a name behind a byte order mark", line_global("\ufeffharm", "Victim") + b")\x81.")
attack("names", "a name as Python 2 writes texts", b"\x80\x04U\x04harmU\x05touch\x93)R.")
attack("names", "a name as an escaped text", b"V\\u0068arm\nVt\\u006fuch\n\x93)R.")
attack("names", "a name that is its module too", b"\x80\x04" + short("harm") + b"2\x93)R.")
attack("names", "names that are swapped", b"\x80\x04" + short("touch") + short("harm") + b"\x93.")
attack("names", "both names in one", b"\x80\x04" + short("harm.touch") + short("") + b"\x93.")
attack("names", "a name with a slash", line_global("harm", "Victim/harm") + b")R.")
attack(
    "names", "a name of 255 characters", b"\x80\x04" + short("harm") + short("x" * 255) + b"\x93."
)
attack("names", "a tag of a name", b"\x80\x04" + short("harm:Victim") + short("Victim") + b"\x93.")

# --- ways of making what is only called

for cls in ("bytes", "bytearray", "str", "list", "tuple", "set", "frozenset", "int", "type"):
    attack("gadgets", f"{cls} by NEWOBJ", line_global("builtins", cls) + HUGE + b"\x85\x81.")
    attack("gadgets", f"{cls} by OBJ", b"(" + line_global("builtins", cls) + LONG_RANGE + b"o.")
attack("gadgets", "bytearray by INST", b"(" + HUGE + b"ibuiltins\nbytearray\n.")
attack("gadgets", "deque by NEWOBJ", b"ccollections\ndeque\n" + LONG_RANGE + b"\x85\x81.")
attack("gadgets", "deque by INST", b"(" + LONG_RANGE + b"icollections\ndeque\n.")
attack("gadgets", "range by NEWOBJ", b"cbuiltins\nrange\nK\x05\x85\x81.")
attack("gadgets", "type by OBJ makes a class", b"(cbuiltins\ntype\n" + text("X") + b")}o.")
attack(
    "gadgets",
    "UUID by NEWOBJ_EX",
    b"cuuid\nUUID\n)}" + text("hex") + text("x" * 32) + b"s\x92.",
)
attack(
    "gadgets",
    "SimpleNamespace by NEWOBJ_EX",
    b"ctypes\nSimpleNamespace\n)}" + text("__class__") + b"Ns\x92.",
)
attack(
    "gadgets",
    "a member by object.__new__",
    RECONSTRUCTOR + b"charm\nChoice\ncbuiltins\nobject\nN\x87R.",
)
attack("gadgets", "a member by NEWOBJ", b"charm\nChoice\n)\x81.")
attack(
    "gadgets",
    "a date by object.__new__",
    RECONSTRUCTOR + b"cdatetime\ndate\ncbuiltins\nobject\nN\x87R.",
)
attack(
    "gadgets",
    "a zone that is a class",
    b"cdatetime\ndatetime\nC\x0a\x07\xd0\x01\x01" + bytes(6) + b"cdatetime\ntimezone\n\x86R.",
)
attack(
    "gadgets",
    "a zone of another class",
    b"cdatetime\ndatetime\nC\x0a\x07\xd0\x01\x01" + bytes(6) + VICTIM_OBJECT + b"\x86R.",
)
attack(
    "gadgets",
    "a factory that is an object",
    b"ccollections\ndefaultdict\n" + VICTIM_OBJECT + b"\x85R.",
)
attack(
    "gadgets",
    "a factory that is a member",
    b"ccollections\ndefaultdict\ncharm\nChoice\nK\x01\x85R\x85R.",
)

# --- helpers that are kept

for name, data in {
    "in a state": with_attribute("x", GETATTR) + b".",
    "as a key": b"}" + GETATTR + b"Ns.",
    "in a set": b"\x8f(" + GETATTR + b"\x90.",
    "in a frozenset": b"(" + GETATTR + b"\x91.",
    "that is popped": GETATTR + b"0N.",
    "in the memo alone": GETATTR + b"q\x000N.",
    "behind a MARK that is popped": b"(" + GETATTR + b"1N.",
    "in a deque": b"ccollections\ndeque\n]" + GETATTR + b"a\x85R.",
    "of another helper": NEWOBJ + GETATTR + b"\x85R.",
    "of the type of a helper": b"cbuiltins\ntype\n" + GETATTR + b"\x85R.",
    "as its own argument": GETATTR + b"q\x00h\x00" + text("x") + b"\x86R.",
    "that is given items": GETATTR + b"(K\x01e.",
    "as a read-only buffer": GETATTR + b"\x98.",
}.items():
    attack("gadgets", f"a helper {name}", data)
for name in (
    "_missing_",
    "_member_map_",
    "__members__",
    "__class__",
    "_value2member_map_",
    "name",
):
    attack(
        "gadgets",
        f"getattr of an enum's {name}",
        GETATTR + b"charm\nChoice\n" + text(name) + b"\x86R.",
    )
attack(
    "gadgets", "encode to an alias of latin1", ENCODE + text("x") + text("iso-8859-1") + b"\x86R."
)
attack(
    "gadgets", "encode with errors", ENCODE + text("x") + text("latin1") + text("harm") + b"\x87R."
)

# --- what a pickle has put into an object takes the place of no method of its class

for name, opcode in (
    ("append", b"a"),
    ("extend", b"a"),
    ("append", b"e"),
    ("extend", b"e"),
    ("add", b"\x90"),
):
    for value in (b"cbuiltins\nbytearray\n", b"ccollections\ndeque\n", b"charm\nhelper\n"):
        cls = value.split(b"\n")[1].decode()
        item = LONG_RANGE if opcode == b"a" else b"(" + LONG_RANGE
        attack(
            "items",
            f"{opcode!r} where the object has {cls} as {name}",
            with_attribute(name, value) + item + opcode + b".",
        )
attack("items", "APPEND to a Counter", b"ccollections\nCounter\n)RK\x01a.")
attack("items", "ADDITEMS to a deque", b"ccollections\ndeque\n)R(K\x01\x90.")
attack("items", "APPENDS to an OrderedDict", b"ccollections\nOrderedDict\n)R(K\x01e.")
attack("items", "APPEND to a member", b"charm\nChoice\nK\x01\x85RK\x01a.")
attack("items", "SETITEM to a helper", GETATTR + b"NNs.")

# --- states

ATTRIBUTE = b"}" + text("_value_") + b"K\x05s"
for name, data in {
    "a member of an enum": b"charm\nChoice\nK\x01\x85R",
    "a Fraction": b"cfractions\nFraction\nK\x01K\x02\x86R",
    "a Decimal": b"cdecimal\nDecimal\n" + text("1") + b"\x85R",
    "a path": b"cpathlib\nPurePosixPath\n" + text("a") + b"\x85R",
    "an address": b"cipaddress\nIPv4Address\nK\x01\x85R",
    "a Counter": b"ccollections\nCounter\n)R",
    "a defaultdict": b"ccollections\ndefaultdict\n)R",
    "a timezone": b"cdatetime\ntimezone\ncdatetime\ntimedelta\nK\x00K\x01K\x00\x87R\x85R",
    "a complex": b"cbuiltins\ncomplex\nG" + bytes(8) + b"G" + bytes(8) + b"\x86R",
    "a range": b"cbuiltins\nrange\nK\x01K\x02K\x01\x87R",
    "a bytearray": b"\x96" + struct.pack("<Q", 1) + b"x",
    "a set": b"\x8f",
}.items():
    attack("state", f"an attribute for {name}", data + ATTRIBUTE + b"b.")
UUID_OBJECT = b"cuuid\nUUID\n)\x81"
attack(
    "state",
    "a UUID of an int subclass",
    UUID_OBJECT + b"}" + text("int") + b"charm\nNumber\nK\x05\x85\x81sb.",
)
attack("state", "a UUID of a bool", UUID_OBJECT + b"}" + text("int") + b"\x88sb.")
attack("state", "a UUID of slots", UUID_OBJECT + b"N}" + text("int") + b"K\x05s\x86b.")
attack("state", "a UUID of None", UUID_OBJECT + b"Nb.")
attack("state", "a UUID under an odd key", UUID_OBJECT + b"}" + b"C\x03int" + b"K\x05sb.")
attack(
    "state",
    "a UUID under a str subclass",
    UUID_OBJECT + b"}charm\nText\n" + text("int") + b"\x85\x81K\x05sb.",
)
attack(
    "state",
    "a SimpleNamespace of slots",
    b"ctypes\nSimpleNamespace\n)RN}" + text("__dict__") + b"}s\x86b.",
)
attack("state", "a SimpleNamespace of a list", b"ctypes\nSimpleNamespace\n)R]b.")
for name, data in {
    "nothing": b"\x98.",
    "a MARK": b"(\x98.",
}.items():
    attack("stack", f"a read-only buffer of {name}", data)
for name, data in {
    "None": b"N",
    "a text": text("x"),
    "a class": b"cuuid\nUUID\n",
    "a list": b"]",
}.items():
    attack("items", f"a read-only buffer of {name}", data + b"\x98.")

# --- what the interpreter frees one within another

for cls, call in (("deque", b")R"), ("defaultdict", b")R")):
    name = line_global("collections", cls) + b"q\x00"
    puts = {
        "deque": {
            "APPEND": b"0h\x00)Rh\x01aq\x01",
            "APPENDS": b"0h\x00)R(h\x01eq\x01",
            "a list": b"0h\x00]h\x01a\x85Rq\x01",
            "a tuple": b"0h\x00h\x01\x85\x85Rq\x01",
            "OBJ": b"0(h\x00h\x01\x85oq\x01",
            "INST": b"0(h\x01\x85icollections\ndeque\nq\x01",
            "APPEND, from above": b"h\x00)Rq\x02a0h\x02",
        },
        "defaultdict": {
            "SETITEM": b"0h\x00)RNh\x01sq\x01",
            "SETITEMS": b"0h\x00)R(Nh\x01uq\x01",
            "SETITEM, from above": b"Nh\x00)Rq\x02s0h\x02",
        },
    }[cls]
    for way, again in puts.items():
        attack(
            "exhaustion",
            f"{cls} in {cls} by {way}",
            name + call + b"q\x01" + again * DEEP + b".",
        )
attack(
    "exhaustion",
    "deque in deque by DUP",
    b"ccollections\ndeque\nq\x00)R" + b"q\x01h\x00)R(h\x01eq\x022(h\x01e" * DEEP + b".",
)
attack(
    "exhaustion",
    "deque in defaultdict in deque",
    b"ccollections\ndeque\nq\x00)Rq\x01ccollections\ndefaultdict\nq\x02"
    + b"0h\x02)RNh\x01sq\x010h\x00h\x01\x85\x85Rq\x01" * DEEP
    + b".",
)
attack(
    "exhaustion",
    "deques, of which those that are popped leave their places",
    b"ccollections\ndeque\nq\x00)Rq\x01"
    + b"0h\x00]h\x00)Raa0h\x00h\x01\x85\x85Rq\x01".replace(b"aa0", b"a\x85R0") * DEEP
    + b".",
)
STRUCT = b"ctime\nstruct_time\nq\x00"
attack(
    "exhaustion",
    "struct_time in struct_time",
    STRUCT + b"Nq\x01" + b"0h\x00(h\x01NNNNNNNNt}\x86Rq\x01" * DEEP + b".",
)
attack(
    "exhaustion",
    "struct_time in the zone of a struct_time",
    STRUCT
    + b"Nq\x01"
    + (b"0h\x00(NNNNNNNNNt}" + text("tm_zone") + b"h\x01s\x86Rq\x01") * 1000
    + b".",
)
attack("exhaustion", "a struct_time of lists", STRUCT + b"(]NNNNNNNNt}\x86R.")

# --- what lies in one another on the stack, by each opcode that holds something

for name, opening, closing in (
    ("LIST", b"(", b"l"),
    ("DICT", b"(N", b"d"),
    ("TUPLE", b"(", b"t"),
    ("FROZENSET", b"(", b"\x91"),
    ("SETITEMS", b"}(N", b"u"),
    ("states", VICTIM_OBJECT + b"}" + text("x"), b"sb"),
    ("slots", b"charm\nSlotsVictim\n)\x81N}" + text("a"), b"s\x86b"),
    ("arguments", b"charm\nhelper\n", b"\x85R"),
    ("arguments of NEWOBJ", b"charm\nPair\nN", b"\x86\x81"),
    ("deques", b"ccollections\ndeque\n)R", b"a"),
    ("Counters", b"ccollections\nCounter\n)RN", b"s"),
):
    attack("exhaustion", f"{name} within {name}", opening * DEEP + b"N" + closing * DEEP + b".")

# --- keys whose hashes are the same, or that are equal and not the same


def keyed(keys, taker=b"}"):
    return taker + b"(" + b"".join(key + b"N" for key in keys) + b"u."


NUMBERS = [i * PRIME for i in range(1, MANY)]
COLLIDING = {
    "Decimals": [b"cdecimal\nDecimal\n" + text(str(n)) + b"\x85R" for n in NUMBERS],
    "Fractions": [b"cfractions\nFraction\n" + whole(n) + b"K\x01\x86R" for n in NUMBERS],
    "UUIDs": [UUID_OBJECT + b"}" + text("int") + whole(n) + b"sb" for n in NUMBERS],
    "ranges": [b"cbuiltins\nrange\n" + whole(n) + whole(n + 1) + b"K\x01\x87R" for n in NUMBERS],
    "complex numbers": [
        b"cbuiltins\ncomplex\n" + struct.pack(">BdBd", 71, -1000003.0 * n, 71, float(n)) + b"\x86R"
        for n in range(1, MANY)
    ],
    "networks": [b"cipaddress\nIPv6Address\n" + whole(n) + b"\x85R" for n in NUMBERS[:0]]
    or [b"(" + whole(n) + b"\x91\x85" for n in NUMBERS],
    "struct_times": [STRUCT + b"(" + whole(n) + b"NNNNNNNNt}\x86R" for n in NUMBERS],
    "pairs of texts and numbers": [text("x") + whole(n) + b"\x86" for n in NUMBERS],
}
for name, keys in COLLIDING.items():
    attack("exhaustion", f"{name} that collide", keyed(keys))
for cls in ("OrderedDict", "Counter", "defaultdict"):
    taker = line_global("collections", cls) + b")R"
    attack("exhaustion", f"keys of a {cls} that collide", keyed(map(whole, NUMBERS), taker))
attack(
    "exhaustion",
    "keys of DICT that collide",
    b"(" + b"".join(whole(n) + b"N" for n in NUMBERS) + b"d.",
)
attack(
    "exhaustion",
    "a set by OBJ of numbers that collide",
    b"(cbuiltins\nset\n](" + b"".join(map(whole, NUMBERS)) + b"eo.",
)
attack(
    "exhaustion",
    "an allowed set of numbers that collide",
    b"charm\nVictim\n)\x81" + keyed(map(whole, NUMBERS))[:-1] + b"b.",
)


def twice(first, again, count):
    """A set of two keys that are made alike, each layer of the last, which is in the memo."""
    layers = first + b"q\x01" + again * count
    return layers + b"q\x020" + layers + b"q\x030\x8f(h\x02h\x03\x90."


attack(
    "exhaustion",
    "frozensets that are equal, of frozensets and tuples of them",
    twice(b"(K\x01\x91", b"0(h\x01h\x01\x85\x91q\x01", 60),
)
attack(
    "exhaustion",
    "tuples that are equal, of pairs of them",
    twice(b"K\x01\x85", b"0h\x01h\x01\x86q\x01", 60),
)
attack(
    "exhaustion",
    "named tuples that are equal, of pairs of them",
    twice(b"K\x01\x85", b"0charm\nPair\nh\x01h\x01\x86\x81q\x01", 60),
)
attack(
    "exhaustion",
    "many Counters of a dict",
    b"ccollections\nCounter\nq\x00}("
    + b"".join(b"M" + struct.pack("<H", n) + b"N" for n in range(5000))
    + b"u\x85q\x010]("
    + b"h\x00h\x01R" * 2000
    + b"e.",
)
attack(
    "exhaustion",
    "many deques of a list",
    b"ccollections\ndeque\nq\x00]("
    + b"N" * 5000
    + b"e\x85q\x010]("
    + b"h\x00h\x01R" * 2000
    + b"e.",
)
attack(
    "exhaustion",
    "many Fractions of two long numbers",
    b"cfractions\nFraction\nq\x00"
    + b"L"
    + b"7" * 4000
    + b"L\nL"
    + b"9" * 4000
    + b"L\n\x86q\x010]("
    + b"h\x00h\x01R" * 3000
    + b"e.",
)
attack(
    "exhaustion",
    "many texts encoded",
    ENCODE
    + b"q\x00"
    + text("x" * 50_000)
    + text("latin1")
    + b"\x86q\x010]("
    + b"c_codecs\nencode\nh\x01R" * 3000
    + b"e.",
)
