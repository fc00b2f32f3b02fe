"""Reducers of the shapes that libraries write, each with the verdict that it gets.

The functions are our own; their shapes are what numpy, re, gmpy2, sympy, loky, cloudpickle, dask,
twisted, freezegun, multiprocessing, Pint and tblib register, or have as `__reduce__`.
"""

import array
import functools
import logging
import sys
import types

import pytest

if sys.implementation.name != "cpython":
    pytest.skip("plans are for CPython", allow_module_level=True)

from fastcopyreg.compiler import ReducerPlan, Refusal, compile_reducer
from support.plans import reduce_by_plan, same


def rebuild(*arguments):
    return arguments


class Unit:
    def __init__(self, magnitude, units):
        self.magnitude = magnitude
        self.units = units


class Basic:
    args = (1, 2)

    def __reduce_ex__(self, protocol):
        return type(self), self.args

    def walk(self):
        return 1


class Expression(Basic):
    def __reduce_ex__(self, protocol):
        return type(self), self.__getnewargs__(), self.__getstate__()


def bag(**attributes):
    return types.SimpleNamespace(**attributes)


# numpy


def numpy_ufunc(func):
    return func.__name__


def numpy_masked(self):
    return rebuild, (self.__class__, self._baseclass, (0,), "b"), self.__dict__


def numpy_generator(self):
    return rebuild, (self.bit_generator,), None


def numpy_poly(self):
    return rebuild, (self.coef.tobytes(), self.domain)


# re, gmpy2, sympy


def re_pattern(p):
    return rebuild, (p.pattern, p.flags)


def gmpy2_mpz(x):
    return rebuild, (rebuild(x),)


def sympy_rational(self):
    return type(self), (self.numerator, self.denominator)


def sympy_matrix(self):
    return self.__class__, (self.rows, self.cols, self._flat())


# loky, cloudpickle, multiprocessing


def method(m):
    if m.__self__ is None:
        return getattr, (m.__class__, m.__func__.__name__)
    else:
        return getattr, (m.__self__, m.__func__.__name__)


def method_descriptor(m):
    return getattr, (m.__objclass__, m.__name__)


def partial_object(p):
    return rebuild, (p.func, p.args, p.keywords or {})


def loky_connection(conn):
    duplicate = rebuild(conn.fileno())
    return rebuild, (duplicate, conn.readable, conn.writable)


def cloudpickle_classmethod(obj):
    orig_func = obj.__func__
    return type(obj), (orig_func,)


def cloudpickle_property(obj):
    return property, (obj.fget, obj.fset, obj.fdel, obj.__doc__)


def cloudpickle_method(obj):
    return (types.MethodType, (obj.__func__, obj.__self__))


def cloudpickle_logger(obj):
    return logging.getLogger, (obj.name,)


def cloudpickle_root_logger(obj):
    return logging.getLogger, ()


def cloudpickle_cell(obj):
    try:
        obj.cell_contents  # noqa: B018
    except ValueError:
        return rebuild, ()
    else:
        return rebuild, (obj.cell_contents,)


def cloudpickle_mappingproxy(obj):
    return types.MappingProxyType, (dict(obj),)


def cloudpickle_memoryview(obj):
    return bytes, (obj.tobytes(),)


def cloudpickle_code(obj):
    if hasattr(obj, "co_exceptiontable"):
        args = (obj.co_argcount, obj.co_name)
    else:
        args = (obj.co_argcount,)
    return types.CodeType, args


def cloudpickle_dict_items(obj):
    for key, value in obj.items():
        return rebuild, ({key: value},)


def multiprocessing_array(a):
    return array.array, (a.typecode, a.tobytes())


def multiprocessing_socket(s):
    return rebuild, (rebuild(s), s.family, s.type, s.proto)


def multiprocessing_proxy(self):
    kwds = {}
    if self._isauto:
        kwds["exposed"] = self._exposed_
    return rebuild, (self._token, self._serializer, kwds)


# dask, twisted, freezegun, Pint, tblib


def dask_callable(self):
    return (self.__class__, (self.method,))


def dask_subgraph(self):
    return (rebuild, (self.dsk, self.outkey, self.inkeys, self.name))


def dask_expression(self):
    return rebuild, (type(self), *self.operands)


def twisted_method(m):
    return (rebuild, (m.__name__, m.__self__, m.__self__.__class__))


def twisted_module(module):
    return rebuild, (module.__name__,)


