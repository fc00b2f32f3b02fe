"""`install`, `uninstall`, `installed`: what they set, what they leave, and that it is undone."""

import copy
import copyreg
import email.generator
import gc
import importlib
import importlib.util
import io
import json
import multiprocessing.connection
import multiprocessing.queues
import multiprocessing.reduction
import multiprocessing.sharedctypes
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import types
import weakref

import pytest

import fastcopyreg
from fastcopyreg import _stdlib
from fastcopyreg.install import InstallReport, install, installed, uninstall
from support.folders import TESTS
from support.swapping import KINDS, StandIns, every_global, set_module

reduction = multiprocessing.reduction
requires_core = pytest.mark.skipif(
    fastcopyreg.backend != "c", reason="the Python backend has nothing to install"
)


@pytest.fixture
def module():
    """An empty module that is loaded as `some_module`, and gone afterwards."""
    made = types.ModuleType("some_module")
    sys.modules["some_module"] = made
    yield made
    sys.modules.pop("some_module", None)


def run(script, *arguments):
    """Run a script in a new interpreter with this one's backend; return what it prints."""
    environment = dict(os.environ, PYTHONPATH=str(TESTS), PYTHONSAFEPATH="1")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Point:
    def __init__(self, x):
        self.x = x


def reduce_point(point):
    return Point, (point.x,)


# --- the standard library's own modules


def test_standard_modules_hold_ours(swap):
    swap.install()
    for name in ("Pickler", "Unpickler", "dump", "dumps", "load", "loads"):
        ours = getattr(swap.ours, name)
        assert getattr(pickle, name) is ours
        assert getattr(sys.modules["_pickle"], name) is ours
    assert copy.copy is swap.ours.copy
    assert copy.deepcopy is swap.ours.deepcopy
    assert copyreg.pickle is fastcopyreg.copyreg.pickle


def test_replaced_names_every_place(swap):
    before = {(key, name): value for key, name, value in every_global()}
    swap.install()
    after = {(key, name): value for key, name, value in every_global()}
    changed = {
        f"{key}.{name}" for key, name in before if before[key, name] is not after[key, name]
    }
    classes = {name for name in swap.replaced if ".AbstractReducer." in name}
    assert set(swap.replaced) == changed | classes
    assert classes
    assert {"pickle.dumps", "_pickle.dumps", "copyreg.pickle"} <= changed
    copies = swap.ours.deepcopy is not _stdlib.deepcopy
    assert ("email.generator.deepcopy" in changed) == copies
    assert email.generator.deepcopy is copy.deepcopy


def test_uninstall_restores_every_global(swap):
    before = every_global()
    swap.install()
    swap.uninstall()
    after = every_global()
    assert [entry[:2] for entry in before] == [entry[:2] for entry in after]
    assert all(old[2] is new[2] for old, new in zip(before, after, strict=True))


def test_names_the_core_does_not_have_stay(swap):
    swap.install()
    assert pickle._Pickler is _stdlib.PICKLE["_Pickler"]
    assert pickle._dumps is _stdlib.PICKLE["_dumps"]
    assert pickle.PicklingError is _stdlib.PICKLE["PicklingError"]
    assert copyreg.dispatch_table is _stdlib.dispatch_table
    assert copy._deepcopy_dispatch is _stdlib.COPY["_deepcopy_dispatch"]


def test_reload_of_pickle_stays_installed():
    script = """
        import importlib, pickle
        from support.swapping import KINDS
        for kind in KINDS.values():
            swap = kind()
            swap.install()
            importlib.reload(pickle)
            assert pickle.dumps is swap.ours.dumps
            swap.uninstall()
            assert pickle.dumps.__module__ == "_pickle"
            assert pickle.dumps is not swap.ours.dumps
    """
    run(script)


# --- other modules


def test_earlier_imports_are_reached_under_any_name(swap, module):
    module.dumps = _stdlib.dumps
    module.to_bytes = _stdlib.dumps
    module.clone = _stdlib.deepcopy
    module.Pickler = _stdlib.Pickler
    swap.install()
    assert module.dumps is module.to_bytes is swap.ours.dumps
    assert module.clone is swap.ours.deepcopy
    assert module.Pickler is swap.ours.Pickler
    assert "some_module.to_bytes" in swap.replaced
    swap.uninstall()
    assert module.dumps is module.to_bytes is _stdlib.dumps
    assert module.Pickler is _stdlib.Pickler


