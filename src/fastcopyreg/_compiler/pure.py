"""Functions and methods that only make a value of the values that they are given.

With atoms (short exact ``str``, small ``int``, ``float``, ``bool`` and ``None``) none of these
runs Python code, warns, or looks up what could be replaced; see csrc/plans/plan_pure.c.
"""

_ONE, _ONE_OR_TWO, _SOME = (1,), (1, 2), (0, 1, 2)

# Pairs of a function and how many arguments it may be given; compared by identity.
PURE_FUNCTIONS = (
    (str, _ONE),
    (len, _ONE),
    (tuple, _ONE),
    (list, _ONE),
    (int, _ONE_OR_TWO),
    (float, _ONE),
    (bool, _ONE),
    (abs, _ONE),
    (ascii, _ONE),
    (bin, _ONE),
    (chr, _ONE),
    (format, _ONE_OR_TWO),
    (hex, _ONE),
    (oct, _ONE),
    (ord, _ONE),
    (repr, _ONE),
    (round, _ONE_OR_TWO),
)

# How many arguments each may be given. An encoding would be looked up in a registry.
PURE_METHODS = {
    **dict.fromkeys(("encode", "decode", "upper", "lower", "title", "capitalize"), (0,)),
    **dict.fromkeys(("casefold", "swapcase", "isdigit", "isalpha", "isidentifier"), (0,)),
    **dict.fromkeys(("bit_length", "bit_count", "as_integer_ratio", "is_integer"), (0,)),
    **dict.fromkeys(("conjugate", "hex"), (0,)),
    **dict.fromkeys(("strip", "lstrip", "rstrip", "split", "rsplit", "to_bytes"), _SOME),
    **dict.fromkeys(("splitlines", "join", "partition", "rpartition", "zfill"), _ONE),
    **dict.fromkeys(("removeprefix", "removesuffix", "startswith", "endswith"), _ONE),
    **dict.fromkeys(("find", "rfind", "count", "index", "rindex"), _ONE),
    **dict.fromkeys(("ljust", "rjust", "center"), _ONE_OR_TWO),
    "replace": (2, 3),
    "format": range(8),
}