def twisted_stringio(io):
    return rebuild, (io.getvalue(), io.tell())


def twisted_function(f):
    if f.__name__ == "<lambda>":
        raise TypeError(f"cannot pickle {f}")
    return rebuild, (f.__module__, f.__qualname__)


def freezegun_date(d):
    return Unit, (
        d.year,
        d.month,
        d.day,
    )


def freezegun_datetime(d):
    return Unit, (d.year, d.month, d.day, d.hour, d.minute, d.second, d.microsecond, d.tzinfo)


def pint_quantity(self):
    return rebuild, (Unit, self.magnitude, self._units)


def tblib_traceback(tb, *, get_locals=None):
    return rebuild, (
        Unit(tb.tb_frame, get_locals),
        tb.tb_lineno,
        tb.tb_next and Unit(tb.tb_next, None),
    )


def tblib_exception(obj):
    rv = obj.__reduce_ex__(3)
    if isinstance(rv, str):
        raise TypeError
    return rv[:1]


DATE = bag(year=1, month=2, day=3, hour=4, minute=5, second=6, microsecond=7, tzinfo=None)

PLANS = {
    numpy_ufunc: numpy_ufunc,
    numpy_masked: bag(_baseclass=list),
    numpy_generator: bag(bit_generator=[1]),
    re_pattern: bag(pattern="a+", flags=32),
    sympy_rational: 3,
    method: Basic().walk,
    method_descriptor: str.upper,
    partial_object: functools.partial(int, base=2),
    cloudpickle_classmethod: classmethod(rebuild),
    cloudpickle_property: property(rebuild),
    cloudpickle_method: Basic().walk,
    cloudpickle_cell: types.CellType(5),
    cloudpickle_logger: logging.getLogger("wild"),
    cloudpickle_root_logger: logging.getLogger(),
    dask_callable: bag(method="sum"),
    dask_subgraph: bag(dsk={}, outkey="a", inkeys=["b"], name="c"),
    twisted_method: Basic().walk,
    twisted_module: types,
    freezegun_date: DATE,
    freezegun_datetime: DATE,
    pint_quantity: bag(magnitude=2.5, _units={}),
}

REFUSALS = {
    numpy_poly: "calls the object.coef.tobytes",
    gmpy2_mpz: "calls rebuild",
    sympy_matrix: "calls the object._flat",
    loky_connection: "calls the object.fileno",
    cloudpickle_mappingproxy: "calls dict",
    cloudpickle_memoryview: "calls the object.tobytes",
    cloudpickle_code: "calls hasattr",
    cloudpickle_dict_items: "calls the object.items",
    multiprocessing_array: "calls the object.tobytes",
    multiprocessing_socket: "calls rebuild",
    dask_expression: "a display with *",
    twisted_stringio: "calls the object.getvalue",
    twisted_function: "a comparison",
    tblib_traceback: "calls Unit",
    tblib_exception: "calls the object.__reduce_ex__",
}


@pytest.mark.parametrize("reducer", PLANS, ids=lambda reducer: reducer.__name__)
def test_planned(reducer):
    plan = compile_reducer(reducer)
    assert isinstance(plan, ReducerPlan), plan
    assert not plan.leaves
    item = PLANS[reducer]
    assert same(reduce_by_plan(plan, reducer, item), reducer(item))


@pytest.mark.parametrize("reducer", REFUSALS, ids=lambda reducer: reducer.__name__)
def test_called(reducer):
    verdict = compile_reducer(reducer)
    assert isinstance(verdict, Refusal)
    assert verdict.reason == REFUSALS[reducer]
    assert verdict.line > reducer.__code__.co_firstlineno


def test_partly_planned():
    """The path that stores an item is called; the other is not."""
    plan = compile_reducer(multiprocessing_proxy)
    assert [leaf.reason for leaf in plan.leaves] == ["stores an item"]
    item = bag(_isauto=False, _token=1, _serializer="pickle")
    answer = reduce_by_plan(plan, multiprocessing_proxy, item)
    assert same(answer, multiprocessing_proxy(item))


def test_methods():
    plan = compile_reducer(Basic.__reduce_ex__, 2)
    assert reduce_by_plan(plan, Basic.__reduce_ex__, Basic(), 4) == (Basic, (1, 2))
    assert compile_reducer(Expression.__reduce_ex__, 2).reason == "calls the object.__getnewargs__"
