"""The rooms of csrc/: includes and calls go one way, and each name is one thing's.

See docs/architecture.md, and support/rooms.py for how the sources are read.
"""

import re
import shutil

import pytest

from support.folders import ROOT, TESTS
from support.rooms import Sources, circles, upward

CSRC = ROOT / "csrc"

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not CSRC.is_dir(), reason="needs csrc beside the tests"),
]


@pytest.fixture(scope="module")
def sources():
    return Sources(CSRC)


def test_includes_and_calls_go_one_way(sources):
    assert upward(sources) == []


def test_nobody_calls_in_a_circle(sources):
    assert circles(sources) == []


def test_a_function_is_defined_in_one_file(sources):
    assert sources.names_in_more_than_one_file() == {}


def test_few_files_ask_for_layouts(sources):
    asking = [name for name, code in sources.code.items() if re.search(r"\bKNOWN_LAYOUT\b", code)]
    assert set(asking) <= {"base/compat.h", "base/layout.h", "base/layout.c"}


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(CSRC, tmp_path / "csrc")
    return tmp_path / "csrc"


def append(path, text):
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def test_an_include_that_is_turned_round_is_found(copied):
    append(copied / "base/layout.h", '#include "dump/memo.h"\n')
    append(copied / "load/reader.h", '#include "copy/copier.h"\n')
    assert upward(Sources(copied)) == [
        "base/layout includes dump/memo",
        "load/reader includes copy/copier",
    ]


def test_a_call_that_is_turned_round_is_found(copied):
    declared = "int memo_set(struct memo *memo, PyObject *object, Py_ssize_t index);\n"
    body = "int\nturned_round(struct memo *memo)\n{\n    return memo_set(memo, NULL, 0);\n}\n"
    append(copied / "types/frozen.c", declared + body)
    assert upward(Sources(copied)) == ["types/frozen calls memo_set of dump/memo"]


def test_a_circle_in_a_room_is_found(copied):
    body = "void\nturned_round(struct pickler *p)\n{\n    pickler_retire(p);\n}\n"
    append(copied / "dump/memo.c", body)
    assert ["dump/memo", "dump/pickler"] in [
        [name for name in circle if name in ("dump/memo", "dump/pickler")]
        for circle in circles(Sources(copied))
    ]


def test_a_name_that_comes_again_is_found(copied):
    append(copied / "base/names.c", "static int\nmemo_grow_log(void)\n{\n    return 0;\n}\n")
    assert Sources(copied).names_in_more_than_one_file() == {
        "memo_grow_log": ["base/names.c", "dump/memo.c"]
    }


def test_a_room_has_its_tests_in_a_folder_of_its_name():
    rooms = {path.name for path in CSRC.iterdir() if path.is_dir()}
    tests = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert tests == {*rooms, "face"}


DOC = ROOT / "docs" / "architecture.md"


@pytest.mark.skipif(not DOC.is_file(), reason="needs docs beside the tests")
def test_what_the_documentation_names_exists(sources):
    text = DOC.read_text(encoding="utf-8")
    for path in set(re.findall(r"`((?:csrc|tests|src)/[\w/*.]+)`", text)):
        assert list(ROOT.glob(path)), path
    walks = re.search(r"## A walk through `dumps`(.*?)## To change", text, re.DOTALL)[1]
    known = {*sources.shared, *sources.own}
    named = {n for n in re.findall(r"`([a-z]+_\w+)`", walks) if not n.startswith("__")}
    assert named - known == set()
    for path in re.findall(r"`([a-z]+/\w+\.[ch])`", text):
        assert path in sources.texts, path
    for room, name in re.findall(r"^\| `(\w+)/(\w+)(?:\.h)?` \|", text, re.MULTILINE):
        assert {f"{room}/{name}.h", f"{room}/{name}.c"} & set(sources.texts), name
