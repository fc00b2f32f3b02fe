"""Picklers whose ``__init__`` copies tables for each instance: the copy is made once, as long as
nothing has changed, and nobody can tell.
"""

import builtins
import functools
import gc
import io
import multiprocessing.reduction
import sys
import tracemalloc
import weakref

import pytest

from fastcopyreg._compiler.tables import copied_tables
from support.implementations import OURS, PLANS_ARE_ON, STANDARD, requires_core
from support.recording import describe_error

pytestmark = requires_core


class Known:
    def __reduce__(self):
        return Known, ()


class Late(Known):
    pass


def reduce_known(_):
    return str, ("known",)


def reduce_late(_):
    return str, ("late",)


def forking(pickler, **attributes):
    """Return a class like multiprocessing's, which was called often enough to be read."""

    class Forking(pickler):
        extra = {}
        table = {Known: reduce_known}

        def __init__(self, *args):
            super().__init__(*args)
            self.dispatch_table = self.table.copy()
            self.dispatch_table.update(self.extra)

    for name, value in attributes.items():
        setattr(Forking, name, value)
    warm(Forking)
    return Forking


def warm(cls):
    for _ in range(5):
        cls(io.BytesIO())


def table_of(cls, *args):
    return cls(*(args or (io.BytesIO(),))).dispatch_table


def dumped(cls, value, *args):
    file = io.BytesIO()
    try:
        cls(file, *args).dump(value)
    except Exception as error:
        return describe_error(error)
    return file.getvalue()


# --- what is done to such a class, and what is seen then; each is given the class of picklers


def looks(pickler):
    cls = forking(pickler)
    table = table_of(cls)
    return type(table), table is cls.table, table == {**cls.table, **cls.extra}


def writes(pickler):
    cls = forking(pickler)
    seen = []
    for _ in range(3):
        table = table_of(cls)
        seen.append(list(table))
        table[Late] = reduce_late
        table.pop(Known)
        seen.append(dumped(cls, [Known(), Late()]))
    return seen


def keeps(pickler):
    cls = forking(pickler)
    tables = [table_of(cls) for _ in range(4)]
    tables[0].clear()
    return len(set(map(id, tables))), list(map(len, tables))


def lives(pickler):
    cls = forking(pickler)
    picklers = [cls(io.BytesIO()) for _ in range(3)]
    picklers[0].dispatch_table[Late] = reduce_late
    return [sorted(k.__name__ for k in each.dispatch_table) for each in picklers]


def registers_between(pickler):
    cls = forking(pickler)
    seen = []
    for change in (
        lambda: cls.table.update({Late: reduce_known}),
        lambda: cls.extra.update({Late: reduce_late}),
        cls.extra.clear,
        lambda: cls.table.pop(Late),
        lambda: cls.table.update({Known: reduce_late}),
    ):
        change()
        warm(cls)
        seen.append((table_of(cls), dumped(cls, [Known(), Late()])))
    return seen


def registers_meanwhile(pickler):
    def reduce_and_register(_):
        cls.extra[Late] = reduce_late
        return str, ("known",)

    cls = forking(pickler, table={Known: reduce_and_register})
    value = [Known(), Late()]
    return dumped(cls, value), dumped(cls, value)


def registers_in_between(pickler):
    cls = forking(pickler)
    file = io.BytesIO()
    made = cls(file)
    cls.table[Late] = reduce_late
    made.dump([Known(), Late()])
    return file.getvalue(), dumped(cls, [Known(), Late()])


def other_tables(pickler):
    cls = forking(pickler)
    cls.table = {Late: reduce_known}
    first = table_of(cls)
    cls.extra = {Late: reduce_late}
    warm(cls)
    return first, table_of(cls)


def odd_tables(pickler):
    class Own(dict):
        def copy(self):
            return Own(self, copied=True)

    found = [table_of(forking(pickler, table=table)) for table in (Own(a=1), {})]
    return [(type(each).__name__, dict(each)) for each in found]


def other_init(pickler):
    cls = forking(pickler)

    def __init__(self, *args):
        pickler.__init__(self, *args)
        self.dispatch_table = {Late: reduce_late}

    cls.__init__ = __init__
    return table_of(cls)


def other_code(pickler):
    cls, other = forking(pickler), forking(pickler)

    def make(__class__):
        def __init__(self, *args):
            super().__init__(*args)
            self.dispatch_table = {Late: self.extra}

        return __init__

    cls.__init__.__code__ = make(cls).__code__
    return table_of(cls), table_of(other)


def other_super(pickler):
    cls = forking(pickler)
    called = []

    class Super:
        def __init__(self, *args):
            called.append(len(args))

    real, builtins.super = super, Super
    try:
        made = cls(io.BytesIO())
    finally:
        builtins.super = real
    return called, made.dispatch_table


def other_owner(pickler):
    cls = forking(pickler)

    class Between(pickler):
        def __init__(self, *args):
            super().__init__(*args)
            self.between = True

    class Lower(cls, Between):
        pass

    warm(Lower)
    return vars(Lower(io.BytesIO())), vars(cls(io.BytesIO()))