def test_main_is_reached():
    script = """
        from copy import deepcopy
        from pickle import dumps
        import copy, pickle
        from support.swapping import KINDS
        for kind in KINDS.values():
            swap = kind()
            swap.install()
            assert dumps is pickle.dumps is swap.ours.dumps
            assert deepcopy is copy.deepcopy is swap.ours.deepcopy
            swap.uninstall()
            assert dumps is pickle.dumps is not swap.ours.dumps
    """
    run(script)


def test_our_own_modules_keep_the_originals(swap):
    originals = _stdlib.dumps, fastcopyreg._fallback.dumps, vars(fastcopyreg.pickle)["dumps"]
    swap.install()
    assert (_stdlib.dumps, fastcopyreg._fallback.dumps, fastcopyreg.pickle.dumps) == originals
    assert _stdlib.dumps is not swap.ours.dumps
    assert not any(place.startswith("fastcopyreg") for place in swap.replaced)


def test_what_runs_as_our_main_keeps_the_originals(swap, module):
    module.__package__ = "fastcopyreg"
    module.dumps = _stdlib.dumps
    swap.install()
    assert module.dumps is _stdlib.dumps


def test_containers_and_instances_of_others_are_left_alone(swap, module):
    module.codec = types.SimpleNamespace(encode=_stdlib.dumps)
    module.codecs = {"pickle": _stdlib.dumps}
    swap.install()
    assert module.codec.encode is _stdlib.dumps
    assert module.codecs["pickle"] is _stdlib.dumps


def test_changed_and_deleted_places_are_not_restored(swap, module):
    mine = object()
    module.changed = module.deleted = _stdlib.dumps
    swap.install()
    module.changed = mine
    del module.deleted
    swap.uninstall()
    assert module.changed is mine
    assert not hasattr(module, "deleted")


def test_a_module_may_be_unloaded_meanwhile(swap, module):
    module.dumps = _stdlib.dumps
    swap.install()
    unloaded = types.ModuleType("unloaded")
    unloaded.dumps = _stdlib.dumps
    sys.modules["unloaded"] = unloaded
    swap.uninstall()
    swap.install()
    assert unloaded.dumps is swap.ours.dumps
    reference = weakref.ref(unloaded)
    del sys.modules["unloaded"], unloaded
    gc.collect()
    assert reference() is None


def test_patched_names_are_left_and_reported(swap, monkeypatch):
    def patched(obj):
        return b""

    monkeypatch.setattr(pickle, "dumps", patched)
    swap.install()
    assert pickle.dumps is patched
    assert ("pickle.dumps", "somebody else's object is here") in tuple(swap.unreachable)
    assert sys.modules["_pickle"].dumps is swap.ours.dumps
    swap.uninstall()
    assert pickle.dumps is patched


# --- lazy things stay lazy


class Untouchable(types.ModuleType):
    """A module that may be looked at by nobody."""

    def __getattribute__(self, name):
        raise AssertionError(f"asked for {name}")

    def __setattr__(self, name, value):
        raise AssertionError(f"{name} set")


def test_lazy_loader_does_not_load(swap, tmp_path):
    path = tmp_path / "lazily.py"
    path.write_text("raise AssertionError('loaded')\n")
    spec = importlib.util.spec_from_file_location("lazily", path)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazily = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lazily)
    sys.modules["lazily"] = lazily
    try:
        swap.install()
        swap.uninstall()
    finally:
        del sys.modules["lazily"]


def test_modules_are_not_asked(swap):
    untouchable = Untouchable("untouchable")
    types.ModuleType.__dict__["__dict__"].__get__(untouchable)["dumps"] = _stdlib.dumps
    sys.modules["untouchable"] = untouchable
    try:
        swap.install()
        namespace = types.ModuleType.__dict__["__dict__"].__get__(untouchable)
        assert namespace["dumps"] is swap.ours.dumps
        swap.uninstall()
        assert namespace["dumps"] is _stdlib.dumps
    finally:
        del sys.modules["untouchable"]


def test_module_getattr_is_not_called(swap, module):
    def refuse(name):
        raise AssertionError(f"asked for {name}")

    module.__getattr__ = refuse
    swap.install()
    swap.uninstall()


class Evasive:
    """No module at all, and of no definite class."""

    @property
    def __class__(self):
        raise AssertionError("asked for __class__")

    def __getattr__(self, name):
        raise AssertionError(f"asked for {name}")


ODD_ENTRIES = {
    "None": lambda: None,
    "evasive": Evasive,
    "int": int,
    "uninitialised": lambda: types.ModuleType.__new__(types.ModuleType),
}


