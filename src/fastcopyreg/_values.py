"""Which code of the standard library's value types the core knows, and may leave out.

A type of Python can be changed, and its code differs between versions. The core reads the objects
of such a type by itself only if the functions that it leaves out are, byte for byte, among those
that were compared with it. `known` is asked once for each type, when its first object is pickled.
"""

import builtins
import hashlib
from types import CodeType, FunctionType

# Digests of the functions, taken together, of the versions on which they were compared.
_KNOWN = {
    # On 3.11 a member of SafeUUID cannot be read off the class without asking its metaclass.
    "uuid.UUID": {
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
}


def known(name, functions):
    """Return what has to stay as it is for *functions* to be left out; None if they are not known.

    That is a triple of tuples: their codes, the names of builtins that they use, and those
    builtins.
    """
    if not all(type(function) is FunctionType for function in functions):
        return None
    if digest(functions) not in _KNOWN[name]:
        return None
    codes = tuple(function.__code__ for function in functions)
    used = {used for code in codes for used in _names(code)}
    names = tuple(sorted(each for each in used if _is_builtin(each)))
    return codes, names, tuple(getattr(builtins, each) for each in names)


def _is_builtin(name):
    # Names with underscores are attributes here, which a module has too.
    return not name.startswith("_") and name in vars(builtins)


def digest(functions):
    """Return a digest of what the functions do, wherever they are written."""
    text = repr([_facts(function.__code__) for function in functions])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


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