def subclasses(pickler):
    cls = forking(pickler)

    class Plain(cls):
        pass

    class Own(cls):
        def __init__(self, file):
            super().__init__(file, 2)
            self.own = 1

    class New(cls):
        def __new__(cls, *args):
            made = super().__new__(cls, *args)
            made.new = 1
            return made

    class Hooked(cls):
        def persistent_id(self, obj):
            return "id" if type(obj) is Known else None

    class Stored(cls):
        def __setattr__(self, name, value):
            vars(self)["stored"] = name
            super().__setattr__(name, value)

    class Shadowed(cls):
        dispatch_table = "shadowed"

    seen = []
    for each in (Plain, Own, New, Hooked, Stored, Shadowed):
        warm(each)
        seen.append((dumped(each, [Known(), Late()]), sorted(vars(each(io.BytesIO())))))
    return seen


def metaclasses(pickler):
    class Meta(type):
        def __call__(cls, *args):
            made = super().__call__(*args)
            made.called = True
            return made

    cls = Meta("Made", (forking(pickler),), {})
    warm(cls)
    return vars(cls(io.BytesIO()))


def arguments(pickler):
    cls = forking(pickler)

    class File:
        def write(self, data):
            return len(data)

    class Own(io.BytesIO):
        pass

    shadowed = Own()
    shadowed.write = shadowed.writelines
    closed = io.BytesIO()
    closed.close()
    seen = []
    for args in (
        (),
        (File(),),
        (Own(),),
        (shadowed,),
        (closed,),
        (object(),),
        (io.BytesIO(), 0),
        (io.BytesIO(), True),
        (io.BytesIO(), None),
        (io.BytesIO(), -1),
        (io.BytesIO(), 77),
        (io.BytesIO(), "x"),
        (io.BytesIO(), 1 << 80),
        (io.BytesIO(), 2, False),
        (io.BytesIO(), 5, True, None),
        (io.BytesIO(), 5, True, print, 1),
    ):
        seen.append(outcome(cls, *args))
    seen.append(outcome(functools.partial(cls, file=io.BytesIO())))
    seen.append(outcome(functools.partial(cls, io.BytesIO(), protocol=1)))
    return seen


def outcome(cls, *args):
    try:
        made = cls(*args)
        made.dump(Known())
    except Exception as error:
        return describe_error(error)
    return made.bin, made.dispatch_table


def profiled(pickler):
    cls = forking(pickler)
    called = []

    def note(frame, event, _):
        if event == "call":
            called.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        cls(io.BytesIO())
    finally:
        sys.setprofile(None)
    return called


def dies(pickler):
    cls = forking(pickler)
    registered = type("Registered", (), {})
    cls.table[registered] = reduce_known
    warm(cls)
    died = weakref.ref(registered)
    del cls.table[registered], registered
    gc.collect()
    return died()


def class_dies(pickler):
    cls = forking(pickler)
    died = weakref.ref(cls)
    del cls
    gc.collect()
    return died(), table_of(forking(pickler))


SCENARIOS = (
    looks,
    writes,
    keeps,
    lives,
    registers_between,
    registers_meanwhile,
    registers_in_between,
    other_tables,
    odd_tables,
    other_init,
    other_code,
    other_super,
    other_owner,
    subclasses,
    metaclasses,
    arguments,
    profiled,
    dies,
    class_dies,
)


@pytest.mark.usefixtures("read_at_once")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nobody_can_tell(scenario):
    assert scenario(OURS.Pickler) == scenario(STANDARD.Pickler)


def test_multiprocessings_is_read():
    """And no other that looks like it."""
    cls = multiprocessing.reduction.ForkingPickler
    assert copied_tables(cls.__init__) == ("_copyreg_dispatch_table", "_extra_reducers")

    class Others:
        def one_more(self, *args):
            super().__init__(*args)
            self.dispatch_table = self.table.copy()
            self.dispatch_table.update(self.extra)
            self.more = True

        def no_args(self):
            super().__init__()
            self.dispatch_table = self.table.copy()
            self.dispatch_table.update(self.extra)

        def another_name(self, *args):
            super().__init__(*args)
            self.another = self.table.copy()
            self.another.update(self.extra)

        def another_call(self, *args):
            super().__init__(*args)
            self.dispatch_table = self.table.copy()
            self.dispatch_table.setdefault(self.extra)

        def same_table(self, *args):
            super().__init__(*args)
            self.dispatch_table = self.table.copy()
            self.dispatch_table.update(self.table)

    functions = [each for each in vars(Others).values() if hasattr(each, "__code__")]
    assert len(functions) == 5
    assert [copied_tables(each) for each in functions] == [None] * 5


@pytest.mark.usefixtures("read_at_once")
@pytest.mark.skipif(not PLANS_ARE_ON or sys.version_info < (3, 12), reason="each gets its copy")
def test_no_copy_is_made():
    table = {type(f"Made{i}", (), {}): reduce_known for i in range(2000)}

    def needed(cls):
        tracemalloc.start()
        try:
            cls(io.BytesIO())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    size = sys.getsizeof(table)
    assert needed(forking(STANDARD.Pickler, table=table)) > size
    ours = forking(OURS.Pickler, table=table)
    assert needed(ours) < size / 10
    # A change is seen once, and then there is a copy again.
    table[Late] = reduce_late
    assert needed(ours) > size
    assert needed(ours) < size / 10