@pytest.mark.parametrize("make", ODD_ENTRIES.values(), ids=ODD_ENTRIES.keys())
def test_odd_entries_of_sys_modules(swap, make):
    sys.modules["odd"] = make()
    try:
        swap.install()
        swap.uninstall()
    finally:
        del sys.modules["odd"]


def test_objects_are_compared_by_identity_only(swap, module):
    class Equal:
        def __eq__(self, other):
            raise AssertionError("compared")

        __hash__ = None

    module.equal = Equal()
    swap.install()
    swap.uninstall()


@pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports are new in 3.15")
def test_lazy_imports_are_not_resolved():
    script = """
        import sys, types
        source = "lazy from pickle import dumps\\nlazy import xmlrpc.client"
        module = sys.modules["lazily"] = types.ModuleType("lazily")
        exec(source, vars(module))
        from support.swapping import KINDS
        for kind in KINDS.values():
            swap = kind()
            swap.install()
            assert "xmlrpc.client" not in sys.modules
            assert type(vars(module)["dumps"]) is types.LazyImportType
            swap.uninstall()
        swap.install()
        assert module.dumps is swap.ours.dumps
    """
    run(script)


# --- subclasses made earlier


def test_earlier_subclasses_are_reported_and_go_on_working(swap, module):
    class Early(_stdlib.Pickler):
        def dump(self, obj):
            return module.Pickler.dump(self, obj)

    class Earlier(Early):
        pass

    Early.__module__ = Earlier.__module__ = "some_module"
    module.Pickler = _stdlib.Pickler
    module.dumps = _stdlib.dumps
    swap.install()
    reported = dict(swap.unreachable)
    assert reported[f"some_module.{Early.__qualname__}"] == "a subclass that was made earlier"
    assert reported[f"some_module.{Earlier.__qualname__}"] == "a subclass that was made earlier"
    assert reported["some_module.Pickler"] == "its module has made a subclass of it"
    assert module.dumps is swap.ours.dumps
    for cls in (Early, Earlier):
        file = io.BytesIO()
        cls(file).dump([1])
        assert _stdlib.loads(file.getvalue()) == [1]


def test_later_subclasses_are_over_ours(swap):
    swap.install()

    class Late(pickle.Pickler):
        pass

    assert issubclass(Late, swap.ours.Pickler)
    assert not any("Late" in place for place, _ in swap.unreachable)


# --- multiprocessing


def test_forking_pickler_is_over_ours(swap):
    standard = reduction.ForkingPickler
    swap.install()
    ours = reduction.ForkingPickler
    assert ours is not standard
    assert ours.__bases__ == (swap.ours.Pickler,)
    assert multiprocessing.connection._ForkingPickler is ours
    assert multiprocessing.queues._ForkingPickler is ours
    assert multiprocessing.sharedctypes._ForkingPickler is ours
    assert reduction.AbstractReducer.ForkingPickler is ours
    assert reduction.register.__self__ is ours
    assert reduction.AbstractReducer.register is reduction.register
    assert vars(ours)["loads"] is swap.ours.loads
    assert (ours.__module__, ours.__qualname__, ours.__doc__) == (
        standard.__module__,
        standard.__qualname__,
        standard.__doc__,
    )
    swap.uninstall()
    assert reduction.ForkingPickler is standard
    assert reduction.AbstractReducer.ForkingPickler is standard
    assert multiprocessing.queues._ForkingPickler is standard


def test_forking_pickler_is_the_same_each_time(swap):
    swap.install()
    first = reduction.ForkingPickler
    swap.uninstall()
    swap.install()
    assert reduction.ForkingPickler is first


def test_extra_reducers_are_one_table(swap, monkeypatch):
    standard = reduction.ForkingPickler
    monkeypatch.setattr(standard, "_extra_reducers", standard._extra_reducers)
    standard_register = reduction.register
    swap.install()
    ours = reduction.ForkingPickler
    assert ours._extra_reducers is standard._extra_reducers
    try:
        for register in (ours.register, standard.register, standard_register, reduction.register):
            register(Point, reduce_point)
            assert ours._extra_reducers.pop(Point) is reduce_point
    finally:
        standard._extra_reducers.pop(Point, None)


@pytest.mark.parametrize("value", [[1, "two"], reduce_point, [].append, int.__add__, os.getcwd])
def test_forking_pickler_writes_the_same(swap, value):
    expected = bytes(reduction.ForkingPickler.dumps(value))
    swap.install()
    assert bytes(reduction.ForkingPickler.dumps(value)) == expected
    file = io.BytesIO()
    reduction.dump(value, file)
    assert file.getvalue() == expected
    reduction.ForkingPickler.loads(expected)


