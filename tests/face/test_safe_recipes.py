"""The recipes of docs/safety.md, with the real libraries where these are installed."""

import datetime
import multiprocessing
import pickle
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, entry_points

import pytest

import fastcopyreg
from fastcopyreg import safe
from support.folders import ROOT

DOCS = ROOT / "docs"
ATTACK = b"cos\nsystem\n(S'exit 1'\ntR."
VALUES = [{"a": [1, 2.5, "x"]}, datetime.datetime(2020, 1, 2), ("t", None), {1, 2}]


class Job:
    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return type(other) is Job and self.number == other.number

    __hash__ = None


def code_blocks():
    """The indented blocks of docs/safety.md, by the line before each."""
    text = (DOCS / "safety.md").read_text(encoding="utf-8")
    found = re.findall(r"^(\S[^\n]*)\n\n((?:    [^\n]*\n|\n)+)", text, re.MULTILINE)
    return {before: re.sub(r"^    ", "", block, flags=re.MULTILINE) for before, block in found}


def recipe(words):
    """The code of the recipe whose line begins with these words, with our names for theirs."""
    (code,) = (block for before, block in code_blocks().items() if before.startswith(words))
    return code.replace("myapp.tasks:Job", f"{__name__}:Job").replace(
        "myapp.models:Settings", f"{__name__}:Job"
    )


def test_kombu():
    serialization = pytest.importorskip("kombu.serialization")
    exceptions = pytest.importorskip("kombu.exceptions")
    try:
        exec(recipe("`accept_content="), {})
        for value in (*VALUES, Job(5)):
            content_type, encoding, data = serialization.dumps(value, "safe-pickle")
            accept = serialization.prepare_accept_content(["safe-pickle"])
            assert serialization.loads(data, content_type, encoding, accept=accept) == value
        with pytest.raises(exceptions.DecodeError, match="not allowed"):
            serialization.loads(ATTACK, content_type, encoding, accept=accept)
        with pytest.raises(exceptions.ContentDisallowed):
            serialization.loads(ATTACK, "application/x-python-serialize", encoding, accept=accept)
    finally:
        serialization.unregister("safe-pickle")


def test_the_serializer_is_an_entry_point():
    try:
        distribution("fastcopyreg")
    except PackageNotFoundError:
        pytest.skip("the package is there, but not installed")
    serialization = pytest.importorskip("kombu.serialization")
    found = [*entry_points(group="kombu.serializers", name="fastcopyreg-safe")]
    assert len(found) == 1
    (found,) = found
    encode, decode, content_type, encoding = found.load()
    serialization.registry.register("fastcopyreg-safe", encode, decode, content_type, encoding)
    try:
        content_type, encoding, data = serialization.dumps(VALUES, "fastcopyreg-safe")
        accept = serialization.prepare_accept_content(["fastcopyreg-safe"])
        assert serialization.loads(data, content_type, encoding, accept=accept) == VALUES
        with pytest.raises(Exception, match="not allowed"):
            serialization.loads(ATTACK, content_type, encoding, accept=accept)
    finally:
        serialization.unregister("fastcopyreg-safe")


def test_django():
    pytest.importorskip("django")
    from django.conf import settings
    from django.core.cache.backends.redis import RedisCacheClient
    from django.utils.module_loading import import_string

    if not settings.configured:
        settings.configure()
    namespace = {"safe": safe, "pickle": fastcopyreg.pickle}
    exec(recipe("**Django's cache**").split("CACHES")[0], namespace)
    module = type(sys)("recipe_of_django")
    vars(module).update(namespace)
    sys.modules[module.__name__] = module
    try:
        path = "recipe_of_django.SafeSerializer"
        assert import_string(path) is namespace["SafeSerializer"]
        client = RedisCacheClient(["redis://localhost"], serializer=path)
        serializer = client._serializer
        for value in (*VALUES, 5, -1, Job(7)):
            stored = serializer.dumps(value)
            stored = str(stored).encode() if type(stored) is int else stored
            assert serializer.loads(stored) == value
        with pytest.raises(pickle.UnpicklingError):
            serializer.loads(ATTACK)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is missing")
    finally:
        del sys.modules[module.__name__]


