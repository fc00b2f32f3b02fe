"""FASTCOPYREG_INSTALL=1, `python -m fastcopyreg run` and `install(children=True)`: the swap before
a program's first import, in it and in every process that it starts.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastcopyreg
from fastcopyreg import _run
from fastcopyreg.__main__ import main
from fastcopyreg.install import VARIABLE, has_startup_file, install, uninstall
from support.folders import ROOT

SITE = Path(fastcopyreg.__file__).parent.parent
INSTALLED = fastcopyreg.backend == "c"
METHODS = sorted(multiprocessing.get_all_start_methods())


def run(*arguments, variable=None, **environment):
    """Run an interpreter with these arguments; return what it prints."""
    # A program finds the modules beside it.
    hidden = (VARIABLE, "PYTHONSAFEPATH")
    environment = {k: v for k, v in os.environ.items() if k not in hidden} | environment
    if variable is not None:
        environment[VARIABLE] = variable
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


SAYS = """
import sys
loaded = "fastcopyreg" in sys.modules
import pickle
print(loaded, pickle.Pickler is (loaded and sys.modules["fastcopyreg"].pickle.Pickler))
"""
WITH, WITHOUT = "True True\n", "False False\n"


def test_the_package_has_its_startup_file():
    assert (SITE / "fastcopyreg.pth").is_file()
    assert has_startup_file()


@pytest.mark.parametrize(
    ("variable", "expected"), [(None, WITHOUT), ("", WITHOUT), ("0", WITHOUT), ("1", WITH)]
)
def test_the_variable(variable, expected):
    assert run("-c", SAYS, variable=variable) == expected


@pytest.mark.parametrize("option", ["-E", "-I", "-S", "-IS"])
def test_an_isolated_interpreter_does_not_listen(option):
    assert run(option, "-c", SAYS, variable="1") == WITHOUT


def test_unset_it_imports_nothing():
    """All that is there has been imported by site, with and without the file."""
    says = "import sys; print(*sorted(sys.modules))"
    assert run("-c", says) == run("-c", says, variable="0")
    line = (SITE / "fastcopyreg.pth").read_text()
    script = f"""
        import os, sys
        before = set(sys.modules)
        calls = []
        sys.setprofile(lambda frame, event, argument: calls.append((event, argument)))
        exec({line!r})
        sys.setprofile(None)
        assert set(sys.modules) == before
        print(len(calls))
    """
    assert int(run("-c", textwrap.dedent(script))) < 40


def test_the_swap_comes_before_the_first_import(tmp_path):
    """So what a program's modules subclass and take is ours."""
    (tmp_path / "taken.py").write_text(
        "import copy, pickle\n"
        "class Mine(pickle.Pickler): pass\n"
        "def load(data, loads=pickle.loads): return loads(data)\n"
        "CODECS = {'pickle': (pickle.dumps, pickle.loads, copy.deepcopy)}\n"
    )
    (tmp_path / "program.py").write_text(
        "import taken, fastcopyreg\n"
        "ours = fastcopyreg.pickle\n"
        "assert taken.Mine.__bases__ == (ours.Pickler,)\n"
        "assert taken.load.__defaults__ == (ours.loads,)\n"
        "assert taken.CODECS['pickle'] == (ours.dumps, ours.loads, fastcopyreg.copy.deepcopy)\n"
        "assert fastcopyreg.install().unreachable == ()\n"
        "print('all of it')\n"
    )
    assert run(tmp_path / "program.py", variable="1") == "all of it\n"


