"""The functions in use come from the backend that is claimed."""

import copy as std_copy
import os
import pickle as std_pickle
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from types import FunctionType

import pytest

import fastcopyreg
from fastcopyreg import _backend, _fallback, _stdlib

DROP_INS = [
    (drop_in, name)
    for drop_in in (fastcopyreg.pickle, fastcopyreg.copy)
    for name in drop_in._FROM_CORE
]
STANDARD = {"fastcopyreg.pickle": std_pickle, "fastcopyreg.copy": std_copy}


def identify(value):
    return value if isinstance(value, str) else value.__name__


def test_the_core_claimed_is_the_extension(c_core):
    assert c_core is sys.modules["fastcopyreg._core"]
    assert c_core.__file__.endswith(tuple(EXTENSION_SUFFIXES))
    assert os.path.dirname(c_core.__file__) == os.path.dirname(fastcopyreg.__file__)


@pytest.mark.parametrize(("drop_in", "name"), DROP_INS, ids=identify)
def test_core_names_come_from_the_backend(drop_in, name):
    ours, standard = getattr(drop_in, name), getattr(STANDARD[drop_in.__name__], name)
    assert ours is getattr(_backend.core, name)
    assert (ours is standard) == (fastcopyreg.backend == "python")


@pytest.mark.parametrize(("drop_in", "name"), DROP_INS, ids=identify)
def test_core_names_are_compiled(c_core, drop_in, name):
    """A class or function of the extension has no Python code."""
    ours = getattr(c_core, name)
    assert not isinstance(ours, FunctionType)
    if isinstance(ours, type):
        assert ours.__flags__ & (1 << 8) == getattr(_stdlib, name).__flags__ & (1 << 8)


@pytest.mark.parametrize(("drop_in", "name"), DROP_INS, ids=identify)
def test_core_names_are_pickled_by_the_name_of_their_drop_in(c_core, drop_in, name):
    ours = getattr(drop_in, name)
    assert (ours.__module__, ours.__qualname__) == (drop_in.__name__, name)
    data = std_pickle.dumps(ours)
    assert drop_in.__name__.encode() in data
    assert std_pickle.loads(data) is ours


def test_the_fallback_is_the_standard_library():
    assert _fallback.dumps is std_pickle.dumps
    for name in _fallback.__all__:
        module = std_copy if name in ("copy", "deepcopy", "replace") else std_pickle
        assert getattr(_fallback, name) is getattr(module, name, None)


def test_core_names_have_their_twins_in_the_fallback():
    assert {name for _, name in DROP_INS} <= set(_fallback.__all__)


def test_originals_are_not_ours():
    assert _stdlib.Pickler.__module__ == ("_pickle" if _stdlib.C_PICKLE else "pickle")
    assert _stdlib.PICKLE["dumps"] is _stdlib.dumps
    assert _stdlib.COPY["deepcopy"] is _stdlib.deepcopy
    assert _stdlib.COPYREG["dispatch_table"] is _stdlib.dispatch_table


def test_both_registries_are_one():
    import copyreg

    assert fastcopyreg.copyreg.dispatch_table is copyreg.dispatch_table
    assert fastcopyreg.copyreg._extension_registry is copyreg._extension_registry
    assert fastcopyreg.copyreg._inverted_registry is copyreg._inverted_registry
    assert fastcopyreg.copyreg._extension_cache is copyreg._extension_cache
    assert fastcopyreg.copyreg.__newobj__ is copyreg.__newobj__
    assert fastcopyreg.copyreg._reconstructor is copyreg._reconstructor
