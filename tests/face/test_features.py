"""What the registry has been since Python 1.5, row by row (see docs/compatibility.md).

Rows that have a home of their own are tested there: the functions of `copyreg` in test_copyreg.py,
private tables and the shapes of a reduce value with the pickler.
"""

import collections
import copy as std_copy
import copyreg as std_copyreg
import fractions
import io
import marshal
import multiprocessing
import pickle as std_pickle
import sys
import types

import pytest

import fastcopyreg
from fastcopyreg import copy, copyreg, pickle

pytestmark = pytest.mark.usefixtures("clean_registry")

PROTOCOLS = range(std_pickle.HIGHEST_PROTOCOL + 1)
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def dumps(value, protocol=None):
    """Pickle by fastcopyreg, and say that the standard library's bytes are the same."""
    data = pickle.dumps(value, protocol)
    assert data == std_pickle.dumps(value, protocol)
    return data


class Point:
    """Equal by its two fields, and by what else was put into its `__dict__`."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None


class Restored(Point):
    def __setstate__(self, state):
        self.x, self.restored = 7, state


class Bag(Point, list):
    """Takes list items."""


class Table(Point, dict):
    """Takes dict items."""


THE_POINT = Point(0, 0)


def set_y(point, state):
    point.y = state


@every_protocol
def test_a_string_names_a_global(protocol):
    copyreg.pickle(Point, lambda point: "THE_POINT")
    assert pickle.loads(dumps(THE_POINT, protocol)) is THE_POINT


@every_protocol
def test_a_pair_is_constructor_and_arguments(protocol):
    copyreg.pickle(Point, lambda point: (Point, (point.x, point.y)))
    assert pickle.loads(dumps(Point(1, [2]), protocol)) == Point(1, [2])


@every_protocol
def test_a_third_part_goes_into_the_dict_or_to_setstate(protocol):
    copyreg.pickle(Point, lambda point: (Point, (1, 2), {"z": 3}))
    loaded = pickle.loads(dumps(Point(1, 2), protocol))
    assert vars(loaded) == {"x": 1, "y": 2, "z": 3}
    copyreg.pickle(Restored, lambda point: (Restored, (1, 2), "state"))
    loaded = pickle.loads(dumps(Restored(1, 2), protocol))
    assert vars(loaded) == {"x": 7, "y": 2, "restored": "state"}


@every_protocol
def test_a_fourth_part_is_list_items(protocol):
    copyreg.pickle(Bag, lambda bag: (Bag, (1, 2), None, iter([3, 4])))
    assert list(pickle.loads(dumps(Bag(1, 2), protocol))) == [3, 4]


@every_protocol
def test_a_fifth_part_is_dict_items(protocol):
    copyreg.pickle(Table, lambda table: (Table, (1, 2), None, None, iter({"k": "v"}.items())))
    assert dict(pickle.loads(dumps(Table(1, 2), protocol))) == {"k": "v"}


@every_protocol
def test_a_sixth_part_sets_the_state(protocol):
    copyreg.pickle(Point, lambda point: (Point, (1, 2), 9, None, None, set_y))
    assert pickle.loads(dumps(Point(1, 2), protocol)) == Point(1, 9)


class Basic:
    """Declares the constructor of Python 2.0's form, arguments None."""

    @classmethod
    def __basicnew__(cls):
        return cls.__new__(cls)


@every_protocol
def test_arguments_none_are_written_for_a_class_with_basicnew(c_core, protocol):
    """The one thing accepted that the standard library refuses."""
    copyreg.pickle(Basic, lambda basic: (Basic, None))
    data = pickle.dumps(Basic(), protocol)
    assert data.endswith((b"NR.", b"NRq\x01.", b"NRp1\n.", b"NR\x94."))
    with pytest.raises(std_pickle.PicklingError):
        std_pickle.dumps(Basic(), protocol)


def test_arguments_none_are_an_error_for_any_other_callable():
    copyreg.pickle(Point, lambda point: (Point, None))
    with pytest.raises(std_pickle.PicklingError) as expected:
        std_pickle.dumps(Point(1, 2))
    with pytest.raises(std_pickle.PicklingError) as raised:
        pickle.dumps(Point(1, 2))
    assert str(raised.value) == str(expected.value)


@pytest.mark.parametrize(("code", "size"), [(0x10, 1), (0x1000, 2), (0x10000000, 4)])
def test_extension_codes_of_every_length(code, size):
    copyreg.add_extension(__name__, "Point", code)
    data = dumps(Point, 2)
    assert data[2:] == bytes([0x81 + size.bit_length()]) + code.to_bytes(size, "little") + b"."
    assert pickle.loads(data) is Point
    copyreg.clear_extension_cache()
    copyreg.remove_extension(__name__, "Point", code)
    with pytest.raises(ValueError, match="unregistered extension code"):
        pickle.loads(data)


def test_the_table_is_a_dict_that_programs_write():
    assert type(copyreg.dispatch_table) is dict
    copyreg.dispatch_table[Point] = lambda point: (Point, (8, 9))
    assert pickle.loads(dumps(Point(1, 2))) == Point(8, 9)
    assert std_copyreg.dispatch_table.pop(Point)
    assert pickle.loads(dumps(Point(1, 2))) == Point(1, 2)


def private_dumps(pickler, value, table):
    """Pickle with a private table, set on the instance."""
    file = io.BytesIO()
    instance = pickler(file)
    instance.dispatch_table = table
    instance.dump(value)
    return file.getvalue()


