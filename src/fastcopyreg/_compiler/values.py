"""Which code of the standard library's value types the core knows, and may leave out.

A type of Python can be changed, and its code differs between versions. The core reads the objects
of such a type by itself only if the functions that it leaves out are, byte for byte, among those
that were compared with it. `known` is asked once for each type, when its first object is pickled.
"""

import builtins
import sys
from types import CodeType, FunctionType

from .functions import code_of

try:  # hashlib would bring OpenSSL along.
    from _sha2 import sha256
except ImportError:
    try:
        from _sha256 import sha256
    except ImportError:
        from hashlib import sha256

# Digests of the functions, taken together, of the versions on which they were compared.
_KNOWN = {
    # On 3.11 with the __get__ of what describes a member of SafeUUID.
    "uuid.UUID": {
        "acbc3fa542e0fe9601ceb9d3652bc2a6",  # 3.11
        "385fa39a4b02b53fbb916c3456f1908f",  # 3.12
        "1d7e2835de479e15203fafde080b69a4",  # 3.13
        "38fadcdc09e3fe98d92218faba30fcac",  # 3.14
        "51977b88736da33c9f3480b2f2453cb2",  # 3.15
    },
    "ipaddress.IPv6Address": {
        "530a641214a8c1fd1e5f23cb78d78545",  # 3.11
        "8b13ea661225df1673386fa5ff54fb06",  # 3.12
        "6da53551c1b230120e577f39329221ec",  # 3.13
        "ae4994098f41cb2be9a9c0ff3245509b",  # 3.14
        "c972bb24a8a37ca123e251ffea4a0f22",  # 3.15
    },
    "collections.Counter": {
        "eaa87b51102332467a9f16943e3ba321",  # 3.11
        "4a0dc018053c75823ab27cb467e92cdd",  # 3.12
        "73092c897303cb5315c2cfa15c700c47",  # 3.13
        "5f392412883971500aa403fea91ad8bf",  # 3.14
        "b74160d6131aab965adb86bdd8d7b8a3",  # 3.15
    },
    # Paths keep the parts that they were made from since 3.13.
    "pathlib.PurePath": {
        "f0f77891a163fbcace8ce21fc8f79607",  # 3.13
        "95fea154a1d554e85cf767c25de3d92c",  # 3.14
        "5df0bca7837fa6019cda002136a0adee",  # 3.15
    },
    # __getstate__ and __setstate__ of frozen classes with slots, and fields().
    "dataclasses (frozen)": {
        "20e07af9b817a861a676a4802a3b0509",  # 3.11
        "2a54efa878fd2f7d20a6e456256cea9e",  # 3.12
        "d707ba0157a7af8c0eb0a693e3876d6e",  # 3.13
        "4d6b0306786793a5b6bd1b95d1d6b3ef",  # 3.14
        "784dc9a6ed82df54aaeeca107848cf19",  # 3.15
    },
    # Constructors.
    "ipaddress.IPv6Address()": {
        "daf54e1019d0f194780245a8ff0c7747",  # 3.11
        "514941a46843d253f28df73a87e896cd",  # 3.12
        "f3e0c8f92a617d4e341329ca141dfa23",  # 3.13
        "54a818ab58d050c8bd43bc757afd7af5",  # 3.14
        "d36408685cc5d3c7b861e207ef6c14e3",  # 3.15
    },
    "collections.Counter()": {
        "1264899205395f83938f31d0739fbd21",  # 3.11
        "d0087421cc3728d18ca8325448a18df8",  # 3.12
        "f8db478b459e2df81980871873ea2362",  # 3.13
        "5a740249d22f0d327d0dfebdc448e2fb",  # 3.14
        "3fb2f2776402cfcdac7a9432bd78ead6",  # 3.15
    },
    "pathlib.PurePath()": {
        "d355fd12e1b1b14b5202ea8b24d53390",  # 3.12
        "f41b3da06c7da597f8a385d48e9697ec",  # 3.13
        "e501ef1ec180b5d57fef214572447f21",  # 3.14
        "33e1e60f6278ac027352cfb1c76f859f",  # 3.15
    },
    "ipaddress.IPv4Address()": {
        "6799b52b3ef670ea8efdd12648f9843b",  # 3.11
        "6ec87e013d4c65a510a3786570e30a90",  # 3.12
        "712b68bc5800b0bc1266b112ca665f79",  # 3.13
        "6942257c3e06f822d454a317ba4faafd",  # 3.14
        "38c05ea81513484bde744dd4baf85cbe",  # 3.15
    },
    "fractions.Fraction()": {
        "81f399e16b1ce28e528e5cbc8e744dd3",  # 3.11
        "1a82ae968ab6b04f53b19f0493dc52be",  # 3.12
        "d9905ea1c635162f3c9bc200dddd270a",  # 3.13
        "58ba47de4c2cc05e084b39f21be25e94",  # 3.14
        "623d584d8507b428e84ac4daef83d49a",  # 3.15
    },
    # With EnumType.__call__.
    "enum.Enum()": {
        "fae41108f96beeb8a0927576ad4f093d",  # 3.11
        "16771866f9660def76ac61cacab4b3a5",  # 3.12
        "58a4ecac4241e414ec636bad3db0bffc",  # 3.13
        "c33d9ce5c2fb7e12a33d582bd1e95f19",  # 3.14
        "b751e4dc7f815934a59ee22bd3de8f8f",  # 3.15
    },
    "uuid.UUID.__setstate__()": {
        "e36dbba159e8527d98c457667c162588",  # 3.11
        "ec39f132494e4580ec7643fc686f3af0",  # 3.12
        "a4ccf9ca5fe50df1f6724f1c701324d6",  # 3.13
        "39837a65d430b84220a1eb5b7f615af8",  # 3.14
        "03f1a1344adf966a5fcba4d98c82fb81",  # 3.15
    },
}