CHILDREN = """
    import multiprocessing, subprocess, sys
    from concurrent.futures import ProcessPoolExecutor

    EARLY = "fastcopyreg" in sys.modules and sys.modules["fastcopyreg"].installed()

    def child(_=None):
        import pickle, fastcopyreg
        from multiprocessing.reduction import ForkingPickler
        ours = fastcopyreg.pickle.Pickler
        return EARLY, pickle.Pickler is ours, ForkingPickler.__bases__ == (ours,)

    def main():
        method = sys.argv[1]
        if "children" in sys.argv:
            import fastcopyreg
            fastcopyreg.install(children=True)
        context = multiprocessing.get_context(method)
        with context.Pool(1) as pool:
            print(*pool.map(child, range(1)))
            pool.close()
            pool.join()
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            print(*pool.map(child, range(1)))
        says = "import pickle; print(pickle.Pickler.dump.__objclass__.__module__)"
        print(subprocess.check_output([sys.executable, "-c", says], text=True).strip())

    if __name__ == "__main__":
        main()
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(CHILDREN))
    return path


# What the children say: installed before their first import, and over ours.
REACHED = "(True, True, True)\n(True, True, True)\n_pickle\n"


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="the Python backend has nothing to install")
@pytest.mark.parametrize("method", METHODS)
def test_every_child_is_reached(program, method):
    assert run(program, method, variable="1") == REACHED


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="the Python backend has nothing to install")
@pytest.mark.parametrize("method", METHODS)
def test_the_children_of_a_running_program(program, method):
    expected = REACHED if method != "fork" else REACHED.replace("(True,", "(False,")
    assert run(program, method, "children") == expected


@pytest.fixture
def clean_variable(monkeypatch):
    monkeypatch.setenv(VARIABLE, "so that it is restored")
    monkeypatch.delenv(VARIABLE)
    yield
    uninstall()


@pytest.mark.parametrize("before", [None, "", "0", "1", "yes"])
def test_uninstall_gives_the_variable_back(clean_variable, monkeypatch, before):
    if before is not None:
        monkeypatch.setenv(VARIABLE, before)
    install(children=True)
    assert os.environ[VARIABLE] == (before if before in ("1", "yes") else "1")
    uninstall()
    assert os.environ.get(VARIABLE) == before


def test_children_can_be_added_later(clean_variable):
    report = install()
    assert VARIABLE not in os.environ
    assert install(children=True) is report
    assert install(children=True) is report
    assert os.environ[VARIABLE] == "1"
    assert install() is report
    assert os.environ[VARIABLE] == "1"
    uninstall()
    assert VARIABLE not in os.environ


def test_a_variable_that_was_changed_meanwhile_is_left(clean_variable):
    install(children=True)
    os.environ[VARIABLE] = "0"
    uninstall()
    assert os.environ[VARIABLE] == "0"


@pytest.mark.skipif(not INSTALLED, reason="the Python backend has nothing to install")
@pytest.mark.parametrize("isolated", [True, False])
def test_where_children_are_not_reached_the_report_says_so(isolated):
    script = "import fastcopyreg; print(fastcopyreg.install(children=True).to_dict()"
    script += "['unreachable'])"
    out = run(*["-I"] * isolated, "-c", script)
    assert ("child processes" in out) == isolated


# --- python -m fastcopyreg run


@pytest.fixture
def tells(tmp_path):
    """A script and a module that tell how they were run."""
    (tmp_path / "tells.py").write_text(
        "import json, os, sys\n"
        "import fastcopyreg, pickle\n"
        "print(json.dumps({'argv': sys.argv[1:], 'name': __name__, 'file': __file__,\n"
        "  'spec': __spec__ and __spec__.name, 'path': sys.path[0], 'flags': list(sys.flags),\n"
        "  'ours': pickle.dumps is fastcopyreg.pickle.dumps, 'set': os.environ.get(\n"
        "  'FASTCOPYREG_INSTALL'), 'early': fastcopyreg.installed()}))\n"
        "sys.exit(int(sys.argv[-1]))\n"
    )
    return tmp_path


@pytest.mark.parametrize("kind", ["script", "module"])
@pytest.mark.parametrize("options", [[], ["-O", "-X", "dev", "-W", "ignore"]])
def test_run_is_like_running(tells, kind, options):
    program = [tells / "tells.py"] if kind == "script" else ["-m", "tells"]
    arguments = [*program, "--json", "-m", "x", "-h", "--", "3"]

    def told(*arguments):
        command = [sys.executable, *options, *map(str, arguments)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
        done = subprocess.run(
            command, cwd=tells, env=environment, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (3, ""), done.stderr
        return json.loads(done.stdout)

    alone, ran = told(*arguments), told("-m", "fastcopyreg", "run", *arguments)
    assert (ran.pop("set"), alone.pop("set")) == ("1", None)
    assert ran.pop("early") == INSTALLED
    assert not alone.pop("early")
    assert ran.pop("ours")
    alone.pop("ours")
    assert ran == alone
    assert ran["argv"] == ["--json", "-m", "x", "-h", "--", "3"]


def test_run_needs_a_program(capsys):
    assert main(["run"]) == 2
    assert "a script, or -m and a module, is needed" in capsys.readouterr().err
    assert main(["run", "-m"]) == 2


@pytest.mark.parametrize("option", ["-E", "-I"])
def test_run_refuses_to_be_ignored(option):
    done = subprocess.run(
        [sys.executable, option, "-m", "fastcopyreg", "run", "x.py"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "isolated mode (-I, -E) ignores FASTCOPYREG_INSTALL" in done.stderr


def test_run_refuses_where_nobody_would_listen(monkeypatch, capsys):
    monkeypatch.setattr(_run, "has_startup_file", lambda: False)
    assert main(["run", "x.py"]) == 2
    assert "is in no site directory" in capsys.readouterr().err


# --- what an interpreter that reads .start files calls


STARTED = ROOT / "src" / "fastcopyreg_start.py"


@pytest.mark.skipif(not STARTED.is_file(), reason="needs the sources beside the tests")
@pytest.mark.parametrize(
    ("options", "variable", "expected"),
    [([], "1", WITH), ([], "0", WITHOUT), ([], None, WITHOUT), (["-E"], "1", WITHOUT)],
)
def test_what_a_start_file_calls(options, variable, expected):
    """Without site, so that the .pth file is not what does it."""
    script = f"""
import sys
names = {{}}
exec({STARTED.read_text()!r}, names)
sys.path.append({str(SITE)!r})
names["start"]()
"""
    assert run("-S", *options, "-c", script + SAYS, variable=variable) == expected