def test_forking_pickler_takes_copyreg_and_extra_reducers(swap):
    copyreg.pickle(Point, reduce_point)
    try:
        swap.install()
        pickler = reduction.ForkingPickler(io.BytesIO(), 4)
        assert pickler.dispatch_table[Point] is reduce_point
        assert pickler.dispatch_table is not copyreg.dispatch_table
        assert set(reduction.ForkingPickler._extra_reducers) <= set(pickler.dispatch_table)
        assert bytes(reduction.ForkingPickler.dumps(Point(1))) == _stdlib.dumps(Point(1))
    finally:
        del copyreg.dispatch_table[Point]


def test_other_subclasses_of_forking_pickler_are_reported(swap):
    class Mine(reduction.ForkingPickler):
        pass

    swap.install()
    places = [place for place, _ in swap.unreachable]
    assert f"{__name__}.{Mine.__qualname__}" in places
    assert "multiprocessing.reduction.ForkingPickler" not in places


def test_a_forking_pickler_of_somebody_else_is_left(swap, monkeypatch):
    class Mine(reduction.ForkingPickler):
        pass

    monkeypatch.setattr(reduction, "ForkingPickler", Mine)
    swap.install()
    assert reduction.ForkingPickler is Mine


def test_multiprocessing_is_not_imported():
    script = """
        import sys
        from support.swapping import KINDS
        for kind in KINDS.values():
            swap = kind()
            swap.install()
            swap.uninstall()
        assert "multiprocessing" not in sys.modules
        assert "inspect" not in sys.modules
    """
    run(script)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_imports_after_install(kind):
    script = """
        import sys, types
        from support.swapping import KINDS
        swap = KINDS[sys.argv[1]]()
        swap.install()
        import copy, email.generator, multiprocessing.connection, pickle
        import multiprocessing.reduction as reduction
        third = sys.modules["third"] = types.ModuleType("third")
        exec("from pickle import dumps, Pickler", vars(third))

        ours = reduction.ForkingPickler
        assert ours.__bases__ == (swap.ours.Pickler,)
        assert email.generator.deepcopy is swap.ours.deepcopy
        assert third.Pickler is swap.ours.Pickler
        assert third.dumps is swap.ours.dumps
        expected = bytes(ours.dumps(["x", [].append]))

        swap.uninstall()
        standard = reduction.ForkingPickler
        assert standard.__bases__ == (pickle.Pickler,) != (swap.ours.Pickler,)
        assert multiprocessing.connection._ForkingPickler is standard
        assert reduction.AbstractReducer.ForkingPickler is standard
        assert reduction.register.__self__ is standard
        assert vars(standard)["loads"] is pickle.loads
        assert standard._extra_reducers is ours._extra_reducers
        assert bytes(standard.dumps(["x", [].append])) == expected
        assert email.generator.deepcopy is copy.deepcopy
        assert third.Pickler is not pickle.Pickler
        assert third.dumps is swap.ours.dumps, "a module that is no part of it keeps its own"

        swap.install()
        assert reduction.ForkingPickler is ours
    """
    run(script, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_while_installed(kind, method, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    (tmp_path / "pooled.py").write_text(
        textwrap.dedent(
            """
            import copyreg, multiprocessing, sys
            from support.swapping import KINDS

            class Point:
                def __init__(self, x):
                    self.x = x

            copyreg.pickle(Point, lambda point: (Point, (point.x,)))

            def double(point):
                return Point(2 * point.x)

            def main():
                kind, method = sys.argv[1:]
                swap = KINDS[kind]()
                swap.install()
                with multiprocessing.get_context(method).Pool(1) as pool:
                    assert [p.x for p in pool.map(double, [Point(1), Point(2)])] == [2, 4]
                    assert pool.apply(str.upper, ("a",)) == "A"
                    pool.close()
                    pool.join()

            if __name__ == "__main__":
                main()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "pooled.py"), kind, method],
        env=dict(os.environ, PYTHONPATH=str(TESTS)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- pickled names


def test_functions_and_classes_pickle_by_the_standard_names(swap):
    names = {
        pickle: ("Pickler", "Unpickler", "dump", "dumps", "load", "loads"),
        copyreg: ("pickle",),
        copy: ("copy", "deepcopy"),
        reduction: ("ForkingPickler",),
    }
    places = [(module, name) for module, group in names.items() for name in group]
    expected = [[_stdlib.dumps(getattr(m, n), p) for p in range(6)] for m, n in places]
    swap.install()
    for (module, name), standard in zip(places, expected, strict=True):
        assert [pickle.dumps(getattr(module, name), p) for p in range(6)] == standard
        assert pickle.loads(standard[2]) is getattr(module, name)


def test_own_names_return(swap):
    before = [(f.__module__, f.__qualname__) for f in vars(swap.ours).values()]
    before.append(fastcopyreg.copyreg.pickle.__module__)
    swap.install()
    swap.uninstall()
    after = [(f.__module__, f.__qualname__) for f in vars(swap.ours).values()]
    after.append(fastcopyreg.copyreg.pickle.__module__)
    assert after == before


@requires_core
def test_only_our_own_types_can_be_renamed():
    set_type_module = fastcopyreg._backend.core.set_type_module
    for arguments in ((), (int,), (int, "x"), (Point, "x"), (fastcopyreg.pickle.Pickler, 3)):
        with pytest.raises(TypeError, match="set_type_module|not one of this module"):
            set_type_module(*arguments)
    with pytest.raises(TypeError):
        fastcopyreg.pickle.Pickler.__module__ = "x"


# --- errors, threads, repetition


def test_an_interrupt_leaves_everything_as_it_was():
    def interrupted(cls, name):
        if name == "_pickle":
            raise KeyboardInterrupt
        set_module(cls, name)

    before = every_global()
    names = {name: obj.__module__ for name, obj in vars(StandIns.ours).items()}
    swap = StandIns(interrupted)
    with pytest.raises(KeyboardInterrupt):
        swap.install()
    after = every_global()
    assert all(old[2] is new[2] for old, new in zip(before, after, strict=True))
    assert {name: obj.__module__ for name, obj in vars(StandIns.ours).items()} == names
    assert not swap.swap.replaced()


def test_install_is_idempotent():
    try:
        report = install()
        assert install() is report
        places = list(report.replaced)
        assert install().replaced == tuple(places)
    finally:
        uninstall()
    assert not installed()
    uninstall()
    assert not installed()


@requires_core
def test_installed_says_so():
    assert not installed()
    try:
        install()
        assert installed()
    finally:
        uninstall()
    assert not installed()


def test_many_threads_install_once():
    barrier = threading.Barrier(8)
    reports = []

    def work():
        barrier.wait(10)
        reports.append(install())

    threads = [threading.Thread(target=work) for _ in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(reports) == 8
        assert all(report is reports[0] for report in reports)
    finally:
        uninstall()
    assert pickle.dumps is _stdlib.dumps


def test_others_may_pickle_meanwhile():
    value = {"a": [1, 2, (3, "x")]}
    expected = _stdlib.dumps(value)
    stop = threading.Event()
    wrong = []

    def work():
        while not stop.is_set():
            if pickle.dumps(value) != expected or copy.deepcopy(value) != value:
                wrong.append(value)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(20):
            install()
            uninstall()
    finally:
        stop.set()
        thread.join(30)
    assert not wrong
    assert pickle.dumps is _stdlib.dumps


# --- the Python backend, and the report


@pytest.mark.skipif(fastcopyreg.backend != "python", reason="what happens without the core")
def test_python_backend_changes_nothing():
    before = every_global()
    try:
        report = install()
        after = every_global()
        assert not installed()
        assert install() is report
    finally:
        uninstall()
    assert all(old[2] is new[2] for old, new in zip(before, after, strict=True))
    assert copyreg.pickle is _stdlib.register_reducer
    assert report.to_dict() == {"backend": "python", "replaced": [], "unreachable": []}
    assert "nothing to install" in str(report)


def test_report():
    report = InstallReport("c", ["pickle.dumps"], [("loky.Pickler", "a subclass")])
    assert str(report).splitlines() == [
        "fastcopyreg: 1 places replaced",
        "    pickle.dumps",
        "fastcopyreg: 1 places not reached",
        "    loky.Pickler: a subclass",
    ]
    assert repr(report) == "<InstallReport: backend c, 1 replaced, 1 unreachable>"
    assert json.loads(json.dumps(report.to_dict())) == {
        "backend": "c",
        "replaced": ["pickle.dumps"],
        "unreachable": [{"place": "loky.Pickler", "reason": "a subclass"}],
    }


@requires_core
def test_registering_while_installed_remembers_the_constructor():
    try:
        install()
        copyreg.pickle(Point, reduce_point, Point)
        assert Point in fastcopyreg.registered_constructors()
        assert copyreg.dispatch_table[Point] is reduce_point
    finally:
        uninstall()
        copyreg.dispatch_table.pop(Point, None)
