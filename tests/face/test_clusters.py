"""`fastcopyreg.clusters`: picklers of other libraries, made again over ours, in real libraries."""

import http.client
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time

import pytest

import fastcopyreg
from fastcopyreg import clusters
from support.folders import TESTS

requires_core = pytest.mark.skipif(
    fastcopyreg.backend != "c", reason="the Python backend has nothing to remake"
)


def needs(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is missing")


def run(script, **environment):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": _path(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _path():
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([str(TESTS), *filter(None, given)])


def test_a_library_that_there_is_not():
    with pytest.raises(ValueError, match="no library 'numpy' .there are 'celery', 'cloudpickle'"):
        clusters.remake("cloudpickle", "numpy")


def test_what_is_not_imported_has_nothing_to_remake():
    run("""
        import sys
        from fastcopyreg import clusters
        report = clusters.remake(*clusters.LIBRARIES)
        assert (report.replaced, report.unreachable) == ((), ())
        assert not {"cloudpickle", "joblib", "torch"} & set(sys.modules)
        clusters.restore()
    """)


# A library with all that a class can have which refers to itself or its base.
LIBRARY = """
import io, pickle, sys, types

library = sys.modules["cloudpickle"] = types.ModuleType("cloudpickle")
exec('''
import io, pickle

class Base(pickle.Pickler):
    made = 0

    def __init__(self, file, protocol=None):
        super().__init__(file, protocol)

    @classmethod
    def of(cls, file):
        cls.made += 1
        return super().__new__(cls)

    @property
    def kind(self):
        return __class__

def make(base):
    class Derived(base):
        def __init__(self, file):
            base.__init__(self, file, 4)

        def reducer_override(self, obj):
            return NotImplemented

        @staticmethod
        def itself():
            return __class__

        @property
        def kind(self):
            return super().kind

    return Derived

Derived = make(Base)

class Loader(pickle.Unpickler):
    def find_class(self, module, name):
        return super().find_class(module, name)

def dumps(value, pickler=Derived):
    file = io.BytesIO()
    pickler(file).dump(value)
    return file.getvalue()
''', vars(library))
first = library.Base, library.Derived, library.Loader
"""


@requires_core
def test_every_way_to_refer_to_itself():
    run(
        LIBRARY
        + textwrap.dedent("""
        import fastcopyreg
        from fastcopyreg import clusters
        value = [1, "two", {3: print}]
        expected = library.dumps(value)
        fastcopyreg.install()
        report = clusters.remake("cloudpickle")
        assert {"cloudpickle.Base", "cloudpickle.Derived", "cloudpickle.Loader",
            "cloudpickle.dumps(pickler=)"} <= set(report.replaced), report
        ours = fastcopyreg.pickle
        Base, Derived, Loader = library.Base, library.Derived, library.Loader
        assert Base.__bases__ == (ours.Pickler,) and Derived.__bases__ == (Base,)
        assert Loader.__bases__ == (ours.Unpickler,)
        assert library.dumps(value) == expected
        assert Loader(io.BytesIO(expected)).load() == value
        assert Derived.itself() is Derived
        assert Derived(io.BytesIO()).kind is Base
        assert type(Derived.of(io.BytesIO())) is Derived
        assert (Derived.__module__, Derived.__qualname__) == (
            first[1].__module__, first[1].__qualname__)
        clusters.restore()
        assert (library.Base, library.Derived, library.Loader) == first
        assert library.dumps.__defaults__ == (first[1],)
        assert library.dumps(value) == expected
        clusters.remake("cloudpickle")
        assert library.Derived is Derived, "the same one each time"
        """)
    )


@requires_core
@needs("cloudpickle")
def test_cloudpickle():
    run("""
        import cloudpickle, copyreg, pickle
        import fastcopyreg
        from fastcopyreg import clusters

        class Local:
            def __init__(self, x):
                self.x = x
            def get(self):
                return lambda y: self.x + y

        value = [Local(3), Local(4).get(), Local]
        before = [cloudpickle.CloudPickler]
        expected = cloudpickle.dumps(value)
        fastcopyreg.install()
        report = clusters.remake("cloudpickle")
        assert "cloudpickle.CloudPickler" in report.replaced, report
        assert not report.unreachable, report
        assert cloudpickle.CloudPickler.__mro__[1] is fastcopyreg.pickle.Pickler
        assert cloudpickle.dumps(value) == expected
        local, add, cls = pickle.loads(cloudpickle.dumps(value))
        assert (local.x, add(5)) == (3, 9)
        clusters.restore()
        assert cloudpickle.CloudPickler is before[0]
        assert pickle.loads(cloudpickle.dumps(value))[1](5) == 9
    """)


@requires_core
@pytest.mark.slow
@needs("joblib")
def test_joblib_in_process_and_workers():
    script = """
        import joblib, os
        from joblib.externals.loky.backend import reduction
        import fastcopyreg
        from fastcopyreg import clusters

        fastcopyreg.install(children=True)
        before = [reduction._LokyPickler]  # In a global it would be replaced.
        report = clusters.remake("joblib")
        ours = fastcopyreg.pickle.Pickler
        assert ours in reduction._LokyPickler.__mro__, report
        assert not report.unreachable, report

        def bump(x):
            import pickle, fastcopyreg
            from joblib.externals.loky.backend import reduction
            ours = fastcopyreg.pickle.Pickler
            return x + 1, pickle.Pickler is ours, ours in reduction._LokyPickler.__mro__

        results = joblib.Parallel(n_jobs=2)(joblib.delayed(bump)(i) for i in range(4))
        assert results == [(i + 1, True, True) for i in range(4)], results
        clusters.restore()
        assert reduction._LokyPickler is before[0]
        reduction.set_loky_pickler("pickle")
        reduction.set_loky_pickler()
    """
    run(script)


@requires_core
@pytest.mark.slow
@needs("distributed")
def test_distributed():
    run("""
        import distributed.protocol.pickle as protocol
        import fastcopyreg
        from fastcopyreg import clusters

        value = [lambda x: x + 1, {"a": 1}, protocol.dumps]
        before = [protocol._DaskPickler]
        expected = protocol.dumps(value)
        fastcopyreg.install()
        report = clusters.remake("distributed")
        assert fastcopyreg.pickle.Pickler in protocol._DaskPickler.__mro__, report
        assert protocol.dumps(value) == expected
        assert protocol.loads(protocol.dumps(value))[0](1) == 2
        clusters.restore()
        assert protocol._DaskPickler is before[0]
    """)


@requires_core
@pytest.mark.slow
@needs("billiard")
@needs("kombu")
def test_kombu_and_billiard():
    run("""
        import pickle
        import kombu.serialization, billiard.reduction
        import fastcopyreg
        from fastcopyreg import clusters

        report = fastcopyreg.install()
        assert "kombu.serialization.pickle_loads(load=)" in report.replaced, report
        clusters.remake("celery")
        registry = kombu.serialization.registry
        content_type, encoding, data = registry.dumps({"a": [1]}, "pickle")
        assert registry.loads(data, content_type, encoding, accept={content_type}) == {"a": [1]}
        assert fastcopyreg.pickle.Pickler in billiard.reduction.ForkingPickler.__mro__
        assert bytes(billiard.reduction.ForkingPickler.dumps([1])) == pickle.dumps(
            [1], billiard.reduction.ForkingPickler.dumps.__func__.__defaults__[0])
        clusters.restore()
    """)


GUNICORN = """
    import json, os, sys

    EARLY = "fastcopyreg" in sys.modules and sys.modules["fastcopyreg"].installed()
    import copyreg, pickle

    class Session(pickle.Pickler):
        pass

    def app(environ, start_response):
        ours = sys.modules.get("fastcopyreg")
        own = EARLY and Session.__bases__ == (ours.pickle.Pickler,)
        told = {"worker": os.getpid(), "parent": os.getppid(), "early": EARLY, "own": own}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(told).encode()]
"""


def asked(path, process, deadline):
    """Return what a server at a socket of the file system answers, when it is there."""
    while True:
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(path)
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read())
        except (FileNotFoundError, ConnectionRefusedError):
            assert process.poll() is None, "it has ended"
            assert time.monotonic() < deadline, "it does not begin"
            time.sleep(0.05)
        finally:
            connection.close()


