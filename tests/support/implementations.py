"""The two implementations that the differential tests compare.

`STANDARD` is the running interpreter's C pickler, the oracle. `OURS` is `fastcopyreg.pickle`. The
variable FASTCOPYREG_TESTED names something else to put in its place: `stdlib` proves that the
tests themselves run on an interpreter, `faulty` that they notice a pickler that is wrong.
"""

import os
import pickle as std_pickle
import sys
import types

import pytest

import fastcopyreg
import fastcopyreg.pickle

TESTED = os.environ.get("FASTCOPYREG_TESTED", "fastcopyreg")
PLANS_ARE_ON = sys.version_info < (3, 16) and getattr(sys, "_is_gil_enabled", lambda: True)()
PROTOCOLS = tuple(range(std_pickle.HIGHEST_PROTOCOL + 1))


def namespace(name, module):
    """The three ways into a pickler, by name, with a label for messages."""
    return types.SimpleNamespace(
        name=name, Pickler=module.Pickler, dump=module.dump, dumps=module.dumps
    )


def tested():
    """The implementation under test, as FASTCOPYREG_TESTED chooses it."""
    if TESTED == "stdlib":
        return namespace("stdlib", std_pickle)
    if TESTED == "faulty":
        return namespace("faulty", faulty_module())
    return namespace("ours", fastcopyreg.pickle)


def faulty_module():
    """The pure-Python pickler, which differs from the C one in messages, hooks and writes."""
    return types.SimpleNamespace(
        Pickler=std_pickle._Pickler, dump=std_pickle._dump, dumps=std_pickle._dumps
    )


STANDARD = namespace("stdlib", std_pickle)
OURS = tested()

# The fallback is the standard library's own objects: comparing them with themselves proves
# nothing.
requires_core = pytest.mark.core
