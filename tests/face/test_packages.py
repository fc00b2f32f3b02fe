"""Objects of other people's packages: copied, dumped and loaded as by the standard library."""

import copy as std_copy
import pickle as std_pickle

import pytest

from fastcopyreg import copy, pickle
from support.implementations import PROTOCOLS, requires_core

pytestmark = requires_core


def arrays():
    numpy = pytest.importorskip("numpy")
    shared = numpy.arange(6).reshape(2, 3)
    record = numpy.dtype([("a", "i4"), ("b", "U3"), ("c", "f8", (2,))])
    holders = numpy.array([[1], "two", {3: shared}, None], dtype=object)
    return [
        *(shared, shared.T, shared[:, ::2], shared),
        *(numpy.asfortranarray(shared), numpy.array(5), numpy.array([])),
        *(numpy.float64(1.5), numpy.int8(-3), numpy.str_("text"), numpy.datetime64("2024-02-29")),
        *(record, numpy.zeros(3, record), numpy.rec.array([(1, "x")], names="a,b")),
        *(numpy.ma.masked_array([1, 2], [0, 1]), numpy.bool_(True), numpy.float64, numpy.add),
        *(holders, numpy.random.default_rng(5), numpy.poly1d([1, 2])),
    ]


def frames():
    pandas = pytest.importorskip("pandas")
    days = pandas.date_range("2024-02-28", periods=3, tz="UTC")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [[1], {}, 2.5]}, days)
    kinds = pandas.Categorical(["p", "q", "p"])
    return [
        *(frame, frame["a"], frame, frame.index, frame.groupby("a").sum(numeric_only=True)),
        *(kinds, pandas.Series([1, None], dtype="Int64"), pandas.Timestamp("2024-02-29")),
        *(pandas.Timedelta(5, "s"), pandas.Period("2024-02"), pandas.NaT, pandas.NA),
        *(pandas.MultiIndex.from_product([[1, 2], ["a"]]), pandas.Interval(0, 1)),
    ]


def in_this_module(cls):
    """Give the class a name by which pickle finds it."""
    cls.__module__, cls.__qualname__ = __name__, cls.__name__
    globals()[cls.__name__] = cls
    return cls


def attrs_instances():
    attrs = pytest.importorskip("attrs")
    made = []
    for name, options in {
        "Slotted": {"slots": True},
        "Open": {"slots": False},
        "Frozen": {"frozen": True},
        "FrozenOpen": {"frozen": True, "slots": False},
        "Hashing": {"unsafe_hash": True, "cache_hash": True},
        "Checked": {"on_setattr": attrs.setters.NO_OP},
    }.items():
        cls = in_this_module(attrs.make_class(name, ["a", "b"], **options))
        inner = cls(1, "text")
        made += [inner, cls([1], (inner, {"k": inner}))]
    return made


def models():
    pydantic = pytest.importorskip("pydantic")

    @in_this_module
    class Item(pydantic.BaseModel):
        name: str
        price: float = 1.5
        tags: list = []
        _private: dict = pydantic.PrivateAttr(default_factory=dict)

    @in_this_module
    class Order(pydantic.BaseModel):
        model_config = {"extra": "allow", "frozen": True}
        items: list[Item]
        by_name: dict[str, Item]

    shared = Item(name="shared", tags=[1, [2]])
    shared._private["k"] = shared
    plain = Item.model_construct(name="made without checks")
    return [shared, plain, Order(items=[shared, plain], by_name={"s": shared}, more=[3]), Item]


def columns():
    sqlalchemy = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")

    @in_this_module
    class Base(orm.DeclarativeBase):
        pass

    @in_this_module
    class User(Base):
        __tablename__ = "users"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        name = sqlalchemy.Column(sqlalchemy.String)

    return [User(id=1, name="one"), User(name="two"), User()]


MAKERS = {
    "numpy": arrays,
    "pandas": frames,
    "attrs": attrs_instances,
    "pydantic": models,
    "sqlalchemy": columns,
}


def shape(value):
    """A pickle by the standard library's own Python code, which tells all that is there."""
    return std_pickle._dumps(value, 4)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("together", [False, True])
def test_copied_alike(name, together):
    values = MAKERS[name]()
    for value in [values] if together else values:
        for _ in range(3):  # What is met again may go another way.
            for function in ("copy", "deepcopy"):
                expected = getattr(std_copy, function)(value)
                made = getattr(copy, function)(value)
                assert type(made) is type(expected)
                assert (made is value) == (expected is value)
                assert shape(made) == shape(expected)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dumped_and_loaded_alike(name, protocol):
    for value in (*MAKERS[name](), MAKERS[name]()):
        for _ in range(3):
            try:
                data = std_pickle.dumps(value, protocol)
            except Exception as error:
                with pytest.raises(type(error)):
                    pickle.dumps(value, protocol)
                continue
            assert pickle.dumps(value, protocol) == data
            assert shape(pickle.loads(data)) == shape(std_pickle.loads(data))


def test_arrays_out_of_band():
    numpy = pytest.importorskip("numpy")
    value = [numpy.arange(1000.0), numpy.ones((3, 4), order="F")]
    written = []
    for module in (pickle, std_pickle):
        buffers = []
        data = module.dumps(value, 5, buffer_callback=buffers.append)
        assert len(buffers) == 2
        written.append((data, [bytes(buffer) for buffer in buffers]))
        for loaded in (
            pickle.loads(data, buffers=buffers),
            std_pickle.loads(data, buffers=buffers),
        ):
            assert all((a == b).all() for a, b in zip(loaded, value, strict=True))
            assert numpy.shares_memory(loaded[0], value[0])
    assert written[0] == written[1]