@pytest.mark.parametrize(
    "make",
    [dict, lambda table: collections.ChainMap({}, table), types.MappingProxyType],
    ids=["dict", "ChainMap", "MappingProxyType"],
)
def test_a_private_table_rules_alone(make):
    copyreg.pickle(Point, lambda point: (Point, ("shared", 0)))
    table = make({Point: lambda point: (Point, ("private", 0))})
    data = private_dumps(pickle.Pickler, Point(1, 2), table)
    assert data == private_dumps(std_pickle.Pickler, Point(1, 2), table)
    assert pickle.loads(data) == Point("private", 0)


def test_a_private_table_of_a_class():
    table = {Point: lambda point: (Point, ("class", 0))}
    ours = type("Ours", (pickle.Pickler,), {"dispatch_table": table})
    file = io.BytesIO()
    ours(file).dump(Point(1, 2))
    assert pickle.loads(file.getvalue()) == Point("class", 0)


def test_pickle_and_copy_both_consult_the_registry():
    copyreg.pickle(Point, lambda point: (Point, (point.x + 1, point.y)))
    assert pickle.loads(dumps(Point(1, 2))) == Point(2, 2)
    for module in (copy, std_copy):
        assert module.copy(Point(1, 2)) == module.deepcopy(Point(1, 2)) == Point(2, 2)


@pytest.mark.parametrize(
    "call",
    [
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda point: pickle.Pickler(io.BytesIO()).dump(point),
    ],
    ids=["copy", "deepcopy", "dumps", "Pickler.dump"],
)
def test_a_reducer_that_prints_is_seen_to_run(call, capsys):
    """However often its type has been met: what has effects is called."""

    def reduce_loudly(point):
        print("reducing", point.x)
        return Point, (point.x, point.y)

    copyreg.pickle(Point, reduce_loudly)
    for number in range(200):
        call(Point(number, 0))
    assert capsys.readouterr().out == "".join(f"reducing {number}\n" for number in range(200))


def load_code(data):
    return marshal.loads(data)


@every_protocol
def test_code_objects_by_marshal(protocol):
    if sys.implementation.name == "cpython":
        with pytest.raises(TypeError):
            pickle.dumps(load_code.__code__)
    copyreg.pickle(types.CodeType, lambda code: (load_code, (marshal.dumps(code),)), load_code)
    code = compile("answer = 6 * 7", "<row>", "exec")
    assert pickle.loads(dumps(code, protocol)) == code
    assert load_code in fastcopyreg.registered_constructors()


def restore_file(name, content, position):
    file = io.StringIO(content)
    file.name = name
    file.seek(position)
    return file


def reduce_file(file):
    position = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(position)
    return restore_file, (file.name, content, position)


@every_protocol
def test_open_files_by_content_and_position(protocol, tmp_path):
    path = tmp_path / "poem"
    path.write_text("one\ntwo\n")
    copyreg.pickle(io.TextIOWrapper, reduce_file)
    with path.open() as file:
        assert file.readline() == "one\n"
        loaded = pickle.loads(dumps(file, protocol))
        assert (loaded.name, loaded.readline()) == (str(path), "two\n")
        assert file.readline() == "two\n"


def restore_view(data):
    return memoryview(data)


def test_types_of_extensions_and_of_third_parties():
    """A type whose source nobody edits: one of C, and one of another library."""
    with pytest.raises(TypeError):
        pickle.dumps(memoryview(b"abc"))
    copyreg.pickle(memoryview, lambda view: (restore_view, (bytes(view),)))
    assert pickle.loads(dumps(memoryview(b"abc"))) == memoryview(b"abc")
    copyreg.pickle(fractions.Fraction, lambda value: (fractions.Fraction, (str(value),)))
    data = dumps(fractions.Fraction(1, 3))
    assert b"1/3" in data
    assert pickle.loads(data) == fractions.Fraction(1, 3)


def add_one(point):
    """Runs in a worker; what comes in and goes out was reduced by the registry."""
    assert point.x == "reduced"
    return Point(point.x, point.y + 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_registered_types_through_multiprocessing(method):
    copyreg.pickle(Point, lambda point: (Point, ("reduced", point.y)))
    with multiprocessing.get_context(method).Pool(1) as pool:
        answers = pool.map(add_one, [Point(0, number) for number in range(20)])
    assert [point.y for point in answers] == list(range(1, 21))


def point_of_version_one(x):
    """The constructor by which an older release wrote points: it had no y."""
    return Point(x, None)


def test_reconstruction_across_versions_by_a_stable_name():
    old = b"cVERSION\npoint_of_version_one\n(I1\ntR.".replace(b"VERSION", __name__.encode())
    assert pickle.loads(old) == Point(1, None)


@pytest.mark.parametrize(
    "value",
    [load_code, {"a": 1}, [1], int, "text", 1.5],
    ids=lambda value: type(value).__name__,
)
def test_types_that_the_pickler_saves_by_itself_are_not_dispatched(value):
    """Registering them is no error; what it changes, if anything, the running version decides."""
    copyreg.pickle(type(value), lambda value: "THE_POINT")
    try:
        expected = std_pickle.dumps(value)
    except std_pickle.PicklingError as error:  # PyPy asks the registry for classes.
        with pytest.raises(type(error)):
            pickle.dumps(value)
    else:
        assert pickle.dumps(value) == expected
        assert std_pickle.loads(expected) == value
