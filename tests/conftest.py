"""What every test run shares: which package and backend it tests, and how hard."""

import ctypes
import gc
import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

import pytest

import fastcopyreg
from fastcopyreg import _backend
from support.swapping import KINDS
from support.turns import pytest_configure_node, pytest_runtest_protocol  # noqa: F401

CHECKOUT = Path(__file__).resolve().parent.parent
HAS_CORE = importlib.util.find_spec("fastcopyreg._core") is not None

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # Its tests skip themselves.
    pass
else:
    shared = {
        "deadline": None,
        "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    }
    # In CI and `make quick` a failure must be one that anybody can repeat.
    settings.register_profile("quick", max_examples=25, derandomize=True, **shared)
    settings.register_profile("ci", max_examples=100, derandomize=True, **shared)
    settings.register_profile("default", max_examples=100, **shared)
    settings.register_profile("deep", max_examples=5000, **shared)
    chosen = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default")
    settings.load_profile(chosen)


def pytest_configure(config):
    """Refuse to test anything but the installed package, with the backend asked for."""
    if Path(fastcopyreg.__file__).is_relative_to(CHECKOUT / "src"):
        raise pytest.UsageError("the tests are for the installed package, not for src/: make test")
    asked = os.environ.get("FASTCOPYREG_BACKEND")
    if asked and asked != fastcopyreg.backend:
        raise pytest.UsageError(f"asked for {asked!r}, got {fastcopyreg.backend!r}")
    missing = fastcopyreg.backend != "c" and sys.implementation.name == "cpython"
    if os.environ.get("CI") and not asked and missing:
        raise pytest.UsageError(f"CI tests the C core, which is missing: {_backend.core_missing}")


def pytest_addoption(parser):
    parser.addoption(
        "--sample",
        type=int,
        metavar="N",
        help="of each test with parameters run N cases, spread over all of them",
    )


def compares_core(item):
    """Return whether the test would compare the standard library with itself.

    FASTCOPYREG_TESTED puts something else in our place; see support/implementations.py.
    """
    asked = fastcopyreg.backend == "c" or os.environ.get("FASTCOPYREG_TESTED")
    return not asked and item.get_closest_marker("core") is not None


def runs_elsewhere(item):
    """Return whether the test does not ask for the backend, and is run with the core's."""
    elsewhere = fastcopyreg.backend != "c" and HAS_CORE
    return elsewhere and item.get_closest_marker("once") is not None


def sample(items, count):
    """Return at most *count* of the cases of each test function, the first and the last too."""
    tests = {}
    for item in items:
        tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = set()
    for cases in tests.values():
        chosen = min(count, len(cases))
        kept.update(cases[round(i * (len(cases) - 1) / max(chosen - 1, 1))] for i in range(chosen))
    return kept


def pytest_collection_modifyitems(config, items):
    kept = {item for item in items if not compares_core(item) and not runs_elsewhere(item)}
    if count := config.getoption("sample"):
        kept &= sample([item for item in items if item in kept], count)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def pytest_report_header(config):
    return f"fastcopyreg {fastcopyreg.__version__}, backend {fastcopyreg.backend}"


@pytest.fixture(scope="session")
def first_property():
    """Have Hypothesis make its generator: it asks the collector who holds that."""
    try:
        from hypothesis import given, settings, strategies
    except ImportError:
        return

    @given(strategies.none())
    @settings(max_examples=1, database=None)
    def hold(_):
        pass

    hold()


@pytest.fixture(scope="module", autouse=True)
def frozen(first_property):
    """Hide from the collector what was there before the tests of a file, but for the core: they
    collect often, and fork, and what is there is much.
    """
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return
    gc.collect()
    gc.freeze()
    if fastcopyreg.backend == "c":  # Its state must bear being visited at any moment.
        core = ctypes.py_object(_backend.core)
        ctypes.pythonapi.PyObject_GC_UnTrack(core)
        ctypes.pythonapi.PyObject_GC_Track(core)


@pytest.fixture
def c_core():
    """The C core; a test that asks for it is skipped on the Python backend."""
    if fastcopyreg.backend != "c":
        pytest.skip(f"needs the C core: {_backend.core_missing}")
    return _backend.core


@pytest.fixture
def read_at_once():
    """Functions are read the second time that they are met."""
    from fastcopyreg import _core

    before = _core.plan_threshold(2)
    yield
    _core.plan_threshold(before)


@pytest.fixture(params=sorted(KINDS))
def swap(request):
    """Something to install; whatever a test does, it is uninstalled afterwards."""
    made = KINDS[request.param]()
    yield made
    made.uninstall()


@pytest.fixture
def clean_registry():
    """Put `copyreg.dispatch_table` and the extension registry back after the test."""
    import copyreg

    tables = [
        copyreg.dispatch_table,
        copyreg._extension_registry,
        copyreg._inverted_registry,
        copyreg._extension_cache,
    ]
    before = [dict(table) for table in tables]
    yield
    for table, contents in zip(tables, before, strict=True):
        table.clear()
        table.update(contents)
