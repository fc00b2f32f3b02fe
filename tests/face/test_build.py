"""The extension and the distributions: what they export, hold and need.

The sources are looked for beside the tests, in a checkout or an sdist.  What builds something does
so in a copy of them, in an environment of its own, and is slow.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import time
import zipfile

import pytest

import fastcopyreg
from support.folders import ROOT

pytestmark = pytest.mark.once

CPYTHON = sys.implementation.name == "cpython"
SOURCES = sorted(ROOT.glob("csrc/**/*.c"))

needs_sources = pytest.mark.skipif(not SOURCES, reason="needs csrc beside the tests")
needs_nm = pytest.mark.skipif(
    not (shutil.which("nm") and sys.platform == "linux"), reason="needs ELF and nm"
)
needs_cpython = pytest.mark.skipif(not CPYTHON, reason="the core is CPython's")


def run(command, **options):
    """Run *command*; return what it wrote, or fail with it."""
    options = {"capture_output": True, "text": True, "timeout": 240, **options}
    result = subprocess.run(command, **options)
    assert result.returncode == 0, result.stdout + (result.stderr or "")
    return result.stdout


# The binary.


@needs_nm
def test_only_the_init_function_is_exported(c_core):
    lines = run(["nm", "-D", "--defined-only", c_core.__file__]).splitlines()
    assert [line.split()[-1] for line in lines] == ["PyInit__core"]


@needs_nm
def test_only_the_tables_of_the_c_api_can_be_written_to(c_core):
    """State is per interpreter, so the only variables are those that the C API takes as not const.

    They are the module's definition, which it initialises, and tables that it only reads.
    """
    table = re.compile(
        r"_?\w*(module|methods|functions|slots|spec|getsets?|members|keywords|kwlist)(\.lto_priv)?(\.\d+)?$"
    )
    symbols = [line.split("|") for line in run(["nm", "-f", "sysv", c_core.__file__]).splitlines()]
    variables = [
        fields[0].strip()
        for fields in symbols
        if len(fields) == 7 and fields[6].strip() in (".data", ".bss") and "OBJECT" in fields[3]
    ]
    compilers_own = ("__dso_handle", "__TMC_END__", "completed.0", "__bss_start")
    assert [
        name for name in variables if name not in compilers_own and not table.match(name)
    ] == []


ISOLATION = re.compile(
    r"^\s*(?:static\s+(?!const|inline|PyObject \*\n)(?:PyObject|PyTypeObject)\b[^()]*[;=]"
    r"|static\s+PyTypeObject\b(?! \*\n))",
    re.MULTILINE,
)


@needs_sources
def test_the_sources_have_no_static_objects_and_types():
    assert ISOLATION.search("static PyObject *cache;")
    assert ISOLATION.search("    static PyObject *cache = NULL;")
    assert ISOLATION.search("static PyTypeObject Pickler_Type = {")
    assert not ISOLATION.search("static PyObject *\npickler_dump(PyObject *self)\n{")
    assert not ISOLATION.search("static PyObject *make(void);")
    assert ISOLATION.search("static PyTypeObject *cache = NULL;")
    assert not ISOLATION.search("static PyTypeObject *\nanswer_type(size_t number)\n{")
    for path in [*SOURCES, *ROOT.glob("csrc/**/*.h")]:
        assert not ISOLATION.search(path.read_text(encoding="utf-8")), path.name


@needs_sources
def test_only_compat_tests_the_version():
    for path in [*SOURCES, *ROOT.glob("csrc/**/*.h")]:
        if path.name != "compat.h":
            assert "PY_VERSION_HEX" not in path.read_text(encoding="utf-8"), path.name


# Interpreters.


IN_A_SUBINTERPRETER = """
import {module} as interpreters
program = '''{program}'''
for turn in range(3):
    identity = interpreters.create({config})
    error = {run}(identity, program)
    assert error is None, error
    interpreters.destroy(identity)
"""
PROGRAM = """
import fastcopyreg, pickle
assert fastcopyreg.backend == "c", fastcopyreg._backend.core_missing
class Point:
    def __init__(self, x):
        self.x = x
