"""The rooms of the package's Python: imports go one way, and nobody is imported unasked.

See docs/architecture.md, and support/imports.py for how the sources are read.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastcopyreg
from support.imports import ORDER, Imports, room_of, upward
from support.rooms import circles_in

PACKAGE = Path(fastcopyreg.__file__).parent

pytestmark = pytest.mark.once


def test_imports_go_one_way():
    assert upward(Imports(PACKAGE)) == []


def test_nobody_imports_in_a_circle():
    assert circles_in(Imports(PACKAGE).of) == []


def test_every_room_has_its_place():
    found = {room_of(name) for name in Imports(PACKAGE).names}
    assert sorted(found) == sorted(room for rooms in ORDER for room in rooms)


@pytest.fixture
def copied(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    return Path(shutil.copytree(PACKAGE, tmp_path / "fastcopyreg", ignore=ignored))


TURNED = [
    ("_stdlib.py", "from . import copyreg", "_stdlib imports fastcopyreg.copyreg"),
    ("registration.py", "def f():\n    from .diagnosis import check", "registration imports"),
    ("_register/fields.py", "from ..registration import register", "_register.fields imports"),
    ("_compiler/steps.py", "import fastcopyreg.compiler", "_compiler.steps imports"),
    ("_backend.py", "from fastcopyreg import backend", "_backend imports fastcopyreg"),
    ("safe.py", "from . import clusters", "safe imports fastcopyreg.clusters"),
    ("new.py", "from . import _stdlib", "new imports fastcopyreg._stdlib"),
]


@pytest.mark.parametrize(("file", "line", "said"), TURNED, ids=[file for file, *_ in TURNED])
def test_an_import_that_is_turned_round_is_found(copied, file, line, said):
    with open(copied / file, "a") as module:
        module.write(f"\n{line}\n")
    (found,) = upward(Imports(copied))
    assert found.startswith(f"fastcopyreg.{said}")


def test_a_circle_in_a_room_is_found(copied):
    with open(copied / "_compiler/steps.py", "a") as module:
        module.write("\nfrom . import bytecode\n")
    (circle,) = circles_in(Imports(copied).of)
    assert {"fastcopyreg._compiler.bytecode", "fastcopyreg._compiler.steps"} <= {*circle}


FIRST_USED = {
    "import fastcopyreg": set(),
    "import fastcopyreg; fastcopyreg.install(); fastcopyreg.uninstall()": set(),
    "import fastcopyreg.safe": {"_safe"},
    "import fastcopyreg.compiler": {"_compiler"},
    "import types, fastcopyreg; fastcopyreg.register(types.SimpleNamespace, ())": {"_register"},
    "import fastcopyreg; fastcopyreg.explain(int)": {"_compiler", "_diagnosis", "_register"},
}
"""Which packages within the package are imported, at most, by what a program begins with."""


@pytest.mark.parametrize("program", FIRST_USED)
def test_a_room_is_imported_when_it_is_first_used(program):
    says = "import sys; print(*[name for name in sys.modules if name.startswith('fastcopyreg.')])"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{program}\n{says}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    inner = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    imported = {room_of(name) for name in done.stdout.split()} & inner
    expected = FIRST_USED[program]
    if "safe" in program and fastcopyreg.backend == "c":
        expected = expected | {"_compiler"}
    assert imported == expected