def test_multiprocessing_connection():
    namespace = {"safe": safe, "pickle": fastcopyreg.pickle}
    exec(recipe("**multiprocessing.connection**"), namespace)
    here, there = multiprocessing.Pipe()
    with here, there:
        for value in VALUES:
            namespace["send"](here, value)
            assert namespace["receive"](there) == value
        here.send_bytes(ATTACK)
        with pytest.raises(pickle.UnpicklingError):
            namespace["receive"](there)


def test_arrays_of_numpy():
    numpy = pytest.importorskip("numpy")
    code = recipe("An array needs these names")
    policy = eval(code, {"safe": safe, "numpy": numpy})
    values = [
        numpy.arange(6).reshape(2, 3),
        numpy.array([1.5, 2.5], dtype=">f4"),
        numpy.array(["a", "bc"]),
        numpy.zeros((2, 2), order="F"),
        numpy.array([{"a": 1}, None], dtype=object),
        numpy.array([("x", 1)], dtype=[("name", "U5"), ("n", "i4")]),
        numpy.array(["2020-01-01"], dtype="M8[D]"),
        numpy.float64(1.5),
        numpy.int32(7),
    ]
    for value in values:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps(value, protocol)
            loaded, expected = policy.loads(data), pickle.loads(data)
            assert loaded.dtype == expected.dtype and numpy.array_equal(loaded, expected)
    with pytest.raises(pickle.UnpicklingError, match="numpy"):
        safe.loads(pickle.dumps(values[0]))
    bad = pickle.dumps(values[0], 4).replace(b"ndarray", b"memmaps")
    with pytest.raises(pickle.UnpicklingError, match="memmaps"):
        policy.loads(bad)


def with_numpy(words, name):
    """The policy of numpy's recipe and another's list."""
    numpy = pytest.importorskip("numpy")
    namespace = {"safe": safe, "numpy": numpy}
    exec(recipe(words), namespace)
    arrays = recipe("An array needs these names")
    inner = arrays[arrays.index("[") : arrays.rindex("]") + 1]
    return safe.Policy([*namespace[name], *eval(inner, namespace)])


def test_frames_of_pandas():
    pandas = pytest.importorskip("pandas", minversion="3")
    policy = with_numpy("texts, dates and categories", "PANDAS")
    dates = pandas.to_datetime(["2020-01-01", "2021-01-01"])
    pairs = pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    values = [
        pandas.DataFrame({"n": [1, 2], "f": [1.5, 2], "t": ["x", "y"], "d": dates}),
        pandas.DataFrame({"c": pandas.Categorical(["a", "b"])}),
        pandas.DataFrame({"v": [1, 2]}, index=pairs),
        pandas.Series([1, 2, 3], name="n"),
        pandas.Series(pandas.array([1, None], dtype="Int64")),
        pandas.RangeIndex(5),
    ]
    for value in values:
        for protocol in (4, 5):
            assert policy.loads(pickle.dumps(value, protocol)).equals(value)
    for value in (pandas.Timestamp("2020-01-01", tz="UTC"), pandas.Timedelta(days=1)):
        assert policy.loads(pickle.dumps(value)) == value
    assert policy.loads(pickle.dumps(pandas.NA)) is pandas.NA
    with pytest.raises(pickle.UnpicklingError, match="pandas"):
        safe.loads(pickle.dumps(values[0]))


def test_estimators_of_scikit_learn():
    pytest.importorskip("sklearn")
    numpy = pytest.importorskip("numpy")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    policy = with_numpy("are; these are a linear model", "SKLEARN")
    inputs, outputs = numpy.arange(20.0).reshape(10, 2), numpy.arange(10) % 2
    for model in (
        LinearRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(3),
    ):
        model.fit(inputs, outputs)
        for protocol in (4, 5):
            data = pickle.dumps(model, protocol)
            loaded = policy.loads(data)
            assert numpy.array_equal(loaded.predict(inputs), model.predict(inputs))
            with pytest.raises(pickle.UnpicklingError, match="not allowed"):
                safe.loads(data)
