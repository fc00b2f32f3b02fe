"""A pointer into memory that an object owns is kept with that object: datetime's C API belongs to
a capsule, and how a Decimal is written to the context of the thread.

In children whose allocator overwrites what is freed.
"""

import os
import subprocess
import sys

import pytest

pytest.importorskip("fastcopyreg._core")

pytestmark = pytest.mark.core

CAPSULES = """
import ctypes, datetime, gc, pickle as std, sys
from fastcopyreg import copy, pickle

api, NAME = ctypes.PyDLL(None), b"datetime.datetime_CAPI"
SIZE = 16 * ctypes.sizeof(ctypes.c_void_p)
Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
api.PyCapsule_New.restype = ctypes.py_object
api.PyCapsule_New.argtypes = ctypes.c_void_p, ctypes.c_char_p, Destructor
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = ctypes.py_object, ctypes.c_char_p
table = api.PyCapsule_GetPointer(datetime.datetime_CAPI, NAME)
tables, dead = {}, []

@Destructor
def destroy(capsule):
    ctypes.memset(tables.pop(capsule), 0xDD, SIZE)
    dead.append(capsule)

def new_capsule():
    memory = ctypes.create_string_buffer(SIZE)
    ctypes.memmove(memory, table, SIZE)
    capsule = api.PyCapsule_New(ctypes.addressof(memory), NAME, destroy)
    tables[id(capsule)] = memory
    return capsule

values = [datetime.datetime(2020, 1, 2, 3, 4, 5, 6), datetime.date(2020, 1, 2),
          datetime.time(1, 2, 3, 4), datetime.timedelta(1, 2, 3), datetime.UTC,
          datetime.timezone(datetime.timedelta(hours=1), "one")]
data = std.dumps(values)
for _ in range(50):
    datetime.datetime_CAPI = new_capsule()
    for _ in range(3):
        assert pickle.loads(data) == copy.deepcopy(values) == values
    del datetime.datetime_CAPI
    gc.collect()
    assert pickle.loads(data) == copy.deepcopy(values) == values
del sys.modules["datetime"]
assert std.loads(data) == pickle.loads(data)
print("well", len(dead) > 40)
"""

LATE = """
import datetime, decimal, gc, os, sys
import copy as std_copy, pickle as std_pickle
from fastcopyreg import copy as our_copy, pickle as our_pickle

pickle, copy = (our_pickle, our_copy) if sys.argv[1] == "ours" else (std_pickle, std_copy)
values = [datetime.datetime(2020, 1, 2, 3, 4, 5, 6, datetime.UTC), datetime.date(2020, 1, 2),
          datetime.time(1, 2, 3, 4), datetime.timedelta(1, 2, 3), decimal.Decimal("1E+5"),
          decimal.Decimal("-0.00"), datetime.timezone(datetime.timedelta(hours=1), "one")]
pairs = [(value, std_pickle.dumps(value)) for value in values]

class Late:
    def nothing(self):
        pass

    def __del__(self, write=os.write, kind=type, everything=BaseException, id=id, repr=repr,
                modules=sys.modules, dumps=pickle.dumps, loads=pickle.loads, pairs=pairs,
                deepcopy=copy.deepcopy, shallow=copy.copy, setcontext=decimal.setcontext,
                Context=decimal.Context, held=[*sys.modules.values()]):
        modules.clear()
        for round in (1, 2):
            for value, data in pairs:
                for function, given in ((loads, data), (dumps, value), (deepcopy, value),
                                        (shallow, value)):
                    try:
                        result = function(given)
                        said = result.hex() if kind(result) is bytes else kind(result).__name__
                    except everything as error:
                        said = "raises " + kind(error).__name__
                    write(1, (said + "\\n").encode())
            setcontext(Context(capitals=0))
            write(1, b"--\\n")

for value, data in pairs:
    assert pickle.loads(data) == copy.deepcopy(value) == value
    pickle.dumps(value)
decimal.setcontext(decimal.Context(capitals=1))
late = Late()
if sys.argv[2] == "at the end":
    os.register_at_fork(before=late.nothing)
del late
"""


def run(program, *arguments):
    """The lines that a child writes, and whether it ends without a crash."""
    child = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=dict(os.environ, PYTHONMALLOC="debug"),
    )
    assert child.returncode <= 0, child.stderr
    return child.stdout.splitlines(), child.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="ctypes finds the interpreter's functions")
def test_the_api_of_a_capsule_that_died_is_not_called():
    """The next capsule may lie where the last one did."""
    assert run(CAPSULES) == (["well True"], True)


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="it holds what dies late")
@pytest.mark.parametrize("when", ("cleared", "at the end"))
def test_dates_and_decimals_when_their_modules_are_gone(when):
    """At the end of 3.11 the standard library itself crashes: ours says no other until then."""
    theirs, ended = run(LATE, "std", when)
    assert ended or when == "at the end"
    ours, well = run(LATE, "ours", when)
    assert ours[: len(theirs)] == theirs
    assert well or not ended
    assert len(ours) == 2 * (7 * 4 + 1) or not well
    assert when == "at the end" or {"datetime", "Decimal"} <= set(theirs)