fastcopyreg.copyreg.pickle(Point, lambda point: (complex, (point.x, 1)))
data = fastcopyreg.pickle.dumps([Point(5), {1: "a"}])
assert data == pickle.dumps([Point(5), {1: "a"}])
assert pickle.loads(data)[0] == 5 + 1j
"""


@pytest.mark.parametrize(
    "config",
    [
        pytest.param("own", id="own GIL"),
        pytest.param("shared", id="shared GIL"),
    ],
)
def test_it_works_in_subinterpreters(c_core, config):
    """Made, used and destroyed three times, so that nothing of one is left to the next."""
    if sys.version_info < (3, 12):
        if config == "own":
            pytest.skip("3.12 is the first version with a GIL for each interpreter")
        names = {"module": "_xxsubinterpreters", "config": ""}
    elif sys.version_info < (3, 13):
        names = {"module": "_xxsubinterpreters", "config": f"isolated={config == 'own'}"}
    else:
        name = "isolated" if config == "own" else "legacy"
        names = {"module": "_interpreters", "config": repr(name)}
    names["run"] = "interpreters.run_string"
    program = IN_A_SUBINTERPRETER.format(program=PROGRAM, **names)
    if sys.version_info < (3, 13):
        program = program.replace("error = ", "error = None; ")
    run([sys.executable, "-P", "-c", program])


REIMPORT = """
import sys, pickle
import fastcopyreg
first = fastcopyreg.pickle
old = first.Pickler
for name in [name for name in sys.modules if name.startswith("fastcopyreg")]:
    del sys.modules[name]
import fastcopyreg
second = fastcopyreg.pickle
assert second.Pickler is not old
assert first.dumps([1, "a"]) == second.dumps([1, "a"]) == pickle.dumps([1, "a"])
del first, old
import gc
gc.collect()
assert second.dumps({1: 2}) == pickle.dumps({1: 2})
"""


def test_it_can_be_imported_again(c_core):
    run([sys.executable, "-P", "-c", REIMPORT])


# Distributions.


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of what an sdist is made of."""
    if not (ROOT / "setup.py").is_file():
        pytest.skip("needs the checkout or an sdist beside the tests")
    folder = tmp_path_factory.mktemp("tree")
    for name in ("csrc", "src", "tests", "benchmarks", "docs", "examples", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder / path.name)
    return folder


def backend_call(tree, hook, folder, **settings):
    """Call the build backend's *hook* in *tree*; return the path of what it made in *folder*.

    What is built is not optimised, which takes a tenth of the time.
    """
    environment = {k: v for k, v in os.environ.items() if k != "FASTCOPYREG_EXTENSION"}
    environment["CFLAGS"] = "-O0"
    program = f"import setuptools.build_meta as b; print(b.build_{hook}({str(folder)!r}))"
    command = [sys.executable, "-P", "-c", program]
    output = run(command, cwd=tree, env={**environment, **settings})
    return folder / output.splitlines()[-1]


def wheel_names(path):
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


def use(wheel, folder, program):
    """Run *program* with the contents of *wheel* first on the path, and no other fastcopyreg."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    environment = {k: v for k, v in os.environ.items() if k != "FASTCOPYREG_BACKEND"}
    program = f"import sys; sys.path.insert(0, {str(folder)!r})\n{textwrap.dedent(program)}"
    return run([sys.executable, "-P", "-c", program], env=environment)


FALLS_BACK = """
    import fastcopyreg, pickle
    assert fastcopyreg.__file__.startswith(sys.path[0]), fastcopyreg.__file__
    assert fastcopyreg.pickle.dumps is pickle.dumps
    print(fastcopyreg.backend)
"""


def sources_of(tree):
    """The package's modules, those in its rooms too, and stubs: by their paths in a wheel."""
    found = [*tree.glob("src/fastcopyreg/**/*.py"), *tree.glob("src/fastcopyreg/**/*.pyi")]
    return {path.relative_to(tree / "src").as_posix() for path in found}