# What the functions ask of an object besides, by operations of the interpreter and not by names:
# the class has there what its built-in base has.
_ASKED = {
    "collections.Counter": ("__iter__", "keys"),  # dict(self)
    "collections.Counter()": ("__len__", "__bool__"),  # if self
}


# Classes whose constructors may be left out, in the order of the kinds of value_classes.c: modules
# that may have one, its names, and what of it goes into the digest.
CONSTRUCTORS = (
    (
        ("ipaddress",),
        ("IPv6Address",),
        "ipaddress.IPv6Address()",
        ("__init__", "_split_scope_id", "_ip_int_from_string", "_parse_hextet"),
        (),
    ),
    (
        ("collections",),
        ("Counter",),
        "collections.Counter()",
        ("__init__", "update"),
        (("_collections_abc", "Mapping"),),
    ),
    (
        ("pathlib",),
        ("PurePosixPath", "PureWindowsPath"),
        "pathlib.PurePath()",
        ("__new__", "__init__"),
        (("PurePath", None), ("os", "fspath")),
    ),
    (
        ("ipaddress",),
        ("IPv4Address",),
        "ipaddress.IPv4Address()",
        ("__init__", "_check_int_address"),
        (),
    ),
    (
        ("fractions",),
        ("Fraction",),
        "fractions.Fraction()",
        ("__new__",),
        (("Fraction", None), ("math", "gcd")),
    ),
    (
        ("uuid",),
        ("UUID",),
        "uuid.UUID.__setstate__()",
        ("__setstate__",),
        (("SafeUUID", None),),
    ),
)


def known(name, functions, cls=None):
    """Return what has to stay as it is for *functions* to be left out; None if they are not known.

    That is a triple of tuples: their codes, the names of builtins that they use, and those
    builtins. It is asked again for each version of *cls*, whose functions they are.
    """
    if not all(type(function) is FunctionType for function in functions):
        return None
    if not all(_found(cls, asked) is _found(dict, asked) for asked in _ASKED.get(name, ())):
        return None
    if name == "ipaddress.IPv6Address" and not _constants_hold(cls):
        return None
    if digest(functions) not in _KNOWN[name]:
        return None
    codes = tuple(code_of(function) for function in functions)
    used = {used for code in codes for used in _names(code)}
    names = tuple(sorted(each for each in used if _is_builtin(each)))
    return codes, names, tuple(getattr(builtins, each) for each in names)


