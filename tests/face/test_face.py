"""What the package shows: the drop-ins' names, the cost of its import, its types."""

import ast
import copy as std_copy
import copyreg as std_copyreg
import inspect
import pickle as std_pickle
import subprocess
import sys
from importlib.resources import files

import pytest

import fastcopyreg
from fastcopyreg import _stdlib

PAIRS = [
    pytest.param(fastcopyreg.copyreg, std_copyreg, id="copyreg"),
    pytest.param(fastcopyreg.pickle, std_pickle, id="pickle"),
    pytest.param(fastcopyreg.copy, std_copy, id="copy"),
]
# Names of ours in the drop-ins, over what the standard library has.
OWN_NAMES = {"_stdlib", "_core", "_FROM_CORE", "_constructors", "_places"}
# What is new in copyreg; all else that differs comes from the core.
WRAPPERS = {"pickle", "constructor"}


@pytest.mark.parametrize(("ours", "standard"), PAIRS)
def test_every_name_is_there(ours, standard):
    assert set(dir(standard)) <= set(dir(ours))
    assert set(dir(ours)) - set(dir(standard)) <= OWN_NAMES


@pytest.mark.parametrize(("ours", "standard"), PAIRS)
def test_every_other_name_is_the_standard_object(ours, standard):
    changed = WRAPPERS if standard is std_copyreg else set(ours._FROM_CORE)
    for name in set(vars(standard)) - _stdlib.MODULE_ATTRIBUTES - changed:
        assert vars(ours)[name] is vars(standard)[name], name


@pytest.mark.parametrize(("ours", "standard"), PAIRS)
def test_star_import_gives_the_same_names(ours, standard):
    assert ours.__all__ == standard.__all__
    ours_space, standard_space = {}, {}
    exec(f"from {ours.__name__} import *", ours_space)
    exec(f"from {standard.__name__} import *", standard_space)
    assert ours_space.keys() == standard_space.keys()


@pytest.mark.parametrize(("ours", "standard"), PAIRS)
def test_the_drop_ins_are_modules_of_their_own(ours, standard):
    assert ours.__name__ == f"fastcopyreg.{standard.__name__}"
    assert ours.__spec__.name == ours.__name__
    assert ours.__doc__ != standard.__doc__


@pytest.mark.parametrize("name", sorted(WRAPPERS))
def test_wrappers_have_the_signature_of_the_originals(name):
    ours, standard = getattr(fastcopyreg.copyreg, name), getattr(std_copyreg, name)
    assert inspect.signature(ours) == inspect.signature(standard)
    assert ours.__qualname__ == standard.__qualname__


def test_everything_public_is_there_and_documented():
    for name in fastcopyreg.__all__:
        value = getattr(fastcopyreg, name)
        if not isinstance(value, str):
            assert inspect.getdoc(value), name
    assert set(fastcopyreg.__all__) <= set(dir(fastcopyreg))
    assert list(fastcopyreg.__all__) == sorted(fastcopyreg.__all__)


IMPORTED = """
import pickle, copy, copyreg, sys
before = set(sys.modules)
import fastcopyreg
print(*sorted(set(sys.modules) - before))
"""


# Modules of a few lines, for annotations, and one that is part of the interpreter.
CHEAP = {"__future__", "collections.abc", "gc"}


def test_import_is_cheap():
    """Beyond the three modules that it stands for, the package imports nothing but itself."""
    command = [sys.executable, "-P", "-c", IMPORTED]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    imported = result.stdout.split()
    assert "fastcopyreg.pickle" in imported
    assert {name for name in imported if not name.startswith("fastcopyreg")} <= CHEAP


def test_the_package_is_typed():
    folder = files("fastcopyreg")
    assert folder.joinpath("py.typed").is_file()
    for stub_name in ("_core.pyi", "copy.pyi", "copyreg.pyi", "pickle.pyi"):
        assert folder.joinpath(stub_name).is_file()


def stub():
    """Return the public definitions of _core.pyi by name."""
    tree = ast.parse(files("fastcopyreg").joinpath("_core.pyi").read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    definitions = {node.name: node for node in tree.body if isinstance(node, kinds)}
    if "replace" not in _stdlib.COPY:
        del definitions["replace"]
    return {name: node for name, node in definitions.items() if not name.startswith("_")}


def parameters(node):
    """Return the names and kinds of a stub function's parameters."""
    kind, arguments = inspect.Parameter, node.args
    groups = [
        (kind.POSITIONAL_ONLY, arguments.posonlyargs),
        (kind.POSITIONAL_OR_KEYWORD, arguments.args),
        (kind.VAR_POSITIONAL, [arguments.vararg] if arguments.vararg else []),
        (kind.KEYWORD_ONLY, arguments.kwonlyargs),
        (kind.VAR_KEYWORD, [arguments.kwarg] if arguments.kwarg else []),
    ]
    return [(argument.arg, sort) for sort, group in groups for argument in group]


def runtime_parameters(function):
    """Return the names and kinds of the parameters, but for the private one of `deepcopy`."""
    named = inspect.signature(function).parameters.values()
    return [(p.name, p.kind) for p in named if not p.name.startswith("_")]


def test_the_stub_names_what_the_core_has(c_core):
    public = {name for name in dir(c_core) if not name.startswith("_")}
    assert set(stub()) == public


def initializer(node):
    """Return the stub's __init__ of a class, or None if it cannot be made by calling it."""
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    return next((method for method in methods if method.name == "__init__"), None)


def test_the_stub_has_the_signatures_of_the_core(c_core):
    for name, node in stub().items():
        function = node if isinstance(node, ast.FunctionDef) else initializer(node)
        if function is not None:
            stubbed = parameters(function)[function is not node :]
            assert stubbed == runtime_parameters(getattr(c_core, name)), name