@pytest.mark.slow
def test_the_sdist_has_what_a_build_and_a_test_need(tree, tmp_path):
    with tarfile.open(backend_call(tree, "sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"setup.py", "pyproject.toml", "LICENSE", "README.md", "CHANGES.md", "Makefile"}
    for pattern in ("csrc/**/*.[ch]", "tests/**/*.py", "examples/*.py"):
        wanted |= {path.relative_to(tree).as_posix() for path in tree.glob(pattern)}
    wanted |= {f"src/{name}" for name in sources_of(tree)}
    assert sorted(wanted - names) == []
    assert [name for name in names if name.endswith((".so", ".o", ".pyc", ".pyd"))] == []


@pytest.mark.slow
def test_a_pure_wheel_can_be_built_and_works(tree, tmp_path):
    wheel = backend_call(tree, "wheel", tmp_path, FASTCOPYREG_EXTENSION="no")
    assert wheel.name == f"fastcopyreg-{fastcopyreg.__version__}-py3-none-any.whl"
    names = wheel_names(wheel)
    assert not any(name.endswith((".so", ".pyd", ".c", ".h")) for name in names)
    assert {"fastcopyreg/py.typed", "fastcopyreg.pth", *sources_of(tree)} <= names
    assert ("fastcopyreg.start" in names) == (sys.version_info >= (3, 18))
    assert use(wheel, tmp_path / "site", FALLS_BACK) == "python\n"


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["no", "yes"])
def test_the_wheel_has_what_an_interpreter_reads_when_it_starts(tree, tmp_path, asked):
    """Installed by pip into an environment, it is listened to, and is gone with the package."""
    answers = {"FASTCOPYREG_EXTENSION": "no", "FASTCOPYREG_START": asked}
    wheel = backend_call(tree, "wheel", tmp_path, **answers)
    names = wheel_names(wheel)
    assert "fastcopyreg.pth" in names
    assert ("fastcopyreg.start" in names) == (asked == "yes" or sys.version_info >= (3, 18))
    assert ("fastcopyreg_start.py" in names) == ("fastcopyreg.start" in names)
    run([sys.executable, "-m", "venv", tmp_path / "venv"])
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run([python, "-m", "pip", "install", "-q", "--no-index", wheel])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FASTCOPYREG_")}
    says = [python, "-c", "import sys; print('fastcopyreg' in sys.modules)"]
    assert run(says, env={**environment, "FASTCOPYREG_INSTALL": "1"}) == "True\n"
    assert run(says, env=environment) == "False\n"
    run([python, "-m", "pip", "uninstall", "-q", "-y", "fastcopyreg"])
    assert not [*(tmp_path / "venv").rglob("fastcopyreg*")]


@pytest.mark.slow
@needs_cpython
@pytest.mark.parametrize("compiler", ["/bin/false", "/nowhere/cc"])
def test_without_a_compiler_the_install_succeeds(tree, tmp_path, compiler):
    wheel = backend_call(tree, "wheel", tmp_path, CC=compiler, CFLAGS="")
    assert not any(name.endswith((".so", ".pyd")) for name in wheel_names(wheel))
    assert use(wheel, tmp_path / "site", FALLS_BACK) == "python\n"


@pytest.mark.slow
@needs_cpython
def test_without_a_compiler_a_required_core_fails(tree, tmp_path):
    with pytest.raises(AssertionError, match="false"):
        backend_call(tree, "wheel", tmp_path, CC="/bin/false", FASTCOPYREG_EXTENSION="yes")


@pytest.mark.slow
@needs_cpython
@pytest.mark.parametrize("answer", [{}, {"FASTCOPYREG_EXTENSION": "yes"}], ids=["unset", "yes"])
def test_with_a_compiler_the_core_is_built(tree, tmp_path, answer):
    wheel = backend_call(tree, "wheel", tmp_path, **answer)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    wanted = {f"fastcopyreg/_core{suffix}", "fastcopyreg.pth", *sources_of(tree)}
    assert wanted <= wheel_names(wheel)
    report = "import fastcopyreg\nprint(fastcopyreg.backend, fastcopyreg.__file__ > sys.path[0])"
    assert use(wheel, tmp_path / "site", report) == "c True\n"


@pytest.mark.slow
def test_an_answer_that_does_not_exist_is_an_error(tree, tmp_path):
    with pytest.raises(AssertionError, match="KeyError: 'perhaps'"):
        backend_call(tree, "wheel", tmp_path, FASTCOPYREG_EXTENSION="perhaps")


@pytest.mark.slow
@needs_cpython
def test_objects_are_kept_until_their_source_or_a_header_changes(tree, tmp_path):
    if not list(tree.glob("build/temp*/csrc/**/*.o")):
        backend_call(tree, "wheel", tmp_path, FASTCOPYREG_EXTENSION="yes")

    def times():
        objects = tree.glob("build/temp*/csrc/**/*.o")
        return {str(path).partition("/csrc/")[2]: path.stat().st_mtime_ns for path in objects}

    def rebuild(changed):
        os.utime(tree / "csrc" / changed)
        before = times()
        backend_call(tree, "wheel", tmp_path, FASTCOPYREG_EXTENSION="yes")
        return {name for name, time in times().items() if time != before[name]}

    assert rebuild("core.c") == {"core.o"}
    assert rebuild("base/state.h") == set(times())


# Compiling by a profile.


TINY_CORE = """
#include <Python.h>
static PyObject *
answer(PyObject *self, PyObject *number)
{
    return PyLong_AsLong(number) % 2 ? PyLong_FromLong(42) : Py_NewRef(number);
}
static PyMethodDef methods[] = {{"answer", answer, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", NULL, 0, methods};
PyMODINIT_FUNC PyInit__core(void) { return PyModule_Create(&module); }
"""
TRAINS = """
from fastcopyreg import _core
assert [_core.answer(number) for number in range(1000)][:3] == [0, 42, 2]
print("trained")
"""


@pytest.fixture
def tiny(tree, tmp_path):
    """A tree with a core of a few lines, which is compiled in no time."""
    for name in ("csrc", "src/fastcopyreg", "benchmarks"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(tree / name, tmp_path / name)
    (tmp_path / "csrc/core.c").write_text(TINY_CORE)
    (tmp_path / "src/fastcopyreg/__init__.py").write_text('__version__ = "0"\n')
    (tmp_path / "benchmarks/train.py").write_text(TRAINS)
    return tmp_path


def build_tiny(tiny, **settings):
    """Build the tiny core twice; return what the second build wrote, and the core's path."""
    command = [sys.executable, "-P", "setup.py", "build_ext", "--build-lib", "lib"]
    cleared = ("CFLAGS", "FASTCOPYREG_PROFILE", "FASTCOPYREG_EXTENSION", "FASTCOPYREG_BACKEND")
    environment = {k: v for k, v in os.environ.items() if k not in cleared}
    environment |= {"FASTCOPYREG_EXTENSION": "yes", **settings}
    merged = {"capture_output": False, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    for _ in range(2):
        output = run(command, cwd=tiny, env=environment, **merged)
    [core] = (tiny / "lib/fastcopyreg").iterdir()
    use = "import sys; sys.path.insert(0, sys.argv[1]); import _core; print(_core.answer(3))"
    assert run([sys.executable, "-P", "-c", use, core.parent]) == "42\n"
    return output, core


def is_gcc():
    compiler = (sysconfig.get_config_var("CC") or "").split()
    if not compiler or not shutil.which(compiler[0]):
        return False
    return "Free Software Foundation" in run([*compiler, "--version"])


needs_gcc = pytest.mark.skipif(not (CPYTHON and is_gcc()), reason="needs GCC")


@needs_gcc
@needs_nm
def test_the_core_is_compiled_by_a_profile(tiny):
    output, core = build_tiny(tiny)
    assert "trained" in output
    assert "-fprofile-use=" in output
    assert "gcov" not in run(["nm", core])
    assert not list(tiny.rglob("*.gcda"))


ASSERTIONS_OFF = """#ifndef NDEBUG
#error "assertions are compiled"
#endif
"""


@needs_gcc
@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_DEBUG")), reason="a debug build asserts")
@pytest.mark.parametrize("flags", [None, "-g0"])
def test_assertions_are_off_also_where_cflags_are_given(tiny, flags):
    """setuptools takes CFLAGS in place of those that the interpreter was compiled with."""
    source = tiny / "csrc/core.c"
    source.write_text(ASSERTIONS_OFF + source.read_text("utf-8"), "utf-8")
    settings = {} if flags is None else {"CFLAGS": flags}
    build_tiny(tiny, FASTCOPYREG_PROFILE="no", **settings)


# As pyproject.toml has the wheels of Linux built: nothing in them says where that was.
STRIPPED = {"CFLAGS": "-g0", "LDFLAGS": "-Wl,--strip-all,--build-id=none"}


@needs_gcc
@needs_nm
def test_a_profile_is_kept_and_taken_again(tiny, tmp_path_factory):
    """Elsewhere, without training, the same sources give the same file."""
    kept = tmp_path_factory.mktemp("kept") / "profile"
    settings = {"FASTCOPYREG_PROFILE": str(kept), **STRIPPED}
    output, core = build_tiny(tiny, **settings)
    assert [path.relative_to(kept).as_posix() for path in kept.rglob("*.gcda")] == [
        "csrc/core.gcda"
    ]
    elsewhere = shutil.copytree(tiny, tmp_path_factory.mktemp("elsewhere") / "another" / "tree")
    for built in ("build", "lib"):
        shutil.rmtree(elsewhere / built)
    (elsewhere / "benchmarks/train.py").write_text("raise SystemExit('not asked to train')")
    again, same = build_tiny(elsewhere, **settings, LANG="C", LC_ALL="C")
    assert "without a profile" not in output + again
    assert "-fprofile-use=" in again
    assert "trained" not in again
    assert same.read_bytes() == core.read_bytes()


@needs_gcc
@needs_nm
@pytest.mark.parametrize("train", ["raise SystemExit(3)", "import nothing_of_the_kind", None])
def test_without_training_the_core_is_built_all_the_same(tiny, train):
    script = tiny / "benchmarks/train.py"
    if train is None:
        script.unlink()
    else:
        script.write_text(train)
    output, core = build_tiny(tiny)
    assert "built without a profile" in output
    assert "gcov" not in run(["nm", core])


@needs_gcc
@pytest.mark.parametrize(
    "settings",
    [{"FASTCOPYREG_PROFILE": "no"}, {"CFLAGS": "-O0 -g3"}, {"CFLAGS": "-fsanitize=undefined"}],
    ids=["no", "debug", "sanitizer"],
)
def test_a_core_that_is_looked_into_is_compiled_once(tiny, settings):
    if "-fsanitize" in settings.get("CFLAGS", ""):
        settings = {**settings, "LDFLAGS": "-fsanitize=undefined"}
    output, _ = build_tiny(tiny, **settings)
    assert "profile" not in output


# What setup.py does on systems that are not at hand.


@pytest.fixture
def setup_script(monkeypatch):
    """The names of setup.py, which builds nothing."""
    if not (ROOT / "setup.py").is_file():
        pytest.skip("needs the checkout or an sdist beside the tests")
    setuptools = pytest.importorskip("setuptools")
    monkeypatch.setattr(setuptools, "setup", lambda **settings: None)
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("MACOSX_DEPLOYMENT_TARGET", raising=False)
    return runpy.run_path("setup.py")


class Microsofts:
    """A compiler that is initialised when it first compiles, as MSVC is."""

    compiler_type = "msvc"

    def __init__(self):
        self.initialized = False
        self.times = 0
        self.compiled = []

    def initialize(self, plat_name=None):
        self.times += 1
        time.sleep(0.01)
        self.initialized = True

    def object_filenames(self, sources, output_dir):
        return [f"{output_dir}/{source}.obj" for source in sources]

    def compile(self, sources, **options):
        if not self.initialized:
            self.initialize()
        self.compiled += sources
        return self.object_filenames(sources, options["output_dir"])


def test_a_compiler_is_initialised_before_the_threads(setup_script, monkeypatch):
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    def compile_all(command, extension):
        command.compiler.compile(
            extension.sources, output_dir="nowhere", extra_postargs=extension.extra_compile_args
        )

    monkeypatch.setattr(build_ext, "build_extension", compile_all)
    command = setup_script["BuildCore"](Distribution())
    command.force, command.compiler = True, Microsofts()
    sources = [f"csrc/{i}.c" for i in range(20)]
    command.build_extension(Extension("core", sources))
    assert command.compiler.times == 1
    assert sorted(command.compiler.compiled) == sorted(sources)


def test_training_may_take_as_long_as_an_emulator_needs(setup_script, monkeypatch):
    calls = []
    train = setup_script["train"]
    monkeypatch.setitem(train.__globals__, "run", lambda *args, **settings: calls.append(settings))
    train("package")
    assert calls[0]["check"]
    assert calls[0].get("timeout") is None


@pytest.mark.parametrize(
    ("platform", "version", "built_for", "target"),
    [
        ("darwin", (3, 11), "10.9", "10.15"),
        ("darwin", (3, 12), "10.15", None),
        ("darwin", (3, 12), "11.0", None),
        ("darwin", (3, 13), "10.13", None),
        ("linux", (3, 11), None, None),
    ],
)
def test_the_deployment_target_has_the_clock(
    setup_script, monkeypatch, platform, version, built_for, target
):
    state = setup_script["state_deployment_target"]
    names = {"platform": platform, "version_info": version}
    names["get_config_var"] = lambda name: built_for
    for name, value in names.items():
        monkeypatch.setitem(state.__globals__, name, value)
    monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", "")
    monkeypatch.delenv("MACOSX_DEPLOYMENT_TARGET")
    state()
    assert os.environ.get("MACOSX_DEPLOYMENT_TARGET") == target