def constructor(cls):
    """Return what value_classes.c has to know of a class to make its objects; None if it cannot.

    That is the kind, the functions that are left out, what `known` returns of them, and what they
    find as globals.
    """
    if "_value2member_map_" in _dict_of(cls):
        return _enumeration(cls)
    own = _name_of(cls)
    for kind, (modules, names, known_as, methods, watched) in enumerate(CONSTRUCTORS):
        found = (vars(sys.modules.get(module, object)).get(own) for module in modules)
        if own in names and any(each is cls for each in found):
            return _constructor(cls, kind, known_as, methods, watched)
    return None


def _enumeration(cls):
    """The same of a class whose call finds a member, which its metaclass and Enum.__new__ do."""
    functions = _function(type(cls), "__call__"), _function(cls, "__new__")
    facts = known("enum.Enum()", functions)
    if facts is None or functions[0].__globals__ is not functions[1].__globals__:
        return None
    # Up to 3.12 the default of names is None.
    names = [name for name in functions[0].__code__.co_names if name == "_not_given"]
    watched = tuple(_global(functions[0], name, None) for name in names)
    return len(CONSTRUCTORS), functions, *facts, watched


def sets_state(cls):
    """Return whether it is the `__setstate__` of a class that is left out, not its constructor."""
    return _name_of(cls) == "UUID" and constructor(cls) is not None


def _constructor(cls, kind, known_as, methods, watched):
    functions = tuple(_function(cls, name) for name in methods)
    if not _constants_hold(cls) or None in functions:
        return None
    first = functions[0]
    if not all(each.__globals__ is first.__globals__ for each in functions):
        return None
    facts = known(known_as, functions, cls)
    if facts is None:
        return None
    return kind, functions, *facts, tuple(_global(first, *each) for each in watched)


def _function(cls, name):
    """The function that the class has under a name, also of a class or static method."""
    found = _found(cls, name)
    if type(found) in (classmethod, staticmethod):
        found = found.__func__
    return found if type(found) is FunctionType else None


def _found(cls, name):
    """What the class has under a name; None if it is nothing."""
    return next((_dict_of(base)[name] for base in _mro_of(cls) if name in _dict_of(base)), None)


# What a class is, whatever its metaclass says: nobody is asked.
_mro_of = type.__dict__["__mro__"].__get__
_dict_of = type.__dict__["__dict__"].__get__
_name_of = type.__dict__["__name__"].__get__


def _constants_hold(cls):
    """Whether what the functions read of the class is as it was when they were compared."""
    if cls.__name__ == "UUID":
        # Up to 3.12 code of enum says what the member is.
        safety = vars(sys.modules["uuid"]).get("SafeUUID")
        return isinstance(safety, type) and type(vars(safety).get("unknown")) is safety
    if cls.__name__ == "IPv4Address":
        return type(cls._ALL_ONES) is int and cls._ALL_ONES == 2**32 - 1
    if cls.__name__ != "IPv6Address":
        return True
    digits = cls._HEX_DIGITS
    return (
        type(digits) is frozenset
        and digits == frozenset("0123456789ABCDEFabcdef")
        and type(cls._HEXTET_COUNT) is int
        and cls._HEXTET_COUNT == 8
        and type(cls._ALL_ONES) is int
        and cls._ALL_ONES == 2**128 - 1
    )


def _global(function, name, attribute):
    value = function.__globals__[name]
    return name, value, None if attribute is None else (attribute, vars(value)[attribute])


def _is_builtin(name):
    # Names with underscores are attributes here, which a module has too.
    return not name.startswith("_") and name in vars(builtins)


def digest(functions):
    """Return a digest of what the functions do, wherever they are written."""
    text = repr([_facts(code_of(function)) for function in functions])
    return sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _facts(code):
    """Return what makes two code objects do the same; documentation and lines do not."""
    return (
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_cellvars,
        code.co_freevars,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_exceptiontable,
        [_facts(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts],
    )


def _names(code):
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)