@requires_core
@pytest.mark.slow
@needs("gunicorn")
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="gunicorn is for POSIX")
@pytest.mark.parametrize("options", [[], ["--preload"], ["--worker-class=gthread"]], ids=str)
@pytest.mark.parametrize("variable", ["0", "1"])
def test_gunicorns_workers(tmp_path, variable, options):
    """Each worker begins with the swap, whether it imports the application or its parent does."""
    (tmp_path / "served.py").write_text(textwrap.dedent(GUNICORN))
    with tempfile.TemporaryDirectory() as folder:  # The path of a socket has to be short.
        path = os.path.join(folder, "socket")
        command = [sys.executable, "-m", "gunicorn", f"--bind=unix:{path}", "--workers=1"]
        environment = {**os.environ, "FASTCOPYREG_INSTALL": variable}
        process = subprocess.Popen(
            [*command, f"--chdir={tmp_path}", *options, "served:app"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            told = asked(path, process, time.monotonic() + 100)
        finally:
            process.terminate()
            process.wait(60)
    assert told["parent"] == process.pid != told["worker"]
    assert (told["early"], told["own"]) == ((True, True) if variable == "1" else (False, False))


@requires_core
@pytest.mark.slow
@needs("torch")
@pytest.mark.parametrize("variable", ["0", "1"])
def test_torch(variable):
    """Those of save and load are made when these are called, over what there is then."""
    script = """
        import io, os, torch
        import fastcopyreg
        from fastcopyreg import clusters

        def there_and_back():
            model = torch.nn.Linear(3, 2)
            file = io.BytesIO()
            torch.save({"model": model.state_dict(), "range": torch.arange(5)}, file)
            for weights_only in (True, False):
                file.seek(0)
                loaded = torch.load(file, weights_only=weights_only)
                assert torch.equal(loaded["range"], torch.arange(5))
                assert torch.equal(loaded["model"]["weight"], model.weight)

        there_and_back()
        early = os.environ["FASTCOPYREG_INSTALL"] == "1"
        fastcopyreg.install()
        there_and_back()
        replaced = clusters.remake("torch").replaced
        assert ("torch._jit_internal._TensorExtractor" in replaced) != early
        there_and_back()
        clusters.restore()
        fastcopyreg.uninstall()
        there_and_back()
    """
    run(script, FASTCOPYREG_INSTALL=variable)
