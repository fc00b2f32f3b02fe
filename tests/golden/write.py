# ruff: noqa: C405, UP004, UP020, UP031, UP036
"""Writes the golden pickles of the Python that runs it (2.7 or any 3): VERSION.json beside it.

    for version in 2.7 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13; do
        python$version tests/golden/write.py
    done

A file holds, for each value and each protocol of that version, the pickle in hexadecimal. The
values are made again by tests/load/test_golden.py, which says what each must load as.
"""

import collections
import datetime
import decimal
import io
import json
import os
import pickle
import sys

if sys.version_info[0] == 2:
    import cPickle

    dumps = cPickle.dumps
    text = unicode  # noqa: F821
else:
    dumps = pickle.dumps
    text = str


class NewStyle(object):
    """As `support.classes.Plain`, under whose name it is pickled."""


class OldStyle:
    """As the same, by INST and OBJ in Python 2."""


NewStyle.__module__ = OldStyle.__module__ = "golden_classes"
sys.modules["golden_classes"] = sys.modules[__name__]


def filled(made):
    made.a, made.b = 1, [made]
    return made


def values():
    shared = ["shared"]
    return {
        "numbers": [0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**31, 2**63, -(2**70)],
        "floats": [0.0, -0.0, 1.5, -1e300, 1e-300, float("inf")],
        "atoms": [None, True, False],
        "texts": [text(""), text("a"), b"\xc3\xa9\xe2\x82\xac".decode("utf-8"), text("x") * 300],
        "native strings": ["", "a", 'it\'s "quoted"\n', "y" * 300],
        "bytearray": bytearray(b"abc"),
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "lists": [[], [1], list(range(1005))],
        "dict": {"k": {}, 1: [2]},
        "sets": [set([1, 2]), frozenset([3])],
        "shared": [shared, shared, (shared,)],
        "new style": filled(NewStyle()),
        "old style": filled(OldStyle()),
        "globals": [len, NewStyle, collections.OrderedDict, range],
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
        "default": collections.defaultdict(list, {"k": [1]}),
        "deque": collections.deque([1, 2], 3),
        "dates": [datetime.date(2020, 2, 29), datetime.datetime(2020, 2, 29, 12, 30, 1, 5)],
        "time": [datetime.time(1, 2, 3), datetime.timedelta(1, 2, 3)],
        "decimal": decimal.Decimal("1.50"),
        "exception": ValueError("message", 1),
        "complex": complex(1, -2),
        "extended": io.StringIO if sys.version_info[0] == 3 else [],
    }


def main():
    version = "%d.%d" % sys.version_info[:2]
    pickles = {}
    for name, value in values().items():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            data = bytearray(dumps(value, protocol))
            pickles["%s %d" % (name, protocol)] = "".join("%02x" % byte for byte in data)
    folder = os.path.dirname(os.path.abspath(__file__))
    with io.open(os.path.join(folder, version + ".json"), "w", encoding="ascii") as file:
        file.write(text(json.dumps(pickles, indent=0, sort_keys=True, separators=(",", ":"))))
        file.write(text("\n"))


if __name__ == "__main__":
    main()
